# shellcheck shell=bash
# Speaks with GitHub's API. The token goes through a pipe to curl, so that no process list shows it.
# Sourced after lib.sh. Wants GITHUB_API_URL, which Actions sets, and GITHUB_TOKEN.

headers() {
	printf 'header = "Authorization: Bearer %s"\n' "$GITHUB_TOKEN"
	printf 'header = "Accept: application/vnd.github+json"\nheader = "X-GitHub-Api-Version: 2022-11-28"\n'
}

api() { # api METHOD PATH|URL [FILE [TYPE]]: the answer's body; 1 after an error, which it names
	local method=$1 url=$2 body status code=0
	[[ $url == http*://* ]] || url=$GITHUB_API_URL/$url
	body=$(mktemp)
	local arguments=(--silent --show-error --max-time 120 --request "$method" --output "$body" --write-out '%{http_code}')
	[[ $# -lt 3 ]] || arguments+=(--data-binary "@$3" --header "Content-Type: ${4:-application/json}")
	status=$(headers | curl "${arguments[@]}" --config - -- "$url") || status=000
	if [[ $status == 2?? ]]; then
		cat "$body"
	else
		warn "$method $url answered $status: $(jq -r '.message // empty | .[:200]' "$body" 2>/dev/null)"
		code=1
	fi
	rm -f "$body"
	return "$code"
}

api_pages() { # api_pages PATH: all pages of a list as one array
	local page=1 answer all='[]'
	while :; do
		answer=$(api GET "$1?per_page=100&page=$page") || return 1
		all=$(jq -s 'add' <(printf '%s' "$all") <(printf '%s' "$answer"))
		[[ $(jq length <<<"$answer") -eq 100 ]] || break
		page=$((page + 1))
	done
	printf '%s\n' "$all"
}

# Asked, not read from the event: a scheduled run's event says nothing about the repository.
read_repository() { # sets repository, what GitHub says of REPOSITORY, and default_branch
	repository=$(api GET "repos/$REPOSITORY") || die "cannot read about $REPOSITORY" 3
	default_branch=$(jq -er .default_branch <<<"$repository") || die 'the repository has no default branch' 3
}

pinned_ref() { # the ref in REF_FILE, as this run has checked it out
	[[ -f $REF_FILE ]] || die "there is no $REF_FILE" 2
	only_line <"$REF_FILE" || die "$REF_FILE names no ref" 2
}

only_line() { grep -vE '^[[:space:]]*(#|$)'; }

# Somebody may run an old run again, or one job of it, with the file of that day: what is pinned is what is pinned today.
still_pinned() { # after read_repository; 1 when the default branch pins another ref by now, and says so
	local ours today
	ours=$(pinned_ref) || exit
	today=$(api GET "repos/$REPOSITORY/contents/$REF_FILE?ref=$default_branch") || die "cannot read $REF_FILE of $default_branch" 3
	[[ $(jq -r .content <<<"$today" | base64 --decode | only_line) != "$ours" ]] || return 0
	warn "$REF_FILE has changed since: this run moves no tags"
	return 1
}

package_path() { # of IMAGE; users and organisations have different doors
	local kind package
	kind=$(api GET "repos/$REPOSITORY" | jq -r '.owner.type // empty') || die 'cannot tell who owns the repository' 3
	package=${IMAGE#*/*/}
	case $kind in
	Organization) printf 'orgs/%s/packages/container/%s' "${REPOSITORY%%/*}" "${package//\//%2F}" ;;
	User) printf 'users/%s/packages/container/%s' "${REPOSITORY%%/*}" "${package//\//%2F}" ;;
	*) die "unknown kind of owner: $kind" 3 ;;
	esac
}

newest_version() { # newest_version TAG: whether no tag of REPOSITORY is a later version; a pre-release is nobody's latest
	local tags newest
	matches "$1" 'v[0-9]+\.[0-9]+\.[0-9]+' || return 1
	tags=$(api_pages "repos/$REPOSITORY/tags") || die "cannot list the tags of $REPOSITORY" 3
	newest=$({ jq -r '.[].name' <<<"$tags" && echo "$1"; } | grep -xE 'v[0-9]+\.[0-9]+\.[0-9]+' | sort -V | tail -n 1)
	[[ $newest != "$1" ]] || return 0
	note "$newest is there already: $1 does not become the latest"
	return 1
}
