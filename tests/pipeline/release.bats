#!/usr/bin/env bats
# From a tag to archives, checksums, a signature and a published release.

load helpers

host=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p')

setup_file() {
	export CRATE=$BATS_FILE_TMPDIR/crate CARGO_TARGET_DIR=$BATS_FILE_TMPDIR/target CARGO_NET_OFFLINE=true
	cp -r "$TESTS/crate" "$CRATE"
	cp -r "$PROJECT/shell" "$CRATE/"
	for file in README.md SECURITY.md CHANGELOG.md LICENSE; do echo "$file" >"$CRATE/$file"; done
}

setup() {
	cd "$CRATE"
	export SIGNER=release TARGET=$host TAG=v1.2.3 OUT=$BATS_FILE_TMPDIR/dist
	tagged v1.2.3
}

tagged() { # tagged TAG…: the version tags of the repository
	jq -cn '$ARGS.positional' --args "$@" | github POST test/tags --data-binary @-
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

# holding JSON: seals an archive whose program holds this list of crates
holding() {
	local dist=$BATS_TEST_TMPDIR/dist folder=$BATS_TEST_TMPDIR/oc-secrets-$host
	rm -rf "$dist" "$folder" && mkdir "$dist"
	tar -xzf "$OUT/oc-secrets-$host.tar.gz" -C "$BATS_TEST_TMPDIR"
	python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.argv[1].encode()))' "$1" >"$BATS_TEST_TMPDIR/list"
	objcopy --add-section ".dep-v0=$BATS_TEST_TMPDIR/list" "$folder/oc-secrets"
	tar -czf "$dist/oc-secrets-$host.tar.gz" -C "$BATS_TEST_TMPDIR" "oc-secrets-$host"
	run_ci release-seal "TARGETS=$host" REPOSITORY=Owner/Repo "OUT=$dist"
}

@test "what a program says of itself is what is listed, and a crate of nowhere is no release" {
	holding '{"packages":[{"name":"oc-secrets","version":"1.2.3","root":true},{"name":"inner","version":"0.1.0"},{"name":"made-by-a-build","version":"1.0.0","kind":"build"}]}'
	is 0 "$status"
	is inner "$(jq -r '.components[].name' "$BATS_TEST_TMPDIR/dist/oc-secrets.cdx.json")"
	holding '{"packages":[{"name":"oc-secrets","version":"1.2.3","root":true}]}'
	is 0 "$status"
	is '[] []' "$(jq -c '.components, .dependencies[0].dependsOn' "$BATS_TEST_TMPDIR/dist/oc-secrets.cdx.json" | paste -sd ' ')"
	holding '{"packages":[{"name":"oc-secrets","version":"1.2.3","root":true},{"name":"unheard-of","version":"9.0.0"}]}'
	fails 1 'unheard-of 9.0.0'
}

@test "of the real package, every crate of the list has the checksum of the lock file" {
	cd "$PROJECT"
	[[ -f Cargo.lock ]]
	checksums=$(awk -F'"' '/^name/ { name = $2 } /^version/ { version = $2 } /^checksum/ { print name " " version "\t" $2 }' Cargo.lock |
		jq -Rn '[inputs / "\t" | {key: .[0], value: .[1]}] | from_entries')
	cargo metadata --locked --format-version 1 | jq --argjson checksums "$checksums" --argjson inside null -f shell/ci/release-sbom.jq >"$BATS_TEST_TMPDIR/bom"
	is 0 "$(jq '[.components[] | select(.hashes == [])] | length' "$BATS_TEST_TMPDIR/bom")"
	[[ $(jq '.components | length' "$BATS_TEST_TMPDIR/bom") -gt 10 ]]
	jq -e 'any(.components[]; .name == "serde") and all(.components[]; .name != "docker_credential")' "$BATS_TEST_TMPDIR/bom"
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
	fails 3 'cannot list the tags'
	run_ci release-publish TAG=v1.3.0-rc.1 REPOSITORY=Owner/Repo GITHUB_TOKEN=wrong
	fails 3 'cannot open the release'
	is "$before" "$(github GET test/state | jq '.releases | length')"
}

@test "a pre-release is marked as one" {
	run_ci release-publish TAG=v1.3.0-rc.1 REPOSITORY=Owner/Repo GITHUB_TOKEN=test-token
	is 0 "$status"
	is 'true "false"' "$(github GET test/state | jq -r '.releases[-1] | "\(.prerelease) \(.make_latest | tojson)"')"
}

# makes_latest TAG: what GitHub is told when TAG is published
makes_latest() {
	run_ci release-publish "TAG=$1" REPOSITORY=Owner/Repo GITHUB_TOKEN=test-token
	is 0 "$status"
	github GET test/state | jq -c '.releases[-1] | [.tag_name, .make_latest]'
}

@test "only the newest version is told to GitHub as the latest release" {
	tagged v2.0.0 v1.2.4 v1.2.3
	is '["v1.2.4","false"]' "$(makes_latest v1.2.4)"
	is '["v2.0.0","true"]' "$(makes_latest v2.0.0)"
	tagged v1.9.0 v1.10.0 v2.0.0-rc.1 vanilla not-a-version # versions, not texts, and neither pre-releases nor other tags
	is '["v1.9.0","false"]' "$(makes_latest v1.9.0)"
	is '["v1.10.0","true"]' "$(makes_latest v1.10.0)"
	mapfile -t many < <(printf 'v1.0.%s\n' {1..150})
	tagged "${many[@]}" v3.0.0 # on the second page
	is '["v2.0.0","false"]' "$(makes_latest v2.0.0)"
}

# released TAG: the image of that release, of programs that say which it is
released() {
	local cpu folder
	for cpu in x86_64 aarch64; do
		folder=$BATS_TEST_TMPDIR/$1/oc-secrets-$cpu-unknown-linux-musl
		mkdir -p "$folder" && echo "$1" >"$folder/oc-secrets"
		tar -czf "$folder.tar.gz" -C "${folder%/*}" "${folder##*/}"
	done
	run_ci release-image "TAG=$1" "OUT=$BATS_TEST_TMPDIR/$1" REPOSITORY=Owner/Line GITHUB_TOKEN=test-token
	is 0 "$status"
}

@test "only the newest version becomes the image's latest" {
	local name=$REGISTRY/owner/line/oc-secrets
	tagged v1.2.3 v2.0.0
	released v2.0.0
	tagged v1.2.3 v2.0.0 v1.2.4
	released v1.2.4
	says 'v2.0.0 is there already: v1.2.4 does not become the latest'
	is "$(names "$name:2.0.0")" "$(names "$name:latest")"
	[[ $(names "$name:1.2.4") != "$(names "$name:2.0.0")" ]]
	tagged v1.2.4 v2.0.0 v2.1.0-rc.1
	released v2.1.0-rc.1
	is "$(names "$name:2.0.0")" "$(names "$name:latest")"
	tagged v1.2.4 v2.0.0 v2.1.0-rc.1 v2.1.0
	released v2.1.0
	is "$(names "$name:2.1.0")" "$(names "$name:latest")"
	run_ci release-image TAG=v2.1.0 "OUT=$BATS_TEST_TMPDIR/v2.1.0" REPOSITORY=Owner/Line GITHUB_TOKEN=wrong
	fails 3 'cannot list the tags'
}

@test "a static program at a fixed address is not released" {
	run_ci release-build BUILD=build 'RUSTFLAGS=-C target-feature=+crt-static -C relocation-model=static' "OUT=$BATS_TEST_TMPDIR/dist"
	fails 1 'is not position-independent'
}

# workflow FILE [OPTION…]: runs it in a copy of the crate; its jobs' results in $BATS_TEST_TMPDIR/result
workflow() {
	repo=$BATS_TEST_TMPDIR/repo
	cp -r "$CRATE" "$repo"
	cp -r "$PROJECT/.github" "$repo/"
	mkdir "$repo/tests"
	printf '#!/bin/sh\necho "1 passed, 0 failed"\n' >"$repo/tests/run" && chmod +x "$repo/tests/run"
	# No sudo where root runs the tests, one toolchain, and the registry of this world.
	sed -i -e "s/RUST: .*/RUST: ''/; s/run: sudo env .* tests/run: tests/; s/REGISTRY: .*/REGISTRY: $REGISTRY/" "$repo/.github/workflows/$1"
	python "$TESTS/workflow.py" ".github/workflows/$1" --repo "$repo" --state "$BATS_TEST_TMPDIR/state" \
		--env "CARGO_TARGET_DIR=$CARGO_TARGET_DIR" --env CARGO_NET_OFFLINE=true --env "CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}" --env "RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}" \
		"${@:2}" >"$BATS_TEST_TMPDIR/result"
	is '["success"]' "$(jq -c '[.jobs[]] | unique' "$BATS_TEST_TMPDIR/result")"
}

@test "the whole workflow, as its file says, ends with a release that installs and an image that runs" {
	workflow release.yml --event push --ref refs/tags/v1.2.3
	is 'build image package publish repeat seal test' "$(jq -r '.jobs | keys | join(" ")' "$BATS_TEST_TMPDIR/result")"
	is false "$(github GET test/state | jq '.releases[-1].draft')"
	is 15 "$(github GET test/state | jq '.releases[-1].assets | length')"
	cp -r "$BATS_TEST_TMPDIR/state/artifacts/release" "$WORLD/files/whole"
	cd "$WORLD/files/whole"
	is "$(printf '%s\n' SHA256SUMS SHA256SUMS.sigstore.json flake.nix install.sh oc-secrets{,-1.2.3.aarch64.rpm,-1.2.3.x86_64.rpm,-extras.tar.gz,.cdx.json,.rb} \
		oc-secrets-{aarch64,x86_64}-{apple-darwin,unknown-linux-musl}.tar.gz oc-secrets_1.2.3_{amd64,arm64}.deb | grep -vx oc-secrets | sort)" "$(printf '%s\n' * | sort)"
	sh install.sh --from http://127.0.0.1:8080/whole --to "$BATS_TEST_TMPDIR/bin"
	is 'oc-secrets 1.2.3' "$("$BATS_TEST_TMPDIR/bin/oc-secrets")"
	is 'oc-secrets 1.2.3' "$(docker run --rm --network none "$REGISTRY/owner/repo/oc-secrets:1.2.3")"
	is 'linux/amd64 linux/arm64' "$(docker buildx imagetools inspect --raw "$REGISTRY/owner/repo/oc-secrets:latest" |
		jq -r '[.manifests[].platform | select(.os == "linux") | "\(.os)/\(.architecture)"] | sort | join(" ")')"
}

@test "a program that is built differently the second time stops the release" {
	local words=$BATS_TEST_TMPDIR/words
	mkdir -p "$BATS_TEST_TMPDIR/other/oc-secrets-$host"
	tar -xzf "$OUT/oc-secrets-$host.tar.gz" -C "$BATS_TEST_TMPDIR/other"
	printf 'X' | dd of="$BATS_TEST_TMPDIR/other/oc-secrets-$host/openclaw-deploy" bs=1 seek=5000 conv=notrunc status=none
	tar -C "$BATS_TEST_TMPDIR/other" -czf "$BATS_TEST_TMPDIR/other.tar.gz" "oc-secrets-$host"
	run_ci release-compare BUILD=build 'RUSTFLAGS=-C target-feature=+crt-static' "PUBLISHED=$BATS_TEST_TMPDIR/other.tar.gz"
	fails 1 'not what this commit builds'
	[[ $output == *'differs  openclaw-deploy'* && $output == *'same     oc-secrets'* ]]
	run_ci release-compare BUILD=build 'RUSTFLAGS=-C target-feature=+crt-static' "PUBLISHED=$OUT/oc-secrets-$host.tar.gz" # the control
	is 0 "$status"
}

@test "the formula and the flake name the archives by their checksums, and are in order" {
	for target in {x86_64,aarch64}-{apple-darwin,unknown-linux-musl}; do
		mkdir -p "$BATS_TEST_TMPDIR/dist" && echo "$target" >"$BATS_TEST_TMPDIR/dist/oc-secrets-$target.tar.gz"
	done
	run_ci release-recipes "OUT=$BATS_TEST_TMPDIR/dist" REPOSITORY=Owner/Repo
	is 0 "$status"
	for target in {x86_64,aarch64}-{apple-darwin,unknown-linux-musl}; do
		sum=$(sha256sum <"$BATS_TEST_TMPDIR/dist/oc-secrets-$target.tar.gz")
		grep -A1 "download/v1.2.3/oc-secrets-$target.tar.gz" "$BATS_TEST_TMPDIR/dist/oc-secrets.rb" | grep -q "sha256 \"${sum%% *}\""
		grep -q "target = \"$target\"; sha256 = \"${sum%% *}\"" "$BATS_TEST_TMPDIR/dist/flake.nix"
	done
	rm "$BATS_TEST_TMPDIR/dist/oc-secrets-x86_64-apple-darwin.tar.gz"
	run_ci release-recipes "OUT=$BATS_TEST_TMPDIR/dist" REPOSITORY=Owner/Repo
	is 1 "$status"
}

# brewed FILE SYSTEM CPU: what Homebrew would fetch there, by a formula's own words
brewed() {
	ruby - "$@" <<-'RUBY'
		class Formula
		  class << self
		    define_method(:on_macos) { |&block| block.call if ARGV[1] == "darwin" }
		    define_method(:on_linux) { |&block| block.call if ARGV[1] == "linux" }
		    define_method(:on_arm) { |&block| block.call if ARGV[2] == "aarch64" }
		    define_method(:on_intel) { |&block| block.call if ARGV[2] == "x86_64" }
		    define_method(:url) { |it| print it, " " }
		    define_method(:sha256) { |it| print it, " " }
		    define_method(:version) { |it| print it, " " }
		    %i[desc homepage license test].each { |name| define_method(name) { |*| } }
		  end
		end
		load ARGV[0]
		OcSecrets.method_defined?(:install) or abort "nothing is installed"
	RUBY
}

# built_by_nix FILE SYSTEM: what Nix would fetch there, by the flake's own words; nixpkgs is asked for nothing but two functions
built_by_nix() {
	nix-instantiate --eval --strict --json --store dummy:// --expr "
		let
			stub = { stdenvNoCC.mkDerivation = it: it; fetchurl = it: it; };
			flake = import $1;
			out = flake.outputs { self = out; nixpkgs.legacyPackages.$2 = stub; };
			it = out.packages.$2.default;
		in \"\${it.version} \${it.src.url} \${it.src.sha256} \"" 2>/dev/null | jq -rj .
}

@test "Homebrew and Nix fetch the archive of their machine, by what the formula and the flake say" {
	local system cpu name sum
	mkdir "$BATS_TEST_TMPDIR/dist"
	for name in {x86_64,aarch64}-{apple-darwin,unknown-linux-musl}; do
		echo "$name" >"$BATS_TEST_TMPDIR/dist/oc-secrets-$name.tar.gz"
	done
	run_ci release-recipes "OUT=$BATS_TEST_TMPDIR/dist" REPOSITORY=Owner/Repo
	for cpu in x86_64 aarch64; do
		for system in darwin linux; do
			name=oc-secrets-$cpu-${system/darwin/apple-darwin}.tar.gz
			name=${name/%linux.tar.gz/unknown-linux-musl.tar.gz}
			sum=$(sha256sum <"$BATS_TEST_TMPDIR/dist/$name")
			run brewed "$BATS_TEST_TMPDIR/dist/oc-secrets.rb" "$system" "$cpu"
			is "1.2.3 https://github.com/Owner/Repo/releases/download/v1.2.3/$name ${sum%% *} " "$output"
			run built_by_nix "$BATS_TEST_TMPDIR/dist/flake.nix" "$cpu-$system"
			is "1.2.3 https://github.com/Owner/Repo/releases/download/v1.2.3/$name ${sum%% *} " "$output"
		done
	done
	# The control: a flake that is out of order says nothing.
	sed -i 's/inherit version;/inherit version/' "$BATS_TEST_TMPDIR/dist/flake.nix"
	run built_by_nix "$BATS_TEST_TMPDIR/dist/flake.nix" x86_64-linux
	is '' "$output"
}

# derived TRIPLE: the URL and the folder that cargo-binstall makes of Cargo.toml on such a machine, by its SUPPORT.md
derived() {
	cargo metadata --locked --no-deps --format-version 1 --manifest-path "$PROJECT/Cargo.toml" | jq -r --arg target "$1" '
		.packages[0] | .repository as $repo | .version as $version
		| .metadata.binstall as $all | ($all + ($all.overrides[$target] // {}))
		| (.["pkg-url"], .["bin-dir"])
		| gsub("{ repo }"; $repo) | gsub("{ version }"; $version) | gsub("{ target }"; $target)
		| gsub("{ archive-suffix }"; ".tar.gz") | gsub("{ bin }"; "oc-secrets") | gsub("{ binary-ext }"; "")'
}

@test "cargo binstall finds the archives and what lies in them" {
	local published triple
	published=$(sed -nE 's/.*target: ([a-z0-9_]+-[a-z0-9-]+),.*/\1/p' "$PROJECT/.github/workflows/release.yml" | sort -u)
	is 4 "$(wc -w <<<"$published")"
	for triple in {x86_64,aarch64}-{apple-darwin,unknown-linux-{gnu,musl}}; do
		mapfile -t lines < <(derived "$triple")
		[[ ${lines[0]} =~ ^https://github\.com/[^/]+/[^/]+/releases/download/v[0-9.]+/oc-secrets-(.+)\.tar\.gz$ ]]
		target=${BASH_REMATCH[1]}
		grep -qx "$target" <<<"$published" || { echo "$triple: nobody publishes $target" && return 1; }
		is "oc-secrets-$target/oc-secrets" "${lines[1]}"
	done
}

# chosen OS ARCH, names on stdin: the archives in which mise sees such a machine, by the words of its asset matcher
chosen() {
	local os arch
	case $1 in linux) os='linux' ;; macos) os='darwin|macos|apple' ;; esac
	case $2 in x64) arch='x86_64|amd64|x64' ;; arm64) arch='aarch64|arm64' ;; esac
	grep -E "(^|[-_.])($os)([-_.]|$)" | grep -E "(^|[-_.])($arch)([-_.]|$)" | grep -E '\.(tar\.gz|tgz|zip)$'
}

@test "mise finds one archive for each machine, and no other file of a release" {
	local names
	names=$(printf '%s\n' SHA256SUMS install.sh flake.nix oc-secrets.rb oc-secrets.cdx.json oc-secrets-extras.tar.gz \
		oc-secrets_1.2.3_{amd64,arm64}.deb oc-secrets-1.2.3.{x86_64,aarch64}.rpm oc-secrets-{x86_64,aarch64}-{apple-darwin,unknown-linux-musl}.tar.gz)
	is oc-secrets-x86_64-unknown-linux-musl.tar.gz "$(chosen linux x64 <<<"$names")"
	is oc-secrets-aarch64-unknown-linux-musl.tar.gz "$(chosen linux arm64 <<<"$names")"
	is oc-secrets-x86_64-apple-darwin.tar.gz "$(chosen macos x64 <<<"$names")"
	is oc-secrets-aarch64-apple-darwin.tar.gz "$(chosen macos arm64 <<<"$names")"
}

@test "the workflows of every change and of every week, as their files say" {
	workflow ci.yml --event push
	is 'audit crates macos oldest test' "$(jq -r '.jobs | keys | join(" ")' "$BATS_TEST_TMPDIR/result")"
	rm -rf "$BATS_TEST_TMPDIR/repo" "$BATS_TEST_TMPDIR/state"
	workflow scorecard.yml --event push
	rm -rf "$BATS_TEST_TMPDIR/repo" "$BATS_TEST_TMPDIR/state"
	workflow codeql.yml --event push
	rm -rf "$BATS_TEST_TMPDIR/repo" "$BATS_TEST_TMPDIR/state"
	workflow nightly.yml --event schedule
}
