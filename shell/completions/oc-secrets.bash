# shellcheck shell=bash
# bash completion for oc-secrets and its companions: eval "$(oc-secrets completions bash)"

# Sets `word` to what bash makes of the text $1 on the line, and `open` to the quote that is not closed; runs nothing of it.
_oc_secrets_unquote() {
	local text=$1 c
	word='' open=''
	while [[ $text ]]; do
		c=${text:0:1} text=${text:1}
		case $open$c in
		\\ | \"\\)
			# Between double quotes it is a plain character before most others.
			[[ -z $open || $text == [\$\`\"\\]* ]] || word+=$c
			word+=${text:0:1} text=${text:1}
			;;
		\' | \") open=$c ;;
		\'\' | \"\") open='' ;;
		*) word+=$c ;;
		esac
	done
}

_oc_secrets() {
	local word line kind='' glue='' at behind words=() current open
	# bash splits at `=` and `:`; those pieces belong together.
	for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
		case $word in
		[=:]) glue=yes && words[${#words[@]} - 1]+=$word ;;
		*)
			if [[ $glue ]]; then words[${#words[@]} - 1]+=$word; else words+=("$word"); fi
			glue=''
			;;
		esac
	done
	current=${words[${#words[@]} - 1]}
	# What bash itself does not replace of the current word.
	behind=${current%"$2"}
	for at in "${!words[@]}"; do
		_oc_secrets_unquote "${words[at]}"
		words[at]=$word
	done
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ -z $kind ]]; then
			kind=$line
			continue
		fi
		word=${line%%$'\t'*}
		if [[ -z $open ]]; then
			printf -v word %q "$word"
			# A list has commas, which mean something between braces alone, and %q quotes those.
			word=${word//\\,/,}
		fi
		COMPREPLY+=("${word#"$behind"}")
	done < <(command oc-secrets complete -- "${words[@]}" 2>/dev/null)
	case $kind in
	files) compopt -o default 2>/dev/null ;;
	directories) compopt -o dirnames 2>/dev/null ;;
	command*)
		for at in "${!COMP_WORDS[@]}"; do
			[[ ${COMP_WORDS[at]} != -- ]] || break
		done
		at=$((at + 1))
		if declare -F _comp_command_offset >/dev/null; then
			_comp_command_offset "$at"
		elif declare -F _command_offset >/dev/null; then
			_command_offset "$at"
		elif [[ $at -eq $COMP_CWORD ]]; then
			while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$2" | sort -u)
		else
			compopt -o default 2>/dev/null
		fi
		;;
	esac
}

complete -F _oc_secrets oc-secrets openclaw-deploy docker-credential-oc git-credential-oc
