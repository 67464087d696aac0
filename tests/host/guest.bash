# shellcheck shell=bash
# A guest: a Debian of its own with systemd as PID 1, in its own namespaces, on top of `rootfs`.
#
# Loaded by the tests. One guest per test file: `guest_start` in setup_file, `guest_stop` in
# teardown_file. Nothing of it outlives the test but the cache that `rootfs` keeps.

guest_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# guest_start: a fresh guest that runs. Sets and exports GUEST (its directory) and GUEST_PID (its PID 1).
guest_start() {
	guest_tree
	guest_boot
}

# guest_tree: a fresh root file system with our program in it, which nothing runs in yet.
guest_tree() {
	GUEST_CACHE=$("$BATS_TEST_DIRNAME/rootfs")
	GUEST=$(mktemp -d /var/tmp/oc-guest.XXXXXX)
	export GUEST GUEST_CACHE
	chmod 0755 "$GUEST"
	mkdir "$GUEST/upper" "$GUEST/work" "$GUEST/root"
	mount -t overlay guest -o "lowerdir=$GUEST_CACHE/base,upperdir=$GUEST/upper,workdir=$GUEST/work" "$GUEST/root"
	install -D -m 0755 "$OC_HOST_BIN" "$GUEST/root/usr/local/bin/openclaw-deploy"
}

# guest_options: what else systemd-nspawn is told, a word a line. A test file may have its own.
guest_options() { :; }

# guest_boot: systemd in its own namespaces. After guest_crash it starts again as after a power cut.
guest_boot() {
	local -a options
	mapfile -t options < <(guest_options)
	(
		guest_join_cgroups
		exec systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe \
			--directory="$GUEST/root" --machine="oc-${GUEST##*.}" \
			--bind-ro="$GUEST_CACHE/debian:/srv/debian" "${options[@]}" --boot
	) <<<'' >"$GUEST/console" 2>&1 3>&- &
	GUEST_SUPERVISOR=$!
	export GUEST_SUPERVISOR
	guest_wait
}

# guest_cgroups: the control groups of the guest's own. systemd-nspawn makes `payload` in its caller's, and in one that two
# guests share each systemd removes what the other one has just made.
guest_cgroups() {
	local path unified=/sys/fs/cgroup
	[ -e /sys/fs/cgroup/cgroup.procs ] || unified=/sys/fs/cgroup/unified
	sed -n "s,^[0-9]*:name=systemd:,/sys/fs/cgroup/systemd,p; s,^0::,$unified,p" /proc/self/cgroup |
		while read -r path; do
			if [ -e "$path/cgroup.procs" ]; then echo "${path%/}/oc-${GUEST##*.}"; fi
		done
}

# guest_join_cgroups: makes them, and the calling shell a member.
guest_join_cgroups() {
	local group
	for group in $(guest_cgroups); do
		mkdir -p "$group"
		echo 0 >"$group/cgroup.procs"
	done
}

# guest_again: the guest of this file, though another test may have started it anew.
guest_again() {
	if [ -e "$GUEST/pid" ]; then read -r GUEST_PID GUEST_SUPERVISOR <"$GUEST/pid"; fi
}

# guest_crash: nothing in it lives on, and nothing is told.
guest_crash() {
	kill -KILL "$GUEST_PID"
	local _
	for _ in {1..50}; do
		kill -0 "$GUEST_SUPERVISOR" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}

# Waits until the guest's PID 1 has started what it has to start.
guest_wait() {
	local _
	for _ in {1..100}; do
		GUEST_PID=$(pgrep -P "$GUEST_SUPERVISOR" | head -n 1) || true
		if [ -n "$GUEST_PID" ] && guest systemctl is-active -q multi-user.target 2>/dev/null; then
			export GUEST_PID
			printf '%s %s\n' "$GUEST_PID" "$GUEST_SUPERVISOR" >"$GUEST/pid"
			return 0
		fi
		sleep 0.2
	done
	tail -n 40 "$GUEST/console" >&2
	return 1
}

# distribution: the folder of the guest's distribution in a vendor's repository.
distribution() { [ "${OC_HOST_SUITE-}" = noble ] && echo ubuntu || echo debian; }

# guest CMD…: runs CMD in the guest as root, with a login's environment and nothing on stdin.
guest() {
	nsenter --target "$GUEST_PID" --mount --uts --ipc --net --pid --cgroup \
		--root="/proc/$GUEST_PID/root" --wd="/proc/$GUEST_PID/root/root" -- \
		/usr/bin/env -i PATH="$guest_path" HOME=/root LC_ALL=C "$@" </dev/null 3>&-
}

# guest_net CMD…: runs one of *our* programs in the guest's network.
guest_net() {
	nsenter --target "$GUEST_PID" --net -- "$@" 3>&-
}

# Serves the vendors' repositories on the guest's loopback, as a mirror would.
guest_serve_vendor() {
	nsenter --target "$GUEST_PID" --net -- \
		python3 -m http.server --bind 127.0.0.1 --directory "$GUEST_CACHE/vendor" 8099 \
		<<<'' >"$GUEST/vendor.log" 2>&1 3>&- &
	GUEST_VENDOR=$!
	export GUEST_VENDOR
	local _
	for _ in {1..50}; do
		guest_net bash -c ': </dev/tcp/127.0.0.1/8099' 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

# A second host: a network of its own, joined to the guest's by a wire.
# The guest is 10.77.0.1, the other 10.77.0.2.
guest_neighbour() {
	unshare --net -- sleep 1000 <<<'' >/dev/null 2>&1 3>&- &
	GUEST_NEIGHBOUR=$!
	export GUEST_NEIGHBOUR
	sleep 0.2
	nsenter --target "$GUEST_NEIGHBOUR" --net -- ip link add wire type veth peer name wire netns "$GUEST_PID"
	nsenter --target "$GUEST_NEIGHBOUR" --net -- ip address add 10.77.0.2/24 dev wire
	nsenter --target "$GUEST_NEIGHBOUR" --net -- ip link set wire up
	guest_net ip address add 10.77.0.1/24 dev wire
	guest_net ip link set wire up
}

# neighbour CMD…: runs one of our programs as that second host.
neighbour() {
	nsenter --target "$GUEST_NEIGHBOUR" --net -- "$@" 3>&-
}

# Ends the guest, if one runs, and removes every trace.
guest_stop() {
	local pid group
	for pid in "${GUEST_VENDOR:-}" "${GUEST_NEIGHBOUR:-}" $(cat "$GUEST/listeners" 2>/dev/null); do
		if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi
	done
	guest_again
	if [ -n "${GUEST_PID:-}" ]; then guest_crash 2>/dev/null || true; fi
	umount "$GUEST/root" 2>/dev/null || umount --lazy "$GUEST/root"
	for group in $(guest_cgroups); do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true # what is still ending keeps its group
	done
	rm -rf -- "$GUEST"
}

# deploy WORDS…: openclaw-deploy in the guest; deploy_with_key: with the key of the tailnet in KEY.
deploy() {
	guest /usr/local/bin/openclaw-deploy "$@" 2>&1
}

deploy_with_key() {
	guest env TAILSCALE_AUTH_KEY="$KEY" /usr/local/bin/openclaw-deploy "$@" 2>&1
}

# outcome NUMBER NAME WORD: whether $output says that this is what came of the step.
outcome() {
	# shellcheck disable=SC2154 # `run` sets it
	grep -qE "^$1/9 +$2 +$3( |\$)" <<<"$output" || {
		printf 'wanted: %s/9 %s %s\n' "$1" "$2" "$3"
		printf 'saw: %s\n' "$output"
		return 1
	}
}

# The guest's files but its logs and our journal: name, mode, owner, time and size.
guest_files() {
	(cd "$GUEST/upper" && find . -path ./var/log -prune -o -path ./run -prune -o \
		-path ./var/lib/systemd -prune -o -name journal.jsonl -o -type f -printf '%p %m %U %T@ %s\n' | sort)
}

# untouched: whether they are as they were when guest_files was written to "$GUEST/before".
untouched() {
	guest_files | diff "$GUEST/before" -
}

# The configuration that points the guest at the vendors' repositories on its loopback.
guest_config() {
	cat >"$GUEST/root/etc/openclaw-deploy.toml" <<-CONFIG
		[host]
		tailscale_repository = "http://127.0.0.1:8099/stable"
		tailscale_fingerprint = "$(cat "$GUEST_CACHE/fingerprint")"
		docker_repository = "http://127.0.0.1:8099/linux"
		docker_fingerprint = "$(cat "$GUEST_CACHE/docker-fingerprint")"
	CONFIG
}

# login USER CMD: from the neighbour, with the test's key and with nothing else.
login() {
	neighbour ssh "${ssh_options[@]}" -i "$GUEST/key" "$1@10.77.0.1" "$2" </dev/null
}

ssh_options=(-F none -o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=5 -o LogLevel=ERROR
	-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null)

# guest_listen PORT: something that accepts connections on all of the guest's addresses until it stops.
guest_listen() {
	nsenter --target "$GUEST_PID" --net -- python3 -m http.server --directory "$GUEST" "$1" \
		<<<'' >/dev/null 2>&1 3>&- &
	echo $! >>"$GUEST/listeners"
	local _
	for _ in {1..50}; do
		guest_net bash -c ": </dev/tcp/127.0.0.1/$1" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

# holds SECONDS READY FILE…: locks these files of the guest as apt and dpkg do; READY is there when it does.
holds() {
	python3 - "$@" <<-'PYTHON' 3>&- &
		import fcntl, sys, time
		files = [open(f, "w") for f in sys.argv[3:]]
		for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
		print(file=open(sys.argv[2], "w"))
		time.sleep(float(sys.argv[1]))
	PYTHON
	until [ -e "$2" ]; do sleep 0.05; done
}
