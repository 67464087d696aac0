# shellcheck shell=bash
# Sourced by run, inside namespaces of its own: starts everything that the pipeline talks to, on loopback.
#   registry with a password :5000 · git server :9418 · stand-in for GitHub :8000 · web server of files :8080
# Exports WORLD (a folder) and what the scripts want to know.

: "${here:?is set by run}" "${plugins:?is set by tools.sh}"
# shellcheck source=identity.sh
. "$here/identity.sh"
WORLD=$(mktemp -d)
trap end_world EXIT
trap 'echo "run: the world could not be made: ${BASH_SOURCE[0]##*/}, line $LINENO" >&2' ERR
end_world() { # the engine unmounts when it is told to stop; killed, it would leave its folder busy
	local pids
	mapfile -t pids < <(jobs -p)
	kill "${pids[@]}" 2>/dev/null
	wait
	umount "$WORLD/docker-exec/netns/default" 2>/dev/null || true
	rm -rf "$WORLD"
}
export WORLD
export TMPDIR=$WORLD/tmp
export PROJECT=$here/../.. TESTS=$here
export DOCKER_HOST=unix://$WORLD/docker.sock BUILDKIT_SOCKET=$WORLD/buildkit.sock DOCKER_CONFIG=$WORLD/docker-config
export REGISTRY=127.0.0.1:5000 UPSTREAM=git://127.0.0.1/openclaw.git GITHUB_API_URL=http://127.0.0.1:8000
export PYTHONDONTWRITEBYTECODE=1 GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
unset GITHUB_ACTIONS GITHUB_OUTPUT GITHUB_STEP_SUMMARY GITHUB_TOKEN CI
mkdir -p "$TMPDIR" "$DOCKER_CONFIG" "$WORLD/files"
# An entry in `auths` keeps docker from choosing a password store that may be installed here.
printf '{"cliPluginsExtraDirs": ["%s"], "auths": {"nowhere.example": {}}}\n' "$PIPELINE_TOOLS/usr/$plugins" | tee "$WORLD/docker.json" >"$DOCKER_CONFIG/config.json"

wait_for() { # wait_for WHAT COMMAND…
	local what=$1 tries=0
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [[ $tries -gt 100 ]]; then
			echo "run: $what did not start; its last words:" >&2
			tail -n 5 "$WORLD/$what.log" >&2
			exit 1
		fi
		sleep 0.1
	done
}

start_engine() {
	echo '{"features": {"containerd-snapshotter": true}}' >"$WORLD/daemon.json"
	dockerd --config-file "$WORLD/daemon.json" --data-root "$WORLD/docker" --exec-root "$WORLD/docker-exec" --pidfile "$WORLD/docker.pid" \
		--host "$DOCKER_HOST" --iptables=false --ip6tables=false --ip-forward=false &>"$WORLD/engine.log" &
	wait_for engine docker version
	python3 "$here/stand-ins/grpc-bridge.py" "$WORLD/docker.sock" "$BUILDKIT_SOCKET" &>"$WORLD/bridge.log" &
	wait_for bridge test -S "$BUILDKIT_SOCKET"
	docker buildx create --use --name test --driver remote "unix://$BUILDKIT_SOCKET" >/dev/null
}

start_registry() {
	# The password is test-token; two users, so that a test can take one away.
	echo 'robot:$2y$05$abcdefghijklmnopqrstuuZ2DX9Gh9aDkAWOM0a2ixqB5kwjIVFPC' >"$WORLD/htpasswd"
	cat >"$WORLD/registry.yml" <<END
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $WORLD/registry}, delete: {enabled: true}}
auth: {htpasswd: {realm: test, path: $WORLD/htpasswd}}
http: {addr: "$REGISTRY"}
END
	docker-registry serve "$WORLD/registry.yml" &>"$WORLD/registry.log" &
	wait_for registry curl -s "http://$REGISTRY/v2/"
	docker login --username robot --password-stdin "$REGISTRY" <<<test-token >"$WORLD/login.log" 2>&1 || { cat "$WORLD/login.log" "$WORLD/registry.log" >&2 && exit 1; }
}

start_git() {
	"$here/upstream.sh" "$WORLD/git/openclaw.git"
	git daemon --reuseaddr --listen=127.0.0.1 --base-path="$WORLD/git" --export-all "$WORLD/git" &>"$WORLD/git.log" &
	wait_for git git ls-remote "$UPSTREAM"
}

start_web() {
	python3 "$here/stand-ins/github.py" 8000 "http://$REGISTRY" "$WORLD/registry" "$WORLD/requests" &>"$WORLD/github.log" &
	wait_for github curl -s "$GITHUB_API_URL/test/state"
	python3 -m http.server --bind 127.0.0.1 --directory "$WORLD/files" 8080 &>"$WORLD/web.log" &
	wait_for web curl -s http://127.0.0.1:8080/
}

# BuildKit lists an image's contents with a program from the net; this one lists nothing, in the right form.
make_sbom_generator() {
	local context=$WORLD/generator
	mkdir "$context"
	gcc -static -O1 -o "$context/scan" "$here/stand-ins/sbom-generator.c"
	printf 'FROM scratch\nCOPY scan /\nENTRYPOINT ["/scan"]\n' >"$context/Dockerfile"
	export SBOM_GENERATOR=$REGISTRY/generator:1
	docker buildx build --quiet --tag "$SBOM_GENERATOR" --output type=image,push=true "$context" >/dev/null
}

start_engine
start_registry
start_git
start_web
make_sbom_generator
# Who signs here, and as whom: see stand-ins/bin/cosign.
COSIGN=$(command -v cosign)
export COSIGN SIGNER=image
export IDENTITY=https://github.example/Owner/Repo/.github/workflows/docker-build.yml@refs/heads/main
make_authority "$WORLD/authority"
certify image "$IDENTITY"
certify release https://github.com/Owner/Repo/.github/workflows/release.yml@refs/tags/v1.2.3
certify neighbour https://github.com/Owner/Repo/.github/workflows/ci.yml@refs/tags/v1.2.3
certify branch https://github.com/Owner/Repo/.github/workflows/release.yml@refs/heads/main
certify trial https://github.example/Owner/Repo/.github/workflows/docker-build.yml@refs/heads/feature
certify other https://github.example/Somebody/Else/.github/workflows/docker-build.yml@refs/heads/main
PATH=$here/stand-ins/bin:$PATH
trap - ERR
