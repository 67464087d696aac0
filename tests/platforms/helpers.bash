# shellcheck shell=bash
# What the bats files share.

# shellcheck source=tools.sh
. "$BATS_TEST_DIRNAME/tools.sh"

# copy_project FOLDER: a copy of this project there, which `inside` uses from then on. Its files are new, so that cargo
# builds what is in them, and not what an earlier copy had.
copy_project() {
	export SOURCE=$1
	mkdir "$SOURCE"
	(cd "$PROJECT" && git ls-files -z --cached --others --exclude-standard --deduplicate | xargs -0 cp --parents --target-directory "$SOURCE")
}

is() { # is WANTED GOT
	[[ $1 == "$2" ]] || { printf 'wanted: %s\ngot:    %s\n' "$1" "$2" && return 1; }
}

fine() { # fine COMMAND…: it succeeds, or its words are shown
	run "$@"
	[[ ${status:?} -eq 0 ]] || { printf '%s\n' "${output?}" && return 1; }
}

says() { # says TEXT: $output has it
	[[ ${output?} == *"$1"* ]] || { printf 'wanted: …%s…\ngot:    %s\n' "$1" "$output" && return 1; }
}

# Zig links and brings musl; Rust's library is built from its sources. Without -pie the program would be static at a fixed
# address, without link-self-contained=no the linker looks for files that only rustup has.
ZIG_FLAGS='-C link-self-contained=no -C link-arg=-pie'
ZIG_BUILD='zigbuild -Zbuild-std=std,panic_unwind'

version() { sed -n 's/^version = "\(.*\)"/\1/p' "$PROJECT/Cargo.toml" | sed -n 1p; }

# release TARGET: the archive of a release for TARGET, by the script that makes releases; once in a run
release() {
	[[ ! -e $SID/target/dist/oc-secrets-$1.tar.gz ]] || return 0
	inside RUSTC_BOOTSTRAP=1 CARGO_NET_OFFLINE=true "RUSTFLAGS=$ZIG_FLAGS" "BUILD=auditable $ZIG_BUILD" "TARGET=$1" "TAG=v$(version)" \
		OUT=/target/dist SOURCE_DATE_EPOCH=1000000000 shell/ci/release-build.sh
}

DIST=$SID/target/dist
TARGETS='x86_64-unknown-linux-musl aarch64-unknown-linux-musl'

# packages: those of a release, of both Linux archives, by the script that makes releases; once in a run
packages() {
	[[ ! -e $DIST/oc-secrets-extras.tar.gz ]] || return 0
	local target
	for target in $TARGETS; do
		release "$target"
	done
	inside CARGO_NET_OFFLINE=true OUT=/target/dist "TARGETS=$TARGETS" "TAG=v$(version)" SOURCE_DATE_EPOCH=1000000000 shell/ci/release-package.sh
}

guest_of() { # guest_of SUITE: a fresh one that runs; guest_stop ends it
	export OC_HOST_SUITE=$1 OC_HOST_BIN=/bin/true
	BATS_TEST_DIRNAME=$PROJECT/tests/host guest_start
}

apt() { fine guest env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@"; }

unpack() { # unpack TARGET FOLDER: what release made
	mkdir -p "$2"
	tar -xzf "$SID/target/dist/oc-secrets-$1.tar.gz" --strip-components 1 -C "$2"
}

# stand_in: the stand-in for `op` as a static program; sets and exports $STAND_IN
stand_in() {
	local target=x86_64-unknown-linux-musl words
	read -ra words <<<"$ZIG_BUILD"
	# The flags of release-build.sh, so that cargo need not build everything twice.
	inside RUSTC_BOOTSTRAP=1 "RUSTFLAGS=$ZIG_FLAGS --remap-path-prefix=/src=/oc-secrets --remap-path-prefix=/cargo=/crates" \
		cargo "${words[@]}" --locked --offline --quiet --release --example op-double --target "$target"
	export STAND_IN=$SID/target/$target/release/examples/op-double
}

# oldest COMMAND…: in the root file system with the oldest Rust that is promised; `cargo` and `rustc` are its
oldest() {
	local old=$PLATFORM_TOOLS/oldest version
	version=$(cd "$old/usr/bin" && printf '%s\n' rustc-1.* | sed -n '1s/rustc-//p')
	# shellcheck disable=SC2016 # for the inner shell
	OLD=$old unshare --mount --propagation private bash -c '
		set -euo pipefail
		mkdir -p "$OLD/src" "$OLD/cargo" "$OLD/target"
		mount --bind "$SOURCE" "$OLD/src"
		mount --bind "$SID/cargo" "$OLD/cargo"
		mount --bind /dev "$OLD/dev"
		mount -t proc proc "$OLD/proc"
		exec chroot "$OLD" env -i -C /src PATH=/usr/bin:/bin HOME=/root CARGO_HOME=/cargo CARGO_TARGET_DIR=/target "RUSTC=rustc-$1" "$2-$1" "${@:3}"
	' oldest "$version" "$@"
}
