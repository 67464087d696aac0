#!/usr/bin/env bash
# Removes old builds from the package, and never a part of an image that is kept.
#
# in:  IMAGE, REPOSITORY   as in resolve.sh
#      GITHUB_TOKEN, GITHUB_API_URL
#      KEEP_BUILDS, KEEP_DAYS, GRACE_DAYS   optional: 10 newest builds, 90 days, 7 days for what has no tag
#      DRY_RUN   optional, true: only the plan
#      NOW       optional, seconds
# out: the plan on the run's page; 1 if a kept image is not whole afterwards
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=github.sh
. "$here/github.sh"
# shellcheck source=registry.sh
. "$here/registry.sh"

need IMAGE REPOSITORY GITHUB_TOKEN GITHUB_API_URL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A version whose manifest cannot be read could be the list that keeps others alive: then nothing is removed.
read_manifests() {
	local digest
	for digest in $(jq -r '.[].name' "$work/versions"); do
		save_manifest "$IMAGE@$digest" "$work/manifest" || die "$digest is listed but cannot be read; nothing was removed" 3
		jq -c --arg digest "$digest" '{($digest): {manifests: [.manifests[]? | {digest}], subject}}' "$work/manifest"
	done | jq -s 'add // {}' >"$work/manifests"
}

remove() { # GitHub refuses single versions, such as those with very many downloads; that is no reason to stop
	local id
	for id in $(jq -r '.delete[].id' "$work/plan"); do
		api DELETE "$package/versions/$id" >/dev/null || failed=$((failed + 1))
	done
}

check_whole() { # every kept version, parts of lists included, can still be read
	local digest broken=0
	for digest in $(jq -r '.keep[]' "$work/plan"); do
		save_manifest "$IMAGE@$digest" "$work/manifest" || broken=$((broken + 1))
	done
	[[ $broken -eq 0 ]] || die "$broken kept versions cannot be read any more" 1
}

package=$(package_path)
api_pages "$package/versions" >"$work/versions" || die 'cannot list the versions' 3
read_manifests
jq -n --slurpfile versions "$work/versions" --slurpfile manifests "$work/manifests" '{versions: $versions[0], manifests: $manifests[0]}' |
	jq --argjson now "${NOW:-$(date +%s)}" --argjson keep_builds "${KEEP_BUILDS:-10}" --argjson keep_days "${KEEP_DAYS:-90}" \
		--argjson grace_days "${GRACE_DAYS:-7}" -f "$here/retention.jq" >"$work/plan"
jq -e '.keep | length > 0' "$work/plan" >/dev/null || die 'the plan keeps nothing, which cannot be right; nothing was removed' 2
[[ $(jq '.missing | length' "$work/plan") -eq 0 ]] || warn "kept images lack $(jq '.missing | length' "$work/plan") of their parts already"

failed=0
[[ ${DRY_RUN-} == true ]] || remove
{
	printf '### Retention\n\n%s versions kept, %s to remove, %s refused by GitHub%s.\n\n' "$(jq '.keep | length' "$work/plan")" \
		"$(jq '.delete | length' "$work/plan")" "$failed" "$([[ ${DRY_RUN-} != true ]] || printf ' (dry run)')"
	jq -r '.delete[] | "- `\(.digest[:19])` \(.created_at) \(.tags | join(", "))"' "$work/plan"
} | summarise
check_whole
