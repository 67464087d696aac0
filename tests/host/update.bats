# Updates by themselves: a timer only where it is asked for, with the host's credential, and one who is told when it fails.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for another shell; each test has variables of its own; `run` sets the rest

token=ghp_TokenOfTheTimerThatIsInNoFile

setup_file() {
	load guest
	guest_start
	deploy bootstrap --only user >/dev/null
}

teardown_file() {
	load guest
	guest_stop
}

setup() {
	load guest
}

configure() { printf '%s\n' "$@" >"$GUEST/root/etc/openclaw-deploy.toml"; }

@test "without the setting there is no timer, with it there is one, and without it again it goes" {
	run deploy bootstrap --only upkeep
	[ "$status" -eq 0 ]
	run guest systemctl is-active openclaw-update.timer
	[ "$status" -ne 0 ]
	configure '[update]' 'schedule = "weekly"'
	run deploy bootstrap --only upkeep --dry-run
	[[ $output == *'update the gateway weekly'* ]]
	run deploy doctor
	[[ $output == *'to do: update the gateway weekly'* ]]
	run deploy bootstrap --only upkeep
	outcome 8 upkeep changed
	[ "$(guest systemctl is-active openclaw-update.timer)" = active ]
	[[ $(guest systemctl show -p TimersCalendar openclaw-update.timer) == *'OnCalendar=Mon *-*-* 04:00:00'* ]]
	run deploy bootstrap --only upkeep
	outcome 8 upkeep unchanged
	configure '[update]' 'schedule = "daily"'
	run deploy bootstrap --only upkeep
	outcome 8 upkeep changed
	[[ $(guest systemctl show -p TimersCalendar openclaw-update.timer) == *'OnCalendar=*-*-* 04:00:00'* ]]
	configure ''
	run deploy bootstrap --only upkeep
	outcome 8 upkeep changed
	run guest sh -c 'ls /etc/systemd/system/openclaw-update*; systemctl is-active openclaw-update.timer'
	[[ $output == *'No such file'* && $output != *$'\nactive'* ]]
	run deploy bootstrap --only upkeep
	outcome 8 upkeep unchanged
}

# settled N: systemd has told the journal of N failures, and the unit that does so has ended.
settled() {
	for _ in {1..100}; do
		told=$(guest journalctl --quiet --no-pager -p err -t openclaw-update | grep -c 'the update by itself failed' || true)
		[ "$told" -eq "$1" ] && [ "$(guest systemctl is-active openclaw-update-failed.service)" = inactive ] && return
		sleep 0.1
	done
	guest journalctl --no-pager -u openclaw-update-failed
	return 1
}

# fails: the timer's service, started as the timer does.
fails() {
	run guest systemctl start openclaw-update.service
	[ "$status" -ne 0 ]
}

times() { wc -l <"$GUEST/root/srv/times"; }

@test "the timer's run has the host's credential, and tells the journal and the hook of a failure" {
	configure 'image = "registry.invalid/gateway:1"' '[update]' 'schedule = "weekly"'
	guest sh -c 'mkdir -p -m 0700 /etc/credstore.encrypted && printf "%s\n" "$1" |
		systemd-creds encrypt --with-key=host --name=GHCR_TOKEN - /etc/credstore.encrypted/GHCR_TOKEN' sh "two words"
	deploy bootstrap --only upkeep >/dev/null
	guest mkdir -p /etc/openclaw-deploy/hooks
	printf '#!/bin/sh\nenv >/srv/told; echo >>/srv/times\n' >"$GUEST/root/etc/openclaw-deploy/hooks/post-failure"
	chmod 0755 "$GUEST"/root/etc/openclaw-deploy/hooks/*
	fails
	# It was read: its form is refused, and no part of it is shown.
	run guest journalctl --no-pager -u openclaw-update.service
	[[ $output == *'GHCR_TOKEN cannot be a token: it holds a blank'* && $output != *words* ]]
	# A run that could not begin has told no hook; systemd does, once.
	settled 1
	grep -qx 'OPENCLAW_EVENT=update-failed' "$GUEST/root/srv/told"
	[ "$(times)" -eq 1 ]
	guest sh -c 'printf %s "$1" | systemd-creds encrypt --with-key=host --name=GHCR_TOKEN - /etc/credstore.encrypted/GHCR_TOKEN' sh "$token"
	printf '#!/bin/sh\necho not today; exit 3\n' >"$GUEST/root/etc/openclaw-deploy/hooks/pre-update"
	chmod 0755 "$GUEST"/root/etc/openclaw-deploy/hooks/*
	fails
	# The run itself has, and systemd does not tell it again.
	settled 2
	[ "$(times)" -eq 2 ]
	grep -qx 'OPENCLAW_EVENT=update-failed' "$GUEST/root/srv/told"
	grep -q '^OPENCLAW_ERROR=the hook pre-update exited with 3: not today' "$GUEST/root/srv/told"
	run grep -c "$token" "$GUEST/root/srv/told"
	[ "$output" = 0 ]
	run guest grep -rl "$token" /etc /var /run /srv /home /root
	[ "$output" = '' ] || [[ $output == */run/credentials/* ]]
	# Without its credential it is not even started.
	printf 'no credential\n' >"$GUEST/root/etc/credstore.encrypted/GHCR_TOKEN"
	guest rm /srv/told
	fails
	[ "$(guest systemctl show --value -p ExecMainStatus openclaw-update.service)" = 243 ]
	settled 3
	[ "$(times)" -eq 3 ]
	grep -qx 'OPENCLAW_EVENT=update-failed' "$GUEST/root/srv/told"
}
