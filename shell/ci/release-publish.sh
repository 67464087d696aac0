#!/usr/bin/env bash
# Publishes a sealed release. It stays a draft until every file is up, so nobody ever sees half of one. Left to itself GitHub may
# take a patch of an older line for the latest release, which install.sh follows; so it is told.
#
# in:  OUT          folder that release-seal.sh filled
#      TAG, REPOSITORY, GITHUB_TOKEN, GITHUB_API_URL
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=github.sh
. "$here/github.sh"

need OUT TAG REPOSITORY GITHUB_TOKEN GITHUB_API_URL
matches "$TAG" 'v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?' || die "$TAG is no version" 2
(cd "$OUT" && sha256sum --check --strict --quiet SHA256SUMS) || die 'the files are not those that were sealed' 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
latest=false
! newest_version "$TAG" || latest=true

jq -n --arg tag "$TAG" '{tag_name: $tag, name: $tag, draft: true, prerelease: ($tag | contains("-")), generate_release_notes: true}' >"$work/open"
release=$(api POST "repos/$REPOSITORY/releases" "$work/open") || die 'cannot open the release' 3
upload=$(jq -r '.upload_url | sub("\\{.*"; "")' <<<"$release")
for name in SHA256SUMS SHA256SUMS.sigstore.json $(sed 's/^[0-9a-f]*  //' "$OUT/SHA256SUMS"); do
	api POST "$upload?name=$name" "$OUT/$name" application/octet-stream >/dev/null || die "cannot upload $name; the release stays a draft" 3
done
jq -n --arg latest "$latest" '{draft: false, make_latest: $latest}' >"$work/publish"
api PATCH "repos/$REPOSITORY/releases/$(jq -r .id <<<"$release")" "$work/publish" >/dev/null || die 'cannot publish the release' 3
