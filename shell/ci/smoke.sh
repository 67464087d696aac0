#!/usr/bin/env bash
# Starts an image as it comes and asks it how it feels: a gateway that does not answer is never published.
# It shares the runner's network, because the image's own command listens on loopback only.
#
# in:  IMAGE_REF   by digest
#      PLATFORM    linux/amd64 or linux/arm64
#      PATIENCE    optional, seconds until it must answer, 120
# out: 0 it answers /healthz with JSON, as an ordinary user, and stops when told; 1 it does not
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need IMAGE_REF PLATFORM
matches "$IMAGE_REF" '[^[:space:]]+@sha256:[0-9a-f]{64}' || die 'IMAGE_REF is not a digest' 2
PATIENCE=${PATIENCE:-120}
matches "$PATIENCE" '[1-9][0-9]{0,3}' || die 'PATIENCE is not a number of seconds' 2
url=http://127.0.0.1:18789/healthz
container=openclaw-smoke-$$
body=$(mktemp)

finish() {
	docker rm --force --volumes "$container" >/dev/null 2>&1 || true
	rm -f "$body"
}
trap finish EXIT

fail() {
	docker logs --tail 50 "$container" 2>&1 | foreign >&2 || true
	die "$1" 1
}

state() { docker inspect --format "{{.State.$1}}" "$container"; }

healthy() { # JSON that says so: a web page answers 200 as well
	curl --silent --fail --max-time 5 --output "$body" "$url" && jq -e '.ok == true' "$body" >/dev/null 2>&1
}

! curl --silent --max-time 5 --output /dev/null "$url" || die "port 18789 is taken, so an answer would prove nothing" 3
OPENCLAW_GATEWAY_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export OPENCLAW_GATEWAY_TOKEN
docker run --detach --name "$container" --platform "$PLATFORM" --pull always \
	--network host --init --cap-drop ALL --security-opt no-new-privileges --pids-limit 512 \
	--env OPENCLAW_GATEWAY_TOKEN "$IMAGE_REF" >/dev/null || die 'the container does not start' 1

deadline=$((SECONDS + PATIENCE))
until healthy; do
	[[ $(state Running) == true ]] || fail "the gateway ended with exit code $(state ExitCode)"
	[[ $SECONDS -lt $deadline ]] || fail "no healthy answer from /healthz within $PATIENCE s"
	sleep 1
done
[[ $(state Running) == true ]] || fail "something answered, but the gateway ended with exit code $(state ExitCode)"
users=$(docker top "$container" -o pid,uid | awk 'NR > 1 { print $2 }') || fail 'cannot tell as whom it runs'
[[ -n $users ]] || fail 'cannot tell as whom it runs'
! grep -qx 0 <<<"$users" || fail 'the gateway runs as root'

docker stop --time 10 "$container" >/dev/null
[[ $(state ExitCode) != 137 ]] || fail 'the gateway had to be killed: it does not heed SIGTERM'
note "$PLATFORM answers: $(head -c 200 "$body" | tr -d '\r\n')"
