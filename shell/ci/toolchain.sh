#!/usr/bin/env bash
# Makes one toolchain the one that this job uses. Which Rust builds and tests this project is written in .github/rust and nowhere
# else, so that a newer one fails nobody's change; which is the oldest that will do is rust-version in Cargo.toml.
#
# in:  OLDEST   optional, true for that one
# out: rustup's default
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rust=$(<.github/rust)
[[ ${OLDEST-} != true ]] || rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
matches "$rust" '[0-9]+\.[0-9]+(\.[0-9]+)?' || die "no version: $rust" 2
rustup toolchain install "$rust" --profile minimal --component clippy --component rustfmt || die 'cannot install the toolchain' 3
rustup default "$rust"
