#!/usr/bin/env bash
# Which tags a build may take once it has passed everything. Pure: it decides, promote.sh does.
#
# in:  COMMIT, KIND, NAME, VERSION, CHANNEL, BUILD   as resolve.sh answered them
# out: tags, one line of JSON:
#      build   the name of this very build; refused if it already names another
#      once    taken if free, never moved
#      moving  moved to this build, in this order; latest is the last
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need COMMIT KIND NAME VERSION CHANNEL BUILD
matches "$COMMIT" '[0-9a-f]{40}' || die 'COMMIT is not a commit' 2
matches "$BUILD" '[0-9]+(\.[0-9]+)?' || die 'BUILD is not a run number' 2
matches "$KIND" 'tag|branch|commit' || die "unknown KIND $KIND" 2
matches "$CHANNEL" 'default|manual|trial' || die "unknown CHANNEL $CHANNEL" 2

once=()
moving=()
[[ $CHANNEL == trial ]] || once+=("sha-${COMMIT:0:12}")
if [[ $CHANNEL != trial && $KIND == branch ]]; then
	slug=${NAME//[^A-Za-z0-9._-]/-}
	moving+=("branch-${slug:0:100}")
fi
if [[ $CHANNEL != trial && $KIND == tag ]]; then
	moving+=("$VERSION")
	# To semver a correction such as 2026.7.1-2 is a pre-release; here it is the better 2026.7.1.
	if [[ $CHANNEL == default && $VERSION =~ ^([0-9]+\.[0-9]+)\.[0-9]+(-[0-9]+)?$ ]]; then
		moving+=("${BASH_REMATCH[1]}")
	fi
fi
[[ $CHANNEL != default ]] || moving+=(latest)

list() { printf '%s\n' "$@" | jq -Rcn '[inputs | select(. != "")]'; }

answer tags "$(jq -cn --arg build "sha-${COMMIT:0:12}-r$BUILD" \
	--argjson once "$(list "${once[@]}")" --argjson moving "$(list "${moving[@]}")" '{$build, $once, $moving}')"
