#!/usr/bin/env bats
# The programs of a Linux release, made by the release's own script, run where nothing else is: in an empty root, beside
# busybox and musl, in Debian, and on another processor.

load helpers
bats_require_minimum_version 1.5.0

setup_file() {
	copy_project "$BATS_FILE_TMPDIR/project"
	export NATIVE=$BATS_FILE_TMPDIR/native FOREIGN=$BATS_FILE_TMPDIR/foreign
	stand_in
}

# root NAME: an empty root file system with the programs, the stand-in for `op` and a manifest in it.
root() {
	ROOT=$BATS_TEST_TMPDIR/$1
	mkdir -p "$ROOT"/{dev,proc,tmp} "$ROOT"/opt/{bin,double,home,work}
	cp "$NATIVE"/*-* "$STAND_IN" "$ROOT/opt/bin/"
	mv "$ROOT/opt/bin/op-double" "$ROOT/opt/bin/op"
	cat >"$ROOT/opt/double/vaults.json" <<-'END'
		{"vaults": [{"id": "vvvvvvvvvvvvvvvvvvvvvvvvvv", "name": "Vault", "items": [{"id": "iiiiiiiiiiiiiiiiiiiiiiiiii", "title": "Item",
		"fields": [{"id": "one", "type": "CONCEALED", "label": "one", "value": "the first"}, {"id": "two", "type": "CONCEALED", "label": "two", "value": "the second"}]}]}]}
	END
	printf '[secrets]\nONE = "op://Vault/Item/one"\nTWO = "op://Vault/Item/two"\n' >"$ROOT/opt/work/oc-secrets.toml"
}

# within COMMAND…: in that root, on top of $BASE if there is one, with the devices and processes that a container has
within() {
	# shellcheck disable=SC2016 # for the inner shell
	ROOT=$ROOT BASE=${BASE-} unshare --mount --propagation private --pid --fork --kill-child bash -c '
		set -euo pipefail
		if [[ -n $BASE ]]; then
			mkdir -p "$ROOT.work"
			mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$ROOT,workdir=$ROOT.work" "$ROOT"
		fi
		mount --rbind /dev "$ROOT/dev"
		mount -t proc proc "$ROOT/proc"
		exec env -i PATH=/opt/bin:/bin:/usr/bin HOME=/opt/home OP_SERVICE_ACCOUNT_TOKEN=ops_made_up OC_SECRETS_MANIFEST=/opt/work/oc-secrets.toml \
			"$(command -v chroot)" "$ROOT" "$@"
	' within "$@"
}

# everything: what has to work anywhere
everything() {
	is "oc-secrets $(version)" "$(within oc-secrets --version)"
	is "openclaw-deploy $(version)" "$(within openclaw-deploy --version)"
	fine within oc-secrets demo
	says ghp_MadeUpForTheDemo
	is 'the first' "$(within oc-secrets read ONE)"
}

@test "the programs are static, position-independent and complete" {
	fine release x86_64-unknown-linux-musl
	unpack x86_64-unknown-linux-musl "$NATIVE"
	for program in oc-secrets docker-credential-oc git-credential-oc openclaw-deploy; do
		[[ $(readelf --file-header "$NATIVE/$program") =~ Type:\ *DYN ]]
		[[ ! $(readelf --program-headers --dynamic "$NATIVE/$program") =~ INTERP|\(NEEDED\) ]]
	done
	run readelf --program-headers /bin/true # the control
	says INTERP
}

# Where the kernel puts it is another place each time; else an attacker would know where everything is.
@test "no two runs lie at the same address" {
	root addresses
	echo latency=3000 >"$ROOT/opt/double/mode"
	for _ in 1 2 3; do
		within oc-secrets read ONE &
		sleep 1
		map=/proc/$(pgrep --newest --exact oc-secrets)/maps
		sed -n '/oc-secrets/ { s/-.*//p; q; }' "$map" >>"$BATS_TEST_TMPDIR/bases"
		wait
	done
	is 3 "$(sort -u "$BATS_TEST_TMPDIR/bases" | grep -c '^[0-9a-f]')"
}

@test "the vault's key is in locked memory while op runs" {
	root locked
	echo latency=3000 >"$ROOT/opt/double/mode"
	within oc-secrets read ONE &
	sleep 1
	locked() { sed -n 's/^VmLck:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }
	[[ $(locked "$(pgrep --newest --exact oc-secrets)") -gt 0 ]]
	is 0 "$(locked $$)" # the control
	wait
}

@test "in an empty root, as FROM scratch makes it" {
	root scratch
	everything
	is "oc-secrets $(version)" "$(within oc-secrets --only ONE exec -- /opt/bin/oc-secrets --version)"
}

@test "the control: a program that wants a loader does not start in there" {
	root scratch
	cp /bin/true "$ROOT/opt/bin/true"
	run -127 within true
}

@test "beside busybox and musl, as in alpine" {
	root busybox
	mkdir -p "$ROOT"/{bin,lib} "$ROOT/usr/bin"
	cp "$SID/bin/busybox" "$ROOT/bin/"
	cp "$SID"/lib/ld-musl-x86_64.so.1 "$ROOT/lib/"
	chroot "$ROOT" /bin/busybox --install -s /bin
	ln -s /bin/busybox "$ROOT/usr/bin/env"
	everything
	is 'the first, the second' "$(within oc-secrets exec -- sh -c 'echo "$ONE, $TWO"')"
}

@test "in Debian 12" {
	root debian
	BASE=$(OC_HOST_SUITE=bookworm "$PROJECT/tests/host/rootfs")/base
	everything
	is 'the first, the second' "$(within oc-secrets exec -- sh -c 'echo "$ONE, $TWO"')"
}

@test "on aarch64, by qemu" {
	fine release aarch64-unknown-linux-musl
	unpack aarch64-unknown-linux-musl "$FOREIGN"
	[[ $(readelf --file-header "$FOREIGN/oc-secrets") =~ Type:\ *DYN.*Machine:\ *AArch64 ]]
	root foreign
	elsewhere() { # only our program is emulated: `op` and what it starts are this machine's
		env -i PATH="$ROOT/opt/bin:/usr/bin:/bin" HOME="$ROOT/opt/home" OP_SERVICE_ACCOUNT_TOKEN=ops_made_up OC_SECRETS_MANIFEST="$ROOT/opt/work/oc-secrets.toml" \
			"$(command -v qemu-aarch64-static)" "$FOREIGN/$1" "${@:2}"
	}
	is "$(within oc-secrets --version)" "$(elsewhere oc-secrets --version)"
	is "$(within openclaw-deploy --version)" "$(elsewhere openclaw-deploy --version)"
	fine elsewhere oc-secrets demo
	says ghp_MadeUpForTheDemo
	is 'the first' "$(elsewhere oc-secrets read ONE)"
	is 'the first, the second' "$(elsewhere oc-secrets exec -- sh -c 'echo "$ONE, $TWO"')"
}
