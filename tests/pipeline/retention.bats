#!/usr/bin/env bats
# What may go, and above all what may not: the parts of every image that is kept.

load helpers

readonly DAY=86400 NOW=1800000000

# The plan is pure: versions and manifests in, lists out.
# version ID AGE_IN_DAYS TAGS: one line of the package's list; the digest is made of the id
digest() { printf 'sha256:%064d' "$1"; }
version() {
	jq -cn --argjson id "$1" --arg name "$(digest "$1")" --arg created "$(date -u -d "@$((NOW - $2 * DAY))" +%FT%TZ)" --arg tags "${3-}" \
		'{$id, $name, created_at: $created, metadata: {container: {tags: ($tags | split(" "))}}}'
}
list() { # list ID CHILD…: the manifest of a list
	local id=$1
	shift
	for child in "$@"; do digest "$child" && echo; done | jq -Rcn --arg id "$(digest "$id")" '{($id): {manifests: [inputs | {digest: .}]}}'
}
about() { jq -cn --arg id "$(digest "$1")" --arg subject "$(digest "$2")" '{($id): {subject: {digest: $subject}}}'; } # about ID SUBJECT

# plan KEEP_BUILDS KEEP_DAYS GRACE_DAYS < versions and manifests; prints the ids that go
plan() {
	jq -s '{versions: map(select(.id)), manifests: (map(select(.id | not)) | add // {})}' |
		jq -c --argjson now $NOW --argjson keep_builds "$1" --argjson keep_days "$2" --argjson grace_days "$3" -f "$PROJECT/shell/ci/retention.jq" >"$BATS_TEST_TMPDIR/plan"
	jq -r '[.delete[].id] | sort | join(" ")' "$BATS_TEST_TMPDIR/plan"
}

@test "every part of a kept list is kept, parts of parts included; parts of what goes, go" {
	is '20 21 22' "$({
		version 10 200 latest && version 11 200 && version 12 200 && version 13 200
		list 10 11 12 && list 12 13
		version 20 200 sha-aaaaaaaaaaaa-r1 && version 21 200 && version 22 200
		list 20 21 22
	} | plan 0 90 7)"
}

@test "a part that two lists share stays as long as one of them does" {
	is '20 22' "$({
		version 10 200 latest && version 11 200 && list 10 11
		version 20 200 sha-aaaaaaaaaaaa-r1 && version 22 200 && list 20 11 22
	} | plan 0 90 7)"
}

@test "names of releases, branches and latest keep their image whatever its age; names of builds do not" {
	is '5 6' "$({
		version 1 900 latest && version 2 900 2026.2.6 && version 3 900 branch-main
		version 4 900 'sha-bbbbbbbbbbbb-r2 2026.3' && version 5 900 sha-aaaaaaaaaaaa && version 6 900 'sha-cccccccccccc sha-cccccccccccc-r3'
	} | plan 0 90 7)"
}

@test "the newest builds stay whatever their age, and young builds whatever their number" {
	is '3' "$({
		version 1 100 sha-1 && version 2 101 sha-2 && version 3 102 sha-3 && version 9 500 latest
	} | plan 2 90 7)"
	is '' "$({
		version 1 10 sha-1 && version 2 11 sha-2 && version 3 89 sha-3
	} | plan 1 90 7)"
}

@test "untagged versions wait for their days of grace: a run under way has no tags yet" {
	is '2' "$({ version 1 6 '' && version 2 8 '' && version 3 1 latest; } | plan 0 90 7)"
}

@test "signatures and attestations live as long as what they are about, by tag or by subject" {
	is '20 21 22' "$({
		version 10 200 latest && version 11 200 "sha256-$(printf %064d 10).sig" && version 12 200 "sha256-$(printf %064d 10)" && version 13 200 '' && list 12 13
		version 14 200 '' && about 14 10
		version 20 200 sha-aaaaaaaaaaaa-r1 && version 21 200 "sha256-$(printf %064d 20).sig" && version 22 200 '' && about 22 20
	} | plan 0 90 7)"
}

@test "a part that the package lacks is reported, not invented" {
	is '' "$({ version 1 1 latest && list 1 99; } | plan 0 90 7)"
	is "$(digest 99)" "$(jq -r '.missing[]' "$BATS_TEST_TMPDIR/plan")"
}

@test "two hundred random packages: what is kept is always whole" {
	python3 - "$PROJECT/shell/ci/retention.jq" <<'END'
import json, random, subprocess, sys
for seed in range(200):
    chance = random.Random(seed)
    ids = [f"sha256:{n:064x}" for n in range(30)]
    tags = ["latest", "2026.1.1", "branch-x", "sha-a-r1", "sha-b-r2", "sha-c"]
    chance.shuffle(tags)
    versions, manifests = [], {}
    for number, digest in enumerate(ids):
        mine = [tags.pop()] if tags and chance.random() < 0.3 else []
        if chance.random() < 0.1:
            mine.append("sha256-" + chance.choice(ids)[7:] + ".sig")
        versions.append({"id": number, "name": digest, "created_at": f"2026-0{chance.randint(1, 9)}-01T00:00:00Z", "metadata": {"container": {"tags": mine}}})
        manifests[digest] = {"manifests": [{"digest": chance.choice(ids)} for _ in range(chance.choice([0, 0, 0, 2, 4]))]}
    plan = json.loads(subprocess.run(["jq", "--argjson", "now", "1800000000", "--argjson", "keep_builds", "1", "--argjson", "keep_days", "150",
                                      "--argjson", "grace_days", "7", "-f", sys.argv[1]], input=json.dumps({"versions": versions, "manifests": manifests}),
                                     capture_output=True, text=True, check=True).stdout)
    keep, gone = set(plan["keep"]), {entry["digest"] for entry in plan["delete"]}
    assert keep | gone == set(ids) and not keep & gone, seed
    for digest in keep:
        assert not {child["digest"] for child in manifests[digest]["manifests"]} & gone, seed
    for version in versions:
        if {"latest", "2026.1.1", "branch-x"} & set(version["metadata"]["container"]["tags"]):
            assert version["name"] in keep, seed
END
}

# From here on a real registry, and the stand-in for GitHub in front of it.

setup_file() {
	export IMAGE=$REGISTRY/keep/repo/openclaw REPOSITORY=keep/repo GITHUB_TOKEN=test-token
	export PACKAGE=users/keep/packages/container/repo%2Fopenclaw
	local context=$BATS_FILE_TMPDIR/context
	mkdir "$context"
	git --git-dir "$WORLD/git/openclaw.git" archive main | tar -x -C "$context"
	local build parts
	for build in 1 2 3; do
		parts=()
		for platform in linux/amd64 linux/arm64; do
			docker buildx build --quiet --build-arg "GIT_COMMIT=$build" --platform $platform --provenance mode=max --metadata-file "$context/../metadata" \
				--output "type=image,name=$IMAGE,push-by-digest=true,push=true" "$context" &>/dev/null
			parts+=("$IMAGE@$(jq -r '."containerimage.digest"' "$context/../metadata")")
		done
		docker buildx imagetools create --tag "$IMAGE:sha-00000000000$build-r$build" "${parts[@]}" &>/dev/null
		cosign sign --yes "$IMAGE@$(names "$IMAGE:sha-00000000000$build-r$build")" &>/dev/null
	done
	docker buildx imagetools create --tag "$IMAGE:latest" "$IMAGE:sha-000000000002-r2" &>/dev/null
}

later() { run_ci retention "NOW=$(($(date +%s) + 200 * DAY))" KEEP_BUILDS=1 "$@"; }

count() { github GET "$PACKAGE/versions?per_page=100" | jq length; }

whole() { # whole TAG: the list and all its parts can be read, and the signature verifies
	local part
	for part in $(docker buildx imagetools inspect --raw "$IMAGE:$1" | jq -r '.manifests[].digest'); do
		docker buildx imagetools inspect --raw "$IMAGE@$part" >/dev/null || return 1
	done
	signed_by_us "$IMAGE:$1"
}

@test "a dry run removes nothing and says what it would" {
	before=$(count)
	later DRY_RUN=true
	is 0 "$status"
	is "$before" "$(count)"
	[[ $output == *'to remove, 0 refused by GitHub (dry run).'*'sha-000000000001-r1'* ]]
}

@test "a young package loses nothing" {
	before=$(count)
	run_ci retention
	is 0 "$status"
	is "$before" "$(count)"
}

@test "a manifest that cannot be read stops everything before the first removal" {
	digest=$(names "$IMAGE:sha-000000000001-r1")
	blob=$WORLD/registry/docker/registry/v2/blobs/sha256/${digest:7:2}/${digest:7}/data
	before=$(count)
	mv "$blob" "$blob.away"
	later
	mv "$blob.away" "$blob"
	is 3 "$status"
	is "$before" "$(count)"
}

@test "should a kept part be gone afterwards, the run fails and says so" {
	cp -a "$WORLD/registry" "$BATS_TEST_TMPDIR/registry"
	part=$(docker buildx imagetools inspect --raw "$IMAGE:latest" | jq '.manifests[0].digest')
	github POST test/also-remove -d "$part"
	later
	rm -rf "$WORLD/registry" && cp -a "$BATS_TEST_TMPDIR/registry" "$WORLD/registry"
	fails 1 '1 kept versions cannot be read any more'
	whole latest # the world is as it was
}

@test "200 days later the old build goes; the newest, latest, their parts and signatures stay" {
	later
	is 0 "$status"
	whole latest
	whole sha-000000000002-r2
	whole sha-000000000003-r3
	run docker buildx imagetools inspect --raw "$IMAGE:sha-000000000001-r1"
	is 1 "$status"
}

@test "doing it again finds nothing more to do" {
	before=$(count)
	later
	is 0 "$status"
	is "$before" "$(count)"
	[[ $output == *' 0 to remove'* ]]
}

@test "removing like a tool that knows no lists would break latest: the control of all this" {
	part=$(docker buildx imagetools inspect --raw "$IMAGE:latest" | jq -r '.manifests[0].digest')
	number=$(github GET "$PACKAGE/versions?per_page=100" |
		jq --arg part "$part" '.[] | select(.name == $part) | .id')
	github DELETE "$PACKAGE/versions/$number"
	run whole latest
	[[ $status -ne 0 ]]
	later
	is 0 "$status"
	says 'kept images lack 1 of their parts already'
}

@test "more than one page of versions is read" {
	for page in 1 2 3; do
		python3 -c "import json; json.dump([{'n': n} for n in range($page * 100 - 100, min($page * 100, 250))], open('$BATS_TEST_TMPDIR/$page', 'w'))"
	done
	is 250 "$(bash -c '. "$1/lib.sh"; . "$1/github.sh"; api() { cat "$folder/${2##*page=}"; }; folder=$2 api_pages list | jq length' _ "$PROJECT/shell/ci" "$BATS_TEST_TMPDIR")"
}

@test "without a token, or with a wrong one, nothing is removed" {
	before=$(count)
	later GITHUB_TOKEN=wrong
	is 3 "$status"
	later GITHUB_TOKEN=
	is 2 "$status"
	is "$before" "$(count)"
}

@test "an organisation's packages are behind another door" {
	github POST test/repository -d '{"owner": {"type": "Organization"}}'
	later DRY_RUN=true
	github POST test/repository -d '{"owner": {"type": "User"}}'
	is 0 "$status"
	grep -q 'GET /orgs/keep/packages/container/repo%2Fopenclaw/versions' "$WORLD/requests"
}
