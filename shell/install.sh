#!/bin/sh
# Installs oc-secrets and its companions from a release: nothing is put in place before its checksum was found right,
# and, where cosign is installed, before the signature over the checksums was.
#
# usage: install.sh [--version vX.Y.Z] [--to DIR] [--repo OWNER/NAME] [--from URL] [--require-signature] [--deb]
#        install.sh --uninstall [--to DIR]
#
#   --version   the release; default: the newest
#   --to        where the programs go; default: /usr/local/bin for root, else ~/.local/bin
#   --repo      the GitHub repository of the release (or OC_SECRETS_REPOSITORY)
#   --from      a folder on a web server that holds a release's files, instead of GitHub
#   --require-signature   fail where cosign is not installed
#   --deb       install the package instead, which apt then knows and can remove; wants root
#   --uninstall remove what an earlier run installed, and nothing else, once Docker, Podman and git ask it no longer
#
# Where the programs go to a folder named bin, man pages and completions go to the share beside it. What was installed is
# listed in share/oc-secrets/installed, or where there is no such share in .oc-secrets/installed beside the programs.
#
# Exit codes: 0 installed, 1 not installed, 2 wrong usage, 3 a checksum or a signature is wrong, 4 some of it is installed.
set -eu

repository=${OC_SECRETS_REPOSITORY-}

fail() { # fail CODE WHAT [HINT]
	printf 'install.sh: error: %s\n' "$2" >&2
	[ -z "${3-}" ] || printf 'hint: %s\n' "$3" >&2
	exit "$1"
}

help() { # the head of this script, where it is a file
	sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p; }' "$0" 2>/dev/null ||
		printf '%s\n' 'usage: install.sh [--version vX.Y.Z] [--to DIR] [--repo OWNER/NAME] [--from URL] [--require-signature] [--deb]' \
			'       install.sh --uninstall [--to DIR]'
	exit 0
}

read_arguments() {
	version='' folder='' from='' must_sign=no deb=no uninstall=no
	while [ $# -gt 0 ]; do
		case $1 in
		--require-signature) must_sign=yes && shift && continue ;;
		--deb) deb=yes && shift && continue ;;
		--uninstall) uninstall=yes && shift && continue ;;
		--help | -h) help ;;
		--version | --to | --repo | --from) [ -n "${2-}" ] || fail 2 "$1 wants a value" ;;
		*) fail 2 "unknown argument $1" 'see the head of this script' ;;
		esac
		case $1 in
		--version) version=$2 ;;
		--to) folder=$2 ;;
		--repo) repository=$2 ;;
		--from) from=$2 ;;
		esac
		shift 2
	done
	case $version in *[!A-Za-z0-9.-]* | [!v]*) fail 2 "no such version: $version" 'a version looks like v1.2.3' ;; esac
	case $repository in *[!A-Za-z0-9._/-]*) fail 2 "no such repository: $repository" ;; esac
}

absolute() { # absolute PATH: its one spelling, which is in the list whatever was typed; links stay
	case $1 in /*) ;; *) set -- "$PWD/$1" ;; esac
	printf '%s/\n' "$1" | sed -e 's://*:/:g' -e ':dot' -e 's:/\./:/:' -e 't dot' \
		-e ':up' -e 's:^/\.\./:/:' -e 't up' -e 's:/[^/][^/]*/\.\./:/:' -e 't up' -e 's:\(.\)/$:\1:'
}

choose_folder() {
	if [ -z "$folder" ] && [ "$(id -u)" = 0 ]; then
		folder=/usr/local/bin
	elif [ -z "$folder" ]; then
		[ -n "${HOME-}" ] || fail 2 'into which folder? HOME is not set' 'name it with --to'
		folder=$HOME/.local/bin
	fi
	folder=$(absolute "$folder")
	case $folder in
	*/bin) share=${folder%/bin}/share list=${folder%/bin}/share/oc-secrets/installed ;;
	*) share='' list=$folder/.oc-secrets/installed ;; # oc-secrets itself is the program
	esac
}

choose() {
	case $(uname -s)/$(uname -m) in
	Linux/x86_64 | Linux/amd64) target=x86_64-unknown-linux-musl ;;
	Linux/aarch64 | Linux/arm64) target=aarch64-unknown-linux-musl ;;
	Darwin/x86_64) target=x86_64-apple-darwin ;;
	Darwin/arm64) target=aarch64-apple-darwin ;;
	*) fail 1 "there is no release for $(uname -s) on $(uname -m)" 'build it: cargo install --locked --path .' ;;
	esac
	archive=oc-secrets-$target.tar.gz
	if [ -z "$from" ]; then
		case $repository in
		*/*) ;;
		*) fail 2 'which repository?' 'pass --repo OWNER/NAME, or set OC_SECRETS_REPOSITORY' ;;
		esac
		from=https://github.com/$repository/releases/latest/download
		[ -z "$version" ] || from=https://github.com/$repository/releases/download/$version
	fi
	case $from in
	https://*) protocol='=https' ;;
	http://127.0.0.1[:/]* | http://localhost[:/]*) protocol='=http' ;;
	*) fail 2 "will not install from $from" 'https is needed' ;;
	esac
}

fetch() { # fetch NAME: into the work folder
	curl --proto "$protocol" --fail --silent --show-error --location --retry 2 \
		--connect-timeout 20 --max-time 600 --max-filesize 268435456 --output "$work/$1" "$from/$1" ||
		fail 1 "cannot fetch $from/$1" 'is it a release of this project, and is the network up?'
}

sha256() {
	if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

check_signature() {
	if ! command -v cosign >/dev/null; then
		[ "$must_sign" = no ] || fail 1 'cosign is not installed' 'without --require-signature the checksum alone is checked'
		return 0
	fi
	fetch SHA256SUMS.sigstore.json
	case $repository in */*) ;; *) fail 2 'whose signature?' 'pass --repo OWNER/NAME' ;; esac
	dots=$(printf '%s' "$repository" | sed 's/\./\\./g')
	cosign verify-blob --certificate-oidc-issuer https://token.actions.githubusercontent.com \
		--certificate-identity-regexp "^https://github\.com/$dots/\.github/workflows/release\.yml@refs/tags/v" \
		--new-bundle-format --bundle "$work/SHA256SUMS.sigstore.json" "$work/SHA256SUMS" >/dev/null 2>"$work/cosign" ||
		fail 3 'the signature over the checksums is not by this project' "$(tail -n 1 "$work/cosign" | tr -d '[:cntrl:]')"
}

check_checksum() { # check_checksum NAME
	wanted=$(awk -v name="$1" '$2 == name || $2 == "*" name { print $1 }' "$work/SHA256SUMS")
	case $wanted in
	*[!0-9a-f]* | '') fail 3 "SHA256SUMS does not name $1 exactly once" ;;
	esac
	[ "$(sha256 "$work/$1")" = "$wanted" ] || fail 3 "$1 is not what was released" 'nothing was installed; try again, and report it if it stays so'
}

is_listed() { # is_listed NAME: the release has it
	[ -n "$(awk -v name="$1" '$2 == name { print $1 }' "$work/SHA256SUMS")" ]
}

unpack() {
	if tar -tzf "$work/$archive" | grep -qvE "^oc-secrets-$target/[A-Za-z0-9._-]*\$"; then fail 3 "$archive holds files that do not belong there"; fi
	tar -xzf "$work/$archive" -C "$work"
	[ -x "$work/oc-secrets-$target/oc-secrets" ] || fail 1 "$archive holds no oc-secrets"
}

stage() { # stage FILE MODE DIR: whole, in its folder, but not yet in its place
	mkdir -p "$3" || fail 1 "cannot make $3" 'choose another folder with --to'
	name=${1##*/}
	printf '%s\n' "$3/$name" >>"$work/installed"
	{ [ ! -d "$3/$name" ] && cp "$1" "$3/.$name.new" && chmod "$2" "$3/.$name.new"; } ||
		fail 1 "cannot write $3/$name" 'choose another folder with --to'
}

# What an earlier release had and this one has not is still listed, and what is listed is found by --uninstall.
stage_list() {
	[ ! -f "$list" ] || cp "$list" "$work/installed.before"
	sort -u "$work"/installed* >"$work/list"
	{ mkdir -p "${list%/*}" && cp "$work/list" "$list.new"; } || fail 1 "cannot write $list" 'choose another folder with --to'
}

put_in_place() { # renames want no room, so that a full disk was noticed before
	trap '' INT TERM HUP
	mv -f "$list.new" "$list" || fail 1 "cannot write $list" 'choose another folder with --to'
	while read -r file; do
		mv -f "${file%/*}/.${file##*/}.new" "$file" ||
			fail 4 "cannot write $file" 'programs of two releases may be there: mend that and run this again, or with --uninstall'
	done <"$work/installed"
	sed 's/^/installed /' "$work/installed" || true # somebody who does not listen
}

remove_staged() {
	[ -f "$work/installed" ] || return 0
	while read -r file; do rm -f "${file%/*}/.${file##*/}.new"; done <"$work/installed"
	rm -f "$list.new"
	rmdir "${list%/*}" 2>/dev/null || true
}

place() {
	for program in "$work/oc-secrets-$target"/*; do
		[ ! -x "$program" ] || stage "$program" 755 "$folder" # not the README and the licence
	done
	[ -z "$share" ] || stage_extras
	stage_list
	put_in_place
	case :$PATH: in *":$folder:"*) ;; *) printf 'hint: %s is not on PATH\n' "$folder" >&2 ;; esac
	case $(id -u)/$(command -v apt-get) in
	0/?*) printf 'hint: with --deb it comes as a package, which apt can remove\n' >&2 ;;
	esac
}

stage_extras() {
	extras=$work/oc-secrets-extras
	for page in "$extras"/man1/*; do [ ! -f "$page" ] || stage "$page" 644 "$share/man/man1"; done
	for file in "$extras"/completions/bash/*; do [ ! -f "$file" ] || stage "$file" 644 "$share/bash-completion/completions"; done
	for file in "$extras"/completions/zsh/*; do [ ! -f "$file" ] || stage "$file" 644 "$share/zsh/site-functions"; done
	for file in "$extras"/completions/fish/*; do [ ! -f "$file" ] || stage "$file" 644 "$share/fish/vendor_completions.d"; done
}

fetch_extras() {
	is_listed oc-secrets-extras.tar.gz || return 0
	fetch oc-secrets-extras.tar.gz
	check_checksum oc-secrets-extras.tar.gz
	if tar -tzf "$work/oc-secrets-extras.tar.gz" | grep -qvE '^oc-secrets-extras/[A-Za-z0-9._/@-]*$|\.\.'; then
		fail 3 'oc-secrets-extras.tar.gz holds files that do not belong there'
	fi
	tar -xzf "$work/oc-secrets-extras.tar.gz" -C "$work"
}

install_deb() {
	case $target in
	x86_64-unknown-linux-*) architecture=amd64 ;;
	aarch64-unknown-linux-*) architecture=arm64 ;;
	*) fail 1 'there is no package for this system' 'leave out --deb' ;;
	esac
	command -v apt-get >/dev/null || fail 1 'apt-get is not installed' 'leave out --deb'
	[ "$(id -u)" = 0 ] || fail 1 'a package is installed by root' 'run this with sudo, or leave out --deb'
	package=$(awk -v end="_$architecture.deb" 'index($2, "oc-secrets_") == 1 && substr($2, length($2) - length(end) + 1) == end { print $2 }' "$work/SHA256SUMS")
	case $package in '' | *[!A-Za-z0-9._~+-]*) fail 3 "SHA256SUMS does not name one package for $architecture" ;; esac
	fetch "$package"
	check_checksum "$package"
	chmod 755 "$work" && chmod 644 "$work/$package" # apt reads it as a user of its own
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$work/$package" >"$work/apt" 2>&1 ||
		fail 1 'apt-get did not install the package' "$(tail -n 1 "$work/apt" | tr -d '[:cntrl:]')"
	printf 'installed %s; to remove it: apt-get remove oc-secrets\n' "$package"
}

helpers_are_elsewhere() { # whether another installation on PATH answers, once these are gone
	for helper in docker-credential-oc git-credential-oc; do
		printf '%s\n' "${PATH-}" | tr : '\n' | (
			while read -r entry; do
				[ "$(absolute "$entry/$helper")" = "$(absolute "$folder/$helper")" ] || [ ! -x "$entry/$helper" ] || exit 0
			done
			exit 1
		) || return 1
	done
}

# Whoever asks a helper that is gone fails, at each pull.
refuse_where_asked() {
	asking=$(asked_by_all | sort -u | awk '{ printf "%s%s", between, $0; between = ", " }' | tr -d '[:cntrl:]')
	[ -z "$asking" ] || fail 1 "nothing was removed: these still name a credential helper of oc-secrets: $asking" \
		'first: oc-secrets docker uninstall --podman; oc-secrets git uninstall; of git what is left: git config --global --unset-all KEY'
}

asked_by_all() { # our own settings, and those of the user behind sudo, which has a home of its own
	asked_by "${HOME-}" "${XDG_RUNTIME_DIR-}"
	[ -n "${SUDO_USER-}" ] || return 0
	caller=$(getent passwd "$SUDO_USER" 2>/dev/null | cut -d: -f6)
	case $caller in "${HOME-}" | '') return 0 ;; esac
	(
		unset DOCKER_CONFIG REGISTRY_AUTH_FILE XDG_CONFIG_HOME GIT_CONFIG_GLOBAL
		asked_by "$caller" "/run/user/${SUDO_UID-}"
	)
}

asked_by() { # asked_by HOME RUNTIME_DIRECTORY: the settings there that name a helper of ours, one a line
	session=${2:+$2/containers}
	for file in "${DOCKER_CONFIG:-$1/.docker}/config.json" \
		"${REGISTRY_AUTH_FILE:-${session:-/run/containers/0}/auth.json}" \
		"${REGISTRY_AUTH_FILE:-${XDG_CONFIG_HOME:-$1/.config}/containers/auth.json}"; do
		[ -f "$file" ] || continue
		tr -d '[:space:]' <"$file" | grep -qE '"credHelpers":\{[^}]*:"oc"|"credsStore":"oc"' || continue
		printf '%s\n' "$file"
	done
	command -v git >/dev/null || return 0
	HOME=$1 git config --global --get-regexp '^credential\.(.*\.)?helper$' '^oc$|(^|/)git-credential-oc$' 2>/dev/null |
		sed 's/^/git config --global /'
}

remove_all() {
	[ -f "$list" ] || fail 1 "nothing is installed in $folder by this script" 'a package goes by: apt-get remove oc-secrets'
	[ ! -x "$folder/oc-secrets" ] || helpers_are_elsewhere || refuse_where_asked
	stay=0
	while read -r file; do
		remove "$(absolute "$file")" || stay=$((stay + 1))
	done <"$list"
	[ "$stay" = 0 ] || fail 4 "files that $list names were not removed: $stay" \
		"they are not in $folder, or cannot be removed: look at the list"
	rm -f "$list"
	rmdir "${list%/*}" 2>/dev/null || true
}

remove() { # remove FILE: if it is not elsewhere
	case $1 in "$folder"/* | "${share:-$folder}"/*) ;; *) return 1 ;; esac
	[ -f "$1" ] || return 0
	rm -f "$1" || return 1
	printf 'removed %s\n' "$1" || true # somebody who does not listen
}

main() { # called at the very end, so that half a download of this script does nothing
	# What is made here is for everybody; what mktemp makes is for us alone all the same.
	umask 022
	read_arguments "$@"
	choose_folder
	if [ "$uninstall" = yes ]; then
		remove_all
		return
	fi
	choose
	command -v curl >/dev/null || fail 1 'curl is not installed'
	work=$(mktemp -d)
	trap 'remove_staged || true; rm -rf "$work"' EXIT
	trap 'exit 1' INT TERM HUP
	fetch SHA256SUMS
	check_signature
	if [ "$deb" = yes ]; then
		install_deb
		return
	fi
	fetch "$archive"
	check_checksum "$archive"
	unpack
	[ -z "$share" ] || fetch_extras
	place
}

main "$@"
