#!/usr/bin/env bash
# Builds a release again, from the commit that is checked out here, and compares its programs with published ones, byte for
# byte. For anyone: check out the tag, fetch its archive, install the toolchain that release.yml names.
#
# in:  PUBLISHED   the archive to compare with
#      TARGET, TAG, and optionally RUST, BUILD: see release-build.sh
# out: a line for each program; exit 1 where one differs
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"

need PUBLISHED TARGET TAG
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
OUT=$work/out "$here/release-build.sh" || die 'the release cannot be built again' 3
mkdir "$work/published" "$work/again"
tar -xzf "$PUBLISHED" --strip-components 1 -C "$work/published" || die "$PUBLISHED is no archive of a release" 2
tar -xzf "$work/out/oc-secrets-$TARGET.tar.gz" --strip-components 1 -C "$work/again"

differ=0
for file in "$work/published"/* "$work/again"/*; do
	name=${file##*/}
	[[ -e $work/seen-$name ]] && continue
	touch "$work/seen-$name"
	if cmp -s "$work/published/$name" "$work/again/$name"; then
		printf 'same     %s\n' "$name"
	else
		printf 'differs  %s\n' "$name"
		differ=1
	fi
done
[[ $differ == 0 ]] || die 'what was published is not what this commit builds here: compare the toolchains first (strings oc-secrets | grep rustc)' 1
