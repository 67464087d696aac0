#!/usr/bin/env bats
# Joining and promoting, with everything that could be handed to them wrongly. The good way is in chain.bats.

load helpers

setup_file() {
	export IMAGE=$REGISTRY/promote/openclaw DIGESTS=$BATS_FILE_TMPDIR/digests PLATFORMS='linux/amd64 linux/arm64'
	export COMMIT VERSION=2026.6.9 SOURCE=https://github.example/o/r OUT=$DIGESTS
	COMMIT=$(git --git-dir "$WORLD/git/openclaw.git" rev-parse 'refs/tags/v2026.6.9^{commit}')
	for PLATFORM in $PLATFORMS; do PLATFORM=$PLATFORM GITHUB_OUTPUT=/dev/null "$PROJECT/shell/ci/build.sh" 2>/dev/null; done
	export TAGS='{"build":"sha-1-r1","once":["sha-1"],"moving":["2026.6.9","latest"]}'
}

# Every test has its own folder of digests to spoil.
setup() {
	cp -r "$DIGESTS" "$BATS_TEST_TMPDIR/digests"
	DIGESTS=$BATS_TEST_TMPDIR/digests
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
