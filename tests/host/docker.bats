# Step 1 where no source of the host has Compose v2: Docker's repository, for one package and by one key.
# shellcheck disable=SC2030,SC2031,SC2154 # each test has variables of its own; `run` sets the rest
# The tests of this file go from state to state, in order, in one guest.

setup_file() {
	load guest
	load vps
	guest_tree
	guest_config
	cp -r "$GUEST_CACHE/vendor" "$GUEST/vendor"
	vps_ground
	vps_boot
	GUEST_CACHE=$GUEST guest_serve_vendor
	# As on Debian 12, whatever system this is.
	printf 'Package: docker-compose docker-compose-v2\nPin: release *\nPin-Priority: -1\n' >"$GUEST/root/etc/apt/preferences.d/no-compose"
}

teardown_file() {
	load guest
	guest_stop
}

setup() {
	load guest
	load vps
	repository=linux/$(distribution)
	key=$GUEST/vendor/$repository/gpg
}

expect() { sed -i "s/^docker_fingerprint = .*/docker_fingerprint = \"$1\"/" "$GUEST/root/etc/openclaw-deploy.toml"; }

nothing_trusted() {
	[ ! -e "$GUEST/root/etc/apt/sources.list.d/docker.list" ] &&
		[ ! -e "$GUEST/root/etc/apt/preferences.d/openclaw-deploy-docker" ] &&
		[ ! -e "$GUEST/root/etc/apt/keyrings/docker.asc" ]
}

@test "Docker's repository that cannot be reached is named, and nothing of it is left" {
	sed -i 's,127.0.0.1:8099/linux,127.0.0.1:1/linux,' "$GUEST/root/etc/openclaw-deploy.toml"
	run deploy bootstrap --only docker
	[ "$status" -eq 3 ]
	outcome 1 docker failed
	[[ $output == *'check that this host reaches http://127.0.0.1:1/'"$repository"* ]]
	nothing_trusted
	sed -i 's,127.0.0.1:1/linux,127.0.0.1:8099/linux,' "$GUEST/root/etc/openclaw-deploy.toml"
}

@test "nor is it added with another key" {
	expect 9DC858229FC7DD38854AE2D88D81803C0EBFCD88
	run deploy bootstrap --only docker
	[ "$status" -eq 3 ]
	outcome 1 docker failed
	[[ $output == *'the one key 9DC858229FC7DD38854AE2D88D81803C0EBFCD88'* ]]
	nothing_trusted
}

@test "nor with a second key in the same file" {
	expect "$(cat "$GUEST_CACHE/docker-fingerprint")"
	cat "$GUEST_CACHE/other.asc" >>"$key"
	run deploy bootstrap --only docker
	[ "$status" -eq 3 ]
	outcome 1 docker failed
	nothing_trusted
}

@test "the plan says what would be added, and for what" {
	run deploy bootstrap --only docker --dry-run
	[ "$status" -eq 0 ]
	[[ $output == *"add http://127.0.0.1:8099/$repository, for docker-compose-plugin alone"* ]]
	[[ $output != *'install docker.io'* ]] # the runs before brought it
	nothing_trusted
}

@test "with its own key it is, and Compose v2 comes from it, once another installation is done" {
	cp "$GUEST_CACHE/vendor/$repository/gpg" "$key"
	holds 5 "$GUEST/ready" "$GUEST"/root/var/lib/{apt/lists/lock,dpkg/lock-frontend,dpkg/lock}
	# The control: it is in the way, as apt and dpkg see it.
	run guest apt-get -q update
	[[ $output == *'Could not get lock'* ]]
	run guest dpkg --configure -a
	[[ $output == *'was locked by'* ]]
	run deploy bootstrap --only docker
	[ "$status" -eq 0 ]
	outcome 1 docker changed
	[[ $output == *'Compose 2.'*" from http://127.0.0.1:8099/$repository"* ]]
	run nothing_trusted
	[ "$status" -ne 0 ]
	run deploy bootstrap --only docker
	outcome 1 docker unchanged
}

# The version of package $1 that apt would install.
candidate() { guest apt-cache policy "$1" | sed -n 's/^  Candidate: //p'; }

@test "nothing else can come from there, newer or not" {
	[[ $(candidate docker.io) != 99* && $(candidate sudo) != 99* ]]
	[ "$(candidate docker-compose-plugin)" = 2.26.1-1 ]
	# Whatever the repository says of itself: the name of its host is enough.
	preferences=$GUEST/root/etc/apt/preferences.d/openclaw-deploy-docker
	cp "$preferences" "$GUEST/preferences"
	sed -i 's/o=Docker$/o=Nobody/; s/"download.docker.com"/"127.0.0.1"/' "$preferences"
	[[ $(candidate docker.io) != 99* && $(candidate sudo) != 99* ]]
	# The control: without our preferences apt would take it.
	rm "$preferences"
	[[ $(candidate docker.io) == 99* && $(candidate sudo) == 99* ]]
	[ "$(candidate docker-compose-plugin)" = 5.0.0-1 ]
	cp "$GUEST/preferences" "$preferences"
}
