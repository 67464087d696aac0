# shellcheck shell=bash
# Has the programs write their man pages and shell completions, for packages and the installer. Sourced; wants lib.sh.

# page PROGRAM: for one that has no page to print: what --help says, as a page
page() {
	local name=${1##*/} help
	help=$("$1" --help 2>&1)
	printf '.TH "%s" 1 "%s" "oc-secrets"\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n.nf\n' "${name^^}" "$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%d)" "$name" "$(purpose "$name")"
	sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/" <<<"$help"
	printf '.fi\n.SH SEE ALSO\n.BR oc-secrets (1),\n.BR docker\\-credential\\-oc (1),\n.BR git\\-credential\\-oc (1),\n.BR openclaw\\-deploy (1)\n'
}

purpose() {
	case $1 in
	oc-secrets) echo 'hand 1Password secrets to a process' ;;
	docker-credential-oc) echo 'answer Docker with credentials from 1Password' ;;
	git-credential-oc) echo 'answer git with credentials from 1Password' ;;
	openclaw-deploy) echo 'provision a host, run and verify an OpenClaw gateway' ;;
	*) die "what is $1 for?" 1 ;;
	esac
}

# write_pages PROGRAMS OUT: pages of the programs in PROGRAMS, which run here, to OUT/man1, and completions to
# OUT/completions/{bash,zsh,fish}, as far as a program can write them
write_pages() {
	local programs=$1 out=$2 program name command shell file written=0
	mkdir -p "$out/man1"
	written=0
	for program in "$programs"/*; do
		[[ -x $program && -f $program ]] || continue
		name=${program##*/}
		case $name in
		*-credential-*) page "$program" >"$out/man1/$name.1" && continue ;; # a client of theirs waits for no pages
		esac
		written=$((written + 1))
		"$program" man >"$out/man1/$name.1" 2>/dev/null </dev/null || page "$program" >"$out/man1/$name.1"
		for command in $("$program" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p'); do
			"$program" man "$command" >"$out/man1/$name-$command.1" 2>/dev/null </dev/null || rm -f "$out/man1/$name-$command.1"
		done
		for shell in bash zsh fish; do
			mkdir -p "$out/completions/$shell"
			case $shell in zsh) file=_$name ;; fish) file=$name.fish ;; *) file=$name ;; esac
			"$program" completions "$shell" >"$out/completions/$shell/$file" 2>/dev/null </dev/null || rm -f "$out/completions/$shell/$file"
		done
	done
	[[ $written -gt 0 ]] || die "no program in $programs" 2
	find "$out" -type d -empty -delete
}
