#!/usr/bin/env bats
# A release can be repeated: built at another time, by another user, in another folder, its programs are the same bytes.

load helpers

TARGET=x86_64-unknown-linux-musl
AGAIN=/target/elsewhere # in the root of the builds

setup_file() {
	copy_project "$BATS_FILE_TMPDIR/project"
	fine release "$TARGET"
	rm -rf "$SID$AGAIN"
	mkdir -p "$SID$AGAIN/home" "$SID$AGAIN/a folder"
	cp -r "$SID/cargo" "$SID$AGAIN/home/.cargo"
	cp -r "$SOURCE" "$SID$AGAIN/a folder/oc-secrets"
	chown -R 4242:4242 "$SID$AGAIN"
}

teardown_file() {
	rm -rf "$SID$AGAIN"
}

# compare ARCHIVE: as somebody else, somewhere else
compare() {
	inside env -C "$AGAIN/a folder/oc-secrets" setpriv --reuid 4242 --regid 4242 --clear-groups \
		env HOME=$AGAIN/home USER=somebody CARGO_HOME=$AGAIN/home/.cargo CARGO_TARGET_DIR=$AGAIN/target TMPDIR=/tmp TZ=Asia/Tokyo \
		RUSTC_BOOTSTRAP=1 CARGO_NET_OFFLINE=true "RUSTFLAGS=$ZIG_FLAGS" "BUILD=auditable $ZIG_BUILD" TARGET=$TARGET "TAG=v$(version)" \
		"PUBLISHED=$1" shell/ci/release-compare.sh
}

@test "every program is the same, byte for byte" {
	fine compare "/target/dist/oc-secrets-$TARGET.tar.gz"
	for program in oc-secrets docker-credential-oc git-credential-oc openclaw-deploy; do
		says "same     $program"
	done
}

@test "the control: one byte that was changed is found, and its program named" {
	local tampered=$SID$AGAIN/tampered
	mkdir -p "$tampered/oc-secrets-$TARGET"
	unpack "$TARGET" "$tampered/oc-secrets-$TARGET"
	printf 'X' | dd of="$tampered/oc-secrets-$TARGET/git-credential-oc" bs=1 seek=5000 conv=notrunc status=none
	tar -C "$tampered" -czf "$tampered/archive.tar.gz" "oc-secrets-$TARGET"
	chmod -R go+rX "$tampered"
	run compare "$AGAIN/tampered/archive.tar.gz"
	is 1 "$status"
	says 'differs  git-credential-oc'
	says 'same     oc-secrets'
}

@test "no path of the machines is in the programs" {
	unpack "$TARGET" "$BATS_TEST_TMPDIR/programs"
	run grep -laE "$AGAIN|/src/src/|/cargo/registry|/root/" "$BATS_TEST_TMPDIR/programs/"*-*
	is '' "$output"
	run grep -la '/crates/registry/src/' "$BATS_TEST_TMPDIR/programs/oc-secrets" # the control: paths are there, and remapped
	is 0 "$status"
}
