# shellcheck shell=bash
# What the bats files share.

# shellcheck source=tools.sh
. "$BATS_TEST_DIRNAME/tools.sh"

# copy_project FOLDER: a copy of this project there, which `inside` uses from then on. Its files are new, so that cargo
# builds what is in them, and not what an earlier copy had.
copy_project() {
	export SOURCE=$1
	mkdir "$SOURCE"
	(cd "$PROJECT" && git ls-files -z --cached --others --exclude-standard --deduplicate | xargs -0 cp --parents --target-directory "$SOURCE")
}

is() { # is WANTED GOT
	[[ $1 == "$2" ]] || { printf 'wanted: %s\ngot:    %s\n' "$1" "$2" && return 1; }
}

fine() { # fine COMMAND…: it succeeds, or its words are shown
	run "$@"
	[[ ${status:?} -eq 0 ]] || { printf '%s\n' "${output?}" && return 1; }
}

holds() { # holds TEXT: $output has it
	[[ ${output?} == *"$1"* ]] || { printf 'wanted: …%s…\ngot:    %s\n' "$1" "$output" && return 1; }
}
