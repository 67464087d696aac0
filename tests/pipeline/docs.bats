#!/usr/bin/env bats
# What docs/images.md says of tags, settings and jobs is what the scripts and the workflow do.

load helpers

setup() {
	cd "$PROJECT"
	grep -q '^## How the pipeline works$' docs/images.md
	section=$(sed '/^## How the pipeline works$/,$d' docs/images.md)
}

# moves TAG: the last column of the page's table for it
moves() { grep -F "\`$1\`" <<<"$section" | grep '^|' | sed 's/.*| \(.*\) |$/\1/'; }

plan() { # plan KEY VARIABLE=VALUE…: part of the tag plan
	run_ci tags COMMIT=0123456789abcdef0123456789abcdef01234567 BUILD=42 "${@:2}"
	jq -r ".$1 | if type == \"array\" then join(\" \") else . end" <<<"$(value tags)"
}

@test "the table of tags is the tag plan" {
	local release=(KIND=tag NAME=v2026.9.6 VERSION=2026.9.6)
	is 'never' "$(moves 'sha-<commit>-r<run>')"
	is 'sha-0123456789ab-r42' "$(plan build "${release[@]}" CHANNEL=default)"
	is 'once that build is removed' "$(moves 'sha-<commit>')"
	is 'sha-0123456789ab' "$(plan once "${release[@]}" CHANNEL=default)"
	is 'with the weekly rebuild' "$(moves 2026.9.6)"
	is 'forward with the pin' "$(moves 2026.9)"
	is 'with the weekly rebuild and the pin' "$(moves latest)"
	is '2026.9.6 2026.9 latest' "$(plan moving "${release[@]}" CHANNEL=default)"
	is '2026.9.6' "$(plan moving "${release[@]}" CHANNEL=manual)"
	is 'with every such build' "$(moves 'branch-<name>')"
	is 'branch-main' "$(plan moving KIND=branch NAME=main VERSION=2026.9.6 CHANNEL=manual)"
}

@test "every repository variable of the workflow is explained, and every explained one exists" {
	local used explained
	used=$(grep -ohE '(vars|secrets)\.[A-Z0-9_]+' .github/workflows/docker-build.yml | sed 's/.*\.//' | sort -u)
	explained=$(grep -oE '`[A-Z]+_[A-Z0-9_]+`' <<<"$section" | tr -d '`' | sort -u)
	is "$used" "$explained"
}

@test "the numbers are those of the scripts" {
	for number in 'SMOKE_SECONDS|120|smoke.sh|PATIENCE:-' 'KEEP_BUILDS|10|retention.sh|KEEP_BUILDS:-' 'KEEP_DAYS|90|retention.sh|KEEP_DAYS:-'; do
		IFS='|' read -r name value script before <<<"$number"
		grep -qF "$before$value}" "shell/ci/$script"
		grep -qE "\`$name\` \([^)]*\b$value\)" <<<"${section//$'\n'/ }"
	done
	grep -q 'LONGEST_DAYS=180 ' shell/ci/scan-verdict.sh
	grep -q 'at most 180 days' <<<"$section"
}

@test "the identity that the page verifies is the one that the workflow signs with" {
	grep -qF 'workflows/docker-build.yml@refs/heads/main' <<<"$section"
	grep -qF 'IDENTITY: ${{ github.server_url }}/${{ github.workflow_ref }}' .github/workflows/docker-build.yml
	[[ -f .github/workflows/docker-build.yml ]]
}

@test "every job of the workflow, and no other, is in the table for developers" {
	jobs=$(python -c 'import yaml; print("\n".join(sorted(yaml.safe_load(open(".github/workflows/docker-build.yml"))["jobs"])))')
	table=$(sed -n '/^## How the pipeline works$/,/^### Releases$/p' docs/images.md | sed -n 's/^| \([a-z]*\)\( (2 ×)\)\? | [`–].*/\1/p' | sort)
	is "$jobs" "$table"
}
