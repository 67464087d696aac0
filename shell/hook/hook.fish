# Loads the secrets of a directory on entering it: oc-secrets shell fish | source

function __oc_secrets_hook --on-event fish_prompt
    if test "$PWD" != "$__oc_secrets_pwd"; or string match --quiet 'waiting*' -- "$__OC_SECRETS_HOOK"
        set --global __oc_secrets_pwd "$PWD"
        command oc-secrets hook fish | source
    end
end
