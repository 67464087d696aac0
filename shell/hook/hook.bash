# shellcheck shell=bash
# Loads the secrets of a directory on entering it: eval "$(oc-secrets shell bash)"

__oc_secrets_hook() {
	local status=$?
	if [[ $PWD != "${__oc_secrets_pwd-}" || ${__OC_SECRETS_HOOK-} == waiting* ]]; then
		__oc_secrets_pwd=$PWD
		eval "$(command oc-secrets hook bash)"
	fi
	return "$status"
}

if [[ ";${PROMPT_COMMAND[*]-};" != *__oc_secrets_hook* ]]; then
	PROMPT_COMMAND="__oc_secrets_hook${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
fi
