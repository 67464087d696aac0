#!/usr/bin/env bash
# Tells people that the pipeline failed or was cut off, in one issue that later failures add to and the next success closes:
# one of the default channel, for no other run moves what hosts pull.
#
# in:  NEEDS       JSON of all jobs, their results and outputs, as GitHub gives it
#      REPOSITORY, RUN_URL, EVENT
#      GITHUB_TOKEN, GITHUB_API_URL
#      SLACK_WEBHOOK_URL   optional, told of failures too
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=github.sh
. "$here/github.sh"

readonly LABEL=image-pipeline TITLE='The OpenClaw image was not published'

results() { jq -r --arg result "$1" 'to_entries[] | select(.value.result == $result) | .key' <<<"$NEEDS" | paste -sd ' '; }

# A job that ran out of time, or whose place a newer run took, is `cancelled`: nothing was published by it either.
stopped() { jq -r 'to_entries[] | select(.value.result | IN("success", "skipped") | not) | .key' <<<"$NEEDS" | paste -sd ' '; }

publishes() { jq -e '.promote.result == "success" and .resolve.outputs.channel == "default"' <<<"$NEEDS" >/dev/null; }

message() {
	printf 'The image pipeline stopped in: **%s**.\n\n' "$(stopped)"
	[[ -z $(results cancelled) ]] || printf -- '- out of time, replaced by a newer run, or stopped by hand: %s\n' "$(results cancelled)"
	printf -- '- run: %s (started by %s)\n' "$RUN_URL" "$EVENT"
	printf -- '- not started because of it: %s\n\n' "$(results skipped)"
	case $(jq -r '.promote.result' <<<"$NEEDS") in
	success) printf 'The image itself was published; what failed came after.\n' ;;
	failure | cancelled) printf 'Moving the tags failed half-way: the run shows which of them moved. `latest` is the last to move.\n' ;;
	*) printf 'No tag was moved: hosts keep pulling what they pulled before.\n' ;;
	esac
}

open_issue() { # the number of the open notice, or nothing
	api GET "repos/$REPOSITORY/issues?state=open&labels=$LABEL&per_page=1" | jq -r '.[0].number // empty'
}

tell_slack() { # the address is the secret, so it goes through a pipe as well
	jq -n --arg text "$TITLE: $RUN_URL" '{$text}' >"$work/slack"
	curl --silent --show-error --fail --max-time 30 --output /dev/null --header 'Content-Type: application/json' \
		--data-binary "@$work/slack" --config - <<<"url = \"$SLACK_WEBHOOK_URL\"" || warn 'Slack could not be told'
}

need NEEDS REPOSITORY RUN_URL EVENT GITHUB_TOKEN GITHUB_API_URL
jq -e 'type == "object"' <<<"$NEEDS" >/dev/null 2>&1 || die 'NEEDS is not the list of jobs' 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=$(open_issue) || die 'cannot read the issues' 3

if [[ -n $(stopped) ]]; then
	[[ -z ${SLACK_WEBHOOK_URL-} ]] || tell_slack
	jq -n --arg title "$TITLE" --arg body "$(message)" --arg mark "$LABEL" '{$title, $body, labels: [$mark]}' >"$work/issue"
	if [[ -n $number ]]; then
		api POST "repos/$REPOSITORY/issues/$number/comments" <(jq '{body}' "$work/issue") >/dev/null || die 'cannot comment' 3
	else
		api POST "repos/$REPOSITORY/issues" "$work/issue" >/dev/null || die 'cannot open an issue' 3
	fi
elif [[ -n $number ]] && publishes; then
	jq -n '{state: "closed", state_reason: "completed"}' >"$work/issue"
	api PATCH "repos/$REPOSITORY/issues/$number" "$work/issue" >/dev/null || die 'cannot close the issue' 3
fi
