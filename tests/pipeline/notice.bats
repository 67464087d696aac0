#!/usr/bin/env bats
# What people are told when the pipeline fails. The whole story, over several runs, is in chain.bats.

load helpers

setup() {
	export REPOSITORY=notice/$BATS_TEST_NUMBER RUN_URL=https://github.example/o/r/actions/runs/9 EVENT=schedule GITHUB_TOKEN=test-token
}

needs() { # needs JOB=RESULT…
	printf '%s\n' "$@" | jq -Rn '[inputs / "=" | {key: .[0], value: {result: .[1], outputs: {}}}] | from_entries'
}

published() { # published CHANNEL: a run of it that went through
	needs resolve=success scan=success promote=success | jq --arg channel "$1" '.resolve.outputs.channel = $channel'
}

issues() { github GET test/state | jq -r "$1"; }

@test "a failed scan is told with the job, the run, and that nothing moved" {
	close_issues
	run_ci notice "NEEDS=$(needs resolve=success build=success scan=failure smoke=success assemble=skipped promote=skipped)"
	is 0 "$status"
	is 'The OpenClaw image was not published' "$(issues '.issues[-1].title')"
	body=$(issues '.issues[-1].body')
	for text in 'stopped in: **scan**' 'actions/runs/9 (started by schedule)' 'because of it: assemble promote' 'No tag was moved'; do
		[[ $body == *"$text"* ]] || { echo "no: $text in $body" && false; }
	done
}

@test "a failed promotion says that some tags may have moved, a failed retention that the image is out" {
	run_ci notice "NEEDS=$(needs promote=failure retention=skipped)"
	[[ $(issues '.issues[-1].comments[-1]') == *'failed half-way'* ]]
	run_ci notice "NEEDS=$(needs promote=success retention=failure)"
	[[ $(issues '.issues[-1].comments[-1]') == *'image itself was published'* ]]
}

@test "a job that ran out of time or was replaced is told like one that failed" {
	close_issues
	run_ci notice "NEEDS=$(needs resolve=success build=cancelled scan=skipped promote=skipped)"
	is 0 "$status"
	body=$(issues '.issues[-1].body')
	for text in 'stopped in: **build**' 'replaced by a newer run, or stopped by hand: build' 'No tag was moved'; do
		[[ $body == *"$text"* ]] || { echo "no: $text in $body" && false; }
	done
}

@test "success closes the notice; without a notice it says nothing" {
	run_ci notice "NEEDS=$(published default)"
	is 0 "$status"
	is 0 "$(issues '[.issues[] | select(.state == "open")] | length')"
	before=$(issues '.issues | length')
	run_ci notice "NEEDS=$(published default)"
	is "$before" "$(issues '.issues | length')"
}

@test "a run that published nothing and failed nowhere closes nothing" {
	run_ci notice "NEEDS=$(needs scan=failure)"
	run_ci notice "NEEDS=$(needs scan=success promote=skipped)"
	is 1 "$(issues '[.issues[] | select(.state == "open")] | length')"
	close_issues
}

@test "a trial or another ref by hand moves nothing that hosts pull, so it closes nothing" {
	run_ci notice "NEEDS=$(needs scan=failure)"
	for channel in trial manual; do
		run_ci notice "NEEDS=$(published "$channel")"
		is 0 "$status"
		is 1 "$(issues '[.issues[] | select(.state == "open")] | length')"
	done
	run_ci notice "NEEDS=$(published default)" # the control
	is 0 "$(issues '[.issues[] | select(.state == "open")] | length')"
}

@test "Slack is told of failures where its address is known, and cannot stop the issue" {
	run_ci notice "NEEDS=$(needs scan=failure)" "SLACK_WEBHOOK_URL=$GITHUB_API_URL/slack/secret"
	is 0 "$status"
	[[ $(issues .slack) == *'actions/runs/9'* ]]
	run_ci notice "NEEDS=$(needs scan=failure)" SLACK_WEBHOOK_URL=http://127.0.0.1:9/secret
	is 0 "$status"
	says 'Slack could not be told'
	[[ $words != *secret* ]]
	close_issues
}

@test "neither the token nor Slack's address is ever an argument of a process" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\nprintf "%%s\\n" "$*" >>"%s"\nexec %s "$@"\n' "$BATS_TEST_TMPDIR/arguments" "$(command -v curl)" >"$BATS_TEST_TMPDIR/bin/curl"
	chmod +x "$BATS_TEST_TMPDIR/bin/curl"
	run_ci notice "PATH=$BATS_TEST_TMPDIR/bin:$PATH" "NEEDS=$(needs scan=failure)" "SLACK_WEBHOOK_URL=$GITHUB_API_URL/slack/secret"
	is 0 "$status"
	is 3 "$(wc -l <"$BATS_TEST_TMPDIR/arguments")" # the control: all calls were seen
	run grep -E 'test-token|slack/secret' "$BATS_TEST_TMPDIR/arguments"
	is 1 "$status"
	close_issues
}

@test "a GitHub that refuses is an error, not a silence" {
	run_ci notice "NEEDS=$(needs scan=failure)" GITHUB_TOKEN=wrong
	fails 3 'answered 401: Bad credentials'
	run_ci notice NEEDS=nonsense
	fails 2 'not the list of jobs'
}
