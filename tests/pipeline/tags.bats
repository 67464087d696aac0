#!/usr/bin/env bats
# Which names a build may take. The table in docs/images.md says the same; docs.bats compares them.

load helpers

setup() {
	export COMMIT=0123456789abcdef0123456789abcdef01234567 KIND=tag NAME=v2026.9.6 VERSION=2026.9.6 CHANNEL=default BUILD=42
}

plan() { # plan [VARIABLE=VALUE…]: build / once / moving
	run_ci tags "$@"
	jq -r '"\(.build) / \(.once | join(" ")) / \(.moving | join(" "))"' <<<"$(value tags)"
}

@test "a default build of a release moves its version, its series and, last, latest" {
	is 'sha-0123456789ab-r42 / sha-0123456789ab / 2026.9.6 2026.9 latest' "$(plan)"
}

@test "a correction belongs to its series, as no semver library would have it" {
	is 'sha-0123456789ab-r42 / sha-0123456789ab / 2026.7.1-2 2026.7 latest' "$(plan VERSION=2026.7.1-2 NAME=v2026.7.1-2)"
}

@test "a pre-release never becomes its series" {
	is 'sha-0123456789ab-r42 / sha-0123456789ab / 2026.7.2-beta.1 latest' "$(plan VERSION=2026.7.2-beta.1 NAME=v2026.7.2-beta.1)"
}

@test "a build by hand moves only the version that it is" {
	is 'sha-0123456789ab-r42 / sha-0123456789ab / 2026.9.6' "$(plan CHANNEL=manual)"
}

@test "a branch has a tag of its own and never a version's" {
	is 'sha-0123456789ab-r42 / sha-0123456789ab / branch-fix-a-b' "$(plan CHANNEL=manual KIND=branch NAME=fix/a+b)"
	is 'sha-0123456789ab-r42 / sha-0123456789ab / branch-main latest' "$(plan KIND=branch NAME=main)"
}

@test "a commit has only its hash" {
	is 'sha-0123456789ab-r42 / sha-0123456789ab / ' "$(plan CHANNEL=manual KIND=commit NAME=$COMMIT)"
}

@test "a trial has no name but its own" {
	for kind in tag branch commit; do
		is 'sha-0123456789ab-r42 /  / ' "$(plan CHANNEL=trial KIND=$kind)"
	done
}

@test "of all plans only those of the default channel hold latest, always as the last" {
	for channel in default manual trial; do
		for kind in tag branch commit; do
			run_ci tags CHANNEL=$channel KIND=$kind
			case $channel in
			default) is latest "$(jq -r '.moving[-1]' <<<"$(value tags)")" ;;
			*) is 0 "$(jq '[.. | strings | select(. == "latest")] | length' <<<"$(value tags)")" ;;
			esac
		done
	done
}

@test "all tags are such that a registry takes them" {
	run_ci tags KIND=branch "NAME=$(printf 'x/%.0s' {1..80})"
	jq -e 'all(.build, .once[], .moving[]; test("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))' <<<"$(value tags)"
}

@test "inputs that resolve.sh never gives are refused" {
	for wrong in COMMIT=main KIND=pull CHANNEL=latest BUILD=x VERSION=; do
		run_ci tags "$wrong"
		is 2 "$status"
		is '' "$output"
	done
}
