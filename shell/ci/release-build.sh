#!/usr/bin/env bash
# Builds all programs of this package for one target and packs them for install.sh. The same commit gives the same
# programs, byte for byte, wherever and whenever it is built: see shell/ci/release-compare.sh.
# It runs on macOS too, so it keeps to what bash 3.2 knows.
#
# in:  TARGET   such as x86_64-unknown-linux-musl
#      TAG      of the release, v and the package's version
#      OUT      folder for the archive
#      RUST     optional, the toolchain to install and use; pinned: that of .github/rust
#      BUILD    optional, cargo's words before --release; default: build, or auditable build where that is installed
#      SOURCE_DATE_EPOCH   optional, the time of the files in the archive; default: that of the commit
# out: OUT/oc-secrets-TARGET.tar.gz
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need TARGET TAG OUT
matches "$TARGET" '(x86_64|aarch64)-(unknown-linux-(musl|gnu)|apple-darwin)' || die "unknown TARGET $TARGET" 2
cargo=(cargo)
[[ ${RUST-} != pinned ]] || RUST=$(<.github/rust)
if [[ -n ${RUST-} ]]; then
	matches "$RUST" '[0-9]+\.[0-9]+\.[0-9]+' || die 'RUST is not a version' 2
	rustup toolchain install "$RUST" --profile minimal --target "$TARGET" || die 'cannot install the toolchain' 3
	cargo=(cargo "+$RUST")
fi

# A Linux binary that asks for a loader or a library runs on the distribution it was made on, and perhaps nowhere else.
check_binary() { # check_binary FILE
	local machine header needs
	[[ $TARGET == *linux* ]] || return 0
	case $TARGET in x86_64*) machine='X86-64' ;; *) machine='AArch64' ;; esac
	header=$(LC_ALL=C readelf --file-header "$1") || die "${1##*/} cannot be read" 1
	needs=$(LC_ALL=C readelf --program-headers --dynamic "$1") || die "${1##*/} cannot be read" 1
	[[ $header =~ Machine:[^$'\n']*$machine ]] || die "${1##*/} is not for $TARGET" 1
	[[ ! $needs =~ INTERP|\(NEEDED\) ]] || die "${1##*/} is not static" 1
	# A static program at a fixed address is always at that address: no ASLR.
	[[ $header =~ Type:[^$'\n']*DYN ]] || die "${1##*/} is not position-independent" 1
}

metadata=$("${cargo[@]}" metadata --locked --no-deps --format-version 1)
package=$(jq '.packages[0]' <<<"$metadata")
version=$(jq -r .version <<<"$package")
[[ $TAG == "v$version" ]] || die "the tag $TAG is not v$version, the version of the package" 1
programs=$(jq -r '.targets[] | select(.kind == ["bin"]) | .name' <<<"$package")

# No path of this machine in the programs.
read -ra flags <<<"${RUSTFLAGS-}"
flags+=("--remap-path-prefix=$PWD=/oc-secrets" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/crates")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
if [[ -z ${BUILD-} ]]; then
	BUILD=build
	! "${cargo[@]}" auditable --version >/dev/null 2>&1 || BUILD='auditable build'
fi
# shellcheck disable=SC2086 # words
"${cargo[@]}" $BUILD --locked --release --bins --target "$TARGET" || die 'the build failed' 1
built=$(jq -r .target_directory <<<"$metadata")/$TARGET/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=oc-secrets-$TARGET
mkdir "$work/$name"
for program in $programs; do
	check_binary "$built/$program"
	install -m 755 "$built/$program" "$work/$name/"
done
if [[ $TARGET == "$(uname -m | sed 's/^arm64$/aarch64/')"-* ]]; then # it can be asked here
	[[ $("$work/$name/oc-secrets" --version) == *"$version"* ]] || die "oc-secrets does not say that it is $version" 1
fi
install -m 644 README.md LICENSE "$work/$name/"

mkdir -p "$OUT"
same=() # the same commit gives the same bytes, where tar is GNU's
if [[ $(tar --version) == *GNU* ]]; then
	same=(--sort=name --owner=0 --group=0 --numeric-owner "--mtime=@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}")
fi
COPYFILE_DISABLE=1 tar -C "$work" ${same[@]+"${same[@]}"} -cf - "$name" | gzip -n9 >"$OUT/$name.tar.gz"
