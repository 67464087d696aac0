# shellcheck shell=bash
# Sourced: where things are, and `inside`, which runs a command in the root file system of the builds.
PLATFORM_TOOLS=${PLATFORM_TOOLS:-/opt/platform-tools}
PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SID=$PLATFORM_TOOLS/sid
export PLATFORM_TOOLS PROJECT SID

# inside [NAME=VALUE…] COMMAND…: in Debian sid, with this project, or $SOURCE in its place, at /src. What is built there
# lies below $SID/target. Nothing that is mounted outlives the command.
inside() {
	# shellcheck disable=SC2016 # for the inner shell
	SOURCE=${SOURCE:-$PROJECT} unshare --mount --propagation private bash -c '
		set -euo pipefail
		mkdir -p "$SID/src" "$SID/target"
		mount --bind "$SOURCE" "$SID/src"
		mount --bind /dev "$SID/dev"
		mount -t proc proc "$SID/proc"
		mount -t tmpfs tmpfs "$SID/tmp"
		exec chroot "$SID" env -i -C /src PATH=/opt/python/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
			CARGO_HOME=/cargo CARGO_TARGET_DIR=/target CARGO_PROFILE_DEV_DEBUG=0 CARGO_TERM_COLOR=never \
			CARGO_ZIGBUILD_ZIG_PATH=/opt/python/ziglang/zig "$@"
	' inside "$@"
}
