# shellcheck shell=bash
# Run by resolve.sh, in a process of its own. Prints the name under which images are published: REGISTRY/REPOSITORY/NAME, in lower case as registries want it.
# image-name beside this script holds NAME, and what is meant where neither variable is set. `openclaw-deploy` is built with
# the same file, so that a host asks for what this pipeline pushes.
#
# in:  REGISTRY     optional, such as ghcr.io
#      REPOSITORY   optional, owner/name
set -euo pipefail

read -r default <"${BASH_SOURCE[0]%/*}/image-name"
registry=${default%%/*} name=${default##*/}
repository=${default#"$registry/"}
repository=${REPOSITORY:-${repository%"/$name"}}
printf '%s/%s/%s\n' "${REGISTRY:-$registry}" "${repository,,}" "$name"
