# The broker's units, for real: a container that gets its keys over a socket and has them on no disk, through restarts and a reboot.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for the guest's shell; each test has variables of its own; `run` sets the rest
# The tests of this file go from state to state, in order, in one guest.

key=1234567890:TelegramKeyThatIsOnNoDisk
rotated=1234567890:TelegramKeyAfterItWasChanged
other=OtherKeyThatTheGatewayMayNotHave
vault_token=ops_VaultTokenThatIsOnNoDisk
new_token=ops_NextTokenThatIsOnNoDisk
mounted=/run/oc-secrets/clients

setup_file() {
	load guest
	load vps
	guest_tree
	guest_config
	vps_ground
	vps_broker
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

vault_has() { vps_items Automation "Telegram=$1" "Other=$other"; }

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

reads() { [ "$(inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN)" = "$1" ]; } # reads VALUE: that is what it gets

# The environment of the program in the container, as root on the host sees it.
environment() { guest sh -c 'tr "\0" "\n" <"/proc/$(docker inspect --format "{{.State.Pid}}" app-app-1)/environ"' 2>/dev/null; }

has_key() { environment | grep -qxF "TELEGRAM_BOT_TOKEN=$1"; }

found() { vps_found "$1" app-app-1; }

@test "the sockets are there before anybody serves, each its client's" {
	vps_op_token "$vault_token"
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
	reads "$key"
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
	run environment
	[[ $output == *OC_SECRETS_SOCKET* && ! $output =~ OP_|ops_ ]]
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
	reads "$key" # kept, for five minutes
	guest systemctl reload oc-secrets.service
	eventually reads "$rotated"
}

@test "service and sockets are stopped and started under a running container" {
	guest systemctl stop oc-secrets.service oc-secrets-client@gateway.socket
	run inside /usr/bin/oc-secrets read TELEGRAM_BOT_TOKEN
	[ "$status" -ne 0 ] # the control
	guest systemctl start oc-secrets-client@gateway.socket
	eventually reads "$rotated"
	guest sh -c 'kill -KILL $(systemctl show --value --property MainPID oc-secrets)'
	eventually reads "$rotated"
}

@test "clients and lock reach the broker" {
	run guest oc-secrets clients
	[ "$status" -eq 0 ]
	[[ $output == *'gateway  uid 1000  TELEGRAM_BOT_TOKEN'* ]]
	run guest oc-secrets lock
	[[ $output == *'the broker forgot '* ]]
}

@test "a new token reaches the broker that runs, without a restart" {
	local before
	before=$(guest systemctl show --value --property MainPID oc-secrets)
	run guest sh -c 'printf %s "$1" | oc-secrets login --stdin --systemd oc-secrets.service 2>&1' sh "$new_token"
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	[[ $output == *'the broker that runs here asks by it from now on'* ]]
	[[ $(guest journalctl --quiet --no-pager --unit oc-secrets) == *'signed in by a new token'* ]]
	reads "$rotated"
	[ "$(guest systemctl show --value --property MainPID oc-secrets)" = "$before" ]
	[ "$(found "$new_token")" = '' ]
	[ "$(guest systemd-creds decrypt /etc/credstore.encrypted/op-token -)" = "$new_token" ] # the control: it is what the next start loads
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
	[ "$(guest cat /run/reader)" = "$other" ] || { guest journalctl --no-pager -n 20 -u oc-secrets -u reader && return 1; }
}

@test "another client, and another uid for it, by the commands of docs/broker.md" {
	printf '\n[clients.mail]\nsecrets = ["OTHER_KEY"]\nuid = 1002\n' >>"$GUEST/root/etc/oc-secrets/oc-secrets.toml"
	sed -n '/Another client, once/,/^| After/ { /^```sh/,/^```$/ { /^```/!p } }' "$BATS_TEST_DIRNAME/../../docs/broker.md" >"$GUEST/root/root/another.sh"
	[ -s "$GUEST/root/root/another.sh" ]
	guest sh -e /root/another.sh
	local mail=(docker run --rm --volume /usr/bin/oc-secrets:/usr/bin/oc-secrets:ro --volume "$mounted/mail:/run/oc-secrets:ro" --env OC_SECRETS_SOCKET=/run/oc-secrets/socket)
	[ "$(guest "${mail[@]}" --user 1002 app /usr/bin/oc-secrets read OTHER_KEY)" = "$other" ]
	reads "$rotated" # the first client goes on
	run guest "${mail[@]}" --user 1003 app /usr/bin/oc-secrets read OTHER_KEY
	[ "$status" -eq 5 ]
	guest sed -i 's/uid = 1002/uid = 1003/' /etc/oc-secrets/oc-secrets.toml
	guest systemctl stop oc-secrets.service
	guest systemctl restart oc-secrets-client@mail.socket
	[ "$(guest "${mail[@]}" --user 1003 app /usr/bin/oc-secrets read OTHER_KEY)" = "$other" ]
	guest systemctl disable --now oc-secrets-client@mail.socket
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

@test "what the README says gives a container its key, word for word" {
	compose down
	guest systemctl disable --now oc-secrets.service oc-secrets.socket oc-secrets-client@{gateway,other}.socket
	guest rm -r /etc/oc-secrets /etc/credstore.encrypted
	sed -n '/^## Give a container its keys/,/^## Commands/ { /^```sh/,/^```$/ { /^```/!p } }' "$BATS_TEST_DIRNAME/../../README.md" |
		sed 's/docker run/docker run --detach --name readme/; s/ IMAGE / app /; s/ CMD$/ \/bin\/app/; s/ login / login --stdin /' >"$GUEST/root/root/readme.sh"
	run guest sh -c 'printf %s "$1" | sh -e /root/readme.sh' sh "$vault_token"
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	started() { guest sh -c 'tr "\0" "\n" <"/proc/$(docker inspect --format "{{.State.Pid}}" readme)/environ"' | grep -qxF "TELEGRAM_BOT_TOKEN=$rotated"; }
	eventually started || { guest docker logs readme && guest journalctl -u oc-secrets --no-pager && return 1; }
	[ "$(vps_found "$rotated" readme)" = '' ]
}
