# shellcheck shell=bash
# What the bats files share.

ci() { "$PROJECT/shell/ci/$1.sh"; } # ci NAME: one script of the pipeline, inputs by environment

# run_ci NAME [VARIABLE=VALUE…]: its answers in $output, its words in $words, its exit code in $status
run_ci() {
	local name=$1
	shift
	status=0
	output=$(env "$@" "$PROJECT/shell/ci/$name.sh" 2>"$BATS_TEST_TMPDIR/words") || status=$?
	words=$(cat "$BATS_TEST_TMPDIR/words")
}

value() { sed -n "s/^$1=//p" <<<"$output"; } # value NAME: one of the answers

is() { # is WANTED GOT
	[[ $1 == "$2" ]] || { printf 'wanted: %s\ngot:    %s\nwords:  %s\n' "$1" "$2" "${words-}" && return 1; }
}

says() { # says TEXT: the words hold it
	[[ $words == *"$1"* ]] || { printf 'wanted: …%s…\ngot:    %s\n' "$1" "$words" && return 1; }
}

fails() { # fails CODE TEXT
	is "$1" "$status" && says "$2"
}

names() { # names REF: the digest that REF names in the registry; fails when it names none
	local sum
	docker buildx imagetools inspect --raw "$1" >"$BATS_FILE_TMPDIR/named" || return 1
	sum=$(sha256sum <"$BATS_FILE_TMPDIR/named")
	printf 'sha256:%s\n' "${sum%% *}"
}

github() { # github METHOD PATH [CURL OPTION…]: asks the stand-in as its owner
	curl -s -X "$1" -H 'Authorization: Bearer test-token' "$GITHUB_API_URL/$2" "${@:3}"
}

close_issues() { # of the stand-in, which all files share
	local number
	for number in $(github GET test/state | jq '.issues[] | select(.state == "open") | .number'); do
		github PATCH "repos/o/r/issues/$number" -d '{"state": "closed"}' >"$BATS_FILE_TMPDIR/closed"
	done
}

# pin FILE REF: the pinned ref, in FILE and on the default branch
pin() {
	printf '# why\n%s\n' "$2" >"$1"
	github POST test/pinned --data-binary "@$1"
}

# signed_by_us REF: the image is signed by our workflow
signed_by_us() {
	cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-identity "$IDENTITY" "$1" &>"$BATS_FILE_TMPDIR/cosign"
}
