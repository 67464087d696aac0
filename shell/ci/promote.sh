#!/usr/bin/env bash
# Moves tags to a digest that passed everything. It moves names, never bytes; latest comes last.
# GitHub can run this job of an old run again, alone and with the old answers of the others: what must hold today is asked here.
#
# in:  IMAGE, DIGEST
#      TAGS       as tags.sh answered it
#      CHANNEL    as resolve.sh answered it; a default build moves tags only while its pinned ref is still the one of the
#                 default branch
#      REF_FILE, REPOSITORY, GITHUB_TOKEN, GITHUB_API_URL   as in resolve.sh
# out: a table of what moved, on the run's page
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=github.sh
. "$here/github.sh"
# shellcheck source=registry.sh
. "$here/registry.sh"

# newer_build TAG DIGEST: the build of a later run, if that is what TAG names now. A release and a branch are their newest
# build, whatever the commit was; latest and the series go from commit to commit with the pin, back as well.
newer_build() {
	local builds='sha-[0-9a-f]+' newest
	! matches "$1" 'latest|[0-9]+\.[0-9]+' || builds=${build%-r*}
	newest=$(jq -r --arg digest "$2" --arg builds "^$builds-r(?<run>[0-9]+([.][0-9]+)?)$" \
		'.[] | select(.name == $digest) | .metadata.container.tags[] | select(test($builds)) | "\(capture($builds).run) \(.)"' <<<"$versions" |
		sort -V | tail -n 1) || die 'cannot read the versions' 3
	[[ -n $newest && ${newest% *} != "${build##*-r}" ]] || return 0
	[[ $(printf '%s\n' "${newest% *}" "${build##*-r}" | sort -V | tail -n 1) != "${newest% *}" ]] || printf '%s' "${newest#* }"
}

need IMAGE TAGS CHANNEL REF_FILE REPOSITORY GITHUB_TOKEN GITHUB_API_URL
need_digest DIGEST
jq -e '[.build, .once[], .moving[] | test("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")] | all' <<<"$TAGS" >/dev/null 2>&1 ||
	die 'TAGS is not a tag plan' 2
matches "$CHANNEL" 'default|manual|trial' || die "unknown CHANNEL $CHANNEL" 2
build=$(jq -r .build <<<"$TAGS")
mapfile -t once < <(jq -r '.once[]' <<<"$TAGS")
mapfile -t moving < <(jq -r '.moving[]' <<<"$TAGS")
find_digest "$IMAGE:$build"
[[ $found == "$DIGEST" ]] || die "$DIGEST is not the build $build" 1

row() { printf '| `%s` | %s |\n' "$1" "$2" | summarise; }
printf '### Tags of `%s@%s`\n\n| Tag | |\n| --- | --- |\n' "$IMAGE" "$DIGEST" | summarise
row "$build" 'this build, for ever'

if [[ $CHANNEL == default ]]; then
	read_repository
	if ! still_pinned; then
		for tag in "${once[@]}" "${moving[@]}"; do row "$tag" 'left alone: another ref is pinned by now'; done
		exit 0
	fi
fi

declare -A before
versions=
newer=
for tag in "${moving[@]}"; do
	find_digest "$IMAGE:$tag"
	before[$tag]=$found
	[[ -n $found && $found != "$DIGEST" ]] || continue
	if [[ -z $versions ]]; then
		package=$(package_path) || exit
		versions=$(api_pages "$package/versions") || die 'cannot list the versions' 3
	fi
	[[ -n $newer ]] || newer=$(newer_build "$tag" "$found") || exit
done

for tag in "${once[@]}"; do
	find_digest "$IMAGE:$tag"
	if [[ -n $found ]]; then
		row "$tag" "stays with \`${found:0:19}\`"
	else
		point "$IMAGE" "$tag" "$DIGEST"
		row "$tag" 'set, and stays while this build is kept'
	fi
done
[[ -z $newer ]] || warn "$newer is of a later run: this run moves no tags"
for tag in "${moving[@]}"; do
	was=${before[$tag]:-nothing}
	if [[ -n $newer ]]; then
		row "$tag" "stays with \`${was:0:19}\`: \`$newer\` is of a later run"
	else
		point "$IMAGE" "$tag" "$DIGEST"
		row "$tag" "moved from \`${was:0:19}\`"
	fi
done
