# All of it, as the README says it: a plain Debian becomes a gateway that answers, with Docker in the guest, a private registry
# and the stand-in for `op`.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for the guest's shell; each test has variables of its own; `run` sets the rest
# The tests of this file go from state to state, in order, in one guest.

setup_file() {
	load guest
	load vps
	vps_start
}

teardown_file() {
	load guest
	guest_stop
}

setup() {
	load guest
	load vps
	guest_again
	suite=${OC_HOST_SUITE:-bookworm}
}

all_steps=(docker user files gateway tailscale firewall fail2ban upkeep ssh)

# all_are WORD: whether $output says so of each of the nine steps, once.
all_are() {
	local number
	for number in {1..9}; do
		outcome "$number" "${all_steps[number - 1]}" "$1"
	done
	[ "$(grep -c '^[1-9]/9 ' <<<"$output")" -eq 9 ]
}

@test "a dry run on a plain Debian plans all nine steps and touches nothing" {
	guest_files >"$GUEST/before"
	run vps_bootstrap --dry-run
	[ "$status" -eq 0 ]
	all_are planned
	[[ $output == *"pull $vps_image, once Docker runs"* ]]
	untouched
}

@test "the line of the README ends with a gateway that answers" {
	run vps_answers
	[ "$status" -ne 0 ]
	rm "$GUEST/vault/calls.jsonl"
	run vps_bootstrap
	printf '%s\n' "$output" >"$GUEST/first-run"
	[ "$status" -eq 0 ]
	all_are changed
	vps_answers
	[[ $output == *'ssh deploy@HOST'*'-L 18789:127.0.0.1:18789'*'--show-token'* ]]
	# One `op` for all secrets.
	[ "$(grep -c '"argv"' "$GUEST/vault/calls.jsonl")" -eq 1 ]
}

@test "it is published on loopback alone" {
	listening() { guest ss -Hltn "sport = :$1" | awk '{ print $4 }'; }
	[ "$(listening 18789)" = 127.0.0.1:18789 ]
	[ "$(listening 18790)" = '' ]
	# The control: what listens everywhere is seen to.
	[[ $(listening 22) =~ (0\.0\.0\.0|\*):22 ]] # one socket for both families is written with a star
}

@test ".env is the deploy user's and nobody else's" {
	[ "$(guest stat -c '%a %U %G' /home/deploy/openclaw/.env)" = '600 deploy deploy' ]
	[ "$(guest stat -c '%u %g' /home/deploy/.openclaw)" = '1000 1000' ]
}

# The secret $1 as it is, and as base64 has it at each of the three places where it can begin within another text.
needles() {
	printf '%s\n' "$1"
	local before
	for before in '' x xx; do
		# The first and the last digits hold bits of the neighbours.
		printf '%s%s' "$before" "$1" | base64 -w 0 | sed 's/^....//; s/....$//'
		printf '\n'
	done
}

# where SECRET: the places in the guest, its engine and its journal that hold it.
where() {
	needles "$1" >"$GUEST/needles"
	grep -rlF -f "$GUEST/needles" "$GUEST/upper" "$GUEST/docker" "$GUEST/containerd" "$GUEST/first-run" || true
	guest sh -c 'docker inspect $(docker ps -aq) $(docker images -q); docker info 2>&1; journalctl --no-pager -o export; ps axeww' >"$GUEST/seen"
	guest sh -c 'exec tar -c --ignore-failed-read /run /tmp /dev/shm 2>/dev/null' >"$GUEST/volatile" || true
	[ -s "$GUEST/seen" ] && [ -s "$GUEST/volatile" ]
	grep -lF -f "$GUEST/needles" "$GUEST/seen" "$GUEST/volatile" || true
}

@test "neither token is on the guest's disk, in its engine, its journal or its processes" {
	run where "$vps_token"
	[ "$status" -eq 0 ]
	[ "$output" = '' ]
	run where "$vps_key"
	[ "$output" = '' ]
	run guest find / -xdev -name config.json -path '*docker*' -not -path '/var/lib/docker/*'
	[ "$output" = '' ]
}

@test "the control: it would have been found there" {
	printf '{"auths":{"127.0.0.1:5000":{"auth":"%s"}}}' "$(printf 'x-access-token:%s' "$vps_token" | base64 -w 0)" >"$GUEST/root/root/left"
	printf '%s' "$vps_token" >"$GUEST/root/run/left"
	guest sh -c "echo 'the key is $vps_key' | logger"
	guest docker create --name left --env "LEFT=$vps_token" "$(guest docker images -q | head -n 1)" >/dev/null
	run where "$vps_token"
	[[ $output == *'/upper/root/left'* && $output == *"$GUEST/docker/containers/"* ]]
	[[ $output == *"$GUEST/seen"* ]]
	run where "$vps_key"
	[[ $output == *"$GUEST/seen"* ]]
	guest docker rm left >/dev/null
	rm "$GUEST/root/root/left"
}

@test "the engine is the distribution's, and Docker's repository is there only where that has no Compose v2" {
	guest docker compose version
	[[ $(guest dpkg-query -W -f '${Version}' docker.io) != 99* ]]
	if [ "$suite" = bookworm ]; then
		grep -q '^1/9 .* Compose 2.*from http' "$GUEST/first-run"
		[ "$(guest dpkg-query -W -f '${Version}' docker-compose-plugin)" = 2.26.1-1 ]
	else
		compose=docker-compose
		[ "$suite" != noble ] || compose=docker-compose-v2
		[ "$(guest dpkg-query -W -f '${Package}' "$compose")" = "$compose" ]
		[ ! -e "$GUEST/root/etc/apt/sources.list.d/docker.list" ]
	fi
}

@test "the second run changes nothing, and is done in less than five seconds" {
	gateway() { guest docker inspect -f '{{.Id}} {{.State.StartedAt}}' openclaw-openclaw-gateway-1; }
	before=$(gateway)
	[[ $before == *T*Z ]]
	began=$(date +%s%N)
	run vps_bootstrap
	took=$((($(date +%s%N) - began) / 1000000))
	[ "$status" -eq 0 ]
	all_are unchanged
	[ "$(gateway)" = "$before" ]
	printf 'took %s ms\n' "$took"
	[ "$took" -lt 5000 ]
}

@test "after a power cut it comes back with the machine" {
	guest_crash
	vps_boot
	for _ in {1..100}; do
		vps_answers && break
		sleep 0.2
	done
	vps_answers
	run deploy status
	[ "$status" -eq 0 ]
}

@test "where Docker's own engine is there already nothing is added to it" {
	# The same programs, under the name that Docker's packages have.
	guest sed -i 's/^Package: docker.io$/Package: docker-ce/' /var/lib/dpkg/status
	guest systemctl stop docker.socket docker
	run deploy bootstrap --only docker
	[ "$status" -eq 0 ]
	outcome 1 docker changed
	[[ $output != *installing* ]]
	[ "$(guest dpkg-query -W -f '${db:Status-Status}' docker.io)" != installed ]
	[ "$(guest systemctl is-active docker)" = active ]
	run deploy bootstrap --only docker
	outcome 1 docker unchanged
}
