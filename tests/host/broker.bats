# The broker's units, for real: a container that gets its keys over a socket and has them on no disk, through restarts and a reboot.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for the guest's shell; each test has variables of its own; `run` sets the rest
# The tests of this file go from state to state, in order, in one guest.

key=1234567890:TelegramKeyThatIsOnNoDisk
rotated=1234567890:TelegramKeyAfterItWasChanged
other=OtherKeyThatTheGatewayMayNotHave
vault_token=ops_VaultTokenThatIsOnNoDisk
mounted=/run/oc-secrets/clients

setup_file() {
	load guest
	load vps
	guest_tree
	guest_config
	vps_ground
	install -m 0755 "$OC_HOST_STATIC" "$GUEST/root/usr/bin/oc-secrets"
	install -m 0755 "${OC_HOST_BIN%/*}/examples/op-double" "$GUEST/root/usr/bin/op"
	install -m 0644 "$BATS_TEST_DIRNAME"/../../shell/systemd/* "$GUEST/root/usr/lib/systemd/system/"
	vps_boot
	vault_has "$key"
	guest_serve_vendor
	install_engine
	write_manifest
	write_compose
}

teardown_file() {
	load guest
	guest_stop
}

setup() {
	load guest
	load vps
	guest_again
}

# The vault lies beside the guest's disk. The stand-in writes down who called, for which the unit's own user needs rights.
vault_has() {
	cat >"$GUEST/vault/vaults.json" <<-VAULT
		{ "vaults": [ { "id": "vvvvvvvvvvvvvvvvvvvvvvvvvv", "name": "Automation", "items": [
		  { "id": "iiiiiiiiiiiiiiiiiiiiiiiii1", "title": "Telegram", "fields": [ { "id": "credential", "label": "credential", "type": "CONCEALED", "value": "$1" } ] },
		  { "id": "iiiiiiiiiiiiiiiiiiiiiiiii2", "title": "Other", "fields": [ { "id": "credential", "label": "credential", "type": "CONCEALED", "value": "$other" } ] }
		] } ] }
	VAULT
	chmod 0777 "$GUEST/vault"
	mkdir -p "$GUEST/root/etc/systemd/system/oc-secrets.service.d"
	printf '[Service]\nReadWritePaths=/usr/double\n' >"$GUEST/root/etc/systemd/system/oc-secrets.service.d/stand-in.conf"
}

# Docker, and an image with one program in it that runs until it is stopped.
install_engine() {
	deploy bootstrap --only docker >"$GUEST/engine" || { cat "$GUEST/engine" && return 1; }
	install -D -m 0755 "$OC_HOST_GATEWAY" "$GUEST/image/bin/app"
	tar -C "$GUEST/image" -c . | nsenter --target "$GUEST_PID" --all --root="/proc/$GUEST_PID/root" --wd=/ -- docker import - app
}

write_manifest() {
	mkdir -p "$GUEST/root/etc/oc-secrets"
	cat >"$GUEST/root/etc/oc-secrets/oc-secrets.toml" <<-'END'
		[secrets]
		TELEGRAM_BOT_TOKEN = "op://Automation/Telegram/credential"
		OTHER_KEY          = "op://Automation/Other/credential"

		[clients.gateway]
		secrets = ["TELEGRAM_BOT_TOKEN"]
		uid     = 1000

		[clients.other]
		secrets = ["OTHER_KEY"]
		uid     = 1001
	END
}

# The recipe of docs/broker.md.
write_compose() {
	mkdir -p "$GUEST/root/srv/app"
	cat >"$GUEST/root/srv/app/compose.yaml" <<-'END'
		services:
		  app:
		    image: app
		    user: "1000:1000"
		    restart: unless-stopped
		    entrypoint: [/usr/bin/oc-secrets, exec, --, /bin/app]
		    environment:
		      OC_SECRETS_SOCKET: /run/oc-secrets/socket
		    volumes:
		      - type: bind
		        source: /usr/bin/oc-secrets
		        target: /usr/bin/oc-secrets
		        read_only: true
		      - type: bind
		        source: /run/oc-secrets/clients/gateway
		        target: /run/oc-secrets
		        read_only: true
		        bind: { create_host_path: false }
	END
}

compose() { guest docker compose --project-directory /srv/app "$@" 2>&1; }

inside() { guest docker exec app-app-1 "$@" 2>&1; } # inside COMMAND…: in the container

# The environment of the program in the container, as root on the host sees it.
environment() { guest sh -c 'tr "\0" "\n" <"/proc/$(docker inspect --format "{{.State.Pid}}" app-app-1)/environ"' 2>/dev/null; }

# eventually COMMAND…: it succeeds within 20 seconds
eventually() {
	local _
	for _ in {1..100}; do
		"$@" && return 0
		sleep 0.2
	done
	return 1
}

has_key() { environment | grep -qxF "TELEGRAM_BOT_TOKEN=$1"; }

# found TEXT: the files that have it, on the guest's disk, the engine's, and in what inspect and the journal say
found() {
	sync
	grep -rlaF "$1" "$GUEST/upper" "$GUEST/docker" "$GUEST/containerd" 2>/dev/null || true
	if guest docker inspect app-app-1 | grep -qF "$1"; then echo inspect; fi
	if guest journalctl --quiet --no-pager | grep -qF "$1"; then echo journal; fi
	if guest docker export app-app-1 | grep -qaF "$1"; then echo container; fi
}

@test "the sockets are there before anybody serves, each its client's" {
	guest sh -c 'mkdir -p /etc/credstore.encrypted && printf %s "$1" | systemd-creds encrypt --with-key=host --name=op-token - /etc/credstore.encrypted/op-token' sh "$vault_token"
	guest systemctl enable --now oc-secrets.socket oc-secrets-client@{gateway,other}.socket || { guest journalctl --no-pager -n 40 && return 1; }
	[ "$(guest systemctl is-active oc-secrets.service)" = inactive ]
	run guest systemctl start oc-secrets-client@nobody.socket # the control: none that the manifest does not have
	[ "$status" -ne 0 ]
	[[ $(guest journalctl --quiet --no-pager) == *'no client nobody in the manifest'* ]]
	[ "$(guest stat -c '%a %u' /run/oc-secrets $mounted $mounted/gateway $mounted/gateway/socket $mounted/other/socket)" = $'755 0\n700 0\n755 0\n600 1000\n600 1001' ]
}

@test "a container without op, token or manifest starts with its key, by the broker that systemd starts for it" {
	run compose up --detach
	[ "$status" -eq 0 ]
	eventually has_key "$key" || { compose logs && guest journalctl -u oc-secrets --no-pager && return 1; }
	[ "$(guest systemctl is-active oc-secrets.service)" = active ]
	# Not root, nor anybody who has a name.
	[ "$(guest sh -c 'stat -c %u /proc/$(systemctl show --value --property MainPID oc-secrets)')" -gt 60000 ]
	[ "$(inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN)" = "$key" ]
}

@test "it gets no other name, no other client's socket, and not the vault's token" {
	run inside /usr/bin/oc-secrets read OTHER_KEY
	[ "$status" -ne 0 ]
	local refused=${output//OTHER_KEY/X}
	run inside /usr/bin/oc-secrets read NO_SUCH_NAME
	[ "$refused" = "${output//NO_SUCH_NAME/X}" ] # whether it exists cannot be told
	run inside /usr/bin/oc-secrets ls
	[[ $output == *TELEGRAM_BOT_TOKEN* && $output != *OTHER_KEY* ]]
	[ "$(guest sh -c 'ls /proc/$(docker inspect --format "{{.State.Pid}}" app-app-1)/root/run/oc-secrets')" = socket ]
	! environment | grep -qE 'OP_|ops_'
	# The control: whose container has the other folder is answered.
	local mounts=(--volume /usr/bin/oc-secrets:/usr/bin/oc-secrets:ro --volume "$mounted/other:/run/oc-secrets:ro" --env OC_SECRETS_SOCKET=/run/oc-secrets/socket)
	[ "$(guest docker run --rm --user 1001 "${mounts[@]}" app /usr/bin/oc-secrets read OTHER_KEY)" = "$other" ]
	run guest docker run --rm --user 1000 "${mounts[@]}" app /usr/bin/oc-secrets read OTHER_KEY
	[ "$status" -ne 0 ]
}

@test "neither key nor token is on a disk, in the journal, or in what inspect says" {
	[ "$(found "$key")" = '' ]
	[ "$(found "$vault_token")" = '' ]
	# The control: by an environment of Compose's it is on the engine's disk, and inspect tells it.
	guest docker run --detach --name app-control --env "KEY=control-$key" app /bin/app >/dev/null
	sync
	grep -rqaF "control-$key" "$GUEST/docker" "$GUEST/containerd"
	guest docker inspect app-control | grep -qF "control-$key"
	guest docker rm --force --volumes app-control >/dev/null
}

@test "only op, and the env that it starts, ever had the key beside the program" {
	local pid line
	for pid in $(guest sh -c 'ls /proc | grep "^[0-9]*$"'); do
		line=$(guest sh -c 'tr "\0" "\n" <"/proc/$1/environ" 2>/dev/null | grep -F "$2" >/dev/null && tr "\0" " " <"/proc/$1/cmdline"' sh "$pid" "$key") || continue
		[[ $line == '/bin/app '* ]] || { echo "pid $pid: $line" && return 1; }
	done
	has_key "$key" # the control: there is one that has it
}

@test "a key that was changed is there after a reload, without a restart of the container" {
	vault_has "$rotated"
	[ "$(inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN)" = "$key" ] # kept, for five minutes
	guest systemctl reload oc-secrets.service
	eventually test "$(inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN)" = "$rotated"
}

@test "service and sockets are stopped and started under a running container" {
	guest systemctl stop oc-secrets.service oc-secrets-client@gateway.socket
	run inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN
	[ "$status" -ne 0 ] # the control
	guest systemctl start oc-secrets-client@gateway.socket
	eventually test "$(inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN)" = "$rotated"
	guest sh -c 'kill -KILL $(systemctl show --value --property MainPID oc-secrets)'
	eventually test "$(inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN)" = "$rotated"
}

@test "clients and lock reach the broker" {
	run guest oc-secrets clients
	[ "$status" -eq 0 ]
	[[ $output == *'gateway  uid 1000  TELEGRAM_BOT_TOKEN'* ]]
	run guest oc-secrets lock
	[[ $output == *'the broker forgot '* ]]
}

@test "another unit gets its key by LoadCredential, without a program of ours" {
	cat >"$GUEST/root/etc/systemd/system/reader.service" <<-END
		[Service]
		Type=oneshot
		LoadCredential=OTHER_KEY:$mounted/other/socket
		ExecStart=sh -c 'cp "\$CREDENTIALS_DIRECTORY/OTHER_KEY" /run/reader'
	END
	guest systemctl daemon-reload
	guest systemctl start reader.service
	[ "$(guest cat /run/reader)" = "$other" ]
}

@test "after a reboot the container has its key again, by itself" {
	guest systemctl enable docker.service 2>/dev/null
	guest_crash
	vps_boot
	eventually has_key "$rotated"
	[ "$(found "$rotated")" = '' ]
}

@test "systemd calls the sandbox of the service OK or better" {
	exposure() { guest systemd-analyze security --no-pager "$1" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p'; }
	local ours bare
	ours=$(exposure oc-secrets.service)
	bare=$(exposure reader.service)
	echo "# systemd-analyze security: oc-secrets.service $ours, a unit without a sandbox $bare" >&3
	awk -v ours="$ours" -v bare="$bare" 'BEGIN { exit !(ours != "" && ours < 2 && bare > 8) }'
}
