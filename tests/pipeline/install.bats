#!/usr/bin/env bats
# Nothing is put in place before it was found right. Everything comes from a web server on loopback.

load helpers

setup_file() {
	export SITE=$WORLD/files/release BASE=http://127.0.0.1:8080/release
	case $(uname -m) in x86_64) export TARGET=x86_64-unknown-linux-musl ;; *) export TARGET=aarch64-unknown-linux-musl ;; esac
}

# A fresh release before every test: two programs, checksums, a signature.
setup() {
	rm -rf "$SITE" && mkdir -p "$SITE"
	release 1.2.3 oc-secrets openclaw-deploy
	export BIN=$BATS_TEST_TMPDIR/bin
	variables=() # what the installer is given besides
	# A PATH without cosign, for those who have none.
	mkdir "$BATS_TEST_TMPDIR/plain"
	for tool in sh curl tar gzip sha256sum awk sed grep tr cut uname id mktemp rm mkdir rmdir cp mv chmod sort tail; do ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/plain/$tool"; done
}

teardown() { ! mountpoint -q "$BATS_TEST_TMPDIR/disk" || umount "$BATS_TEST_TMPDIR/disk"; }

release() { # release VERSION PROGRAM…: each fits into one page
	local folder=$BATS_TEST_TMPDIR/oc-secrets-$TARGET version=$1 program
	shift
	rm -rf "$folder" && mkdir "$folder"
	for program; do printf '#!/bin/sh\necho %s %s\n' "$program" "$version" >"$folder/$program"; done
	chmod +x "$folder"/*
	echo readme >"$folder/README.md"
	pack "${folder##*/}"
	seal
}

pack() { tar -C "$BATS_TEST_TMPDIR" -czf "$SITE/oc-secrets-$TARGET.tar.gz" "$@"; }

seal() {
	(cd "$SITE" && sha256sum "oc-secrets-$TARGET.tar.gz" >SHA256SUMS)
	sign
}

sign() { SIGNER=${1:-release} cosign sign-blob --yes --new-bundle-format --bundle "$SITE/SHA256SUMS.sigstore.json" "$SITE/SHA256SUMS"; } # sign [NAME]

install() { # install ARGUMENT…: with cosign
	with_path "$PATH" "$@"
}

install_plain() { with_path "$BATS_TEST_TMPDIR/plain" "$@"; } # install_plain ARGUMENT…: without cosign

with_path() {
	local path=$1 shell
	read -ra shell <<<"${INSTALLER_SHELL:-sh}"
	shift
	status=0
	output=$(env -i "PATH=$path" "HOME=$BATS_TEST_TMPDIR/home" "${variables[@]}" "TESTS=$TESTS" "AUTHORITY=$AUTHORITY" "COSIGN=$COSIGN" \
		"${shell[@]}" "$PROJECT/shell/install.sh" --repo Owner/Repo --from "$BASE" --to "$BIN" "$@" 2>"$BATS_TEST_TMPDIR/words" </dev/null) || status=$?
	words=$(cat "$BATS_TEST_TMPDIR/words")
}

# disk PAGES: programs, and the share beside them, go to a disk of that size
disk() {
	mkdir -p "$BATS_TEST_TMPDIR/disk"
	mount -t tmpfs -o "size=$(($1 * $(getconf PAGESIZE)))" tmpfs "$BATS_TEST_TMPDIR/disk"
	BIN=$BATS_TEST_TMPDIR/disk/bin
}

files() { find "${BIN%/*}/bin" "${BIN%/*}/share" -type f -exec sha256sum {} + | sort -k 2; }

nothing_installed() { [[ ! -e $BIN ]] || is '' "$(ls -A "$BIN")"; }

@test "a good release is installed, its programs and nothing else" {
	install
	is 0 "$status"
	is 'oc-secrets openclaw-deploy' "$(ls -A "$BIN" | paste -sd ' ')"
	is 'oc-secrets 1.2.3' "$("$BIN/oc-secrets")"
	is "installed $BIN/oc-secrets" "$(head -n 1 <<<"$output")"
}

@test "without cosign the checksum alone decides, unless a signature is required" {
	install_plain
	is 0 "$status"
	rm -rf "$BIN"
	install_plain --require-signature
	fails 1 'cosign is not installed'
	nothing_installed
}

@test "an archive with one byte changed is refused" {
	printf 'X' | dd of="$SITE/oc-secrets-$TARGET.tar.gz" bs=1 seek=100 conv=notrunc status=none
	for how in install install_plain; do
		$how
		fails 3 'is not what was released'
		nothing_installed
	done
}

@test "an archive that was exchanged, with its checksum, is refused by its signature" {
	printf '#!/bin/sh\necho evil\n' >"$BATS_TEST_TMPDIR/oc-secrets-$TARGET/oc-secrets"
	pack "oc-secrets-$TARGET"
	(cd "$SITE" && sha256sum "oc-secrets-$TARGET.tar.gz" >SHA256SUMS)
	install
	fails 3 'not by this project'
	nothing_installed
	install_plain # the control: the checksum fits, so only the signature knows
	is 0 "$status"
}

@test "a signature of somebody else, or none, is refused where cosign is installed" {
	sign other
	install
	fails 3 'not by this project'
	for signer in neighbour branch; do # another workflow of this repository; its release workflow, but not of a tag
		sign $signer
		install
		fails 3 'not by this project'
	done
	sign release # the control
	install
	is 0 "$status"
	rm -rf "$BIN"
	install --repo Owner/RepoX
	fails 3 'not by this project'
	install --repo OwnerxRepo/Repo
	fails 3 'not by this project'
	rm "$SITE/SHA256SUMS.sigstore.json"
	install
	fails 1 'cannot fetch'
	nothing_installed
}

@test "a truncated archive is refused" {
	truncate -s 200 "$SITE/oc-secrets-$TARGET.tar.gz"
	install
	fails 3 'is not what was released'
	nothing_installed
}

@test "a download that breaks off in the middle is refused" {
	python3 - "$SITE" <<'END' 3>&- &
import http.server, os, sys
class Broken(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = open(os.path.join(sys.argv[1], os.path.basename(self.path)), "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:100] if self.path.endswith(".gz") else data)
http.server.HTTPServer(("127.0.0.1", 8081), Broken).serve_forever()
END
	local server=$!
	until curl -s -o /dev/null http://127.0.0.1:8081/SHA256SUMS; do sleep 0.1; done
	install --from http://127.0.0.1:8081
	kill "$server"
	fails 1 'cannot fetch'
	nothing_installed
}

@test "a missing archive, a missing list, and a list without the archive are refused" {
	rm "$SITE/oc-secrets-$TARGET.tar.gz"
	install
	fails 1 "cannot fetch $BASE/oc-secrets-$TARGET.tar.gz"
	echo "$(printf '0%.0s' {1..64})  other.tar.gz" >"$SITE/SHA256SUMS" && sign
	setup_archive_again
	install
	fails 3 'does not name'
	rm "$SITE/SHA256SUMS"
	install
	fails 1 "cannot fetch $BASE/SHA256SUMS"
	nothing_installed
}

setup_archive_again() { pack "oc-secrets-$TARGET"; }

@test "a list that names the archive twice, or with nonsense, is refused" {
	cat "$SITE/SHA256SUMS" "$SITE/SHA256SUMS" >"$SITE/twice" && mv "$SITE/twice" "$SITE/SHA256SUMS" && sign
	install
	fails 3 'exactly once'
	echo "xyz  oc-secrets-$TARGET.tar.gz" >"$SITE/SHA256SUMS" && sign
	install
	fails 3 'exactly once'
	nothing_installed
}

@test "an archive with files that do not belong there is refused though its checksum fits" {
	echo evil >"$BATS_TEST_TMPDIR/evil"
	pack "oc-secrets-$TARGET" evil && seal
	install
	fails 3 'files that do not belong'
	tar -C "$BATS_TEST_TMPDIR" --transform "s|^evil|oc-secrets-$TARGET/../../evil|" -P -czf "$SITE/oc-secrets-$TARGET.tar.gz" "oc-secrets-$TARGET" evil && seal
	install
	fails 3 'files that do not belong'
	nothing_installed
}

# extras: what a release may have besides, and a package
extras() {
	local folder=$BATS_TEST_TMPDIR/oc-secrets-extras
	mkdir -p "$folder"/man1 "$folder"/completions/{bash,zsh,fish}
	echo page >"$folder/man1/oc-secrets.1"
	echo bash >"$folder/completions/bash/oc-secrets"
	echo zsh >"$folder/completions/zsh/_oc-secrets"
	echo fish >"$folder/completions/fish/oc-secrets.fish"
	tar -C "$BATS_TEST_TMPDIR" -czf "$SITE/oc-secrets-extras.tar.gz" oc-secrets-extras
	echo package >"$SITE/oc-secrets_1.2.3_amd64.deb"
	echo package >"$SITE/oc-secrets_1.2.3_arm64.deb"
	(cd "$SITE" && sha256sum ./*.gz ./*.deb | sed 's|\./||' >SHA256SUMS)
	sign
}

@test "man pages and completions go to the share beside bin, and all of it goes again" {
	extras
	install
	is 0 "$status"
	share=$BATS_TEST_TMPDIR/share
	is 'page bash zsh fish' "$(cat "$share"/{man/man1/oc-secrets.1,bash-completion/completions/oc-secrets,zsh/site-functions/_oc-secrets,fish/vendor_completions.d/oc-secrets.fish} | paste -sd ' ')"
	[[ $output == *"installed $share/man/man1/oc-secrets.1"* ]]
	touch "$BIN/somebody-elses" "$share/man/man1/other.1"
	install --uninstall
	is 0 "$status"
	[[ $output == *"removed $BIN/oc-secrets"* && $output == *"removed $share/man/man1/oc-secrets.1"* ]]
	is "$BIN/somebody-elses $share/man/man1/other.1" "$(find "$BIN" "$share" -type f | paste -sd ' ')"
	install --uninstall
	fails 1 'nothing is installed'
}

# still_asked WHAT: nothing is removed, and WHAT is named
still_asked() {
	local before
	before=$(files)
	"${installing:-install}" --uninstall
	fails 1 "nothing was removed: these still name a credential helper of oc-secrets: $1"
	says 'hint: first: oc-secrets docker uninstall --podman; oc-secrets git uninstall'
	is "$before" "$(files)"
}

@test "what Docker, Podman or git still ask is not taken away" {
	home=$BATS_TEST_TMPDIR/home other=$BATS_TEST_TMPDIR/other
	asks=$'{\n\t"auths": {},\n\t"credHelpers": {\n\t\t"ghcr.io": "gh",\n\t\t"quay.io" : "oc"\n\t}\n}'
	mkdir -p "$home" "$other"
	install
	for file in "$home/.docker/config.json" "$home/.config/containers/auth.json" "$other/config.json" "$other/containers/auth.json" "$other/auth.json"; do
		variables=("DOCKER_CONFIG=$other" "XDG_RUNTIME_DIR=$other")
		case $file in
		"$home"/*) variables=() ;;
		"$other/auth.json") variables=("REGISTRY_AUTH_FILE=$file") ;;
		esac
		mkdir -p "${file%/*}"
		echo "$asks" >"$file"
		for installing in install install_plain; do
			still_asked "$file"
		done
		rm "$file"
	done
	variables=()
	echo '{"credsStore": "oc"}' >"$home/.docker/config.json"
	still_asked "$home/.docker/config.json"
	# Another installation answers once this one is gone.
	mkdir "$BATS_TEST_TMPDIR/packaged"
	for helper in docker-credential-oc git-credential-oc; do
		printf '#!/bin/sh\n' >"$BATS_TEST_TMPDIR/packaged/$helper"
		chmod 0755 "$BATS_TEST_TMPDIR/packaged/$helper"
	done
	variables=("PATH=$PATH:$BATS_TEST_TMPDIR/packaged")
	for installing in install install_plain; do
		"$installing" --uninstall
		is 0 "$status"
		is '' "$(files)"
		variables=()
		"$installing"
		variables=("PATH=$PATH:$BATS_TEST_TMPDIR/packaged")
	done
	variables=()
	# The controls: what names another helper, or ours elsewhere, asks nothing of us.
	echo '{"aliases": {"x": "oc"}, "credsStore": "oc2", "credHelpers": {"oc": "gh"}, "plugins": {"a": {"b": "oc"}}}' >"$home/.docker/config.json"
	install --uninstall
	is 0 "$status"
	is '' "$words"
	is '' "$(files)"
}

@test "what git still asks is not taken away" {
	install
	home=$BATS_TEST_TMPDIR/home && mkdir "$home"
	for helper in oc "$BIN/git-credential-oc"; do
		for key in credential.helper credential.https://github.com.helper; do
			git config --file "$home/.gitconfig" "$key" "$helper"
			still_asked "git config --global $key $helper"
			git config --file "$home/.gitconfig" --unset "$key"
		done
	done
	git config --file "$home/.gitconfig" credential.helper 'cache --timeout 9' # the control
	install --uninstall
	is 0 "$status"
	is '' "$(files)"
}

@test "what the user behind sudo still asks is not taken away, and without the programs nothing stands in the way" {
	install
	caller=$BATS_TEST_TMPDIR/caller
	mkdir -p "$caller/.docker" "$BATS_TEST_TMPDIR/users"
	echo '{"credHelpers":{"ghcr.io":"oc"}}' >"$caller/.docker/config.json"
	printf '#!/bin/sh\n[ "$*" != "passwd caller" ] || echo "caller:x:1000:1000::%s:/bin/sh"\n' "$caller" >"$BATS_TEST_TMPDIR/users/getent"
	chmod +x "$BATS_TEST_TMPDIR/users/getent"
	by_sudo() { with_path "$BATS_TEST_TMPDIR/users:$PATH" "$@"; }
	variables=(SUDO_USER=caller SUDO_UID=1000)
	installing=by_sudo still_asked "$caller/.docker/config.json"
	rm "$BIN/oc-secrets" # which could be told to ask no longer
	by_sudo --uninstall
	is 0 "$status"
	is '' "$(files)"
}

@test "a list that was changed removes nothing elsewhere" {
	install
	touch "$BATS_TEST_TMPDIR/precious"
	printf '%s\n' "$BATS_TEST_TMPDIR/precious" "$BIN/../precious" >>"$BATS_TEST_TMPDIR/share/oc-secrets/installed"
	install --uninstall
	fails 4 'were not removed: 2'
	[[ -e $BATS_TEST_TMPDIR/precious && ! -e $BIN/oc-secrets ]]
	[[ -e $BATS_TEST_TMPDIR/share/oc-secrets/installed ]] # what it names is still there
}

@test "extras with one byte changed, or with files that do not belong there, are refused with everything else" {
	extras
	printf 'X' | dd of="$SITE/oc-secrets-extras.tar.gz" bs=1 seek=50 conv=notrunc status=none
	install
	fails 3 'oc-secrets-extras.tar.gz is not what was released'
	nothing_installed
	echo evil >"$BATS_TEST_TMPDIR/evil"
	tar -C "$BATS_TEST_TMPDIR" -czf "$SITE/oc-secrets-extras.tar.gz" oc-secrets-extras evil
	(cd "$SITE" && sha256sum ./*.gz | sed 's|\./||' >SHA256SUMS) && sign
	install
	fails 3 'files that do not belong'
	nothing_installed
}

@test "the package of this processor is given to apt, when its checksum is right" {
	extras
	mkdir "$BATS_TEST_TMPDIR/apt"
	printf '#!/bin/sh\nfor last; do :; done\ncp "$last" %s\necho "$@" >%s\n' "$BATS_TEST_TMPDIR/given" "$BATS_TEST_TMPDIR/words-of-apt" >"$BATS_TEST_TMPDIR/apt/apt-get"
	chmod +x "$BATS_TEST_TMPDIR/apt/apt-get"
	with_path "$BATS_TEST_TMPDIR/apt:$PATH" --deb
	is 0 "$status"
	is package "$(cat "$BATS_TEST_TMPDIR/given")"
	case $(uname -m) in x86_64) architecture=amd64 ;; *) architecture=arm64 ;; esac
	[[ $(cat "$BATS_TEST_TMPDIR/words-of-apt") == "install -y --no-install-recommends "*"/oc-secrets_1.2.3_$architecture.deb" ]]
	nothing_installed
	rm "$BATS_TEST_TMPDIR/given"
	echo evil >"$SITE/oc-secrets_1.2.3_$architecture.deb"
	with_path "$BATS_TEST_TMPDIR/apt:$PATH" --deb
	fails 3 'is not what was released'
	[[ ! -e $BATS_TEST_TMPDIR/given ]]
	install_plain --deb
	fails 1 'apt-get is not installed'
}

@test "a failed update leaves what was there, and a good one replaces it at once" {
	install
	printf 'X' | dd of="$SITE/oc-secrets-$TARGET.tar.gz" bs=1 seek=100 conv=notrunc status=none
	install
	is 3 "$status"
	is 'oc-secrets 1.2.3' "$("$BIN/oc-secrets")"
	release 1.3.0 oc-secrets openclaw-deploy
	install
	is 'oc-secrets 1.3.0' "$("$BIN/oc-secrets")"
	is 'oc-secrets openclaw-deploy' "$(ls -A "$BIN" | paste -sd ' ')"
}

@test "on a full disk a first installation puts nothing in place" {
	for pages in 1 2; do
		disk $pages
		install_plain
		fails 1 'cannot write'
		is '' "$(files)"
		install_plain --uninstall
		fails 1 'nothing is installed'
		umount "$BATS_TEST_TMPDIR/disk"
	done
	disk 3 # the control: two programs and the list
	install_plain
	is 0 "$status"
	is 3 "$(files | wc -l)"
}

@test "on a full disk an upgrade leaves the release that was there, whole and listed" {
	for pages in 3 4 5 6; do
		release 1.2.3 oc-secrets openclaw-deploy
		disk $pages
		install_plain
		is 0 "$status"
		before=$(files)
		release 1.3.0 oc-secrets openclaw-deploy oc-added
		install_plain
		fails 1 'cannot write'
		is "$before" "$(files)"
		install_plain --uninstall
		is 0 "$status"
		is '' "$(files)"
		umount "$BATS_TEST_TMPDIR/disk"
	done
	release 1.2.3 oc-secrets openclaw-deploy
	disk 7 # the control: three of the old release, and beside them four of the new one
	install_plain
	release 1.3.0 oc-secrets openclaw-deploy oc-added
	install_plain
	is 0 "$status"
	is 4 "$(files | wc -l)"
	is 'oc-secrets 1.3.0' "$("$BIN/oc-secrets")"
}

@test "a program that the newest release has no longer is taken away with the others" {
	release 1.2.3 oc-secrets openclaw-deploy oc-former
	install
	release 1.3.0 oc-secrets openclaw-deploy
	install
	is 0 "$status"
	is 3 "$(wc -l <"$BATS_TEST_TMPDIR/share/oc-secrets/installed")" # each once
	install --uninstall
	is 0 "$status"
	[[ $output == *"removed $BIN/oc-former"* ]]
	is '' "$(files)"
}

# signals PROGRAM: whoever calls it is told to end when it is done
signals() {
	rm "$BATS_TEST_TMPDIR/plain/$1"
	# shellcheck disable=SC2016 # for the program
	printf '#!/bin/sh\n%s "$@" && kill -TERM $PPID\n' "$(command -v "$1")" >"$BATS_TEST_TMPDIR/plain/$1"
	chmod +x "$BATS_TEST_TMPDIR/plain/$1"
}

@test "a signal before the first rename leaves nothing in place, a later one everything" {
	signals mv
	install_plain
	is 0 "$status"
	is 3 "$(files | wc -l)"
	before=$(files)
	release 1.3.0 oc-secrets openclaw-deploy
	signals chmod
	install_plain
	is 1 "$status"
	is "$before" "$(files)"
}

@test "a program that cannot take its place is told, and what is there is listed" {
	install
	release 1.3.0 oc-added oc-secrets openclaw-deploy
	mount --bind "$BIN/oc-secrets" "$BIN/oc-secrets"
	install
	umount "$BIN/oc-secrets"
	fails 4 "cannot write $BIN/oc-secrets"
	is 'oc-added oc-secrets openclaw-deploy' "$(ls -A "$BIN" | paste -sd ' ')"
	is 'oc-added 1.3.0' "$("$BIN/oc-added")"
	install --uninstall
	is 0 "$status"
	is '' "$(files)"
}

@test "a folder in the place of a program is an error before anything is in place" {
	mkdir -p "$BIN/openclaw-deploy"
	install
	fails 1 "cannot write $BIN/openclaw-deploy"
	is openclaw-deploy "$(ls -A "$BIN")"
}

@test "what is made under a strict umask is there for everybody" {
	extras
	umask 077
	install
	is 0 "$status"
	is '' "$(find "$BIN" "${BIN%/*}/share" ! -perm 755 ! -perm 644)"
	is 11 "$(find "$BIN" "${BIN%/*}/share" -type d -perm 755 | wc -l)"
	is 644 "$(stat -c %a "${BIN%/*}/share/oc-secrets/installed")"
	mkdir "$BATS_TEST_TMPDIR/own" # the control: this test's own are not
	is 700 "$(stat -c %a "$BATS_TEST_TMPDIR/own")"
}

@test "from a folder of another name it goes again too" {
	local folder=$BATS_TEST_TMPDIR/programs
	install --to "$folder"
	is 0 "$status"
	is 'oc-secrets 1.2.3' "$("$folder/oc-secrets")"
	install --uninstall --to "$folder"
	is 0 "$status"
	is '' "$(ls -A "$folder")"
}

@test "however a folder is spelled, it is the same one" {
	extras
	mkdir -p "$BATS_TEST_TMPDIR/a/b"
	cd "$BATS_TEST_TMPDIR/a"
	for shell in dash 'busybox sh' bash; do
		for spelling in ../bin ./../bin/ "$BATS_TEST_TMPDIR/a/..//bin/." "$BIN/"; do
			INSTALLER_SHELL=$shell install --to "$spelling"
			is 0 "$status"
			[[ $output == *"installed $BIN/oc-secrets"$'\n'* && -e $BATS_TEST_TMPDIR/share/man/man1/oc-secrets.1 ]]
			INSTALLER_SHELL=$shell install --uninstall
			is 0 "$status"
			is '' "$(files)"
		done
	done
	with_path "$BIN:$PATH" --to "$BIN/"
	[[ $words != *'not on PATH'* ]]
	install --uninstall --to ../bin
	is 0 "$status"
	is '' "$(files)"
}

@test "a list of another folder is not thrown away with nothing removed" {
	install
	ln -s . "$BATS_TEST_TMPDIR/link"
	before=$(files)
	install --uninstall --to "$BATS_TEST_TMPDIR/link/bin"
	fails 4 'were not removed'
	is "$before" "$(files)"
}

@test "root needs no HOME, and help no file" {
	run env -u HOME sh "$PROJECT/shell/install.sh" --from ftp://nowhere
	is 2 "$status"
	[[ $output == *'will not install from'* ]]
	run setpriv --reuid 65534 --clear-groups env -u HOME sh -s -- --uninstall <"$PROJECT/shell/install.sh"
	is 2 "$status"
	[[ $output == *'HOME is not set'* ]]
	run sh -s -- --help <"$PROJECT/shell/install.sh"
	is 0 "$status"
	[[ $output == 'usage: install.sh '* ]]
	run sh "$PROJECT/shell/install.sh" --help
	is 0 "$status"
	[[ $output == *'usage: install.sh '*'Exit codes: '* ]]
}

@test "without encryption nothing is fetched, except from this machine" {
	for from in http://example.com/x ftp://127.0.0.1/x file:///etc http://127.0.0.1.evil.example/x http://localhost.evil.example; do
		install --from "$from"
		fails 2 'will not install from'
	done
}

@test "a redirect to another protocol is not followed" {
	python3 - <<'END' 3>&- &
import http.server
class Redirect(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", "file:///etc/passwd")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8082), Redirect).serve_forever()
END
	local server=$!
	until curl -s -o /dev/null http://127.0.0.1:8082/; do sleep 0.1; done
	install --from http://127.0.0.1:8082
	kill "$server"
	fails 1 'cannot fetch'
}

@test "half of the script does nothing" {
	size=$(wc -c <"$PROJECT/shell/install.sh")
	for part in 4 3 2; do
		head -c $((size * (part - 1) / part)) "$PROJECT/shell/install.sh" >"$BATS_TEST_TMPDIR/half.sh"
		env -i "PATH=$PATH" HOME=/nonexistent sh "$BATS_TEST_TMPDIR/half.sh" --from "$BASE" --to "$BIN" &>/dev/null || true
		nothing_installed
	done
}

@test "piped into a shell it leaves the rest of the pipe alone" {
	{ cat "$PROJECT/shell/install.sh" && printf '\n: >%s\n' "$BATS_TEST_TMPDIR/rest"; } |
		env -i "PATH=$BATS_TEST_TMPDIR/plain" HOME=/nonexistent sh -s -- --from "$BASE" --to "$BIN" >/dev/null 2>&1
	is 'oc-secrets 1.2.3' "$("$BIN/oc-secrets")"
	[[ -e $BATS_TEST_TMPDIR/rest ]]
}

@test "wrong usage is told before anything is fetched" {
	install --nonsense
	fails 2 'unknown argument --nonsense'
	install --to
	fails 2 '--to wants a value'
	install --version 'v1; rm'
	is 2 "$status"
	install --version ../../x
	fails 2 'no such version'
	run env -i "PATH=$PATH" HOME=/nonexistent sh "$PROJECT/shell/install.sh" --to "$BIN"
	is 2 "$status"
	[[ $output == *'which repository?'* ]]
	nothing_installed
}

@test "a folder that cannot be written is an error with a hint" {
	touch "$BATS_TEST_TMPDIR/file"
	install --to "$BATS_TEST_TMPDIR/file/bin"
	is 1 "$status"
	says 'hint: choose another folder with --to'
}

@test "nothing temporary stays behind" {
	mkdir "$BATS_TEST_TMPDIR/tmp"
	env -i "PATH=$BATS_TEST_TMPDIR/plain" "TMPDIR=$BATS_TEST_TMPDIR/tmp" HOME=/nonexistent sh "$PROJECT/shell/install.sh" --from "$BASE" --to "$BIN" &>/dev/null
	env -i "PATH=$BATS_TEST_TMPDIR/plain" "TMPDIR=$BATS_TEST_TMPDIR/tmp" HOME=/nonexistent sh "$PROJECT/shell/install.sh" --from "$BASE/none" --to "$BIN" &>/dev/null || true
	is '' "$(ls -A "$BATS_TEST_TMPDIR/tmp")"
}
