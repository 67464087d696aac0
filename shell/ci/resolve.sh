#!/usr/bin/env bash
# Which commit of OpenClaw is to be built, and as what: a ref that a person typed becomes 40 hex digits here.
#
# in:  INPUT_REF       ref asked for by hand; empty for the pinned one
#      REF_FILE        file with the pinned ref, one line
#      UPSTREAM        git URL of OpenClaw
#      REGISTRY        host of the registry
#      REPOSITORY      owner/name of this repository
#      GIT_REF         full ref that the workflow runs on; only on the default branch does a run count, and only
#                      while the pinned ref is still the one of that branch
#      RUN_NUMBER, RUN_ATTEMPT     of the workflow run
#      GITHUB_TOKEN, GITHUB_API_URL
#      ARM64           optional; false builds for amd64 alone
# out: commit, kind (tag, branch, commit), name, version, channel (default, manual, trial), image, build,
#      public (true, false): whether this repository is
#      platforms, with blanks between, and matrix: the same with the runner and the artifact of each, as JSON
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=github.sh
. "$(dirname "$0")/github.sh"

check_ref() { # a tag, a branch or a commit, and nothing that git or a shell could read as more
	matches "$1" '[A-Za-z0-9][A-Za-z0-9._/+-]{0,127}' || die 'the ref has characters or a length that no ref of OpenClaw has' 2
	case $1 in
	*..* | *//* | */ | *. | *.lock | */.*) die "git allows no ref such as $1" 2 ;;
	esac
}

remote_commit() { # remote_commit FULLREF: what upstream says it is, or nothing
	awk -v ref="$1" '$2 == ref { print $1 }' "$listing"
}

resolve() { # sets commit, kind, name; peeled tag before tag before branch
	name=${1#refs/tags/}
	kind=tag
	if [[ $1 != refs/heads/* ]]; then
		commit=$(remote_commit "refs/tags/$name^{}")
		[[ -n $commit ]] || commit=$(remote_commit "refs/tags/$name")
		[[ -z $commit ]] || return 0
	fi
	name=${1#refs/heads/}
	kind=branch
	commit=$(remote_commit "refs/heads/$name")
	[[ -z $commit ]] || return 0
	kind=commit
	name=$1
	matches "$1" '[0-9a-f]{40}' || die "OpenClaw has no tag or branch $1" 1
	commit=$1
	belongs_upstream
}

# GitHub hands out the commits of every fork and pull request under the parent's URL: a hash alone proves nothing.
belongs_upstream() {
	grep -qE "^${commit}[[:space:]]refs/(heads|tags)/" "$listing" && return 0
	git -C "$clone" fetch --quiet --filter=tree:0 origin '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' ||
		die "cannot fetch the history of $UPSTREAM" 3
	[[ -n $(git -C "$clone" for-each-ref --contains "$commit" --count=1 2>/dev/null) ]] ||
		die "the commit $commit is on no branch or tag of OpenClaw" 1
}

read_version() { # sets version, from the source itself
	git -C "$clone" fetch --quiet --depth=1 --filter=blob:none origin "$commit" || die "cannot fetch $commit" 3
	version=$(git -C "$clone" show "$commit:package.json" | jq -r 'select(.name == "openclaw") | .version // empty') ||
		die "the source at $commit has no readable package.json" 1
	matches "$version" '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]{1,40})?' || die "the source at $commit names no version of openclaw" 1
	[[ $kind == tag ]] || return 0
	# A correction may keep the version of what it corrects; the tag is then the better name.
	case $name in
	"v$version" | "$version") ;;
	"v$version"-[0-9]*) version=${name#v} ;;
	*) die "the tag $name holds the source of version $version" 1 ;;
	esac
}

newest_release() { # corrections after what they correct, no pre-releases
	sed -nE 's|^.*refs/tags/v([0-9]+\.[0-9]+\.[0-9]+(-[0-9]+)?)$|\1|p' "$listing" | sort -V | tail -n 1
}

need REF_FILE UPSTREAM REGISTRY REPOSITORY GIT_REF RUN_NUMBER RUN_ATTEMPT GITHUB_TOKEN GITHUB_API_URL
matches "$REPOSITORY" '[A-Za-z0-9._-]+/[A-Za-z0-9._-]+' || die 'REPOSITORY is not owner/name' 2
matches "$RUN_NUMBER.$RUN_ATTEMPT" '[0-9]+\.[0-9]+' || die 'RUN_NUMBER and RUN_ATTEMPT are not numbers' 2

platforms='linux/amd64 linux/arm64'
case ${ARM64-} in
'' | true) ;;
false) platforms=linux/amd64 ;;
*) die "ARM64 is true or false, not $ARM64" 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
listing=$work/refs clone=$work/clone
export GIT_TERMINAL_PROMPT=0

ref=${INPUT_REF:-$(pinned_ref)}
check_ref "$ref"
git init --quiet --bare "$clone"
git -C "$clone" remote add origin "$UPSTREAM"
git ls-remote -- "$UPSTREAM" >"$listing" || die "cannot read the refs of $UPSTREAM" 3
resolve "$ref"
matches "$commit" '[0-9a-f]{40}' || die "upstream gave no commit for $ref" 3
read_version

read_repository

channel=default
[[ -z ${INPUT_REF-} || $INPUT_REF == "$(pinned_ref)" ]] || channel=manual
[[ $GIT_REF == "refs/heads/$default_branch" ]] || channel=trial
[[ $channel != default ]] || still_pinned || channel=trial
newest=$(newest_release)
[[ $channel != default || $kind != tag || $version == "$newest" ]] || note "OpenClaw $newest is out; $REF_FILE pins $name"
build=$RUN_NUMBER
[[ $RUN_ATTEMPT == 1 ]] || build=$RUN_NUMBER.$RUN_ATTEMPT

answer commit "$commit"
answer kind "$kind"
answer name "$name"
answer version "$version"
answer channel "$channel"
answer image "$(bash "${BASH_SOURCE[0]%/*}/image.sh")"
answer build "$build"
answer public "$(jq '.private == false' <<<"$repository")"
answer platforms "$platforms"
answer matrix "$(jq -cn --arg platforms "$platforms" '{"linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm"} as $runners |
	$platforms / " " | map({platform: ., runner: $runners[.], artifact: sub("/"; "-")})')"
