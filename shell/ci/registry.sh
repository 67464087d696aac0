# shellcheck shell=bash
# Reads and writes manifests of a registry through buildx, with the credentials of `docker login`.
# Sourced after lib.sh. "Not there" is an answer; a registry that cannot be asked ends the script (3).
# Call these in the script's own shell, never in $(…): there they could not end it.

save_manifest() { # save_manifest REF FILE: byte for byte; 1 when there is none
	docker buildx imagetools inspect --raw "$1" >"$2" 2>"$2.error" && return 0
	grep -qE ': not found$|manifest unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN' "$2.error" && return 1
	foreign <"$2.error" >&2
	die "the registry cannot be asked for $1" 3
}

find_digest() { # find_digest REF: sets found to the digest that REF names now, or to nothing
	local file
	file=$(mktemp -d)
	found=
	if save_manifest "$1" "$file/manifest"; then found=$(digest_of_file "$file/manifest"); fi
	rm -rf "$file"
}

digest_of_file() {
	local sum
	sum=$(sha256sum <"$1")
	printf 'sha256:%s' "${sum%% *}"
}

point() { # point IMAGE TAG DIGEST: TAG names DIGEST from now on; read back, because a push is not a proof
	docker buildx imagetools create --tag "$1:$2" "$1@$3" >/dev/null || die "cannot write the tag $2" 3
	find_digest "$1:$2"
	[[ $found == "$3" ]] || die "the tag $2 names ${found:-nothing} instead of $3" 3
}
