#!/usr/bin/env bash
# Whether a scanned image may be published: no HIGH or CRITICAL finding in the system's packages that has a fix and no dated
# exception. What nobody has fixed yet is counted and shown, but does not block: it would block for ever. So is what OpenClaw's
# own libraries bring: only upstream can update those.
#
# in:  REPORT      Trivy's JSON report
#      IMAGE_REF   what it must be a report of
#      EXCEPTIONS  file of "ID PACKAGE UNTIL REASON" lines; PACKAGE may be *
#      LIBRARIES   optional; true: findings in libraries block too
#      TODAY       optional YYYY-MM-DD
# out: a table on the run's page; 0 may be published, 1 may not
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"

readonly LONGEST_DAYS=180 # an exception without an end is a decision nobody takes again

read_exceptions() {
	local number=0 id package until reason
	while read -r id package until reason || [[ -n $id ]]; do
		number=$((number + 1))
		[[ -n $id && $id != \#* ]] || continue
		matches "$id" '(CVE|GHSA|TEMP|DSA|DLA)-[0-9A-Za-z-]+' || die "$EXCEPTIONS:$number: no such kind of finding: $id" 2
		[[ -n $package && -n $reason ]] || die "$EXCEPTIONS:$number: needs ID PACKAGE UNTIL REASON" 2
		matches "$until" '[0-9]{4}-[0-9]{2}-[0-9]{2}' || die "$EXCEPTIONS:$number: not a date: $until" 2
		[[ $(date -u -d "$until" +%F 2>&1) == "$until" ]] || die "$EXCEPTIONS:$number: no such day: $until" 2
		[[ ! $until > $last_day ]] || die "$EXCEPTIONS:$number: ends after $last_day, more than $LONGEST_DAYS days ahead" 2
		jq -cn --argjson line "$number" --arg id "$id" --arg package "$package" --arg until "$until" --arg reason "$reason" \
			'{$line, $id, $package, $until, $reason}'
	done <"$EXCEPTIONS"
}

# A scanner that did not see the packages reports nothing, which looks just like a clean image.
check_report() {
	jq -s . "$REPORT" >"$report" 2>/dev/null || die "$REPORT is not JSON" 2
	holds 'length == 1 and .[0].SchemaVersion == 2 and .[0].ArtifactType == "container_image"' || die "$REPORT is no image report of Trivy" 2
	holds '.[0].ArtifactName == $ref' || die "the report is not about $IMAGE_REF" 2
	holds '(.[0].Metadata.OS.Family // "none") != "none" and any(.[0].Results[]?; .Class == "os-pkgs")' ||
		die 'the scanner recognised no operating system, so it saw no packages' 2
	holds '.[0].Metadata.OS.EOSL != true' || warn 'the base system gets no more security updates'
}

holds() { # holds CONDITION: of the list of all JSON values in the file; an empty file must not pass for an answer
	[[ $(jq --arg ref "$IMAGE_REF" "$1" "$report") == true ]]
}

table() { # table KEY: those rows as markdown
	jq -r --arg key "$1" 'def cell: gsub("[|`\n\r<>]"; " ");
    .[$key][] | "| \(.id) | \(.severity) | \(.package | cell) | \(.installed | cell) | \(.fixed | cell) | \(if .expired and (.excused | not) then "exception expired \(.expired)" else "" end) |"' <<<"$verdict"
}

need REPORT IMAGE_REF EXCEPTIONS
libraries=${LIBRARIES:-false}
matches "$libraries" 'true|false' || die "LIBRARIES is true or false, not $libraries" 2
TODAY=${TODAY:-$(date -u +%F)}
last_day=$(date -u -d "$TODAY + $LONGEST_DAYS days" +%F) || die "not a date: $TODAY" 2
[[ -f $REPORT && -f $EXCEPTIONS ]] || die 'REPORT or EXCEPTIONS is no file' 2
report=$(mktemp)
trap 'rm -f "$report"' EXIT
check_report
exceptions=$(read_exceptions) || exit 2
verdict=$(jq --argjson exceptions "$(jq -cs . <<<"$exceptions")" --arg today "$TODAY" --argjson libraries "$libraries" -f "$here/scan-verdict.jq" "$REPORT")

count() { jq --arg key "$1" '.[$key] | length' <<<"$verdict"; }
{
	printf '### Scan of `%s`\n\n' "$IMAGE_REF"
	printf '%s blocking, %s excused, %s without a fix yet, %s in libraries of OpenClaw (HIGH and CRITICAL).\n' \
		"$(count blocking)" "$(count excused)" "$(count unfixed)" "$(count libraries)"
	for kind in blocking libraries; do
		[[ $(count "$kind") -gt 0 ]] || continue
		[[ $kind == blocking ]] || printf '\nIn libraries of OpenClaw, which do not block (`SCAN_LIBRARIES`):\n'
		printf '\n| Finding | Severity | Package | Installed | Fixed in | |\n| --- | --- | --- | --- | --- | --- |\n'
		table "$kind"
	done
} | summarise
jq -r '.unused[] | "line \(.line): \(.id)"' <<<"$verdict" | while read -r line; do note "exception not needed any more, $line"; done
[[ $(count blocking) -eq 0 ]] || die "$(count blocking) findings that have a fix: $(jq -r '[.blocking[].id] | unique | join(", ")' <<<"$verdict")" 1
