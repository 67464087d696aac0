#!/usr/bin/env bash
# Moves tags to a digest that passed everything. It moves names, never bytes; latest comes last.
#
# in:  IMAGE, DIGEST
#      TAGS   as tags.sh answered it
# out: a table of what moved, on the run's page
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=registry.sh
. "$here/registry.sh"

need IMAGE TAGS
need_digest DIGEST
jq -e '[.build, .once[], .moving[] | test("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")] | all' <<<"$TAGS" >/dev/null 2>&1 ||
	die 'TAGS is not a tag plan' 2
build=$(jq -r .build <<<"$TAGS")
find_digest "$IMAGE:$build"
[[ $found == "$DIGEST" ]] || die "$DIGEST is not the build $build" 1

row() { printf '| `%s` | %s |\n' "$1" "$2" | summarise; }
printf '### Tags of `%s@%s`\n\n| Tag | |\n| --- | --- |\n' "$IMAGE" "$DIGEST" | summarise
row "$build" 'this build, for ever'

for tag in $(jq -r '.once[]' <<<"$TAGS"); do
	find_digest "$IMAGE:$tag"
	if [[ -n $found ]]; then
		row "$tag" "stays with \`${found:0:19}\`"
	else
		point "$IMAGE" "$tag" "$DIGEST"
		row "$tag" 'set, never moves'
	fi
done
for tag in $(jq -r '.moving[]' <<<"$TAGS"); do
	find_digest "$IMAGE:$tag"
	before=${found:-nothing}
	point "$IMAGE" "$tag" "$DIGEST"
	row "$tag" "moved from \`${before:0:19}\`"
done
