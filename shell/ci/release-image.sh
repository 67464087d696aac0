#!/usr/bin/env bash
# Pushes an image with nothing in it but the programs of a release: docker run ghcr.io/OWNER/NAME/oc-secrets demo
#
# in:  OUT          folder with the archives of the Linux targets
#      TAG          of the release, v and the package's version
#      REGISTRY     where to, such as ghcr.io
#      REPOSITORY   owner/name
#      GITHUB_TOKEN, GITHUB_API_URL   only the newest version becomes latest, so the others are asked for
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=github.sh
. "$(dirname "$0")/github.sh"

need OUT TAG REGISTRY REPOSITORY GITHUB_TOKEN GITHUB_API_URL
matches "$TAG" 'v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?' || die "$TAG is no version" 2
name=$REGISTRY/$(printf '%s' "$REPOSITORY" | tr '[:upper:]' '[:lower:]')/oc-secrets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for pair in amd64/x86_64 arm64/aarch64; do
	mkdir "$work/${pair%/*}"
	tar -xzf "$OUT/oc-secrets-${pair#*/}-unknown-linux-musl.tar.gz" --strip-components 1 -C "$work/${pair%/*}" || die "no archive for ${pair#*/}" 1
	rm -f "$work/${pair%/*}"/*.md "$work/${pair%/*}/LICENSE"
done
cat >"$work/Dockerfile" <<'END'
FROM scratch
ARG TARGETARCH
COPY ${TARGETARCH}/ /usr/bin/
USER 65532:65532
ENTRYPOINT ["/usr/bin/oc-secrets"]
END
tags=(--tag "$name:${TAG#v}")
! newest_version "$TAG" || tags+=(--tag "$name:latest")
docker buildx build --platform linux/amd64,linux/arm64 --provenance mode=max --push "${tags[@]}" "$work" || die 'cannot build or push the image' 3
