#!/usr/bin/env bash
# Starts a registry on this machine for an image that is tried and thrown away. It runs until the machine, or who started it, ends it.
#
# in:  REGISTRY   127.0.0.1:PORT
#      STORE      folder for what it holds, which is not there yet
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need REGISTRY STORE
matches "$REGISTRY" '127\.0\.0\.1:[0-9]{2,5}' || die "a trial stays on this machine, and $REGISTRY is not on it" 2
if ! command -v docker-registry >/dev/null; then
	{ sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends docker-registry; } >&2 || die 'docker-registry cannot be installed' 3
fi

mkdir "$STORE" || die "there is something at $STORE already" 2
printf 'version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"}\n' "$STORE/data" "$REGISTRY" >"$STORE/config.yml"
OTEL_TRACES_EXPORTER=none setsid nohup docker-registry serve "$STORE/config.yml" </dev/null >"$STORE/log" 2>&1 &
for _ in {1..100}; do
	! curl --silent --fail --max-time 2 --output /dev/null "http://$REGISTRY/v2/" || exit 0
	sleep 0.1
done
foreign <"$STORE/log" >&2
die "no registry answers at $REGISTRY" 3
