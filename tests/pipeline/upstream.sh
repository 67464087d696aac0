#!/usr/bin/env bash
# Makes a stand-in for OpenClaw's repository, as bare git in $1, from the tree in source/.
# Tags and branches are named for how the gateway of that version behaves.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bare=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.com GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.com
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

cp "$here"/source/{Dockerfile,package.json,mode} "$tree/"
gcc -static -O1 -Wall -Wextra -Werror -o "$tree/gateway" "$here/source/gateway.c"
strip "$tree/gateway"
git init --quiet --bare -b main "$bare"
git init --quiet -b main "$tree"
git -C "$tree" remote add origin "$bare"

commit() { # commit VERSION MODE
	printf '{ "name": "openclaw", "version": "%s" }\n' "$1" >"$tree/package.json"
	echo "$2" >"$tree/mode"
	git -C "$tree" add -A
	git -C "$tree" commit --quiet --allow-empty -m "$1 $2"
}
tag() { git -C "$tree" tag "$@"; }

commit 2026.6.9 good && tag v2026.6.9
commit 2026.7.1 good && tag -a -m annotated v2026.7.1
commit 2026.7.1 good && tag v2026.7.1-2 # a correction that kept its number
commit 2026.7.2-beta.1 good && tag v2026.7.2-beta.1
for mode in html sick silent crash deaf; do
	commit 2026.8.0 "$mode"
	git -C "$tree" branch "mode/$mode"
done
sed -i 's/^USER 1000$/USER 0/' "$tree/Dockerfile"
commit 2026.8.9 good && git -C "$tree" branch mode/root
sed -i 's/^USER 0$/USER 1000/' "$tree/Dockerfile"
commit 2026.8.1 html && tag v2026.8.1
commit 2026.7.3 good && tag v9999.1.1 # a tag that lies about its version
printf '{ "name": "other", "version": "1.0.0" }\n' >"$tree/package.json"
git -C "$tree" commit --quiet -am 'not openclaw' && git -C "$tree" branch not-openclaw
commit 2026.7.3 good
commit 2026.7.3 good                      # with the one before on main, and named by nothing else
git -C "$tree" branch v2026.7.1 v2026.6.9 # a branch with the name of a tag
git -C "$tree" push --quiet origin main 'refs/heads/*' 'refs/tags/*'
# A commit that only a pull request knows, as every fork may push one.
commit 6.6.6 good
git -C "$tree" push --quiet origin HEAD:refs/pull/1/head
git -C "$bare" config uploadpack.allowAnySHA1InWant true
git -C "$bare" config uploadpack.allowFilter true
