#!/usr/bin/env bats
# An image is tried as it comes: every way in which a gateway may be unwell is an image of its own.

load helpers

setup_file() {
	export IMAGE=$REGISTRY/smoke/openclaw
	local mode context
	for mode in good html sick silent crash deaf root; do
		context=$BATS_FILE_TMPDIR/$mode
		mkdir "$context"
		git --git-dir "$WORLD/git/openclaw.git" archive "$([[ $mode == good ]] && echo main || echo "mode/$mode")" | tar -x -C "$context"
		docker buildx build --quiet --tag "$IMAGE:$mode" --output type=image,push=true "$context" >/dev/null
	done
}

try() { # try MODE [VARIABLE=VALUE…]
	local digest
	digest=$(names "$IMAGE:$1")
	shift
	run_ci smoke "IMAGE_REF=$IMAGE@$digest" PLATFORM=linux/amd64 PATIENCE=3 "$@"
}

@test "a good gateway passes, and nothing of it stays behind" {
	try good
	is 0 "$status"
	says 'linux/amd64 answers: {"ok":true,"status":"live"}'
	is '' "$(docker ps --all --quiet)"
}

@test "a web page on /healthz is not health" {
	try html
	fails 1 'no healthy answer from /healthz within 3 s'
}

@test "JSON that is not well is not health" {
	try sick
	fails 1 'no healthy answer'
}

@test "a gateway that listens to nobody fails by the deadline" {
	local before=$SECONDS
	try silent
	fails 1 'no healthy answer'
	[[ $((SECONDS - before)) -lt 20 ]]
}

@test "a gateway that ends is noticed at once, with its exit code and its last words" {
	local before=$SECONDS
	try crash PATIENCE=60
	fails 1 'the gateway ended with exit code 78'
	says '| gateway: mode crash'
	[[ $((SECONDS - before)) -lt 20 ]]
}

@test "its words cannot pose as commands to GitHub Actions" {
	try crash GITHUB_ACTIONS=true
	says '| : :error: :a log line that poses as a command'
	is 1 "$(grep -c '^::' <<<"$words")" # ours alone
}

@test "a gateway that runs as root is refused" {
	try root
	fails 1 'the gateway runs as root'
}

@test "a gateway that does not heed SIGTERM is refused" {
	try deaf
	fails 1 'had to be killed'
}

@test "an answer of somebody else proves nothing: a taken port is refused before the start" {
	python3 -c 'import http.server; http.server.HTTPServer(("127.0.0.1", 18789), http.server.SimpleHTTPRequestHandler).serve_forever()' &>/dev/null 3>&- &
	local listener=$!
	until curl -s -o /dev/null http://127.0.0.1:18789/; do sleep 0.1; done
	try good
	kill "$listener"
	fails 3 'port 18789 is taken'
}

@test "only a digest is tried, and one that exists" {
	run_ci smoke "IMAGE_REF=$IMAGE:good" PLATFORM=linux/amd64
	fails 2 'IMAGE_REF is not a digest'
	run_ci smoke "IMAGE_REF=$IMAGE@sha256:$(printf '0%.0s' {1..64})" PLATFORM=linux/amd64
	fails 1 'the container does not start'
}

@test "after all of this no container is left" {
	is '' "$(docker ps --all --quiet)"
}
