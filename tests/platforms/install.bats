#!/usr/bin/env bats
# The install section of the README, followed in a plain Debian 12, a plain Ubuntu 24.04 and an Alpine Linux,
# with a release's own files on a web server of the machine.

load helpers
bats_require_minimum_version 1.5.0
load ../host/guest.bash

FROM=http://127.0.0.1:8090

setup_file() {
	copy_project "$BATS_FILE_TMPDIR/project"
	fine packages
	export FILES=$BATS_FILE_TMPDIR/files
	mkdir "$FILES"
	cp "$DIST"/*.tar.gz "$DIST"/*.deb "$FILES/"
	(cd "$FILES" && sha256sum -- * >SHA256SUMS)
	cp "$PROJECT/shell/install.sh" "$FILES/"
}

serve_files() { # serve_files PID: in that process's network
	nsenter --target "$1" --net -- python3 -m http.server --bind 127.0.0.1 --directory "$FILES" 8090 <<<'' >/dev/null 2>&1 3>&- &
	SERVER=$!
	local _
	for _ in {1..50}; do
		nsenter --target "$1" --net -- bash -c ': </dev/tcp/127.0.0.1/8090' 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

teardown() {
	[[ -z ${SERVER-} ]] || kill "$SERVER"
	[[ -z ${GUEST-} ]] || guest_stop
}

by_the_readme() { # by_the_readme WORD…: its line, with the release's files from here
	guest sh -c "curl -fsSL $FROM/install.sh | sh -s -- --from $FROM $*" 2>&1
}

# follow SUITE: install, use, update by the package, and take everything away again
follow() {
	guest_of "$1"
	serve_files "$GUEST_PID"
	apt update
	apt install curl
	guest find / -xdev -type f -path '*oc-secrets*' -not -path '/proc/*' | sort >"$BATS_TEST_TMPDIR/before"

	fine by_the_readme
	says 'installed /usr/local/bin/oc-secrets'
	is "oc-secrets $(version)" "$(guest oc-secrets --version)"
	is "openclaw-deploy $(version)" "$(guest openclaw-deploy --version)"
	fine guest oc-secrets demo
	[[ -s $GUEST/root/usr/local/share/man/man1/oc-secrets.1 ]]
	[[ -s $GUEST/root/usr/local/share/bash-completion/completions/oc-secrets ]]

	fine by_the_readme --uninstall
	run -127 guest oc-secrets --version
	is '' "$(guest find / -xdev -type f -path '*oc-secrets*' -not -path '/proc/*' | sort | comm -13 "$BATS_TEST_TMPDIR/before" -)"

	fine by_the_readme --deb
	says 'apt-get remove oc-secrets'
	is "oc-secrets $(version)" "$(guest oc-secrets --version)"
	apt remove oc-secrets
	run -127 guest oc-secrets --version
}

@test "in a plain Debian 12" {
	follow bookworm
}

@test "in a plain Ubuntu 24.04" {
	follow noble
}

# Its shell, tar, awk and sed are busybox's, its library is musl.
@test "in an Alpine Linux" {
	local root=$BATS_TEST_TMPDIR/root
	cp -a "$PLATFORM_TOOLS/alpine" "$root"
	serve_files $$
	# shellcheck disable=SC2016 # for the inner shell
	within() {
		ROOT=$root unshare --mount --propagation private bash -c 'mount --bind /dev "$ROOT/dev"; mount -t proc proc "$ROOT/proc"
			exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$(command -v chroot)" "$ROOT" "$@"' within "$@"
	}
	[[ $(within cat /etc/os-release) == *ID=alpine* ]]
	run -127 within bash # nor anything else of GNU's
	fine within sh -c "curl -fsSL $FROM/install.sh | sh -s -- --from $FROM"
	says 'installed /usr/local/bin/oc-secrets'
	is "oc-secrets $(version)" "$(within oc-secrets --version)"
	is "openclaw-deploy $(version)" "$(within openclaw-deploy --version)"
	fine within oc-secrets demo
	fine within sh -c "curl -fsSL $FROM/install.sh | sh -s -- --uninstall"
	run -127 within oc-secrets --version
}
