# shellcheck shell=bash
# Has oc-secrets write the man pages and shell completions of all programs, for packages and the installer. Sourced; wants
# lib.sh.

# pages_of OC OUT PROGRAM COMMAND…: the page of a command, and those of the commands below it
pages_of() {
	local oc=$1 out=$2 name word
	shift 2
	name=$(IFS=- && echo "$*")
	"$oc" man "$@" >"$out/$name.1" 2>/dev/null </dev/null || { rm -f "$out/$name.1" && return 0; }
	while read -r word; do
		[[ $word != help ]] || continue
		pages_of "$oc" "$out" "$@" "$word"
	done < <("$oc" complete -- "$@" '' | sed -n '2,$ s/^\([a-z][a-z-]*\)\t.*/\1/p')
}

# write_pages PROGRAMS OUT: for the programs in PROGRAMS, which run here: pages to OUT/man1, and completions to
# OUT/completions/{bash,zsh,fish}. bash and fish look for the file of the program that is typed, hence copies.
write_pages() {
	local oc=$1/oc-secrets out=$2 program
	[[ -x $oc ]] || die "no oc-secrets in $1" 2
	mkdir -p "$out/man1" "$out"/completions/{bash,zsh,fish}
	for program in "$1"/*; do
		[[ -x $program && -f $program ]] || continue
		program=${program##*/}
		pages_of "$oc" "$out/man1" "$program"
		[[ -s $out/man1/$program.1 ]] || die "$program has no page" 1
		"$oc" completions bash >"$out/completions/bash/$program"
		"$oc" completions fish >"$out/completions/fish/$program.fish"
	done
	"$oc" completions zsh >"$out/completions/zsh/_oc-secrets"
}
