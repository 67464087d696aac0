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

checksums=$(awk -F'"' '/^name/ { name = $2 } /^version/ { version = $2 } /^checksum/ { print name " " version "\t" $2 }' Cargo.lock |
	jq -Rn '[inputs / "\t" | {key: .[0], value: .[1]}] | from_entries')
cargo metadata --locked --format-version 1 |
	jq --argjson checksums "$checksums" -f "$here/release-sbom.jq" >"$OUT/oc-secrets.cdx.json" || die 'cannot list the crates' 1

(cd "$OUT" && sha256sum "${files[@]}") >"$OUT/SHA256SUMS"
cosign sign-blob --yes --new-bundle-format --bundle "$OUT/SHA256SUMS.sigstore.json" "$OUT/SHA256SUMS" >/dev/null ||
	die 'signing failed' 3
