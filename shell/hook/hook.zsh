# Loads the secrets of a directory on entering it: eval "$(oc-secrets shell zsh)"

__oc_secrets_hook() {
	if [[ $PWD != ${__oc_secrets_pwd-} || ${__OC_SECRETS_HOOK-} == waiting* ]]; then
		__oc_secrets_pwd=$PWD
		eval "$(command oc-secrets hook zsh)"
	fi
}

autoload -Uz add-zsh-hook
add-zsh-hook precmd __oc_secrets_hook
