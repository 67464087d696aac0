#!/usr/bin/env bats
# From a tag to archives, checksums, a signature and a published release.

load helpers

host=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p')

setup_file() {
	export CRATE=$BATS_FILE_TMPDIR/crate CARGO_TARGET_DIR=$BATS_FILE_TMPDIR/target CARGO_NET_OFFLINE=true
	cp -r "$TESTS/crate" "$CRATE"
	cp -r "$PROJECT/shell" "$CRATE/"
	echo readme >"$CRATE/README.md" && echo licence >"$CRATE/LICENSE"
}

setup() {
	cd "$CRATE"
	export SIGNER=release TARGET=$host TAG=v1.2.3 OUT=$BATS_FILE_TMPDIR/dist
}

@test "a static build is packed: all programs, readme, licence, in one folder" {
	run_ci release-build 'RUSTFLAGS=-C target-feature=+crt-static'
	is 0 "$status"
	is "$(printf '%s\n' '' LICENSE README.md oc-secrets openclaw-deploy | sed "s|^|oc-secrets-$host/|")" "$(tar -tzf "$OUT/oc-secrets-$host.tar.gz" | sort)"
}

@test "the same commit gives the same archive" {
	before=$(sha256sum "$OUT/oc-secrets-$host.tar.gz")
	sleep 1.1
	run_ci release-build 'RUSTFLAGS=-C target-feature=+crt-static'
	is "$before" "$(sha256sum "$OUT/oc-secrets-$host.tar.gz")"
}

@test "a program that wants a loader is not released" {
	run_ci release-build 'RUSTFLAGS=-C target-feature=-crt-static' "OUT=$BATS_TEST_TMPDIR/dist"
	fails 1 'is not static'
	[[ ! -e $BATS_TEST_TMPDIR/dist ]]
}

@test "a tag that is not the version of the package is not released" {
	run_ci release-build TAG=v1.2.4
	fails 1 'v1.2.4 is not v1.2.3'
}

@test "a target that nobody named is refused" {
	run_ci release-build TARGET=riscv64-unknown-linux-gnu
	fails 2 'unknown TARGET'
}

@test "sealing lists every file and signs the list; the installer knows its repository" {
	run_ci release-seal "TARGETS=$host" REPOSITORY=Owner/Repo
	is 0 "$status"
	(cd "$OUT" && sha256sum --check --strict --quiet SHA256SUMS)
	is "install.sh oc-secrets-$host.tar.gz oc-secrets.cdx.json" "$(sed 's/^[^ ]*  //' "$OUT/SHA256SUMS" | sort | paste -sd ' ')"
	local ours=(--certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-identity-regexp 'Owner/Repo/.github/workflows/release.yml@')
	cosign verify-blob "${ours[@]}" --new-bundle-format --bundle "$OUT/SHA256SUMS.sigstore.json" "$OUT/SHA256SUMS"
	run cosign verify-blob "${ours[@]}" --new-bundle-format --bundle "$OUT/SHA256SUMS.sigstore.json" "$OUT/install.sh" # the control
	[[ $status -ne 0 ]]
	is 'repository=${OC_SECRETS_REPOSITORY-Owner/Repo}' "$(grep ^repository= "$OUT/install.sh")"
}

@test "the list of contents names the crates of the programs, and not those of the tests" {
	is 'CycloneDX 1.5 oc-secrets 1.2.3' "$(jq -r '"\(.bomFormat) \(.specVersion) \(.metadata.component.name) \(.metadata.component.version)"' "$OUT/oc-secrets.cdx.json")"
	is 'pkg:cargo/inner@0.1.0 MIT OR Apache-2.0' "$(jq -r '.components[] | "\(.purl) \(.licenses[0].expression)"' "$OUT/oc-secrets.cdx.json")"
	is '["pkg:cargo/inner@0.1.0"]' "$(jq -c '.dependencies[] | select(.ref == "pkg:cargo/oc-secrets@1.2.3").dependsOn' "$OUT/oc-secrets.cdx.json")"
}

@test "of the real package, every crate of the list has the checksum of the lock file" {
	cd "$PROJECT"
	[[ -f Cargo.lock ]]
	checksums=$(awk -F'"' '/^name/ { name = $2 } /^version/ { version = $2 } /^checksum/ { print name " " version "\t" $2 }' Cargo.lock |
		jq -Rn '[inputs / "\t" | {key: .[0], value: .[1]}] | from_entries')
	cargo metadata --locked --format-version 1 | jq --argjson checksums "$checksums" -f shell/ci/release-sbom.jq >"$BATS_TEST_TMPDIR/bom"
	is 0 "$(jq '[.components[] | select(.hashes == [])] | length' "$BATS_TEST_TMPDIR/bom")"
	[[ $(jq '.components | length' "$BATS_TEST_TMPDIR/bom") -gt 10 ]]
	jq -e 'any(.components[]; .name == "serde") and all(.components[]; .name != "tempfile")' "$BATS_TEST_TMPDIR/bom"
}

@test "a missing or damaged archive is not sealed" {
	run_ci release-seal "TARGETS=$host aarch64-unknown-linux-musl" REPOSITORY=Owner/Repo
	fails 1 'no whole archive for aarch64-unknown-linux-musl'
	mkdir "$BATS_TEST_TMPDIR/dist"
	head -c 5000 "$OUT/oc-secrets-$host.tar.gz" >"$BATS_TEST_TMPDIR/dist/oc-secrets-$host.tar.gz"
	run_ci release-seal "OUT=$BATS_TEST_TMPDIR/dist" "TARGETS=$host" REPOSITORY=Owner/Repo
	fails 1 'no whole archive'
}

@test "publishing uploads every file while the release is a draft, and then lets it out" {
	: >"$WORLD/requests"
	run_ci release-publish REPOSITORY=Owner/Repo GITHUB_TOKEN=test-token
	is 0 "$status"
	release=$(github GET test/state | jq '.releases[-1]')
	is 'v1.2.3 false false false' "$(jq -r '"\(.tag_name) \(.draft) \(.prerelease) \(.public_at_upload)"' <<<"$release")"
	is "$(cd "$OUT" && sha256sum -- * | sed 's/ .*//' | sort)" "$(jq -r '.assets[]' <<<"$release" | sort)"
	is PATCH "$(grep -v test/state "$WORLD/requests" | tail -n 1 | cut -d' ' -f1)"
}

@test "a file that changed after sealing is not published, nor anything with a wrong token" {
	cp -r "$OUT" "$BATS_TEST_TMPDIR/dist"
	echo '# more' >>"$BATS_TEST_TMPDIR/dist/install.sh"
	before=$(github GET test/state | jq '.releases | length')
	run_ci release-publish "OUT=$BATS_TEST_TMPDIR/dist" REPOSITORY=Owner/Repo GITHUB_TOKEN=test-token
	fails 1 'not those that were sealed'
	is "$before" "$(github GET test/state | jq '.releases | length')"
	run_ci release-publish REPOSITORY=Owner/Repo GITHUB_TOKEN=wrong
	fails 3 'cannot open the release'
}

@test "a pre-release is marked as one" {
	run_ci release-publish TAG=v1.3.0-rc.1 REPOSITORY=Owner/Repo GITHUB_TOKEN=test-token
	is 0 "$status"
	is true "$(github GET test/state | jq '.releases[-1].prerelease')"
}

@test "the whole workflow, as its file says, ends with a release that installs" {
	repo=$BATS_TEST_TMPDIR/repo
	cp -r "$CRATE" "$repo"
	cp -r "$PROJECT/.github" "$repo/"
	mkdir "$repo/tests"
	printf '#!/bin/sh\necho "1 passed, 0 failed"\n' >"$repo/tests/run" && chmod +x "$repo/tests/run"
	# This machine builds for itself only: one target, and no sudo where root runs the tests.
	sed -i -e "s/x86_64-unknown-linux-musl, runner/$host, runner/; /aarch64-.*runner\|apple-darwin, runner/d; s/TARGETS: .*/TARGETS: $host/; s/RUST: .*/RUST: ''/; s/run: sudo env .* tests/run: tests/" "$repo/.github/workflows/release.yml"
	python "$TESTS/workflow.py" .github/workflows/release.yml --repo "$repo" --state "$BATS_TEST_TMPDIR/state" --event push --ref refs/tags/v1.2.3 \
		--env "CARGO_TARGET_DIR=$CARGO_TARGET_DIR" --env CARGO_NET_OFFLINE=true --env "CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}" --env "RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}" \
		--env 'RUSTFLAGS=-C target-feature=+crt-static' >"$BATS_TEST_TMPDIR/result"
	is '["success"]' "$(jq -c '[.jobs[]] | unique' "$BATS_TEST_TMPDIR/result")"
	is 5 "$(github GET test/state | jq '.releases[-1].assets | length')"
	is false "$(github GET test/state | jq '.releases[-1].draft')"
	# What it made, under the name that a user's machine asks for.
	cp -r "$BATS_TEST_TMPDIR/state/artifacts/release" "$WORLD/files/whole"
	case $(uname -m) in x86_64) target=x86_64-unknown-linux-musl ;; *) target=aarch64-unknown-linux-musl ;; esac
	[[ $host == "$target" ]] || {
		cd "$BATS_TEST_TMPDIR" && tar -xzf "$WORLD/files/whole/oc-secrets-$host.tar.gz" && mv "oc-secrets-$host" "oc-secrets-$target"
		tar -czf "$WORLD/files/whole/oc-secrets-$target.tar.gz" "oc-secrets-$target"
		cd "$WORLD/files/whole" && sha256sum "oc-secrets-$target.tar.gz" >SHA256SUMS && cosign sign-blob --yes --new-bundle-format --bundle SHA256SUMS.sigstore.json SHA256SUMS
	}
	sh "$WORLD/files/whole/install.sh" --from http://127.0.0.1:8080/whole --to "$BATS_TEST_TMPDIR/bin"
	is 'oc-secrets 1.2.3' "$("$BATS_TEST_TMPDIR/bin/oc-secrets")"
}
