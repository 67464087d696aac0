# Nobody is locked out: every way in which hardening could go wrong, each with the control that it goes right without it.
# shellcheck disable=SC2030,SC2031,SC2154 # each test has variables of its own; `run` sets the rest

drop_in=/etc/ssh/sshd_config.d/00-openclaw-deploy.conf

setup_file() {
	load guest
	guest_start
	guest_neighbour
	ssh-keygen -q -t ed25519 -N '' -f "$GUEST/key"
	deploy bootstrap --only user >/dev/null
	guest_tidy
}

teardown_file() {
	load guest
	guest_stop
}

setup() {
	load guest
	guest_tidy
}

# Back to: a user with a key, sshd as Debian has it, no firewall.
guest_tidy() {
	guest rm -f "$drop_in" /etc/ssh/sshd_config.d/50-test.conf /etc/ssh/sshd_config.d/00-aa.conf
	guest systemctl stop openclaw-deploy-ssh-revert.timer 2>/dev/null || true
	guest usermod --shell /bin/bash deploy >/dev/null
	guest rm -f /home/deploy/.bashrc
	install -D -m 0600 "$GUEST/key.pub" "$GUEST/root/root/.ssh/authorized_keys"
	guest install -d -m 0700 -o deploy -g deploy /home/deploy/.ssh
	guest install -m 0600 -o deploy -g deploy /root/.ssh/authorized_keys /home/deploy/.ssh/authorized_keys
	guest chmod 0755 /home/deploy
	guest systemctl reset-failed ssh
	guest systemctl restart ssh
}

# harden: step 9; root_gets_in and deploy_gets_in: whether sshd, as it runs, lets them.
harden() { deploy bootstrap --only ssh; }
root_gets_in() { login root true; }
deploy_gets_in() { login deploy true; }

# What must hold after a refusal: nothing of ours is there, nobody is locked out.
as_before() {
	[ ! -e "$GUEST/root$drop_in" ] && root_gets_in && deploy_gets_in
}

@test "control: with a key, hardening goes through" {
	as_before
	run harden
	[ "$status" -eq 0 ]
	outcome 9 ssh changed
	deploy_gets_in
	run root_gets_in
	[ "$status" -eq 255 ]
}

@test "no key: refused, with the reason and what to do" {
	guest rm /home/deploy/.ssh/authorized_keys
	run harden
	[ "$status" -eq 0 ]
	outcome 9 ssh skipped
	[[ $output == *'deploy has no usable SSH key'*'openclaw-deploy bootstrap --only ssh'* ]]
	[ ! -e "$GUEST/root$drop_in" ]
	root_gets_in
}

@test "no sudo: refused, for nobody could administer any more" {
	guest mv /etc/sudoers.d/openclaw-deploy /root/rule
	run harden
	[ "$status" -eq 0 ]
	outcome 9 ssh skipped
	[[ $output == *'deploy cannot become root'*'openclaw-deploy bootstrap --only user,ssh'* ]]
	as_before
	printf '[host]\nsudo = false\n' >"$GUEST/root/etc/openclaw-deploy.toml"
	run deploy bootstrap --only user,ssh
	outcome 9 ssh skipped
	[[ $output == *'sudo = true'* ]]
	as_before
	# A rule for every command is of use only with a password.
	guest usermod --append --groups sudo deploy
	run harden
	outcome 9 ssh skipped
	# The control: with one, there is a way to root.
	guest sh -c 'echo deploy:typed | chpasswd'
	run harden
	outcome 9 ssh changed
	deploy_gets_in
	[ "$(login deploy 'echo typed | sudo -S -p "" id -un')" = root ]
	guest rm /etc/openclaw-deploy.toml
	guest gpasswd --delete deploy sudo >/dev/null
	guest usermod --password '*' deploy
	guest mv /root/rule /etc/sudoers.d/openclaw-deploy
}

@test "sudo = false takes the rule away, but not from the last one who can administer" {
	run harden
	outcome 9 ssh changed
	printf '[host]\nsudo = false\n' >"$GUEST/root/etc/openclaw-deploy.toml"
	run deploy bootstrap --only user
	outcome 2 user unchanged
	[[ $output == *'deploy keeps sudo'*'openclaw-deploy bootstrap --only user'* ]]
	guest test -e /etc/sudoers.d/openclaw-deploy
	# Nor where sshd would let root in, and root has no way to log in.
	guest rm "$drop_in"
	guest systemctl restart ssh
	stays() {
		run deploy bootstrap --only user
		outcome 2 user unchanged
		[[ $output == *'deploy keeps sudo'* ]]
		guest test -e /etc/sudoers.d/openclaw-deploy
	}
	printf 'command="echo no" %s\n' "$(cat "$GUEST/key.pub")" >"$GUEST/root/root/.ssh/authorized_keys"
	[ "$(login root true)" = no ]
	stays
	install -m 0600 "$GUEST/key.pub" "$GUEST/root/root/.ssh/authorized_keys"
	for line in 'PermitRootLogin forced-commands-only' 'AllowUsers deploy' 'DenyUsers root' 'AllowGroups deploy' 'PubkeyAuthentication no'; do
		printf '%s\n' "$line" >"$GUEST/root/etc/ssh/sshd_config.d/50-test.conf"
		stays
	done
	# The control: where root is let in, nobody is locked out by it.
	guest rm /etc/ssh/sshd_config.d/50-test.conf
	run deploy bootstrap --only user
	outcome 2 user changed
	guest test ! -e /etc/sudoers.d/openclaw-deploy
	as_before
	guest rm /etc/openclaw-deploy.toml
	deploy bootstrap --only user >/dev/null
}

@test "the forced command that cloud images give root is no key, and is not copied" {
	guest rm /home/deploy/.ssh/authorized_keys
	printf 'no-port-forwarding,command="echo Please login as the user ubuntu;sleep 10;exit 142" %s\n' \
		"$(cat "$GUEST/key.pub")" >"$GUEST/root/root/.ssh/authorized_keys"
	run deploy bootstrap --only user,ssh
	[ "$status" -eq 0 ]
	outcome 9 ssh skipped
	[ ! -e "$GUEST/root/home/deploy/.ssh/authorized_keys" ]
	[ ! -e "$GUEST/root$drop_in" ]
}

@test "keys that others can write to are refused by step 9 and mended by step 2" {
	guest chmod 0777 /home/deploy
	run harden
	outcome 9 ssh skipped
	[ ! -e "$GUEST/root$drop_in" ]
	run deploy bootstrap --only user,ssh
	outcome 2 user changed
	outcome 9 ssh changed
	deploy_gets_in
}

@test "a configuration that sshd refuses is left alone, and its line is named" {
	printf 'PermitNonsense yes\n' >"$GUEST/root/etc/ssh/sshd_config.d/50-test.conf"
	run harden
	[ "$status" -eq 1 ]
	outcome 9 ssh failed
	[[ $output == *50-test.conf* ]]
	as_before
}

@test "a line that wins over ours is seen, and ours is taken back" {
	printf 'PasswordAuthentication yes\n' >"$GUEST/root/etc/ssh/sshd_config.d/00-aa.conf"
	run harden
	[ "$status" -eq 1 ]
	outcome 9 ssh failed
	[[ $output == *'passwordauthentication yes'* ]]
	as_before
}

@test "a user who cannot really log in is noticed, and the change is taken back at once" {
	printf '#!/bin/sh\nexit 1\n' >"$GUEST/root/usr/local/bin/broken-shell"
	chmod 0755 "$GUEST/root/usr/local/bin/broken-shell"
	guest usermod --shell /usr/local/bin/broken-shell deploy
	run harden
	[ "$status" -eq 1 ]
	outcome 9 ssh failed
	[[ $output == *'deploy cannot log in to'* ]]
	[ ! -e "$GUEST/root$drop_in" ]
	root_gets_in
	run guest systemctl is-active openclaw-deploy-ssh-revert.timer
	[ "$status" -ne 0 ]
	[ "$(guest cat /home/deploy/.ssh/authorized_keys)" = "$(cat "$GUEST/key.pub")" ]
}

@test "rules of the administrator's own are left alone" {
	for line in 'AuthenticationMethods publickey,password' 'AllowGroups root' 'DenyUsers dep*' \
		'PubkeyAuthentication no' 'AuthorizedKeysFile /etc/ssh/keys/%u'; do
		printf '%s\n' "$line" >"$GUEST/root/etc/ssh/sshd_config.d/50-test.conf"
		run harden
		[ "$status" -eq 0 ]
		outcome 9 ssh skipped
		[ ! -e "$GUEST/root$drop_in" ]
	done
}

@test "other people with a key keep their way in" {
	guest useradd --create-home --shell /bin/bash --password '*' other
	guest install -d -m 0700 -o other -g other /home/other/.ssh
	guest install -m 0600 -o other -g other /root/.ssh/authorized_keys /home/other/.ssh/authorized_keys
	run harden
	outcome 9 ssh changed
	login other true
	deploy_gets_in
	guest userdel --remove other 2>/dev/null
}

@test "who was let in by name before stays the only one, and the second run finds nothing to do" {
	guest useradd --create-home --shell /bin/bash --password '*' other
	guest install -d -m 0700 -o other -g other /home/other/.ssh
	guest install -m 0600 -o other -g other /root/.ssh/authorized_keys /home/other/.ssh/authorized_keys
	# The control: that key is good for a login.
	login other true
	printf 'AllowUsers deploy\n' >"$GUEST/root/etc/ssh/sshd_config.d/50-test.conf"
	run harden
	outcome 9 ssh changed
	run harden
	outcome 9 ssh unchanged
	deploy_gets_in
	run login other true
	[ "$status" -eq 255 ]
	guest userdel --remove other 2>/dev/null
}

# Runs step 9 and kills it when the change is written and not yet proved.
killed_in_the_middle() {
	# Debian's bash reads this file for commands over SSH: the proof takes that long.
	printf 'sleep 8\n' >"$GUEST/root/home/deploy/.bashrc"
	harden >"$GUEST/killed" 2>&1 &
	local run=$! _
	for _ in {1..200}; do
		[ -e "$GUEST/root$drop_in" ] && ! root_gets_in && break
		sleep 0.05
	done
	guest pkill -KILL -x openclaw-deploy
	wait "$run" || true
	[ -e "$GUEST/root$drop_in" ]
	guest rm /home/deploy/.bashrc
}

@test "killed in the middle, the next run finishes" {
	killed_in_the_middle
	guest systemctl is-active -q openclaw-deploy-ssh-revert.timer
	run harden
	[ "$status" -eq 0 ]
	outcome 9 ssh changed
	run guest systemctl is-active openclaw-deploy-ssh-revert.timer
	[ "$status" -ne 0 ]
	[ "$(guest cat /home/deploy/.ssh/authorized_keys)" = "$(cat "$GUEST/key.pub")" ]
	deploy_gets_in
	run harden
	outcome 9 ssh unchanged
}

@test "killed in the middle, a next run that fails too brings back what was there before both" {
	printf '#!/bin/sh\nexit 1\n' >"$GUEST/root/usr/local/bin/broken-shell"
	chmod 0755 "$GUEST/root/usr/local/bin/broken-shell"
	killed_in_the_middle
	run root_gets_in
	[ "$status" -eq 255 ]
	guest usermod --shell /usr/local/bin/broken-shell deploy
	run harden
	[ "$status" -eq 1 ]
	outcome 9 ssh failed
	[[ $output == *'deploy cannot log in to'* ]]
	guest usermod --shell /bin/bash deploy
	as_before
	run guest systemctl is-active openclaw-deploy-ssh-revert.timer
	[ "$status" -ne 0 ]
}

@test "killed in the middle, and nobody comes back: the change takes itself back" {
	killed_in_the_middle
	run root_gets_in
	[ "$status" -eq 255 ]
	for _ in {1..90}; do
		[ -e "$GUEST/root$drop_in" ] || break
		sleep 1
	done
	sleep 1
	as_before
}

@test "a firewall rule that turns SSH away stops step 6 before anything is switched on" {
	deploy bootstrap --only firewall >/dev/null
	guest ufw --force reset >/dev/null
	guest ufw deny 22/tcp >/dev/null
	run deploy bootstrap --only firewall
	[ "$status" -eq 1 ]
	outcome 6 firewall failed
	[[ $output == *'ufw deny 22/tcp'*'ufw delete deny 22/tcp'* ]]
	[ "$(guest ufw status)" = 'Status: inactive' ]
	deploy_gets_in
	# The control: without that rule it goes through.
	guest ufw delete deny 22/tcp >/dev/null
	run deploy bootstrap --only firewall
	outcome 6 firewall changed
	deploy_gets_in
}

@test "what people forward over SSH is not opened to everybody" {
	guest ufw --force reset >/dev/null 2>&1
	neighbour ssh "${ssh_options[@]}" -i "$GUEST/key" -N -R 8123:127.0.0.1:22 root@10.77.0.1 </dev/null >/dev/null 2>&1 &
	local forward=$! _
	for _ in {1..50}; do
		[[ $(guest ss -Hltn) != *:8123* ]] || break
		sleep 0.1
	done
	# The control: a second port of sshd's own is.
	printf 'Port 22\nPort 2222\n' >"$GUEST/root/etc/ssh/sshd_config.d/50-test.conf"
	guest systemctl restart ssh
	[[ $(guest ss -Hltnp) == *'127.0.0.1:8123'*'"sshd'* ]]
	run deploy bootstrap --only firewall
	kill "$forward"
	outcome 6 firewall changed
	[[ $output == *'SSH stays open on 22, 2222'* ]]
	[[ $(guest ufw show added) != *8123* ]]
}

@test "no firewall is switched on where sshd cannot say on which ports it will be" {
	guest ufw --force reset >/dev/null 2>&1
	printf 'PermitNonsense yes\n' >"$GUEST/root/etc/ssh/sshd_config.d/50-test.conf"
	run deploy bootstrap --only firewall
	[ "$status" -eq 1 ]
	outcome 6 firewall failed
	[[ $output == *50-test.conf* ]]
	[ "$(guest ufw status)" = 'Status: inactive' ]
}

@test "where systemd holds the port for sshd, steps 6 and 9 work as well" {
	guest ufw --force reset >/dev/null 2>&1 || true
	guest systemctl stop ssh.service
	guest systemctl daemon-reload # the ports that sshd was told before are the socket's too, on Ubuntu
	guest systemctl restart ssh.socket
	guest systemd-run --quiet --socket-property=ListenStream=8124 --unit=other /bin/true
	guest systemctl is-active -q other.socket
	guest rmdir /run/sshd 2>/dev/null || true
	run deploy bootstrap --only firewall,ssh --dry-run
	outcome 9 ssh planned
	guest test ! -e /run/sshd
	run deploy bootstrap --only firewall,ssh
	[ "$status" -eq 0 ]
	outcome 6 firewall changed
	[[ $output == *$'SSH stays open on 22\n'* ]]
	outcome 9 ssh changed
	guest systemctl stop other.socket
	deploy_gets_in
	run root_gets_in
	[ "$status" -eq 255 ]
	guest systemctl stop ssh.socket
}
