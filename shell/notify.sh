#!/usr/bin/env bash
# Posts to Slack or Telegram what a run of openclaw-deploy came to. It is a hook (docs/deploy.md, "Hooks"):
#
#   install -D -m 0755 shell/notify.sh /etc/openclaw-deploy/hooks/post-failure      # and post-update, if you like
#
# It asks the broker of the host, as the client `host`, for SLACK_WEBHOOK_URL, or else for TELEGRAM_BOT_TOKEN and
# TELEGRAM_CHAT_ID. What it is given is in no argument, no environment and no file. An update that changed nothing is not told.
set -euo pipefail

[ "${OPENCLAW_CHANGED:-true}" = true ] || [ -n "${OPENCLAW_ERROR-}" ] || exit 0
export OC_SECRETS_SOCKET=${OC_SECRETS_SOCKET:-/run/oc-secrets/clients/host/socket}

text="openclaw-deploy on $(uname -n): ${OPENCLAW_EVENT:-no event}"
for fact in "${OPENCLAW_IMAGE-}" "${OPENCLAW_ERROR-}" "${OPENCLAW_HINT-}"; do
	[ -z "$fact" ] || text+=$'\n'$fact
done

# post CONFIG ARGS…: what is secret is in CONFIG, which curl reads where it is in no list of processes.
post() {
	local config=$1
	shift
	printf '%s\n' "$config" |
		curl --silent --show-error --fail --max-time 20 --output /dev/null --config - "$@"
}

# json TEXT: the text as a string of JSON.
json() {
	local text=$1
	text=${text//\\/\\\\}
	text=${text//\"/\\\"}
	text=${text//$'\n'/\\n}
	printf '"%s"' "${text//[[:cntrl:]]/ }"
}

if webhook=$(oc-secrets read SLACK_WEBHOOK_URL 2>/dev/null); then
	post "url = \"$webhook\"" --header 'Content-Type: application/json' --data "{\"text\": $(json "$text")}"
else
	bot=$(oc-secrets read TELEGRAM_BOT_TOKEN)
	chat=$(oc-secrets read TELEGRAM_CHAT_ID)
	post "url = \"https://api.telegram.org/bot$bot/sendMessage\""$'\n'"data-urlencode = \"chat_id=$chat\"" --data-urlencode "text=$text"
fi
