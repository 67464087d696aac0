#!/usr/bin/env bash
# Writes onto the run's page how many of the last 90 days' builds came to an end, beside the 95 % that are wanted. The run that asks is
# not over, and is not counted; nor is one that somebody ended or that had nothing to do.
#
# in:  REPOSITORY      owner/name
#      WORKFLOW        file name of the workflow
#      BRANCH          whose runs count
#      GITHUB_TOKEN, GITHUB_API_URL
# out: builds, good, percent (empty without builds)
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=github.sh
. "$here/github.sh"
DAYS=90 WANTED=95

need REPOSITORY WORKFLOW BRANCH GITHUB_TOKEN GITHUB_API_URL
matches "$REPOSITORY" '[A-Za-z0-9._-]+/[A-Za-z0-9._-]+' || die 'REPOSITORY is not owner/name' 2
matches "$WORKFLOW" '[a-z-]+\.yml' || die "there is no workflow $WORKFLOW" 2
matches "$BRANCH" '[A-Za-z0-9._/-]+' || die 'BRANCH is no branch' 2

conclusions() { # one a line, of all pages
	local page=1 answer
	while :; do
		answer=$(api GET "repos/$REPOSITORY/actions/workflows/$WORKFLOW/runs?branch=$BRANCH&status=completed&created=%3E%3D$(date -u -d "$DAYS days ago" +%F)&per_page=100&page=$page") || return 1
		jq -r '.workflow_runs[].conclusion' <<<"$answer"
		[[ $(jq '.workflow_runs | length' <<<"$answer") -eq 100 ]] || return 0
		page=$((page + 1))
	done
}

all=$(conclusions) || die 'cannot read the runs of this workflow' 3
builds=$(grep -cE '^(success|failure|timed_out|startup_failure)$' <<<"$all" || true)
good=$(grep -cx success <<<"$all" || true)
answer builds "$builds"
answer good "$good"
if [[ $builds -eq 0 ]]; then
	answer percent ''
	summarise <<<"No build of the last $DAYS days has ended before this one."
	exit 0
fi
percent=$(jq -nr --argjson good "$good" --argjson builds "$builds" '$good * 1000 / $builds | floor / 10')
verdict=$(jq -nr --argjson percent "$percent" --argjson wanted "$WANTED" 'if $percent > $wanted then "as wanted" else "below what is wanted" end')
answer percent "$percent"
summarise <<<"$good of $builds builds of the last $DAYS days succeeded: $percent %, $verdict (more than $WANTED %)."
