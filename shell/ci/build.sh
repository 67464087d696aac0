#!/usr/bin/env bash
# Builds one platform from a commit of OpenClaw and pushes it by digest: no tag names it yet.
# Nothing is cached: a rebuild is there to bring the newest packages, and a new ref changes every layer anyway.
#
# in:  IMAGE, UPSTREAM, COMMIT, VERSION   as resolve.sh answered them
#      PLATFORM        linux/amd64 or linux/arm64
#      SOURCE          web address of this repository; GHCR links the package to it
#      OUT             folder for the answer
#      APT_PACKAGES, EXTENSIONS, BUILD_NODE_OPTIONS   optional build arguments of OpenClaw
#      SBOM_GENERATOR  optional, another image than BuildKit's own to list the contents with
# out: OUT/linux-amd64.json with platform and digest; digest
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need IMAGE UPSTREAM COMMIT VERSION PLATFORM SOURCE OUT
matches "$PLATFORM" 'linux/(amd64|arm64)' || die "unknown PLATFORM $PLATFORM" 2
matches "$COMMIT" '[0-9a-f]{40}' || die 'COMMIT is not a commit' 2
matches "${APT_PACKAGES-} ${EXTENSIONS-}" '[a-z0-9.+ -]*' || die 'APT_PACKAGES and EXTENSIONS are names with blanks between' 2

arguments=(--build-arg "GIT_COMMIT=$COMMIT" --build-arg "OPENCLAW_BUILD_TIMESTAMP=$(date -u +%FT%TZ)")
[[ -z ${APT_PACKAGES-} ]] ||
	arguments+=(--build-arg "OPENCLAW_IMAGE_APT_PACKAGES=$APT_PACKAGES" --build-arg "OPENCLAW_DOCKER_APT_PACKAGES=$APT_PACKAGES")
[[ -z ${EXTENSIONS-} ]] || arguments+=(--build-arg "OPENCLAW_EXTENSIONS=$EXTENSIONS")
[[ -z ${BUILD_NODE_OPTIONS-} ]] || arguments+=(--build-arg "OPENCLAW_DOCKER_BUILD_NODE_OPTIONS=$BUILD_NODE_OPTIONS")

labels=(
	--label "org.opencontainers.image.source=$SOURCE"
	--label "org.opencontainers.image.url=${UPSTREAM%.git}"
	--label "org.opencontainers.image.revision=$COMMIT"
	--label "org.opencontainers.image.version=$VERSION"
)

mkdir -p "$OUT"
metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
docker buildx build --no-cache --pull --progress plain \
	--platform "$PLATFORM" "${arguments[@]}" "${labels[@]}" \
	--provenance mode=max --attest "type=sbom${SBOM_GENERATOR:+,generator=$SBOM_GENERATOR}" \
	--output "type=image,name=$IMAGE,push-by-digest=true,name-canonical=true,push=true" \
	--metadata-file "$metadata" "$UPSTREAM#$COMMIT" 2>&1 | foreign >&2 || die "the build for $PLATFORM failed" 1

DIGEST=$(jq -r '."containerimage.digest" // empty' "$metadata")
need_digest DIGEST
jq -n --arg platform "$PLATFORM" --arg digest "$DIGEST" '{$platform, $digest}' >"$OUT/${PLATFORM/\//-}.json"
answer digest "$DIGEST"
