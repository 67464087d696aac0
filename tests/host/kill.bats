# SIGKILL of the run at each of its nine boundaries, and in the middle of dpkg: the next run takes it up from there.
# shellcheck disable=SC2030,SC2031,SC2154 # each test has variables of its own; `run` sets the rest
# One guest, and so one chain: what a killed run left is what the next one finds.

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
}

# The pid of the guest's openclaw-deploy; a child that has yet to become another program has its name too.
deployer() { pgrep --oldest --ns "$GUEST_PID" --nslist pid -x openclaw-deploy; }

# killed_when CONDITION…: bootstraps, and kills it as soon as that holds. What it said is in $GUEST/said.
killed_when() {
	vps_bootstrap >"$GUEST/said" &
	local job=$! pid='' _
	for _ in {1..6000}; do
		pid=$(deployer) && "$@" && break
		[ -d "/proc/$job" ] || break
		sleep 0.01
	done
	[ -n "$pid" ] && kill -KILL "$pid"
	wait "$job" && return 1
	[ "$?" -eq 137 ]
}

said() { grep -q "^$1/9 " "$GUEST/said"; }
half_installed() { [ -e "$GUEST/root/var/lib/dpkg/info/containerd.list" ]; }

# got_to NUMBER: whether the killed run ended at least that many steps, and none of them badly.
got_to() {
	said "$1" && ! grep -q ' failed ' "$GUEST/said" && ! said 9
}

@test "before the first step" {
	killed_when true
	run said 1
	[ "$status" -ne 0 ]
}

@test "in the middle of dpkg" {
	killed_when half_installed
	run said 1
	[ "$status" -ne 0 ]
}

@test "after each step but the last" {
	for number in {1..8}; do
		killed_when said "$number" || { cat "$GUEST/said" && false; }
		got_to "$number" || { cat "$GUEST/said" && false; }
	done
}

@test "the run after that finishes, and the gateway answers" {
	run vps_bootstrap
	[ "$status" -eq 0 ]
	outcome 9 ssh changed
	vps_answers
	run vps_bootstrap
	[ "$status" -eq 0 ]
	[ "$(grep -c '^[1-9]/9 .* unchanged ' <<<"$output")" -eq 9 ]
	# No half-written file is left, and the control: one would be found.
	left() { guest find / -xdev -name '*.openclaw-deploy.new'; }
	[ "$(left)" = '' ]
	guest touch /etc/.openclaw-deploy.new
	[ "$(left)" != '' ]
}
