#!/usr/bin/env bats
# A pull request's image: built, scanned and tried as its workflow says, and published nowhere.

load helpers

setup_file() {
	export RUNS=$BATS_FILE_TMPDIR REPO=$BATS_FILE_TMPDIR/repo TRIAL=127.0.0.1:5001
	mkdir "$REPO"
	cp -r "$PROJECT/shell" "$PROJECT/.github" "$REPO/"
	# What lists the contents, where no password is asked for: a pull request has none.
	export GENERATOR=127.0.0.1:5002/generator:1
	REGISTRY=127.0.0.1:5002 STORE=$RUNS/generator ci trial-registry
	docker buildx imagetools create --tag "$GENERATOR" "$SBOM_GENERATOR"
}

teardown_file() {
	pkill --full "docker-registry serve $RUNS/" || true
}

setup() {
	pin "$REPO/.github/openclaw.ref" v2026.7.1
	: >"$WORLD/requests"
}

teardown() { # what the runner would do with itself
	pkill --full "docker-registry serve $RUNS/[0-9]" || true
}

# trial NUMBER [OPTION…]: one run; its jobs in $RUNS/NUMBER.json
trial() {
	local number=$1
	shift
	status=0
	python "$TESTS/workflow.py" .github/workflows/docker-pr.yml --repo "$REPO" --state "$RUNS/$number" --run "$number" --event pull_request \
		--ref refs/pull/3/merge --scan "$TESTS/reports/unfixed.json" --env "REGISTRY=$TRIAL" --env "UPSTREAM=$UPSTREAM" \
		--var SMOKE_SECONDS=4 --var "SBOM_GENERATOR=$GENERATOR" "$@" >"$RUNS/$number.json" 2>"$RUNS/$number.log" || status=$?
}

published() { curl -s -u robot:test-token "http://$REGISTRY/v2/_catalog" && curl -s -u robot:test-token "http://$REGISTRY/v2/owner/repo/openclaw/tags/list"; }

@test "it is built and answers, and nothing but the runner's registry has it" {
	local before
	before=$(published)
	trial 1
	[[ $status -eq 0 ]] || { tail -n 40 "$RUNS/1.log" && return 1; }
	is success "$(jq -r .jobs.try "$RUNS/1.json")"
	is "$before" "$(published)"
	[[ $(curl -s "http://$TRIAL/v2/_catalog") == *owner/repo/openclaw* ]] # the control: there it is
	is '' "$(grep -v '^GET ' "$WORLD/requests" || true)"
}

@test "a finding with a fix stops it, and so does a gateway that does not answer" {
	trial 2 --scan "$TESTS/reports/findings.json"
	is 1 "$status"
	grep -q 'failed: Judge' "$RUNS/2.log"
	teardown
	pin "$REPO/.github/openclaw.ref" mode/html
	trial 3
	is 1 "$status"
	grep -q 'failed: Start it and ask it' "$RUNS/3.log"
}

@test "a registry that is not on this machine is refused" {
	for elsewhere in ghcr.io 10.0.0.1:5000 127.0.0.1; do
		run_ci trial-registry "REGISTRY=$elsewhere" "STORE=$BATS_TEST_TMPDIR/store"
		fails 2 'not on it'
	done
}
