#!/usr/bin/env bats
# The workflows, the scripts and the documents as texts: pinned, small, agreeing. Each check has a control that fails it.

load helpers

setup() {
	cd "$PROJECT"
}

# broken SED_SCRIPT FILE: a copy of the project with one thing broken; sets $copy
broken() {
	copy=$BATS_TEST_TMPDIR/copy
	rm -rf "$copy" && mkdir "$copy"
	cp -r shell .github "$copy/"
	sed -i "$1" "$copy/$2"
	! cmp -s "$copy/$2" "$2" || { echo "the control broke nothing: $1" && return 1; }
}

# caught TEXT SED_SCRIPT [FILE]: with that broken, workflows.py says TEXT
caught() {
	broken "$2" "${3:-.github/workflows/docker-build.yml}"
	run python "$TESTS/workflows.py" "$copy"
	is 1 "$status"
	[[ $output == *"$1"* ]] || { echo "not caught: $2"$'\n'"$output" && return 1; }
}

@test "the workflows hold to the rules of this project" {
	run python "$TESTS/workflows.py" .
	is '' "$output"
	is 0 "$status"
}

@test "an action that is not pinned, or not to a commit that was looked at, is caught" {
	caught 'not a pin that was looked at' '0,/checkout@3d3c42e5aac5/s//checkout@4d3c42e5aac5/'
	caught 'not a pin' '0,/checkout@[0-9a-f]* # v7.0.1/s//checkout@v7/'
	caught 'lacks the comment' '0,/ # v7.0.1/s///'
	caught 'lacks the comment that it is v7.0.1' '0,/ # v7.0.1/s// # v7.0.0/'
	caught 'not a pin' '0,/docker\/login-action@/s//evil\/login-action@/'
}

@test "an expression inside run, and logic outside of a tested script, are caught" {
	caught 'an expression inside run' 's|run: shell/ci/resolve.sh|run: shell/ci/resolve.sh ${{ inputs.ref }}|'
	caught 'logic outside of shell/ci' 's|run: shell/ci/promote.sh|run: shell/ci/promote.sh \|\| true|'
	caught 'cannot be run' 's|run: shell/ci/promote.sh|run: shell/ci/promoted.sh|'
}

@test "a right too many, without a reason, or kept credentials are caught" {
	caught 'scan: may write packages' '/^  scan:/,/strategy/s/packages: read #/packages: write #/'
	caught 'does not say why' 's/issues: write # open, add to or close the notice/issues: write/'
	caught 'starts with permissions' 's/^permissions: {}/permissions: write-all/'
	caught 'keeps its credentials' '0,/persist-credentials: false/s//persist-credentials: true/'
	caught 'has no permissions of its own' '/^  notify:/,/steps/{/permissions:/d;/contents: read/d;/actions: read/d;/issues: write/d}'
}

@test "a promotion that does not wait, or goes on after a failure, is caught" {
	caught 'promote does not wait' '/^  promote:/,/steps/s/needs: .*/needs: resolve/'
	caught 'has a condition' '/^  promote:/,/steps/s/    runs-on:/    if: ${{ !cancelled() }}\n    runs-on:/'
	caught 'goes on after an error' '/^  smoke:/,/steps/s/    runs-on:/    continue-on-error: true\n    runs-on:/'
	caught 'tags are moved by' 's|run: shell/ci/subject.sh|run: shell/ci/promote.sh|'
	caught 'retention does not wait' '/^  retention:/,/steps/s/needs: .*/needs: resolve/'
	caught 'no time limit' '0,/    timeout-minutes: .*/s///'
	caught 'runs foreign code' 's/pull_request:/pull_request_target:/' .github/workflows/ci.yml
}

@test "tests that are run by whatever Rust the runner has are caught" {
	local workflow toolchain='/^  test:/,/^  [a-z]*:$/{/Use the Rust/d;/toolchain.sh/d}'
	for workflow in ci release; do
		caught "$workflow.yml: test: runs the tests with whatever Rust" "$toolchain" ".github/workflows/$workflow.yml"
	done
	# After the tests it is too late.
	caught 'release.yml: test: runs the tests with' 's|shell/ci/toolchain.sh|TESTS|; s|sudo env .* tests/run$|shell/ci/toolchain.sh|; s|run: TESTS|run: sudo env "PATH=$PATH" "HOME=$HOME" CI=true tests/run|' .github/workflows/release.yml
}

@test "zizmor finds nothing, pedantic as it can be" {
	zizmor --pedantic --offline --quiet .github
}

@test "the control: zizmor finds what the first plan of this workflow did wrong" {
	broken 's|run: shell/ci/resolve.sh|run: git checkout ${{ inputs.ref }}|; s/persist-credentials: false/fetch-depth: 1/; s/checkout@[0-9a-f]* # v7.0.1/checkout@v7/; s/^permissions: {}//' .github/workflows/docker-build.yml
	run zizmor --pedantic --offline --format plain "$copy/.github"
	[[ $status -ne 0 ]]
	for audit in template-injection unpinned-uses artipacked; do [[ $output == *"$audit"* ]] || { echo "no $audit" && false; }; done
}

@test "the shell scripts satisfy shellcheck and shfmt" {
	shellcheck shell/ci/*.sh shell/install.sh tests/pipeline/*.sh tests/pipeline/{run,setup} tests/pipeline/stand-ins/bin/*
	shfmt -d shell/ci/*.sh shell/install.sh tests/pipeline/*.{sh,bash} tests/pipeline/{run,setup} tests/pipeline/stand-ins/bin/*
	shfmt -ln bats -d tests/pipeline/*.bats
}

@test "the Dockerfile of the stand-in satisfies hadolint" {
	hadolint tests/pipeline/source/Dockerfile
	run hadolint - <<<$'FROM debian\nRUN cd /x && apt-get install y' # the control
	[[ $status -ne 0 ]]
}

@test "every script says what it is for and what it takes" {
	for script in shell/ci/*.sh; do
		head=$(sed -n '2,/^set -euo\|^$/p' "$script")
		if [[ -x $script ]]; then
			[[ $(sed -n 1p "$script") == '#!/usr/bin/env bash' ]]
			grep -q '^set -euo pipefail$' "$script"
			grep -q '^# in: ' <<<"$head" || { echo "$script names no inputs" && false; }
		else
			[[ $(sed -n 1p "$script") == '# shellcheck shell=bash' ]]
		fi
	done
}

@test "no script asks a pipe a question that ends it early: with pipefail the answer would be a matter of luck" {
	run grep -nE '\| *(LC_ALL=C )?(grep -[a-zA-Z]*q|head )' shell/ci/*.sh tests/pipeline/{setup,run,*.sh}
	is 1 "$status"
	run grep -cE '\| *(LC_ALL=C )?(grep -[a-zA-Z]*q|head )' <<<'readelf -l file | grep -qE INTERP' # the control
	is 0 "$status"
}

@test "what runs on macOS keeps to bash 3.2 and to tools that are there" {
	run grep -nE 'mapfile|readarray|declare -A|\$\{[a-zA-Z_]+(,,|\^\^)|&>>|\|&|sha256sum|date -d|sed -i|readlink -f' shell/ci/release-build.sh shell/ci/lib.sh
	is 1 "$status"
	run grep -cE 'mapfile|sha256sum' shell/ci/release-seal.sh shell/ci/assemble.sh # the control
	is 0 "$status"
}

@test "every input that a workflow gives is one that the script names, and every needed one is given" {
	python - <<-'END'
		import re, sys, yaml
		faults = []
		for file in ("docker-build.yml", "release.yml"):
		    workflow = yaml.safe_load(open(f".github/workflows/{file}"))
		    for name, job in workflow["jobs"].items():
		        for step in job["steps"]:
		            if not step.get("run", "").startswith("shell/ci/"):
		                continue
		            text = open(step["run"]).read()
		            head = text.split("set -euo pipefail")[0]
		            needed = set(" ".join(re.findall(r"^\t*need(?:_digest)? ([A-Z_ ]+)$", text, re.M)).split())
		            given = set(step.get("env", {})) | set(workflow.get("env", {})) | {"GITHUB_API_URL"}
		            faults += [f"{name}: {step['run']} needs {v}" for v in needed - given if not re.search(rf"^\t*{v}=", text, re.M)]
		            faults += [f"{name}: {step['run']} does not name {v}" for v in step.get("env", {}) if not re.search(rf"\b{v}\b", head)]
		print("\n".join(faults))
		sys.exit(bool(faults))
	END
}

@test "one file names the Rust that builds and tests, and no workflow does" {
	grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' .github/rust
	run grep -rnE 'RUST: *.?[0-9]|rustup .*[0-9]+\.[0-9]+' .github/workflows shell/ci
	is 1 "$status"
	run grep -cE 'RUST: *.?[0-9]' <<<'          RUST: 1.95.0' # the control
	is 0 "$status"
	# It is not older than what Cargo.toml promises.
	is "$(cat .github/rust)" "$(printf '%s\n' "$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)" "$(cat .github/rust)" | sort -V | tail -n 1)"
}

@test "every change is tried by tests/run --ci, and every night by all of it" {
	grep -q 'tests/run --ci$' .github/workflows/ci.yml
	grep -q 'tests/run --ci\|"$(dirname "$0")/../tests/run" --ci' .ci/run
	grep -q 'tests/run --all$' .github/workflows/nightly.yml
}

@test "the pinned ref is a release, and the list of exceptions is in order" {
	grep -qxE 'v[0-9]{4}\.[0-9]+\.[0-9]+(-[0-9]+)?' .github/openclaw.ref
	python3 "$TESTS/stand-ins/trivy.py" "$TESTS/reports/clean.json" x@sha256:00 json "$BATS_TEST_TMPDIR/report.json"
	run_ci scan-verdict "REPORT=$BATS_TEST_TMPDIR/report.json" IMAGE_REF=x@sha256:00 EXCEPTIONS=.github/scan-exceptions.txt
	is 0 "$status"
}

@test "the schedule is not on the hour, where GitHub drops runs" {
	run grep -hE 'cron: .(0|00) ' .github/workflows/*.yml
	is 1 "$status"
}

@test "the licences of all crates are among those that deny.toml allows" {
	python3 - <<-'END'
		import json, re, subprocess, sys, tomllib
		allowed = set(tomllib.load(open("deny.toml", "rb"))["licenses"]["allow"])
		crates = json.loads(subprocess.run(["cargo", "metadata", "--locked", "--offline", "--format-version", "1"], capture_output=True, check=True).stdout)["packages"]
		def fits(expression):
		    return any(all(part.strip(" ()") in allowed for part in choice.split(" AND ")) for choice in re.split(r" OR |/", expression or ""))
		assert len(crates) > 10 and not fits("GPL-3.0") and fits("GPL-3.0 OR MIT") and not fits("GPL-3.0 AND MIT")
		faults = [f"{crate['name']}: {crate['license']}" for crate in crates if not fits(crate["license"].replace("(", "").replace(")", ""))]
		print("\n".join(faults))
		sys.exit(bool(faults))
	END
}

@test "Dependabot looks after actions and crates, and waits before it believes" {
	python - <<-'END'
		import yaml
		updates = yaml.safe_load(open(".github/dependabot.yml"))["updates"]
		assert {u["package-ecosystem"] for u in updates} == {"github-actions", "cargo"}
		assert all(u["cooldown"]["default-days"] >= 7 for u in updates)
	END
}
