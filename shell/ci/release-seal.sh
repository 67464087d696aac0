#!/usr/bin/env bash
# Makes a release of its archives: installer, list of contents, checksums over all of it, and one signature over those.
#
# in:  OUT          folder with the archives, and with packages, formula and flake if there are any; gets the rest
#      TARGETS      all targets that must be there, with blanks between
#      REPOSITORY   owner/name, for the installer
# out: OUT/install.sh, OUT/oc-secrets.cdx.json, OUT/SHA256SUMS, OUT/SHA256SUMS.sigstore.json
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

need OUT TARGETS REPOSITORY
matches "$REPOSITORY" '[A-Za-z0-9._-]+/[A-Za-z0-9._-]+' || die 'REPOSITORY is not owner/name' 2

files=(install.sh oc-secrets.cdx.json)
for target in $TARGETS; do
	gzip --test "$OUT/oc-secrets-$target.tar.gz" || die "no whole archive for $target" 1
	files+=("oc-secrets-$target.tar.gz")
done
for file in "$OUT"/*.deb "$OUT"/*.rpm "$OUT"/oc-secrets-extras.tar.gz "$OUT"/oc-secrets.rb "$OUT"/flake.nix; do
	[[ ! -e $file ]] || files+=("${file##*/}")
done
sed "s|^repository=.*|repository=\${OC_SECRETS_REPOSITORY-$REPOSITORY}|" "$here/../install.sh" >"$OUT/install.sh"
grep -q "^repository=.*-$REPOSITORY}" "$OUT/install.sh" || die 'the installer does not know its repository' 1

# inside ARCHIVE: the crates of its program, as that holds them itself since cargo auditable built it, else null
inside() {
	local work
	work=$(mktemp -d)
	tar -xzf "$1" -C "$work" --strip-components=1
	objcopy --dump-section ".dep-v0=$work/list" "$work/oc-secrets" "$work/ignored" 2>/dev/null || true # fails or warns without one
	if [[ -s $work/list ]]; then
		python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))' <"$work/list" |
			jq '[.packages[] | select(.kind != "build") | "\(.name) \(.version)"]'
	else
		echo null
	fi
	rm -rf "$work"
}

crates=null
for target in $TARGETS; do
	[[ $target != x86_64*linux* ]] || crates=$(inside "$OUT/oc-secrets-$target.tar.gz") || die 'cannot read what the program is made of' 1
done
checksums=$(awk -F'"' '/^name/ { name = $2 } /^version/ { version = $2 } /^checksum/ { print name " " version "\t" $2 }' Cargo.lock |
	jq -Rn '[inputs / "\t" | {key: .[0], value: .[1]}] | from_entries')
cargo metadata --locked --format-version 1 |
	jq --argjson checksums "$checksums" --argjson inside "$crates" -f "$here/release-sbom.jq" >"$OUT/oc-secrets.cdx.json" || die 'cannot list the crates' 1

(cd "$OUT" && sha256sum "${files[@]}") >"$OUT/SHA256SUMS"
cosign sign-blob --yes --new-bundle-format --bundle "$OUT/SHA256SUMS.sigstore.json" "$OUT/SHA256SUMS" >/dev/null ||
	die 'signing failed' 3
