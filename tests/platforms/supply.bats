#!/usr/bin/env bats
# What the programs are made of: known, allowed, looked at, used, and written into the programs themselves.

load helpers

setup_file() {
	copy_project "$BATS_FILE_TMPDIR/project"
}

offline() { inside CARGO_NET_OFFLINE=true "$@"; }

# broken FILE SED: a copy of the project in which FILE is changed by SED
broken() {
	copy_project "$BATS_TEST_TMPDIR/copy"
	sed -i "$2" "$SOURCE/$1"
	! cmp -s "$SOURCE/$1" "$PROJECT/$1" || { echo "the control changed nothing: $2" && return 1; }
}

@test "cargo deny allows every licence and source, and one that is not allowed is caught" {
	fine offline cargo deny --locked --offline check bans licenses sources
	broken deny.toml 's/"MIT", //'
	run offline cargo deny --locked --offline check licenses
	[[ $status -ne 0 ]]
	says rejected
}

@test "cargo vet finds every crate audited or exempted by name, and one that is neither is caught" {
	fine offline cargo vet --locked --frozen
	says 'Vetting Succeeded'
	broken supply-chain/config.toml '/^\[\[exemptions.clap\]\]/,/^$/d'
	run offline cargo vet --locked --frozen
	[[ $status -ne 0 ]]
	says clap
}

@test "no dependency is unused, and one that is would be caught" {
	fine inside cargo machete
	broken Cargo.toml 's/^\[dependencies\]/&\nhex = "0.4"/'
	run inside cargo machete
	is 1 "$status"
	says hex
}

@test "Cargo.lock is what Cargo.toml asks for, and a stale one is caught" {
	fine offline cargo metadata --locked --format-version 1
	broken Cargo.toml 's/^clap = { version = "4[^"]*"/clap = { version = "4.0.1, <4.1"/'
	run offline cargo metadata --locked --format-version 1
	[[ $status -ne 0 ]]
}

@test "the programs compile with the Rust that rust-version names" {
	local wanted
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$PROJECT/Cargo.toml")
	is "$wanted" "$(oldest rustc --version | sed 's/rustc \([0-9]*\.[0-9]*\)\..*/\1/')"
	fine oldest cargo check --locked --offline --quiet --bins
}

# What a program says of itself, and what the release's list says, are the same crates.
@test "the list of contents names what is in the program, and nothing else" {
	fine release x86_64-unknown-linux-musl
	unpack x86_64-unknown-linux-musl "$BATS_TEST_TMPDIR/programs"
	objcopy --dump-section ".dep-v0=$BATS_TEST_TMPDIR/section" "$BATS_TEST_TMPDIR/programs/oc-secrets" "$BATS_TEST_TMPDIR/ignored"
	python3 -c 'import json, sys, zlib
for package in json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]:
    if package.get("kind", "runtime") == "runtime": print(package["name"], package["version"])' "$BATS_TEST_TMPDIR/section" | sort >"$BATS_TEST_TMPDIR/inside"
	listed() { # listed INSIDE: the crates in the list of a release, made with INSIDE
		inside cargo metadata --offline --locked --format-version 1 | jq --argjson checksums '{}' --argjson inside "$1" -f "$PROJECT/shell/ci/release-sbom.jq" |
			jq -r '(.components + [.metadata.component])[] | "\(.name) \(.version)"' | sort
	}
	local crates
	crates=$(jq -Rn '[inputs]' <"$BATS_TEST_TMPDIR/inside")
	[[ $(wc -l <"$BATS_TEST_TMPDIR/inside") -gt 20 ]]
	is "$(cat "$BATS_TEST_TMPDIR/inside")" "$(listed "$crates")"
	is '' "$(comm -23 "$BATS_TEST_TMPDIR/inside" <(listed null))" # by what cargo knows there are no others
	run listed '["somebody 1.0.0"]' # the control
	says 'somebody 1.0.0'
}
