#!/usr/bin/env bats
# How many builds came to an end: counted by GitHub's own list of runs, beside what the plan wants.

load helpers

setup() {
	export REPOSITORY=Owner/Repo WORKFLOW=docker-build.yml BRANCH=main GITHUB_TOKEN=test-token GITHUB_STEP_SUMMARY=$BATS_TEST_TMPDIR/page
}

runs() { # runs CONCLUSION…: those of the workflow; another one has only failures
	printf '%s\n' "$@" | jq -Rn '{"docker-build.yml": [inputs | select(. != "")], "ci.yml": ["failure"]}' | github POST test/runs --data-binary @- >/dev/null
}

many() { yes "$1" | head -n "$2"; } # many CONCLUSION NUMBER

@test "what succeeded is counted; what somebody ended or had nothing to do is not" {
	mapfile -t all < <(many success 39 && echo failure && many cancelled 5 && many skipped 3)
	runs "${all[@]}"
	run_ci success-rate
	is 0 "$status"
	is '40 39 97.5' "$(value builds) $(value good) $(value percent)"
	is '39 of 40 builds of the last 90 days succeeded: 97.5 %, as wanted (more than 95 %).' "$(cat "$GITHUB_STEP_SUMMARY")"
}

@test "95 % is not more than 95 %, and a build that ran out of time is a failure" {
	mapfile -t all < <(many success 19 && echo timed_out)
	runs "${all[@]}"
	run_ci success-rate
	is 95 "$(value percent)"
	grep -q 'below what is wanted' "$GITHUB_STEP_SUMMARY"
}

@test "all pages are read" {
	mapfile -t all < <(many success 100 && many failure 100 && many success 50)
	runs "${all[@]}"
	run_ci success-rate
	is '250 150 60' "$(value builds) $(value good) $(value percent)"
}

@test "without a run that has ended there is no figure" {
	runs ''
	run_ci success-rate
	is 0 "$status"
	is '0 ' "$(value builds) $(value percent)"
	grep -q 'No build' "$GITHUB_STEP_SUMMARY"
}

@test "a list that cannot be read is a failure, and no figure" {
	run_ci success-rate GITHUB_TOKEN=wrong
	fails 3 'cannot read the runs'
	is '' "$(value percent)"
	run_ci success-rate WORKFLOW=../x.yml
	fails 2 'no workflow'
}
