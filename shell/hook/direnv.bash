# shellcheck shell=bash
# `use oc_secrets [--profile P]` in .envrc, once this is ~/.config/direnv/lib/oc-secrets.sh: a folder that direnv does not create.

use_oc_secrets() {
	local secrets
	watch_file oc-secrets.toml
	# direnv would go on with empty variables.
	secrets=$(oc-secrets "$@" env) || exit 1
	eval "$secrets"
}
