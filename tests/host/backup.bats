# Backups: whole, private, few enough, and never at the price of a gateway that stays down.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for another shell; each test has variables of its own; `run` sets the rest

place=/var/backups/openclaw

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
	# What a test that failed has left.
	guest umount -q /home/deploy/.openclaw/workspace || true
	guest umount -q /home/deploy/.openclaw || true
	guest sh -c 'cd /home/deploy && for it in .openclaw .openclaw/workspace .openclaw-auth; do [ ! -L "$it" ] || rm "$it"; done'
	guest rm -rf "$place" /srv/big /srv/docker /usr/local/bin/gzip /usr/local/bin/tar /var/lib/openclaw-deploy/backup-stopped
	install -D -m 0755 "$BATS_TEST_DIRNAME/stand-ins/docker" "$GUEST/root/usr/local/bin/docker"
	guest install -d -o 1000 -g 1000 /home/deploy/.openclaw/state /home/deploy/.openclaw/workspace /home/deploy/.openclaw-auth
	guest install -d -o deploy -g deploy /home/deploy/openclaw
	printf 'db %s\n' "$BATS_TEST_NUMBER" >"$GUEST/root/home/deploy/.openclaw/state/gateway.sqlite"
	guest chown 1000:1000 /home/deploy/.openclaw/state/gateway.sqlite
	printf 'key\n' >"$GUEST/root/home/deploy/.openclaw-auth/key"
	printf 'OPENCLAW_GATEWAY_TOKEN=abc\n' >"$GUEST/root/home/deploy/openclaw/.env"
	guest chmod 0600 /home/deploy/openclaw/.env
	printf 'services: {}\n' >"$GUEST/root/home/deploy/openclaw/compose.yaml"
	guest rm -f /etc/openclaw-deploy.toml
}

archives() { guest ls "$place" 2>/dev/null || true; }
gateway_runs() { [ -e "$GUEST/root/srv/docker/running" ]; }
# A backup ends as by a power cut, while the gateway is stopped for it.
cut_off() {
	gateway_start
	guest touch /srv/docker/slow
	deploy backup >/dev/null 2>&1 &
	for _ in {1..50}; do
		gateway_runs || break
		sleep 0.1
	done
	guest pkill -KILL -x openclaw-deploy
	wait || true
	[ -e "$GUEST/root/var/lib/openclaw-deploy/backup-stopped" ]
}
gateway_start() {
	guest mkdir -p /srv/docker
	: >"$GUEST/root/srv/docker/running"
}

@test "an archive holds all that makes a gateway this one, for root alone" {
	run deploy backup
	[ "$status" -eq 0 ]
	archive=$output
	[[ $archive == $place/openclaw-*Z.tar.gz ]]
	[ "$(guest stat -c '%a %U' "$place")" = '700 root' ]
	[ "$(guest stat -c '%a %U' "$archive")" = '600 root' ]
	run guest tar --list --file "$archive"
	for member in home/deploy/openclaw/.env home/deploy/openclaw/compose.yaml home/deploy/.openclaw/state/gateway.sqlite \
		home/deploy/.openclaw/workspace/ home/deploy/.openclaw-auth/key; do
		[[ $output == *"$member"* ]]
	done
}

@test "what comes out of it is what went in, owners and modes too" {
	archive=$(deploy backup)
	guest mkdir -p /srv/restored
	guest tar --extract --file "$archive" --directory /srv/restored
	for directory in .openclaw .openclaw-auth openclaw; do
		guest diff -r "/home/deploy/$directory" "/srv/restored/home/deploy/$directory"
	done
	[ "$(guest stat -c '%u:%g' /srv/restored/home/deploy/.openclaw/state/gateway.sqlite)" = 1000:1000 ]
	[ "$(guest stat -c '%a' /srv/restored/home/deploy/openclaw/.env)" = 600 ]
	guest rm -r /srv/restored
}

@test "a gateway that runs is stopped while it is copied, and started before the copy is compressed" {
	gateway_start
	for program in tar gzip; do
		sabotage "$program" "[ -e /srv/docker/running ] && now=up || now=down
			echo $program \$now >>/srv/docker/calls; exec /usr/bin/$program \"\$@\""
	done
	run deploy backup
	[ "$status" -eq 0 ]
	gateway_runs
	run guest grep -oE '^(stop|start|tar .*|gzip .*)' /srv/docker/calls
	[ "${lines[*]:0:4}" = 'stop tar down start gzip up' ]
}

@test "a gateway that does not run is left alone" {
	run deploy backup
	[ "$status" -eq 0 ]
	run gateway_runs
	[ "$status" -ne 0 ]
	run guest grep -E '^(stop|start)' /srv/docker/calls
	[ "$output" = '' ]
}

# The guest's `$1` becomes a program that runs `$2`.
sabotage() {
	printf '#!/bin/sh\n%s\n' "$2" >"$GUEST/root/usr/local/bin/$1"
	chmod 0755 "$GUEST/root/usr/local/bin/$1"
}

@test "when the copy fails the gateway runs again, older archives stay and no half of one is left" {
	older=$(deploy backup)
	gateway_start
	sabotage tar 'echo "tar: no space left on device" >&2; exit 2'
	run deploy backup
	[ "$status" -eq 1 ]
	[[ $output == *'no space left on device'* ]]
	gateway_runs
	[ "$(guest ls -A "$place")" = "${older##*/}" ]
}

@test "an archive that cannot be read back gets no name" {
	older=$(deploy backup)
	sleep 1
	sabotage gzip 'head -c 100 /dev/urandom >"$2.gz"; rm "$2"'
	run deploy backup
	[ "$status" -eq 1 ]
	[ "$(guest ls -A "$place")" = "${older##*/}" ]
	# The control: with the real one it does.
	guest rm /usr/local/bin/gzip
	run deploy backup
	[ "$status" -eq 0 ]
	[ "$(archives | wc -l)" -eq 2 ]
}

@test "a folder that the deploy user has exchanged for a link is refused, and nothing behind it is packed" {
	guest install -d -m 0700 /srv/precious
	printf 'of root alone\n' >"$GUEST/root/srv/precious/.env"
	guest rm -r /home/deploy/openclaw
	guest ln -s /srv/precious /home/deploy/openclaw
	run deploy backup
	[ "$status" -eq 1 ]
	[[ $output == *'/home/deploy/openclaw is not a directory but a file or a symbolic link'* ]]
	[ "$(archives)" = '' ]
	guest rm /home/deploy/openclaw
}

@test "a state that lies behind a link is refused: the archive would hold the link alone" {
	gateway_start
	guest mkdir /srv/big
	for directory in .openclaw .openclaw-auth .openclaw/workspace; do
		guest mv "/home/deploy/$directory" "/srv/big/moved"
		guest ln -s /srv/big/moved "/home/deploy/$directory"
		run deploy backup
		guest rm "/home/deploy/$directory"
		guest mv /srv/big/moved "/home/deploy/$directory"
		[ "$status" -eq 1 ]
		[[ $output == *"/home/deploy/$directory is not a directory but a file or a symbolic link; a backup would not hold what is there"* ]]
		[[ $output == *"ls -ld /home/deploy/$directory"* ]]
	done
	gateway_runs
	run guest grep -sE '^(stop|start)' /srv/docker/calls
	[ "$output" = '' ]
	[ "$(archives)" = '' ]
	guest rmdir /srv/big
	# The control: as plain directories they are packed.
	run deploy backup
	[ "$status" -eq 0 ]
}

@test "a disk within the state is refused: tar would leave out what is on it; one that holds all of it is fine" {
	local state=/home/deploy/.openclaw
	gateway_start
	guest mount -t tmpfs tmpfs "$state/workspace"
	guest touch "$state/workspace/notes"
	run deploy backup
	[ "$status" -eq 1 ]
	[[ $output == *"$state/workspace is a disk of its own; a backup would not hold what is there"* ]]
	[[ $output == *"findmnt --target $state/workspace"* ]]
	[ "$(guest findmnt --noheadings --output FSTYPE --target "$state/workspace")" = tmpfs ]
	gateway_runs
	run guest grep -sE '^(stop|start)' /srv/docker/calls
	[ "$output" = '' ]
	[ "$(archives)" = '' ]
	guest umount "$state/workspace"
	guest mount -t tmpfs tmpfs "$state"
	guest mkdir "$state/workspace"
	guest touch "$state/workspace/notes"
	run deploy backup
	[ "$status" -eq 0 ]
	run guest tar --list --file "$output"
	[[ $output == *home/deploy/.openclaw/workspace/notes* ]]
	guest umount "$state"
}

@test "the last N stay, and nothing else in the directory goes" {
	printf '[host]\nbackup_keep = 2\n' >"$GUEST/root/etc/openclaw-deploy.toml"
	guest install -d -m 0700 "$place"
	guest touch "$place/mine.tar.gz"
	for _ in 1 2 3; do
		newest=$(deploy backup)
		sleep 1
	done
	[ "$(archives | grep -c ^openclaw-)" -eq 2 ]
	[[ $(archives) == *"${newest##*/}"*mine.tar.gz* || $(archives) == *mine.tar.gz*"${newest##*/}"* ]]
}

@test "a copy under a name of somebody's own stays, and is not the newest" {
	printf '[host]\nbackup_keep = 1\n' >"$GUEST/root/etc/openclaw-deploy.toml"
	run deploy backup
	[ "$status" -eq 0 ]
	older=$output
	for copy in openclaw-2026-mine.tar.gz openclaw-before-upgrade.tar.gz; do
		guest cp "$older" "$place/$copy"
	done
	sleep 1
	run deploy backup
	[ "$status" -eq 0 ]
	newest=$output
	# The control: with one to keep, the one before goes.
	[ "$(archives)" = openclaw-2026-mine.tar.gz$'\n'"${newest##*/}"$'\n'openclaw-before-upgrade.tar.gz ]
	run deploy restore --yes
	[ "$status" -eq 0 ]
	[[ $output == *"$newest is back"* && $output != *mine* && $output != *before-upgrade* ]]
	# By its name such a copy is found.
	run deploy restore --yes openclaw-before-upgrade.tar.gz
	[ "$status" -eq 0 ]
	[[ $output == *"$place/openclaw-before-upgrade.tar.gz is back"* ]]
	guest rm -rf /var/lib/openclaw-deploy/snapshots /var/lib/openclaw-deploy/records.json
}

@test "the one just made stays, though another is dated later" {
	printf '[host]\nbackup_keep = 1\n' >"$GUEST/root/etc/openclaw-deploy.toml"
	guest install -d -m 0700 "$place"
	guest touch "$place/openclaw-20990101T000000Z.tar.gz"
	run deploy backup
	[ "$status" -eq 0 ]
	[ "$(archives)" = "${output##*/}" ]
}

@test "when compressing fails no copy is left to fill the disk" {
	sabotage gzip 'echo half >"$2.gz"; echo "gzip: no space left on device" >&2; exit 1'
	run deploy backup
	[ "$status" -eq 1 ]
	[[ $output == *'no space left on device'* ]]
	[ "$(guest ls -A "$place")" = '' ]
}

@test "nothing to back up is an error that says so" {
	guest rm -r /home/deploy/.openclaw /home/deploy/.openclaw-auth /home/deploy/openclaw
	run deploy backup
	[ "$status" -eq 1 ]
	[[ $output == *'state to back up'* ]]
}

@test "the timer's service makes one, and starts the gateway even when it is killed" {
	run deploy bootstrap --only upkeep
	[ "$status" -eq 0 ]
	[[ $output == *"first backup: $place/openclaw-"* ]]
	[ "$(guest systemctl is-active openclaw-backup.timer)" = active ]
	[[ $(guest systemctl show -p TimersCalendar openclaw-backup.timer) == *03:00:00* ]]
	sleep 1
	guest systemctl start openclaw-backup.service
	[ "$(archives | wc -l)" -eq 2 ]
	gateway_start
	guest touch /srv/docker/slow
	guest systemctl start --no-block openclaw-backup.service
	for _ in {1..50}; do
		gateway_runs || break
		sleep 0.1
	done
	run gateway_runs
	[ "$status" -ne 0 ]
	guest systemctl kill --signal=KILL --kill-whom=main openclaw-backup.service
	for _ in {1..50}; do
		if gateway_runs; then break; fi
		sleep 0.1
	done
	gateway_runs
	[ ! -e "$GUEST/root/var/lib/openclaw-deploy/backup-stopped" ]
}

@test "one that fails by night tells the hook, unless others could have written that" {
	deploy bootstrap --only upkeep >/dev/null
	guest mkdir -p /etc/openclaw-deploy/hooks
	printf '#!/bin/sh\nenv >/srv/told\n' >"$GUEST/root/etc/openclaw-deploy/hooks/post-failure"
	chmod 0755 "$GUEST/root/etc/openclaw-deploy/hooks/post-failure"
	guest ln -sf /srv/elsewhere /home/deploy/openclaw/.env
	run guest systemctl start openclaw-backup.service
	[ "$status" -ne 0 ]
	for _ in {1..100}; do
		grep -qs '^OPENCLAW_EVENT=backup-failed$' "$GUEST/root/srv/told" && break
		sleep 0.1
	done
	grep -q '^OPENCLAW_EVENT=backup-failed$' "$GUEST/root/srv/told"
	guest rm /srv/told
	chmod 0777 "$GUEST/root/etc/openclaw-deploy/hooks/post-failure"
	run guest systemctl start openclaw-backup.service
	[ "$status" -ne 0 ]
	for _ in {1..100}; do
		[[ $(guest journalctl --unit openclaw-backup-failed) != *'post-failure is not run'* ]] || break
		sleep 0.1
	done
	[[ $(guest journalctl --unit openclaw-backup-failed) == *'post-failure is not run'* ]]
	[ ! -e "$GUEST/root/srv/told" ]
	guest rm -r /etc/openclaw-deploy/hooks /home/deploy/openclaw/.env
	# systemd counts starts, whoever asks for them.
	guest systemctl reset-failed openclaw-backup.service
}

@test "the timer's service reads the configuration that the bootstrap read" {
	printf '[host]\nbackup_keep = 1\n' >"$GUEST/root/root/other 100%.toml"
	sleep 1
	run deploy bootstrap --only upkeep --config 'other 100%.toml'
	[ "$status" -eq 0 ]
	outcome 8 upkeep changed
	sleep 1
	guest systemctl start openclaw-backup.service
	[ "$(archives | wc -l)" -eq 1 ]
	run deploy bootstrap --only upkeep --config '/root/other 100%.toml'
	outcome 8 upkeep unchanged
	# The control: with the default one more stay.
	run deploy bootstrap --only upkeep
	outcome 8 upkeep changed
	sleep 1
	guest systemctl start openclaw-backup.service
	[ "$(archives | wc -l)" -eq 2 ]
}

@test "after a power cut in the middle, the next backup starts what was stopped" {
	cut_off
	run gateway_runs
	[ "$status" -ne 0 ]
	guest rm /srv/docker/slow
	sleep 3
	run deploy backup
	[ "$status" -eq 0 ]
	gateway_runs
}

@test "after a power cut in the middle, the gateway starts with the machine" {
	deploy bootstrap --only upkeep >/dev/null
	[ "$(guest systemctl is-enabled openclaw-backup-resume.service)" = enabled ]
	[ -L "$GUEST/root/etc/systemd/system/multi-user.target.wants/openclaw-backup-resume.service" ]
	# Where nothing was stopped it does not even start.
	guest systemctl start openclaw-backup-resume.service
	[ "$(guest systemctl show --value -p ConditionResult openclaw-backup-resume.service)" = no ]
	cut_off
	guest rm /srv/docker/slow
	sleep 3
	run gateway_runs
	[ "$status" -ne 0 ]
	guest systemctl start openclaw-backup-resume.service
	gateway_runs
	[ ! -e "$GUEST/root/var/lib/openclaw-deploy/backup-stopped" ]
	# One that somebody has switched off is missed.
	guest systemctl disable openclaw-backup-resume.service
	run deploy bootstrap --only upkeep
	outcome 8 upkeep changed
	[ "$(guest systemctl is-enabled openclaw-backup-resume.service)" = enabled ]
}
