#!/usr/bin/env bats
# Joining and promoting, with everything that could be handed to them wrongly. The good way is in chain.bats.

load helpers

setup_file() {
	export IMAGE=$REGISTRY/promote/openclaw DIGESTS=$BATS_FILE_TMPDIR/digests PLATFORMS='linux/amd64 linux/arm64'
	export COMMIT VERSION=2026.6.9 SOURCE=https://github.example/o/r OUT=$DIGESTS
	COMMIT=$(git --git-dir "$WORLD/git/openclaw.git" rev-parse 'refs/tags/v2026.6.9^{commit}')
	for PLATFORM in $PLATFORMS; do PLATFORM=$PLATFORM GITHUB_OUTPUT=/dev/null "$PROJECT/shell/ci/build.sh" 2>/dev/null; done
	export TAGS='{"build":"sha-1-r1","once":["sha-1"],"moving":["2026.6.9","latest"]}'
	export CHANNEL=default REPOSITORY=promote/repo GITHUB_TOKEN=test-token REF_FILE=$BATS_FILE_TMPDIR/openclaw.ref
}

# Every test has its own folder of digests to spoil.
setup() {
	cp -r "$DIGESTS" "$BATS_TEST_TMPDIR/digests"
	DIGESTS=$BATS_TEST_TMPDIR/digests
	pin "$REF_FILE" v2026.6.9
}

absent() { # absent TAG: no such tag
	run names "$IMAGE:$1"
	[[ $status -ne 0 ]]
}

@test "a missing platform is not joined" {
	rm "$DIGESTS/linux-arm64.json"
	run_ci assemble
	fails 1 'no build of linux/arm64'
	absent sha-1-r1
}

@test "one platform's digest in the place of the other is not joined" {
	jq '.platform = "linux/arm64"' "$DIGESTS/linux-amd64.json" >"$DIGESTS/linux-arm64.json"
	run_ci assemble
	fails 1 'is not an image for linux/arm64 alone'
	cp "$DIGESTS/linux-amd64.json" "$DIGESTS/linux-arm64.json"
	run_ci assemble
	fails 2 'is not about linux/arm64'
	absent sha-1-r1
}

@test "an image without provenance or contents is not joined" {
	context=$BATS_TEST_TMPDIR/context
	mkdir "$context" && git --git-dir "$WORLD/git/openclaw.git" archive main | tar -x -C "$context"
	for attestation in --provenance=false --provenance=mode=max; do
		docker buildx build --quiet $attestation --platform linux/amd64 --metadata-file "$context/metadata" \
			--output "type=image,name=$IMAGE,push-by-digest=true,push=true" "$context" &>/dev/null
		jq '{platform: "linux/amd64", digest: ."containerimage.digest"}' "$context/metadata" >"$DIGESTS/linux-amd64.json"
		run_ci assemble
		is 1 "$status"
		says "$([[ $attestation == *false ]] && echo 'is not an image for linux/amd64 alone' || echo 'lacks provenance or SBOM')"
	done
	absent sha-1-r1
}

@test "a digest that the registry does not have is not joined" {
	jq '.digest = "sha256:" + ("0" * 64)' "$DIGESTS/linux-amd64.json" >"$DIGESTS/new" && mv "$DIGESTS/new" "$DIGESTS/linux-amd64.json"
	run_ci assemble
	fails 1 'linux/amd64 is not in the registry'
}

@test "what is no digest never reaches the registry" {
	echo '{"platform":"linux/amd64","digest":"latest"}' >"$DIGESTS/linux-amd64.json"
	run_ci assemble
	fails 2 'digest is not a digest'
}

@test "joining again finds the same and says the same" {
	run_ci assemble
	is 0 "$status"
	first=$output
	run_ci assemble
	is "$first" "$output"
	is "digest=$(names "$IMAGE:sha-1-r1")" "$output"
}

@test "a digest that is not this build is not promoted" {
	run_ci promote "DIGEST=$(jq -r .digest "$DIGESTS/linux-amd64.json")"
	fails 1 'is not the build sha-1-r1'
	absent latest
}

@test "a plan that is none, and a digest that is none, are refused" {
	for plan in '' '{}' nonsense '["latest"]' '{"build":"sha-1-r1","once":[],"moving":["no tag","latest"]}' '{"build":"sha-1-r1","moving":["latest"]}'; do
		run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" "TAGS=$plan"
		is 2 "$status"
	done
	run_ci promote DIGEST=latest
	fails 2 'not a digest'
	absent latest
}

@test "a registry that cannot be asked is not a registry without the tag" {
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" IMAGE=127.0.0.1:5999/none/openclaw
	fails 3 'cannot be asked'
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" "DOCKER_CONFIG=$BATS_TEST_TMPDIR" "PATH=$PATH:$PIPELINE_TOOLS"
	[[ $status -ne 0 ]]
	absent latest
}

@test "a tag that cannot be written stops before latest, which stays where it was" {
	touch "$WORLD/registry/docker/registry/v2/repositories/promote/openclaw/_manifests/tags/9.9.9" # where the registry wants a folder
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" 'TAGS={"build":"sha-1-r1","once":[],"moving":["9.9.9","latest"]}'
	rm "$WORLD/registry/docker/registry/v2/repositories/promote/openclaw/_manifests/tags/9.9.9"
	is 3 "$status"
	absent latest
}

@test "a tag that the registry took but did not set is noticed, for a push is not a proof" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\n[ "$3" = create ] || exec %s "$@"\n' "$(command -v docker)" >"$BATS_TEST_TMPDIR/bin/docker"
	chmod +x "$BATS_TEST_TMPDIR/bin/docker"
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" "PATH=$BATS_TEST_TMPDIR/bin:$PATH"
	fails 3 'the tag sha-1 names nothing instead of sha256:'
	absent latest
}

@test "promoting twice is promoting once" {
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")"
	is 0 "$status"
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")"
	is 0 "$status"
	for tag in sha-1 2026.6.9 latest; do is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:$tag")"; done
	[[ $output == *'| `sha-1` | stays with '* ]]
}

other_build() { # other_build BUILD: an image of its own, a list as ours are, with that name alone
	printf 'FROM scratch\nLABEL build=%s\n' "$1" | docker buildx build --quiet --output type=image,push=true --tag "$IMAGE:part" - &>/dev/null
	docker buildx imagetools create --tag "$IMAGE:$1" "$IMAGE:part" &>/dev/null
}

moved() { # moved TAG BUILD: as an earlier run left it
	docker buildx imagetools create --tag "$IMAGE:$1" "$IMAGE:$2" &>/dev/null
}

# promoted CHANNEL BUILD MOVING…: what promote says to a plan of these, of the file's build
promoted() {
	docker buildx imagetools create --tag "$IMAGE:$2" "$IMAGE:sha-1-r1" &>/dev/null
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" "CHANNEL=$1" \
		"TAGS=$(jq -cn --arg build "$2" '{$build, once: [], moving: $ARGS.positional}' --args "${@:3}")"
}

@test "a default build whose pinned ref is no longer the one of the default branch sets and moves nothing" {
	other_build sha-2-r2 && moved latest sha-2-r2
	pin "$BATS_TEST_TMPDIR/today" v2026.7.1
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" 'TAGS={"build":"sha-1-r1","once":["sha-9"],"moving":["2026.99","latest"]}'
	is 0 "$status"
	says 'has changed since: this run moves no tags'
	[[ $output == *'| `latest` | left alone: another ref is pinned by now |'* ]]
	is "$(names "$IMAGE:sha-2-r2")" "$(names "$IMAGE:latest")"
	absent sha-9
	absent 2026.99
	pin "$REF_FILE" v2026.6.9 # the control
	promoted default sha-1-r1 latest
	is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:latest")"
}

@test "a build of another ref asks for no pin" {
	pin "$BATS_TEST_TMPDIR/today" v2026.7.1
	promoted manual sha-1-r1 2026.5.1
	is 0 "$status"
	is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:2026.5.1")"
}

@test "a GitHub that does not answer, and a file that is not there, move nothing" {
	other_build sha-2-r2 && moved latest sha-2-r2
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" GITHUB_TOKEN=wrong
	fails 3 'cannot read about promote/repo'
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" GITHUB_TOKEN=wrong CHANNEL=manual
	is 3 "$status"
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" REF_FILE=/nonexistent
	fails 2 'there is no /nonexistent'
	run_ci promote "DIGEST=$(names "$IMAGE:sha-1-r1")" CHANNEL=none
	fails 2 'unknown CHANNEL'
	is "$(names "$IMAGE:sha-2-r2")" "$(names "$IMAGE:latest")"
}

@test "no tag moves back to a build of an earlier run: numbers are compared, not texts" {
	local build
	for build in sha-abc-r10 sha-abc-r9.2; do
		other_build "$build" && moved 2026.5.2 "$build" && moved latest "$build"
		promoted default sha-abc-r9 2026.5.2 latest
		is 0 "$status"
		says "$build is of a later run: this run moves no tags"
		is "$(names "$IMAGE:$build")" "$(names "$IMAGE:latest")"
		is "$(names "$IMAGE:$build")" "$(names "$IMAGE:2026.5.2")"
		[[ $output == *'| `latest` | stays with '* ]]
	done
	promoted default sha-abc-r11 2026.5.2 latest # the control
	is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:latest")"
	is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:2026.5.2")"
}

@test "one name of a later build of this commit is enough: latest follows neither, wherever it is" {
	other_build sha-abd-r20 && moved 2026.5.3 sha-abd-r20
	other_build sha-def-r21 && moved latest sha-def-r21
	promoted default sha-abd-r19 2026.5.3 latest
	is 0 "$status"
	is "$(names "$IMAGE:sha-def-r21")" "$(names "$IMAGE:latest")"
}

@test "a later build of another commit keeps a branch and a release, but not what goes with the pin" {
	local tag
	other_build sha-def-r31
	for tag in branch-main 2026.5.4; do
		moved "$tag" sha-def-r31
		promoted manual sha-abe-r30 "$tag"
		is 0 "$status"
		is "$(names "$IMAGE:sha-def-r31")" "$(names "$IMAGE:$tag")"
	done
	moved latest sha-def-r31 && moved 2026.5 sha-def-r31 # of a pin that was taken back
	promoted default sha-abe-r30 2026.5 latest
	is 0 "$status"
	is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:latest")"
	is "$(names "$IMAGE:sha-1-r1")" "$(names "$IMAGE:2026.5")"
}

@test "a build is told what it may bake in, and nothing else" {
	run_ci build PLATFORM=linux/amd64 "APT_PACKAGES=curl; rm -rf /"
	fails 2 'are names with blanks between'
	run_ci build PLATFORM=linux/riscv64
	fails 2 'unknown PLATFORM'
	run_ci build PLATFORM=linux/amd64 COMMIT=main
	fails 2 'COMMIT is not a commit'
}

@test "what a build prints cannot pose as a command to GitHub Actions" {
	run_ci build PLATFORM=linux/amd64 GITHUB_ACTIONS=true "OUT=$BATS_TEST_TMPDIR/out" "COMMIT=$(printf '0%.0s' {1..40})"
	fails 1 'the build for linux/amd64 failed'
	is 1 "$(grep -c '^::' <<<"$words")"
}

@test "one image can be named only if it was built" {
	run_ci subject PLATFORM=linux/arm64
	is "reference=$IMAGE@$(jq -r .digest "$DIGESTS/linux-arm64.json")" "$output"
	rm "$DIGESTS/linux-arm64.json"
	run_ci subject PLATFORM=linux/arm64
	fails 2 'no build of linux/arm64'
	echo '{"platform":"linux/arm64","digest":"x y"}' >"$DIGESTS/linux-arm64.json"
	run_ci subject PLATFORM=linux/arm64
	fails 2 'not a digest'
}
