# shellcheck shell=bash
# What the scripts beside this one share: how they take inputs, give outputs, warn and fail.
# Sourced, never run. Exit codes of all of them: 1 the answer is no, 2 the inputs are wrong, 3 something around us failed.

say() { # say LEVEL TEXT: for people on stderr; an annotation when GitHub Actions is listening
	local text=${2//$'\r'/ }
	if [[ ${GITHUB_ACTIONS-} == true ]]; then
		text=${text//'%'/%25}
		printf '::%s::%s\n' "$1" "${text//$'\n'/%0A}" >&2
	else
		printf '%s: %s: %s\n' "${0##*/}" "$1" "$text" >&2
	fi
}

note() { say notice "$1"; }
warn() { say warning "$1"; }

die() { # die TEXT [CODE]
	say error "$1"
	exit "${2:-1}"
}

need() { # need NAME...: these variables must hold something
	local name
	for name in "$@"; do
		[[ -n ${!name-} ]] || die "the variable $name is empty" 2
	done
}

matches() { # matches TEXT REGEX: the whole of TEXT, which may hold no newline
	[[ $1 != *$'\n'* && $1 =~ ^($2)$ ]]
}

need_digest() { # need_digest NAME...: these variables must hold a sha256 digest
	local name
	need "$@"
	for name in "$@"; do
		matches "${!name}" 'sha256:[0-9a-f]{64}' || die "$name is not a digest: ${!name}" 2
	done
}

answer() { # answer NAME VALUE: one line for the next job
	[[ $2 != *$'\n'* ]] || die "the output $1 has more than one line" 2
	printf '%s=%s\n' "$1" "$2" >>"${GITHUB_OUTPUT:-/dev/stdout}"
}

summarise() { # summarise < markdown: onto the run's page
	cat >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
}

foreign() { # foreign < log: text of others, unable to pose as a command to GitHub Actions or to a terminal
	LC_ALL=C tr -d '\000-\010\013-\037\177' | sed -e 's/##\[/# #[/g' -e 's/::/: :/g' -e 's/^/| /'
}
