#!/usr/bin/env bash
# Loads the secrets into the shell that sources this file, bash or zsh:
#
#   . oc-load-secrets.sh
#
# Which secrets: the manifest's (oc-secrets.toml), or the built-in names GHCR_TOKEN, OPENCODE_API_KEY, TELEGRAM_BOT_TOKEN,
# OP_SERVICE_ACCOUNT_TOKEN, TAILSCALE_AUTH_KEY, NOTION_API_KEY, TODOIST_API_KEY and EMAIL_APP_PASSWORD. OC_SECRETS_MANIFEST
# and OC_SECRETS_PROFILE choose others. The names that were loaded are printed, and never a part of a value.
#
# All or nothing: when oc-secrets fails, nothing is set and the status is its own. No variable, function or option of ours
# stays behind. `oc-secrets exec -- COMMAND` is better where it will do: it tells the secrets to one command only.

# Asks once, sets everything, prints the names, and removes itself.
__oc_load_secrets() {
	# zsh: its own rules for the length of this function, whatever the user has set; ours end with it.
	[ -z "${ZSH_VERSION-}" ] || emulate -L zsh
	local __oc_text='' __oc_names='' __oc_status=0 __oc_traced=no
	# A trace would print the values.
	case $- in *x*) __oc_traced=yes ;; esac
	{ set +x; } 2>/dev/null

	# Two steps: a program that was killed prints nothing, which `eval` would take for success.
	__oc_text=$(oc-secrets env --format sh) || __oc_status=$?
	if [ "$__oc_status" -eq 0 ]; then
		# What stands outside of quotes and ends in a name is a name; what is inside is never looked at.
		__oc_names=$(printf '%s\n' "$__oc_text" | LC_ALL=C awk -v q="'" '
			{ text = text $0 "\n" }
			END {
				gsub(q "\\\\" q q, "", text)
				count = split(text, part, q)
				for (i = 1; i < count; i += 2)
					if (match(part[i], /export [A-Za-z_][A-Za-z0-9_]*=$/))
						printf " %s", substr(part[i], RSTART + 7, RLENGTH - 8)
			}')
		# A variable that is read-only here must not leave half of the others set.
		[ -z "$__oc_names" ] || (eval "unset$__oc_names") 2>/dev/null || __oc_status=1
	fi
	[ "$__oc_status" -ne 0 ] || eval "$__oc_text" || __oc_status=$?
	if [ "$__oc_status" -eq 0 ]; then
		printf 'loaded:%s\n' "${__oc_names:- nothing}"
	else
		printf 'oc-load-secrets.sh: error: nothing was loaded\n' >&2
	fi

	unset -f __oc_load_secrets
	[ "$__oc_traced" = no ] || set -x
	return "$__oc_status"
}

# Sourced or executed? An executed script could set variables for nobody but itself.
if case ${ZSH_VERSION:+zsh}${BASH_VERSION:+bash} in
	zsh) case ${ZSH_EVAL_CONTEXT-} in *file*) ;; *) false ;; esac ;;
	bash) [ -n "${BASH_SOURCE[0]-}" ] && [ "${BASH_SOURCE[0]}" != "$0" ] ;;
	*) false ;;
	esac then
	__oc_load_secrets
else
	unset -f __oc_load_secrets
	printf 'oc-load-secrets.sh: error: this file is to be sourced, in bash or zsh\nhint: . oc-load-secrets.sh\n' >&2
	# shellcheck disable=SC2317 # `return` fails where there is nothing to return from
	return 1 2>/dev/null || exit 1
fi
