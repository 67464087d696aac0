#!/usr/bin/env bash
# Names the one image that a job is to scan or try: by digest, so that nothing can be exchanged in between.
#
# in:  IMAGE, PLATFORM
#      DIGESTS   folder of build.sh's answers
# out: reference
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need IMAGE PLATFORM DIGESTS
DIGEST=$(jq -r --arg platform "$PLATFORM" 'select(.platform == $platform) | .digest' "$DIGESTS/${PLATFORM/\//-}.json") ||
	die "no build of $PLATFORM" 2
need_digest DIGEST
answer reference "$IMAGE@$DIGEST"
