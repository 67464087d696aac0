#!/usr/bin/env bash
# Writes what was published onto the run's page: digest, sizes, and the line that pulls it.
#
# in:  IMAGE, DIGEST, VERSION, COMMIT, KIND, NAME, CHANNEL
# out: markdown
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=registry.sh
. "$here/registry.sh"

need IMAGE VERSION COMMIT KIND NAME CHANNEL
need_digest DIGEST
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
save_manifest "$IMAGE@$DIGEST" "$work/index" || die "$DIGEST is not in the registry" 1

{
	printf '### OpenClaw %s\n\n' "$VERSION"
	printf -- '- built from the %s `%s`, commit `%s` (%s)\n- digest `%s`\n\n' "$KIND" "$NAME" "$COMMIT" "$CHANNEL" "$DIGEST"
	printf '| Platform | Compressed | Layers |\n| --- | --- | --- |\n'
	jq -r '.manifests[] | select(.platform.architecture != "unknown") | "\(.platform.os)/\(.platform.architecture) \(.digest)"' "$work/index" |
		while read -r platform digest; do
			save_manifest "$IMAGE@$digest" "$work/image" || die "$digest is not in the registry" 1
			jq -r --arg platform "$platform" '"| \($platform) | \(([.config.size, .layers[].size] | add) / 10000 | round / 100) MB | \(.layers | length) |"' "$work/image"
		done
	printf '\n```sh\ndocker pull %s@%s\n```\n' "$IMAGE" "$DIGEST"
} | summarise
