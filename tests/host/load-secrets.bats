# shell/oc-load-secrets.sh, sourced in bash and in zsh.
# shellcheck disable=SC2016,SC2030,SC2031 # the code is for another shell; each test has variables of its own

setup() {
	script=$BATS_TEST_DIRNAME/../../shell/oc-load-secrets.sh
	export PATH="$BATS_TEST_DIRNAME/stand-ins:$PATH" TEXT="$BATS_TEST_TMPDIR/text" CALLS="$BATS_TEST_TMPDIR/calls"
	unset A B GHCR_TOKEN
	cat >"$TEXT" <<'TEXT'
export GHCR_TOKEN='ghp_s3cret'
export A='it'\''s
export FALSE_NAME='\'''
export B=''
TEXT
}

# in_shells CODE: runs CODE, where $script is the file, in both shells; the output of each is in the array `said`.
in_shells() {
	local shell
	said=() codes=()
	for shell in 'bash --norc --noprofile' 'zsh --no-rcs'; do
		# shellcheck disable=SC2086 # the words of $shell are meant
		said+=("$(script=$script $shell -c "$1" 2>&1 </dev/null)") && codes+=(0) || codes+=($?)
	done
}

# both TEXT: both shells said exactly this.
both() {
	local text
	for text in "${said[@]}"; do
		[ "$text" = "$1" ] || {
			printf 'wanted: %s\nsaw: %s\n' "$1" "$text"
			return 1
		}
	done
}

@test "the variables are set byte for byte and only their names are said" {
	in_shells '. "$script"; printf "<%s><%s><%s>" "$GHCR_TOKEN" "$A" "${B-unset}"; env | grep -c "^GHCR_TOKEN=ghp_s3cret$"'
	both "loaded: GHCR_TOKEN A B
<ghp_s3cret><it's
export FALSE_NAME='><>1"
}

@test "what is said holds no part of a value" {
	in_shells '. "$script"'
	both 'loaded: GHCR_TOKEN A B'
	# The control: the same search finds the value where it is.
	grep -q s3cret "$TEXT"
	for text in "${said[@]}"; do
		[[ $text != *s3c* && $text != *ghp* && $text != *FALSE_NAME* ]]
	done
}

@test "nothing is left behind: no variable, function, option or argument" {
	in_shells 'set -- one "two three"
		state() { set +o; [ -z "${ZSH_VERSION-}" ] || setopt; typeset -f | grep -v "^_=" ; set | sed "s/=.*//" | sort; printf "%s\n" "$@"; }
		before=
		before=$(state "$@" | grep -vE "^(GHCR_TOKEN|A|B|before|_|\?|RANDOM|SECONDS|EPOCH.*|SRANDOM|BASH_.*|PIPESTATUS|LINENO|FUNCNAME|pipestatus|status|TTYIDLE|ERRNO|COLUMNS|LINES|argv|.*LASTPID.*)$")
		. "$script" >/dev/null
		after=
		after=$(state "$@" | grep -vE "^(GHCR_TOKEN|A|B|before|after|_|\?|RANDOM|SECONDS|EPOCH.*|SRANDOM|BASH_.*|PIPESTATUS|LINENO|FUNCNAME|pipestatus|status|TTYIDLE|ERRNO|COLUMNS|LINES|argv|.*LASTPID.*)$")
		diff <(printf "%s\n" "$before") <(printf "%s\n" "$after") && echo same; echo "$#"'
	both 'same
2'
}

@test "the control of that: a variable, a function or an option left behind would be seen" {
	printf '%s\n' 'leftover=1; left() { :; }; set -f' >"$BATS_TEST_TMPDIR/bad.sh"
	script=$BATS_TEST_TMPDIR/bad.sh
	in_shells 'state() { set +o; typeset -f; set | sed "s/=.*//" | sort; }
		before=; before=$(state); . "$script"; after=$(state)
		diff <(printf "%s\n" "$before") <(printf "%s\n" "$after") | grep -cE "^> *(leftover|left|set -f|set -o noglob|left \(\).*)"'
	for text in "${said[@]}"; do [ "$text" -ge 2 ]; done
}

@test "when oc-secrets fails nothing is set, and the status is its own" {
	export STATUS=4
	echo false >"$TEXT"
	in_shells '. "$script"; echo "$?"; echo "${GHCR_TOKEN-unset}"'
	both 'oc-load-secrets.sh: error: nothing was loaded
4
unset'
}

@test "half an answer with a bad status sets nothing" {
	export STATUS=137
	in_shells '. "$script"; echo "$?"; echo "${GHCR_TOKEN-unset}${A-unset}"'
	both 'oc-load-secrets.sh: error: nothing was loaded
137
unsetunset'
}

@test "a read-only variable spoils all of it, not half" {
	in_shells 'readonly A=mine; . "$script" 2>/dev/null; echo "$?"; echo "${GHCR_TOKEN-unset}"'
	both '1
unset'
}

@test "without oc-secrets there is an error and no variable" {
	PATH=/usr/bin:/bin
	in_shells '. "$script" 2>/dev/null; echo "$?"; echo "${GHCR_TOKEN-unset}"'
	both '127
unset'
}

@test "a strict shell survives, and a failure ends it as any other command's would" {
	in_shells 'set -eu; . "$script" >/dev/null; echo "still here: $GHCR_TOKEN"'
	both 'still here: ghp_s3cret'
	STATUS=3 in_shells 'set -eu; . "$script" 2>/dev/null; echo "not reached"'
	both ''
	[ "${codes[*]}" = '3 3' ]
}

@test "a trace shows no value, and goes on afterwards" {
	in_shells 'set -x; . "$script"; : goes on; case $- in *x*) echo traced;; esac'
	for text in "${said[@]}"; do
		[[ $text != *s3cret* && $text == *': goes on'* && $text == *traced* ]]
	done
	# The control: a trace that is not held back does show it.
	in_shells 'set -x; eval "$(cat "$TEXT")"'
	for text in "${said[@]}"; do [[ $text == *s3cret* ]]; done
}

@test "odd shell options change nothing" {
	in_shells '[ -z "${ZSH_VERSION-}" ] || setopt ksh_arrays sh_word_split no_global_export rc_quotes; set -f; . "$script"; printf "<%s>" "$A"; env | grep -c ^GHCR_TOKEN='
	both "loaded: GHCR_TOKEN A B
<it's
export FALSE_NAME='>1"
}

@test "it may be sourced within a function" {
	in_shells 'load() { . "$script" >/dev/null; }; load; echo "$GHCR_TOKEN"'
	both 'ghp_s3cret'
}

@test "it takes nothing from the caller's arguments" {
	in_shells 'set -- --vault other; . "$script" >/dev/null'
	[ "$(sort -u "$CALLS")" = 'env --format sh' ]
}

@test "executed instead of sourced it refuses, and asks for nothing" {
	local how
	for how in "bash $script" "zsh $script" "sh $script" "bash -s"; do
		# shellcheck disable=SC2086 # the words of $how are meant
		run $how <"$script"
		[ "$status" -eq 1 ]
		[[ $output == *'is to be sourced'* ]]
	done
	[ ! -e "$CALLS" ]
}

@test "a value that looks like code is not run" {
	cat >"$TEXT" <<'TEXT'
export A='$(touch '\''/nonexistent/x'\'') `id` "; exit 7; #'
TEXT
	in_shells '. "$script"; printf "%s" "$A"'
	both "loaded: A
\$(touch '/nonexistent/x') \`id\` \"; exit 7; #"
}
