#!/usr/bin/env bats
# What a scan report means: a finding with a fix blocks, one without is shown, an exception lasts until its day.

load helpers

setup() {
	export IMAGE_REF=example/openclaw@sha256:$(printf 'a%.0s' {1..64}) TODAY=2026-09-06
	export EXCEPTIONS=$BATS_TEST_TMPDIR/exceptions
	: >"$EXCEPTIONS"
}

# judge REPORT [EXCEPTION LINE…]
judge() {
	local recorded=$TESTS/reports/$1.json
	shift
	[[ $# -eq 0 ]] || printf '%s\n' "$@" >"$EXCEPTIONS"
	python3 "$TESTS/stand-ins/trivy.py" "$recorded" "$IMAGE_REF" json "$BATS_TEST_TMPDIR/report.json"
	run_ci scan-verdict "REPORT=$BATS_TEST_TMPDIR/report.json" "LIBRARIES=${LIBRARIES-true}"
}

@test "a clean image may be published" {
	judge clean
	is 0 "$status"
	[[ $output == *'0 blocking, 0 excused, 0 without a fix yet'* ]]
}

@test "findings that nobody has fixed, and small ones, are counted but do not block" {
	judge unfixed
	is 0 "$status"
	[[ $output == *'0 blocking, 0 excused, 3 without a fix yet'* ]]
}

@test "a finding of HIGH or CRITICAL that has a fix blocks, in the system and in its programs" {
	judge findings
	fails 1 '2 findings that have a fix: CVE-2026-25128, CVE-2026-4878'
	[[ $output == *'| CVE-2026-4878 | HIGH | libcap2 | 1:2.66-4+deb12u1 | 1:2.66-4+deb12u2 |'* ]]
}

@test "a finding in a library of OpenClaw is listed and does not block, unless that is asked for" {
	LIBRARIES='' judge findings 'CVE-2026-4878 libcap2 2026-12-31 no capabilities are given'
	is 0 "$status"
	[[ $output == *'0 blocking, 1 excused, 3 without a fix yet, 1 in libraries'* ]]
	[[ $output == *'do not block (`SCAN_LIBRARIES`)'*'| CVE-2026-25128 | HIGH | fast-xml-parser |'* ]]
	LIBRARIES=true judge findings 'CVE-2026-4878 libcap2 2026-12-31 no capabilities are given'
	fails 1 'CVE-2026-25128'
	LIBRARIES=perhaps judge clean
	fails 2 'true or false'
}

@test "exceptions excuse until their day, that day included" {
	judge findings 'CVE-2026-25128 * 2026-09-06 not reachable' 'CVE-2026-4878 libcap2 2026-12-31 no capabilities are given'
	is 0 "$status"
	[[ $output == *'0 blocking, 2 excused, 3 without'* ]]
}

@test "an expired exception excuses nothing, and is named" {
	judge findings 'CVE-2026-25128 * 2026-09-05 not reachable' 'CVE-2026-4878 libcap2 2026-12-31 no capabilities are given'
	fails 1 '1 findings that have a fix: CVE-2026-25128'
	[[ $output == *'exception expired 2026-09-05'* ]]
}

@test "an exception for another package excuses nothing" {
	judge findings 'CVE-2026-25128 * 2026-10-01 x' 'CVE-2026-4878 libcap2-bin 2026-10-01 x'
	fails 1 'CVE-2026-4878'
	says 'exception not needed any more, line 2'
}

@test "an exception that nothing needs is pointed out, and does not fail" {
	judge clean '# a comment' '' 'CVE-2020-0001 * 2026-10-01 gone'
	is 0 "$status"
	says 'line 3: CVE-2020-0001'
}

@test "an exception without reason, without a real day, or longer than 180 days is an error of the file" {
	judge clean 'CVE-2026-4878 libcap2 2026-10-01'
	fails 2 'exceptions:1: needs ID PACKAGE UNTIL REASON'
	judge clean 'CVE-2026-4878 libcap2 2026-02-30 x'
	fails 2 'exceptions:1: no such day'
	judge clean 'CVE-2026-4878 libcap2 soon x'
	fails 2 'not a date: soon'
	judge clean 'CVE-2026-4878 libcap2 2027-09-06 x'
	fails 2 'more than 180 days ahead'
	judge clean 'everything * 2026-10-01 x'
	fails 2 'no such kind of finding'
}

@test "the last line counts without a newline at its end" {
	printf 'CVE-2026-25128 * 2026-10-01 x\nCVE-2026-4878 libcap2 2026-10-01 x' >"$EXCEPTIONS"
	judge findings
	is 0 "$status"
}

@test "a scanner that saw no system is not taken for a clean image" {
	judge no-system
	fails 2 'recognised no operating system'
}

@test "a base without further updates is pointed out" {
	judge end-of-life
	is 0 "$status"
	says 'no more security updates'
}

@test "a report about another image, of another kind, cut off or missing is refused" {
	judge clean
	run_ci scan-verdict "REPORT=$BATS_TEST_TMPDIR/report.json" IMAGE_REF=other@sha256:00
	fails 2 'is not about other'
	jq '.ArtifactType = "filesystem"' "$BATS_TEST_TMPDIR/report.json" >"$BATS_TEST_TMPDIR/kind.json"
	run_ci scan-verdict "REPORT=$BATS_TEST_TMPDIR/kind.json"
	fails 2 'no image report'
	head -c 300 "$BATS_TEST_TMPDIR/report.json" >"$BATS_TEST_TMPDIR/cut.json"
	run_ci scan-verdict "REPORT=$BATS_TEST_TMPDIR/cut.json"
	fails 2 'is not JSON'
	: >"$BATS_TEST_TMPDIR/empty.json"
	run_ci scan-verdict "REPORT=$BATS_TEST_TMPDIR/empty.json"
	is 2 "$status"
	run_ci scan-verdict REPORT=/nonexistent
	is 2 "$status"
}
