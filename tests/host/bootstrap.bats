# shell/oc-bootstrap.sh, piped over a real ssh to a host that has nothing of ours.
# shellcheck disable=SC2030,SC2031,SC2154 # each test has variables of its own; `run` sets the rest

target=$(uname -m)-unknown-linux-musl

setup_file() {
	load guest
	guest_start
	guest_neighbour
	ssh-keygen -q -t ed25519 -N '' -f "$GUEST/key"
	install -D -m 0600 "$GUEST/key.pub" "$GUEST/root/root/.ssh/authorized_keys"
	release
	GUEST_CACHE=$GUEST guest_serve_vendor
}

teardown_file() {
	load guest
	guest_stop
}

setup() {
	load guest
	script=$BATS_TEST_DIRNAME/../../shell/oc-bootstrap.sh
	url=http://127.0.0.1:8099
	guest rm -f /usr/local/bin/oc-secrets /usr/local/bin/openclaw-deploy
	release
}

# A release with the stand-ins as its programs, where the guest can fetch it.
release() {
	local tree=$GUEST/oc-secrets-$target
	mkdir -p "$tree" "$GUEST/vendor"
	cp "$BATS_TEST_DIRNAME"/stand-ins/{oc-secrets,openclaw-deploy} "$tree/"
	tar -czf "$GUEST/vendor/oc-secrets-$target.tar.gz" -C "$GUEST" "oc-secrets-$target"
	(cd "$GUEST/vendor" && sha256sum "oc-secrets-$target.tar.gz" >SHA256SUMS)
}

# over_ssh WORDS: the script on stdin, as its head tells people to run it.
over_ssh() {
	neighbour ssh "${ssh_options[@]}" -i "$GUEST/key" root@10.77.0.1 "OC_INSTALL_URL=$url bash -s -- $*" <"$script"
}

@test "on a plain Debian it installs curl and the programs, and becomes the bootstrap" {
	[ ! -e "$GUEST/root/usr/bin/curl" ]
	# As on its first boot: the machine itself reads the lists.
	holds 5 "$GUEST/ready" "$GUEST"/root/var/lib/apt/lists/lock
	run guest env LC_ALL=C apt-get -q update
	[ "$status" -ne 0 ]
	[[ $output == *'Could not get lock'* ]]
	run over_ssh --only user --image 'a/b:c'
	[ "$status" -eq 0 ]
	[[ $output == *'installed /usr/local/bin/openclaw-deploy'* ]]
	[[ $output == *$'argument: bootstrap\nargument: --only\nargument: user\nargument: --image\nargument: a/b:c\n'* ]]
	run guest sh -c 'ls -d /tmp/tmp.*'
	[ "$status" -ne 0 ]
}

@test "what is there already is used, and nothing is fetched" {
	install -m 0755 "$BATS_TEST_DIRNAME"/stand-ins/{oc-secrets,openclaw-deploy} "$GUEST/root/usr/local/bin/"
	url=http://127.0.0.1:1
	run over_ssh
	[ "$status" -eq 0 ]
	[[ $output == *'argument: bootstrap'* ]]
	# The control: with nothing there, that address is asked, in vain.
	guest rm /usr/local/bin/openclaw-deploy
	run over_ssh
	[ "$status" -eq 1 ]
	[[ $output == *'cannot fetch http://127.0.0.1:1/'* ]]
}

@test "the release that is asked for takes the place of another" {
	local bin=$GUEST/root/usr/local/bin
	install -m 0755 "$BATS_TEST_DIRNAME"/stand-ins/{oc-secrets,openclaw-deploy} "$bin/"
	sed -i 's/1\.2\.3/0.9.0/' "$bin/oc-secrets" "$bin/openclaw-deploy"
	version() { neighbour ssh "${ssh_options[@]}" -i "$GUEST/key" root@10.77.0.1 "OC_SECRETS_VERSION=$1 OC_INSTALL_URL=$url bash -s" <"$script"; }
	run version v0.9.0
	[ "$status" -eq 0 ]
	[[ $output != *installed* && $output == *'argument: bootstrap'* ]]
	run version v1.2.3
	[ "$status" -eq 0 ]
	[[ $output == *'installed /usr/local/bin/oc-secrets'* && $output == *'argument: bootstrap'* ]]
	sed -i 's/1\.2\.3/0.9.0/' "$bin/openclaw-deploy" # half of an upgrade
	run version v1.2.3
	[ "$status" -eq 0 ]
	[[ $output == *'installed /usr/local/bin/openclaw-deploy'* && $output == *'argument: bootstrap'* ]]
	run version v2.0.0
	[ "$status" -eq 1 ]
	[[ $output == *'/usr/local/bin/oc-secrets is not v2.0.0'* && $output != *'argument: bootstrap'* ]]
}

@test "the script on stdin is read by nobody else" {
	run over_ssh
	[ "$status" -eq 0 ]
	[[ $output == *$'\nstdin: \n'* ]]
}

@test "an archive that is not what was released is not installed" {
	printf 'x' >>"$GUEST/vendor/oc-secrets-$target.tar.gz"
	run over_ssh
	[ "$status" -eq 1 ]
	[[ $output == *'is not what was released'* ]]
	[ ! -e "$GUEST/root/usr/local/bin/oc-secrets" ]
	[[ $output != *'argument: bootstrap'* ]]
}

@test "an installation that fails says whether anything was changed" {
	local bin=$GUEST/root/usr/local/bin
	mkdir -p "$bin/openclaw-deploy"
	run over_ssh
	rmdir "$bin/openclaw-deploy"
	[ "$status" -eq 1 ]
	[[ $output == *'cannot write /usr/local/bin/openclaw-deploy'*'none of them was changed'* ]]
	[ ! -e "$bin/oc-secrets" ]
	# Where the new file cannot take its place, which nobody sees before.
	echo old >"$bin/openclaw-deploy"
	guest mount --bind /usr/local/bin/openclaw-deploy /usr/local/bin/openclaw-deploy
	run over_ssh
	guest umount /usr/local/bin/openclaw-deploy
	[ "$status" -eq 1 ]
	[[ $output == *'cannot write /usr/local/bin/openclaw-deploy'*'some of them may be changed'* ]]
	[ -e "$bin/oc-secrets" ]
}

@test "half of the script does nothing" {
	head -c 5000 "$script" >"$GUEST/half"
	script=$GUEST/half
	run over_ssh
	[[ $output != *'argument: bootstrap'* && $output != *installed* ]]
	[ ! -e "$GUEST/root/usr/local/bin/oc-secrets" ]
}

# bare ENVIRONMENT… -- COMMAND…: in the guest, with that environment only and the script on stdin.
bare() {
	local -a environment=()
	while [ "$1" != -- ]; do environment+=("$1") && shift; done
	shift
	nsenter --target "$GUEST_PID" --mount --uts --ipc --net --pid --cgroup --root="/proc/$GUEST_PID/root" \
		--wd="/proc/$GUEST_PID/root${directory:-/}" -- /usr/bin/env -i "${environment[@]}" "$@" <"$script" 2>&1 3>&-
}

@test "with an empty environment, in a strict shell, and in dash too" {
	for shell in '/bin/bash -s' '/bin/bash -us' '/bin/sh -eus'; do
		guest rm -f /usr/local/bin/oc-secrets /usr/local/bin/openclaw-deploy
		# shellcheck disable=SC2086 # the words of $shell are meant
		run bare OC_INSTALL_URL="$url" -- $shell -- --dry-run
		[ "$status" -eq 0 ]
		[[ $output == *$'argument: bootstrap\nargument: --dry-run\n'* ]]
	done
}

@test "as a file with blanks in its path and in its arguments, from a directory with blanks" {
	install -D -m 0755 "$script" "$GUEST/root/srv/a b/oc bootstrap.sh"
	directory='/srv/a b'
	run bare OC_INSTALL_URL="$url" -- './oc bootstrap.sh' --config 'my file.toml'
	[ "$status" -eq 0 ]
	[[ $output == *$'argument: --config\nargument: my file.toml\n'*'directory: /srv/a b'* ]]
}

@test "somebody who is not root is told how" {
	run bare -- /usr/sbin/runuser -u nobody -- /bin/bash -s
	[ "$status" -eq 1 ]
	[[ $output == *"must be run as root"*"sudo OC_SECRETS_TOKEN_FILE="*" bash -s"* ]]
}

@test "the installer inside is the one beside it" {
	if [ ! -e "$BATS_TEST_DIRNAME/../../shell/install.sh" ]; then
		skip 'shell/install.sh is not here to compare with'
	fi
	"$BATS_TEST_DIRNAME/../../shell/embed-install" --check
}
