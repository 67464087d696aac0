#!/usr/bin/env bats
# Every platform that a release is for compiles, tests and all, though most of them cannot be run here.

load helpers

setup_file() {
	copy_project "$BATS_FILE_TMPDIR/project"
}

check() { # check TARGET: what clippy says of everything for TARGET
	inside RUSTC_BOOTSTRAP=1 cargo clippy --locked --offline --quiet --all-targets -Zbuild-std=std,panic_unwind --target "$1" -- --deny warnings
}

@test "aarch64-apple-darwin compiles, and clippy has nothing to say" {
	fine check aarch64-apple-darwin
}

@test "x86_64-apple-darwin compiles, and clippy has nothing to say" {
	fine check x86_64-apple-darwin
}

@test "aarch64-unknown-linux-musl compiles, and clippy has nothing to say" {
	fine check aarch64-unknown-linux-musl
}

@test "x86_64-unknown-linux-musl compiles, and clippy has nothing to say" {
	fine check x86_64-unknown-linux-musl
}

@test "aarch64-unknown-linux-gnu compiles, and clippy has nothing to say" {
	fine check aarch64-unknown-linux-gnu
}

@test "the control: a call that only Linux has is caught on macOS, and only there" {
	copy_project "$BATS_TEST_TMPDIR/copy"
	printf 'pub(crate) fn flush(file: &std::fs::File) {\n    let _ = nix::unistd::syncfs(file);\n}\n' >"$SOURCE/src/base/linux_only.rs"
	printf 'mod linux_only;\nconst _: fn(&std::fs::File) = linux_only::flush;\n' >>"$SOURCE/src/base/mod.rs"
	run check aarch64-apple-darwin
	[[ $status -ne 0 ]]
	says 'cannot find function `syncfs`'
	fine check x86_64-unknown-linux-musl
}
