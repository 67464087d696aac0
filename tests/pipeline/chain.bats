#!/usr/bin/env bats
# The whole workflow, as its file says, on a real registry, engine and buildx: twice, and with everything that may go wrong.
# The tests of this file build on each other, in order.

bats_require_minimum_version 1.5.0
load helpers

setup_file() {
	export IMAGE=$REGISTRY/owner/repo/openclaw RUNS=$BATS_FILE_TMPDIR
	export REPO=$BATS_FILE_TMPDIR/repo
	mkdir "$REPO"
	cp -r "$PROJECT/shell" "$PROJECT/.github" "$REPO/"
	close_issues
	ISSUES=$(github GET test/state | jq '.issues | length') # of other files, which ran before
	export ISSUES
}

setup() {
	pin "$REPO/.github/openclaw.ref" v2026.7.1
}

# workflow RUN [OPTION…]: one run of it; what came out is in $RUNS/RUN.json
workflow() {
	local number=$1
	shift
	status=0
	python "$TESTS/workflow.py" .github/workflows/docker-build.yml --repo "$REPO" --state "$RUNS/$number" --run "$number" \
		--scan "$TESTS/reports/unfixed.json" --env "REGISTRY=$REGISTRY" --env "UPSTREAM=$UPSTREAM" \
		--var SMOKE_SECONDS=4 --var "SBOM_GENERATOR=$SBOM_GENERATOR" \
		"$@" >"$RUNS/$number.json" 2>"$RUNS/$number.log" || status=$?
	[[ $status -eq 0 || -n ${expect_failure-} ]] || tail -n 40 "$RUNS/$number.log"
}

job() { jq -r --arg job "$2" '.jobs[$job]' "$RUNS/$1.json"; } # job RUN NAME: its result

digest() { names "$IMAGE:$1"; }

tags() { curl -s -u robot:test-token "http://$REGISTRY/v2/owner/repo/openclaw/tags/list" | jq -r '.tags | map(select(startswith("sha256-") | not)) | sort | join(" ")'; }

commit() { git --git-dir "$WORLD/git/openclaw.git" rev-parse "refs/tags/$1^{commit}" | cut -c1-12; }

# refused RUN JOB OPTION…: the run fails in JOB, nothing later happens, and no name moves
refused() {
	local number=$1 where=$2 before after
	shift 2
	before=$(for tag in $(tags); do echo "$tag $(digest "$tag")"; done)
	expect_failure=1 workflow "$number" "$@"
	after=$(for tag in $(tags); do echo "$tag $(digest "$tag")"; done)
	is 1 "$status"
	is failure "$(job "$number" "$where")"
	is skipped "$(job "$number" assemble)"
	is skipped "$(job "$number" sign)"
	is skipped "$(job "$number" promote)"
	is skipped "$(job "$number" retention)"
	is success "$(job "$number" notify)"
	is "$before" "$after"
}

@test "the first run publishes: every name of the plan, one digest" {
	workflow 1 --event push
	is 0 "$status"
	is '["success"]' "$(jq -c '[.jobs[]] | unique' "$RUNS/1.json")"
	local sha
	sha=sha-$(commit v2026.7.1)
	is "2026.7 2026.7.1 latest $sha $sha-r1" "$(tags)"
	for tag in $(tags); do is "$(jq -r .outputs.assemble.digest "$RUNS/1.json")" "$(digest "$tag")"; done
}

@test "what was published has both platforms, each with contents and provenance, and is built from that commit" {
	docker buildx imagetools inspect --raw "$IMAGE:latest" >"$RUNS/index"
	is '["amd64","arm64"]' "$(jq -c '[.manifests[].platform.architecture] - ["unknown"] | sort' "$RUNS/index")"
	is 2 "$(jq '[.manifests[] | select(.annotations["vnd.docker.reference.type"] == "attestation-manifest")] | length' "$RUNS/index")"
	docker buildx imagetools inspect "$IMAGE:latest" --format '{{json (index .Provenance "linux/amd64")}}' >"$RUNS/provenance"
	grep -q "$(git --git-dir "$WORLD/git/openclaw.git" rev-parse 'refs/tags/v2026.7.1^{commit}')" "$RUNS/provenance"
	docker buildx imagetools inspect "$IMAGE:latest" --format '{{json (index .Image "linux/arm64")}}' >"$RUNS/config"
	is 2026.7.1 "$(jq -r '.config.Labels["org.opencontainers.image.version"]' "$RUNS/config")"
	is https://github.example/Owner/Repo "$(jq -r '.config.Labels["org.opencontainers.image.source"]' "$RUNS/config")"
}

@test "it is signed by this workflow, and by nobody else" {
	signed_by_us "$IMAGE@$(digest latest)"
	IDENTITY=https://github.example/Somebody/Else/.github/workflows/docker-build.yml@refs/heads/main run signed_by_us "$IMAGE@$(digest latest)"
	[[ $status -ne 0 ]]
}

@test "the run's page names digest, sizes, tags and the scan" {
	local page
	page=$(jq -r .summary "$RUNS/1.json")
	for text in "docker pull $IMAGE@$(digest latest)" '| linux/arm64 | ' '| `latest` | moved from `nothing` |' '3 without a fix yet' '### Retention'; do
		[[ $page == *"$text"* ]] || { echo "no: $text" && echo "$page" && false; }
	done
	grep -qE '^\| linux/amd64 \| [0-9]+\.[0-9]+ MB \| [0-9]+ \|$' <<<"$page"
}

@test "the second, weekly run is a new build: release and latest move, the first build's names stay" {
	local sha first
	sha=sha-$(commit v2026.7.1) first=$(digest latest)
	workflow 2 --event schedule
	is 0 "$status"
	[[ $(digest latest) != "$first" ]]
	is "$(digest latest)" "$(digest 2026.7.1)"
	is "$(digest latest)" "$(digest "$sha-r2")"
	is "$first" "$(digest "$sha-r1")"
	is "$first" "$(digest "$sha")" # taken once, never moved
}

@test "a finding with a fix stops the run, and latest stays where it was" {
	refused 3 scan --event schedule --scan "$TESTS/reports/findings.json"
	is skipped "$(job 3 promote)"
	is success "$(job 3 report)" # the security tab is told all the same
}

@test "a gateway that does not answer as it should stops the run, and latest stays where it was" {
	pin "$REPO/.github/openclaw.ref" v2026.8.1
	refused 4 smoke --event push
	grep -q 'no healthy answer from /healthz' "$RUNS/4.log"
}

@test "a ref that does not exist stops the run before anything is built" {
	refused 5 resolve --input ref=v0.0.0
	is skipped "$(job 5 build)"
}

@test "failures open one notice, and later ones add to it" {
	local issues
	issues=$(github GET test/state)
	is $((ISSUES + 1)) "$(jq '.issues | length' <<<"$issues")"
	is 2 "$(jq '.issues[-1].comments | length' <<<"$issues")"
	[[ $(jq -r '.issues[-1].body' <<<"$issues") == *'stopped in: **scan**'*'No tag was moved'* ]]
	[[ $(jq -r '.issues[-1].comments[0]' <<<"$issues") == *'stopped in: **smoke**'* ]]
	is open "$(jq -r '.issues[-1].state' <<<"$issues")"
}

@test "an older release by hand gets its own names and moves nothing else" {
	local before
	before="$(digest latest) $(digest 2026.7)"
	workflow 6 --input ref=v2026.6.9
	is 0 "$status"
	is "$before" "$(digest latest) $(digest 2026.7)"
	is '2026.6.9' "$(tags | tr ' ' '\n' | grep '^2026.6')"
	is open "$(github GET test/state | jq -r '.issues[-1].state')" # hosts still pull what was there
}

@test "a run on another branch is a trial: it publishes under its own name alone" {
	local before
	before=$(tags)
	SIGNER=trial workflow 7 --ref refs/heads/feature
	is 0 "$status"
	is "sha-$(commit v2026.7.1)-r7" "$(comm -13 <(tr ' ' '\n' <<<"$before" | sort) <(tags | tr ' ' '\n' | sort))"
}

@test "a correction moves its series and latest forward, and closes the notice" {
	pin "$REPO/.github/openclaw.ref" v2026.7.1-2
	workflow 8 --event push
	is 0 "$status"
	is "$(digest latest)" "$(digest 2026.7.1-2)"
	is "$(digest latest)" "$(digest 2026.7)"
	[[ $(digest latest) != "$(digest 2026.7.1)" ]]
	is closed "$(github GET test/state | jq -r '.issues[-1].state')"
}

@test "an old run that is run again, with the pin of its day, moves nothing back" {
	local before
	pin "$BATS_TEST_TMPDIR/today" v2026.7.1-2
	before="$(digest latest) $(digest 2026.7) $(digest 2026.7.1)"
	mv "$RUNS/2" "$RUNS/2-before"
	workflow 2 --attempt 2 --event push
	is 0 "$status"
	is "$before" "$(digest latest) $(digest 2026.7) $(digest 2026.7.1)"
	digest "sha-$(commit v2026.7.1)-r2.2"
	grep -q 'has changed since: this run moves no tags' "$RUNS/2.log"
}

@test "a job of an old run that is run again alone, with the answers of that day, moves nothing back" {
	local before
	pin "$BATS_TEST_TMPDIR/today" v2026.7.1-2
	before="$(digest latest) $(digest 2026.7) $(digest 2026.7.1)"
	workflow 1 --attempt 2 --event push --again promote
	is 0 "$status"
	is '["success"]' "$(jq -c '[.jobs[]] | unique' "$RUNS/1.json")"
	is "$before" "$(digest latest) $(digest 2026.7) $(digest 2026.7.1)"
	grep -q 'has changed since: this run moves no tags' "$RUNS/1.log"
	run grep -cE '^\[(resolve|build|sign)\]' "$RUNS/1.log" # of the others none was run again
	is 0 "$output"
	# The pin is that of the day again; a later run has built the same commit.
	pin "$REPO/.github/openclaw.ref" v2026.7.1
	workflow 1 --attempt 3 --event push --again promote
	is 0 "$status"
	is "$before" "$(digest latest) $(digest 2026.7) $(digest 2026.7.1)"
	grep -q -- '-r2 is of a later run: this run moves no tags' "$RUNS/1.log"
}

@test "a build's name is never used twice: the same run number again is refused" {
	pin "$REPO/.github/openclaw.ref" v2026.7.1-2
	expect_failure=1
	mv "$RUNS/8" "$RUNS/8-before"
	workflow 8 --event push
	is failure "$(job 8 assemble)"
	is skipped "$(job 8 promote)"
	grep -q "a build's name is never used twice" "$RUNS/8.log"
}

@test "a signature that names another workflow stops the run before any tag moves" {
	local before
	before=$(digest latest)
	SIGNER=other expect_failure=1 workflow 10 --event schedule
	is failure "$(job 10 sign)"
	is skipped "$(job 10 promote)"
	is "$before" "$(digest latest)"
	grep -q 'the signature does not verify' "$RUNS/10.log"
}

@test "without the right password nothing gets further than the login" {
	mv "$WORLD/htpasswd" "$WORLD/htpasswd.away" && echo 'robot:$2y$05$abcdefghijklmnopqrstuu' >"$WORLD/htpasswd"
	expect_failure=1 workflow 9
	mv "$WORLD/htpasswd.away" "$WORLD/htpasswd"
	is failure "$(job 9 build)"
	is skipped "$(job 9 promote)"
}
