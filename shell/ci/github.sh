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
