#!/usr/bin/env bash
# Joins the platforms that passed into one image under the name of this build, which nothing pulls by default.
#
# in:  IMAGE      as resolve.sh answered it
#      TAGS       as tags.sh answered it
#      DIGESTS    folder of build.sh's answers
#      PLATFORMS  all that must be there, with blanks between
# out: digest of the joined image
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=registry.sh
. "$here/registry.sh"

need IMAGE TAGS DIGESTS PLATFORMS
build=$(jq -er .build <<<"$TAGS") || die 'TAGS names no build' 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One image of that platform, with what BuildKit wrote down about it: its contents and its making.
check_platform() { # check_platform PLATFORM DIGEST
	local statement attestation=$work/attestation
	save_manifest "$IMAGE@$2" "$work/part" || die "$1 is not in the registry" 1
	[[ $(jq -r '[.manifests[]?.platform | "\(.os)/\(.architecture)"] - ["unknown/unknown"] | join(" ")' "$work/part") == "$1" ]] ||
		die "$2 is not an image for $1 alone" 1
	statement=$(jq -r '.manifests[] | select(.annotations["vnd.docker.reference.type"] == "attestation-manifest") | .digest' "$work/part")
	matches "$statement" 'sha256:[0-9a-f]{64}' || die "$1 was pushed without provenance and SBOM" 1
	save_manifest "$IMAGE@$statement" "$attestation" || die "the attestations of $1 are not in the registry" 1
	jq -e '[.layers[].annotations["in-toto.io/predicate-type"]] | any(startswith("https://slsa.dev/provenance/")) and any(. == "https://spdx.dev/Document")' \
		"$attestation" >/dev/null || die "$1 lacks provenance or SBOM" 1
}

sources=()
expected=()
for platform in $PLATFORMS; do
	file=$DIGESTS/${platform/\//-}.json
	[[ -f $file ]] || die "no build of $platform" 1
	digest=$(jq -er --arg platform "$platform" 'select(.platform == $platform) | .digest' "$file") || die "$file is not about $platform" 2
	need_digest digest
	check_platform "$platform" "$digest"
	mapfile -t -O "${#expected[@]}" expected < <(jq -r '.manifests[].digest' "$work/part")
	sources+=("$IMAGE@$digest")
done

if ! save_manifest "$IMAGE:$build" "$work/index"; then
	docker buildx imagetools create --tag "$IMAGE:$build" "${sources[@]}" || die "cannot write $build" 3
	save_manifest "$IMAGE:$build" "$work/index" || die "$build is not there after it was written" 3
fi
[[ $(jq -r '.manifests[].digest' "$work/index" | sort) == "$(printf '%s\n' "${expected[@]}" | sort)" ]] ||
	die "$build names something else: a build's name is never used twice" 1

answer digest "$(digest_of_file "$work/index")"
