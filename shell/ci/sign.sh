#!/usr/bin/env bash
# Signs an image by digest with cosign, as this workflow, and checks the signature as a user would.
#
# in:  IMAGE, DIGEST
#      IDENTITY   whom the certificate must name: this workflow at this ref
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need IMAGE IDENTITY
need_digest DIGEST
cosign sign --yes "$IMAGE@$DIGEST" || die 'signing failed' 3
cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com \
	--certificate-identity "$IDENTITY" "$IMAGE@$DIGEST" >/dev/null || die 'the signature does not verify' 1
