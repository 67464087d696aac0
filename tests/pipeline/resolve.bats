#!/usr/bin/env bats
# A ref that a person typed becomes a commit, or nothing at all.

load helpers

setup() {
	export REPOSITORY=Owner/Repo GIT_REF=refs/heads/main RUN_NUMBER=7 RUN_ATTEMPT=1 GITHUB_TOKEN=test-token
	export REF_FILE=$BATS_TEST_TMPDIR/openclaw.ref
	pin "$REF_FILE" v2026.7.1
}

commit_of() { git --git-dir "$WORLD/git/openclaw.git" rev-parse "$1^{commit}"; }

@test "without a ref the pinned release is built, as the default" {
	run_ci resolve
	is 0 "$status"
	is "$(commit_of refs/tags/v2026.7.1)" "$(value commit)"
	is 'tag v2026.7.1 2026.7.1 default' "$(value kind) $(value name) $(value version) $(value channel)"
	is "$REGISTRY/owner/repo/openclaw" "$(value image)"
	is 7 "$(value build)"
	is true "$(value public)"
}

@test "an annotated tag is peeled, and beats a branch of its name" {
	run_ci resolve INPUT_REF=v2026.7.1
	is "$(commit_of refs/tags/v2026.7.1)" "$(value commit)"
	[[ $(commit_of refs/heads/v2026.7.1) != "$(value commit)" ]] # the control: the branch is elsewhere
	run_ci resolve INPUT_REF=refs/heads/v2026.7.1
	is "branch $(commit_of refs/heads/v2026.7.1)" "$(value kind) $(value commit)"
}

@test "the pinned ref typed by hand is the default build, another ref is not" {
	run_ci resolve INPUT_REF=v2026.7.1
	is default "$(value channel)"
	run_ci resolve INPUT_REF=v2026.6.9
	is manual "$(value channel)"
}

@test "a run outside the default branch is a trial, even for the pinned ref, even on a tag named main" {
	for ref in refs/heads/feature refs/tags/main; do
		run_ci resolve GIT_REF=$ref
		is trial "$(value channel)"
	done
}

@test "a correction takes its number from the tag when the source kept the old one" {
	run_ci resolve INPUT_REF=v2026.7.1-2
	is 2026.7.1-2 "$(value version)"
}

@test "a branch, and a commit that is on a branch, are found" {
	run_ci resolve INPUT_REF=mode/html
	is "branch mode/html" "$(value kind) $(value name)"
	old=$(git --git-dir "$WORLD/git/openclaw.git" rev-parse refs/heads/main~1) # no ref points at it
	run_ci resolve "INPUT_REF=$old" && is 0 "$status"
	is "commit $old" "$(value kind) $(value commit)"
}

@test "a commit that only a pull request knows is refused, though the server hands it out" {
	impostor=$(commit_of refs/pull/1/head)
	git init -q --bare "$BATS_TEST_TMPDIR/proof"
	git -C "$BATS_TEST_TMPDIR/proof" fetch -q "$UPSTREAM" "$impostor" # the control
	run_ci resolve "INPUT_REF=$impostor"
	fails 1 'is on no branch or tag of OpenClaw'
}

@test "what is no ref never reaches git or a shell" {
	for ref in 'main; touch pwned' '$(touch pwned)' '`id`' '--upload-pack=touch' '-v' 'a b' 'a..b' 'v1^{}' 'main@{1}' \
		'HEAD:x' '../x' 'x/' 'x.lock' '*' $'main\nimage=evil' "$(printf 'a%.0s' {1..200})"; do
		run_ci resolve "INPUT_REF=$ref"
		is 2 "$status"
		is '' "$output"
	done
	[[ ! -e pwned ]]
}

@test "a ref that upstream lacks, and a pull request's ref, are refused" {
	for ref in v1.2.3 refs/pull/1/head 0123456789012345678901234567890123456789; do
		run_ci resolve "INPUT_REF=$ref"
		[[ $status -ne 0 && -z $output ]]
	done
}

@test "a tag that lies about its version, and a source that is not openclaw, are refused" {
	run_ci resolve INPUT_REF=v9999.1.1
	fails 1 'holds the source of version 2026.7.3'
	run_ci resolve INPUT_REF=not-openclaw
	fails 1 'names no version of openclaw'
}

@test "a newer release than the pinned one is pointed out" {
	run_ci resolve
	is 0 "$status"
	says 'OpenClaw 9999.1.1 is out'
	pin "$REF_FILE" v2026.7.1-2
	git --git-dir "$WORLD/git/openclaw.git" update-ref -d refs/tags/v9999.1.1
	git --git-dir "$WORLD/git/openclaw.git" update-ref -d refs/tags/v2026.8.1
	run_ci resolve
	git --git-dir "$WORLD/git/openclaw.git" tag v9999.1.1 main~2
	git --git-dir "$WORLD/git/openclaw.git" tag v2026.8.1 "$(git --git-dir "$WORLD/git/openclaw.git" log --format=%H --grep '^2026.8.1 html' main)"
	is 0 "$status"
	is '' "$words"
}

@test "a file of the pinned ref that is missing, empty, or names two, is an error" {
	run_ci resolve REF_FILE=/nonexistent
	fails 2 'there is no /nonexistent'
	printf '# nothing\n' >"$REF_FILE"
	run_ci resolve
	fails 2 'names no ref'
	printf 'v2026.7.1\nv2026.6.9\n' >"$REF_FILE"
	run_ci resolve
	is 2 "$status"
	is '' "$output"
}

@test "a run whose pinned ref is no longer the one of the default branch is a trial" {
	pin "$BATS_TEST_TMPDIR/today" v2026.7.1-2
	run_ci resolve
	is trial "$(value channel)"
	says 'has changed since'
}

@test "a second attempt has a name of its own" {
	run_ci resolve RUN_ATTEMPT=2
	is 7.2 "$(value build)"
}

@test "an upstream or a GitHub that does not answer ends the run with 3" {
	run_ci resolve UPSTREAM=git://127.0.0.1/none.git
	fails 3 'cannot read the refs'
	run_ci resolve GITHUB_TOKEN=wrong
	fails 3 'cannot read about Owner/Repo'
}

@test "both platforms are built, each on its own runner, unless arm64 is switched off" {
	run_ci resolve
	is 'linux/amd64 linux/arm64' "$(value platforms)"
	is 'ubuntu-24.04 ubuntu-24.04-arm' "$(value matrix | jq -r '[.[].runner] | join(" ")')"
	run_ci resolve ARM64=false
	is linux/amd64 "$(value platforms)"
	is '[{"platform":"linux/amd64","runner":"ubuntu-24.04","artifact":"linux-amd64"}]' "$(value matrix)"
	run_ci resolve ARM64=no
	fails 2 'ARM64 is true or false'
}
