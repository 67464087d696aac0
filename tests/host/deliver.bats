# openclaw-deploy gives the gateway its keys by the broker, for real: units, mounts, a reboot, the way back; and the keys on no disk.
# shellcheck disable=SC2016,SC2030,SC2031,SC2119,SC2120,SC2154 # code for the guest's shell; each test has variables of its own; `run` sets the rest
# The tests of this file go from state to state, in order, in one guest.

key=1234567890:TelegramKeyThatTheBrokerHas
rotated=1234567890:TelegramKeyAfterItsChange
vault_token=ops_TokenOfTheBrokerOnNoDisk
provider=/usr/local/lib/oc-secrets/oc-secrets
config=/home/deploy/.openclaw/openclaw.json
gateway=openclaw-openclaw-gateway-1

setup_file() {
	load guest
	load vps
	guest_tree
	guest_config
	vps_ground
	vps_broker
	vps_boot
	vault_has "$key"
	guest_serve_vendor
	vps_registry
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

vault_has() { vps_items OpenClaw "Telegram Bot Token=$1" "Notion API Key=notion-key"; }

# told LINES…: these lines are at the top of the configuration, in the place of earlier ones.
told() {
	sed -i '/^app_secrets\|^swarm_secrets\|^deliver/d' "$GUEST/root/etc/openclaw-deploy.toml"
	printf '%s\n' "$@" | cat - "$GUEST/root/etc/openclaw-deploy.toml" >"$GUEST/config"
	cat "$GUEST/config" >"$GUEST/root/etc/openclaw-deploy.toml"
}

boot() { guest env GHCR_TOKEN="$vps_token" openclaw-deploy bootstrap --only docker,user,files,gateway --image "$vps_image" "$@" 2>&1; }

ask() { guest docker exec "$gateway" "$provider" read "$1" 2>&1; } # ask NAME: as the gateway would

container() { guest docker inspect --format '{{.Id}}' "$gateway"; }

has() { [ "$(ask TELEGRAM_BOT_TOKEN)" = "$1" ]; }

found() { vps_found "$1" "$gateway"; }

@test "without the broker's token it is refused, and a dry run says so too" {
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN"]' 'deliver = "broker"'
	deploy bootstrap --only docker,user,files,upkeep >"$GUEST/ground" || { cat "$GUEST/ground" && return 1; }
	for dry in '' --dry-run; do
		run boot $dry
		[ "$status" -eq 1 ]
		[[ $output == *'there is no /etc/credstore.encrypted/op-token'*'oc-secrets login --systemd oc-secrets.service'* ]]
	done
	[ -z "$(guest docker ps --all --quiet)" ]
}

@test "a name whose item is not known is refused with the lines to write" {
	vps_op_token "$vault_token"
	told 'app_secrets = ["MY_KEY"]' 'deliver = "broker"'
	run boot
	[ "$status" -eq 2 ]
	[[ $output == *'MY_KEY = "op://VAULT/ITEM/FIELD"'*'[clients.gateway]'* ]]
}

@test "a name without a value is refused before there is a gateway" {
	told 'app_secrets = ["TODOIST_API_KEY"]' 'deliver = "broker"'
	run boot
	[ "$status" -eq 1 ]
	[[ $output == *'the broker has no value for TODOIST_API_KEY; the gateway was not touched'* ]]
	[ -z "$(guest docker ps --all --quiet)" ]
	guest rm /etc/oc-secrets/oc-secrets.toml
	guest systemctl reload oc-secrets.service || true
	guest systemctl stop oc-secrets.service oc-secrets.socket oc-secrets-client@gateway.socket
	guest systemctl disable oc-secrets.socket oc-secrets-client@gateway.socket
}

@test "the first run on a host with op and a token chooses the broker, and the gateway can ask" {
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN"]'
	run boot --dry-run
	[ "$status" -eq 0 ]
	[[ $output == *'write /etc/oc-secrets/oc-secrets.toml'*'enable oc-secrets-client@gateway.socket'* ]]
	[ ! -e "$GUEST/root/etc/oc-secrets/oc-secrets.toml" ]
	run boot
	[ "$status" -eq 0 ] || { echo "$output" && guest journalctl -u oc-secrets --no-pager && return 1; }
	vps_answers
	has "$key"
	[ "$(guest stat -c '%a %u' /var/lib/openclaw-deploy/provider /var/lib/openclaw-deploy/provider/oc-secrets)" = $'700 0\n555 1000' ]
	[ "$(guest stat -c '%a %u' $config)" = '600 1000' ]
	guest cat $config | python3 -c 'import json, sys; it = json.load(sys.stdin); assert it["secrets"]["providers"]["oc"]["command"] == "'$provider'" and it["gateway"]["mode"] == "local", it'
	run guest docker exec "$gateway" sh -c true # there is no shell in it: the program is static
	[ "$status" -ne 0 ]
	run ask NOTION_API_KEY
	[ "$status" -ne 0 ]
}

@test "a second run changes nothing, status and doctor know it" {
	local before
	before=$(container)
	run boot
	[ "$status" -eq 0 ]
	[[ $output == *gateway*unchanged* ]]
	[ "$(container)" = "$before" ]
	[[ $(deploy status) == *'keys        by the broker: TELEGRAM_BOT_TOKEN'* ]]
	[[ $(deploy doctor) == *'ok    secrets    by the broker: TELEGRAM_BOT_TOKEN'* ]]
	[[ $(deploy status --json) == *'"deliver":"broker"'* ]]
}

@test "neither key nor token is on a disk, in the journal, or in what inspect says" {
	[ "$(found "$key")" = '' ]
	[ "$(found "$vault_token")" = '' ]
	# The control: a key in .env is found.
	guest sh -c 'echo OTHER_KEY=control-key-in-env >>/home/deploy/openclaw/.env'
	boot >/dev/null
	[[ $(found control-key-in-env) == *inspect* ]]
	has "$key"
}

@test "a key in .env goes when the gateway asks for it and the vault has the same, and else stays with a warning" {
	guest sh -c 'echo TELEGRAM_BOT_TOKEN=another >>/home/deploy/openclaw/.env'
	run boot
	[[ $output == *'TELEGRAM_BOT_TOKEN stays in .env'*'no field of openclaw.json asks for it'* ]]
	python3 - "$GUEST/root$config" <<-'PYTHON'
		import json, sys
		text = json.load(open(sys.argv[1]))
		text["channels"] = {"telegram": {"botToken": {"source": "exec", "provider": "oc", "id": "TELEGRAM_BOT_TOKEN"}}}
		json.dump(text, open(sys.argv[1], "w"))
	PYTHON
	run boot
	[[ $output == *'TELEGRAM_BOT_TOKEN stays in .env'*'1Password has another value'* ]]
	guest sed -i "s/^TELEGRAM_BOT_TOKEN=.*/TELEGRAM_BOT_TOKEN=$key/" /home/deploy/openclaw/.env
	# A run that does not lead to a gateway without it leaves it there: the one that runs was given it.
	run guest env GHCR_TOKEN="$vps_token" openclaw-deploy bootstrap --only gateway --image "${vps_image%:*}:no-such-tag" --upstream-image ''
	[ "$status" -eq 4 ] || { echo "$output" && return 1; }
	guest grep -q "^TELEGRAM_BOT_TOKEN=$key" /home/deploy/openclaw/.env
	[[ $(guest docker inspect "$gateway") == *TELEGRAM_BOT_TOKEN=* ]] # the control
	run boot
	[ "$status" -eq 0 ]
	[[ $output == *'TELEGRAM_BOT_TOKEN is no longer in .env'* ]]
	run guest grep -q TELEGRAM_BOT_TOKEN /home/deploy/openclaw/.env
	[ "$status" -eq 1 ]
	guest grep -q OTHER_KEY=control-key-in-env /home/deploy/openclaw/.env
	[[ $(guest docker inspect "$gateway") != *"$key"* ]]
}

@test "a program in the container that was changed is put right before the next start" {
	guest sh -c 'echo "#!/bin/sh" >/var/lib/openclaw-deploy/provider/oc-secrets'
	guest sh -c 'echo OTHER_KEY=more >>/home/deploy/openclaw/.env'
	boot >/dev/null
	guest cmp /usr/bin/oc-secrets /var/lib/openclaw-deploy/provider/oc-secrets
	has "$key"
}

@test "both units are stopped and started under the running gateway" {
	guest systemctl stop oc-secrets.service oc-secrets-client@gateway.socket
	run has "$key" # the control
	[ "$status" -ne 0 ]
	guest systemctl start oc-secrets-client@gateway.socket
	eventually has "$key"
}

@test "a changed key is there after reload-secrets, without a restart" {
	local before
	before=$(container)
	vault_has "$rotated"
	has "$key" # kept
	run deploy reload-secrets
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	has "$rotated"
	[ "$(container)" = "$before" ]
}

@test "after a reboot the gateway has its key again, by the program that this host has" {
	guest systemctl enable docker.service 2>/dev/null
	guest sh -c 'echo "#!/bin/sh" >/var/lib/openclaw-deploy/provider/oc-secrets'
	guest_crash
	vps_boot
	eventually has "$rotated"
	guest cmp /usr/bin/oc-secrets /var/lib/openclaw-deploy/provider/oc-secrets
	[ "$(guest stat -c '%a %u' /var/lib/openclaw-deploy/provider/oc-secrets)" = '555 1000' ]
	[ "$(guest ls -A /var/lib/openclaw-deploy/provider)" = oc-secrets ]
	eventually vps_answers
	[ "$(found "$rotated")" = '' ]
}

@test "without op the choice stays, and is refused rather than changed" {
	told 'swarm_secrets = ["TELEGRAM_BOT_TOKEN"]' # its older name
	guest mv /usr/bin/op /usr/bin/op.away
	run boot
	[ "$status" -eq 1 ]
	[[ $output == *'op is not installed; the gateway was not touched'* ]]
	has "$rotated"
	guest mv /usr/bin/op.away /usr/bin/op
}

@test "a change of deliver is a release, and rollback leads back across it" {
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN"]' 'deliver = "env"'
	run boot
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	[[ $(deploy status) == *'keys        in .env'* ]]
	run has "$rotated"
	[ "$status" -ne 0 ]
	run deploy rollback --yes
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	[[ $(deploy status) == *'keys        by the broker'* ]]
	has "$rotated"
	# Those that have left .env since are named before it goes back.
	for answer in yes no; do
		run deploy rollback --yes
		[ "$status" -eq 0 ] || { echo "$output" && return 1; }
		[[ $output == *'has its keys from .env, and runs without these, which are not there: TELEGRAM_BOT_TOKEN'* ]] && said=yes || said=no
		[ "$said" = "$answer" ]
	done
	has "$rotated"
}

@test "units that a package has come to have are no longer ours, and somebody's own stay" {
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN"]' 'deliver = "broker"'
	guest mkdir -p /usr/lib/systemd/system
	for unit in oc-secrets.service oc-secrets.socket oc-secrets-client@.socket; do
		guest cp "/etc/systemd/system/$unit" "/usr/lib/systemd/system/$unit"
	done
	guest sh -c 'echo "# mine" >>/etc/systemd/system/oc-secrets.service'
	run boot --dry-run
	[[ $output == *'remove /etc/systemd/system/oc-secrets.socket: a package has it now'* ]]
	[[ $output != *'remove /etc/systemd/system/oc-secrets.service'* ]]
	run boot
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	[ "$(guest ls /etc/systemd/system | grep '^oc-secrets.*[et]$')" = oc-secrets.service ]
	[[ $(guest systemctl show --property FragmentPath --value oc-secrets-client@gateway.socket) == */lib/systemd/system/oc-secrets-client@.socket ]]
	guest systemctl is-enabled oc-secrets.socket oc-secrets-client@gateway.socket
	has "$rotated"
	run boot
	[[ $output == *gateway*unchanged* ]] || { echo "$output" && return 1; }
	guest_crash
	vps_boot
	eventually has "$rotated"
}

@test "a manifest of somebody's own is not changed, and has to have the client" {
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN", "NOTION_API_KEY"]' 'deliver = "broker"'
	guest sha256sum /etc/oc-secrets/oc-secrets.toml >"$GUEST/sum"
	run boot
	[ "$status" -eq 2 ]
	[[ $output == *'does not give the client `gateway` all of app_secrets'*'secrets = ["TELEGRAM_BOT_TOKEN", "NOTION_API_KEY"]'* ]]
	[ "$(guest sha256sum /etc/oc-secrets/oc-secrets.toml)" = "$(cat "$GUEST/sum")" ]
	has "$rotated"
}

@test "the timer's update has the registry's token from the broker, as the client host" {
	vps_items OpenClaw "Telegram Bot Token=$rotated" "GitHub GHCR Pull Token=a-wrong-one"
	cat >>"$GUEST/root/etc/oc-secrets/oc-secrets.toml" <<-'END'

		[secrets.GHCR_TOKEN]
		ref = "op://OpenClaw/GitHub GHCR Pull Token/credential"

		[clients.host]
		secrets = ["GHCR_TOKEN"]
		uid = 0
	END
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN"]' 'deliver = "broker"'
	printf '[update]\nschedule = "weekly"\n' >>"$GUEST/root/etc/openclaw-deploy.toml"
	guest systemctl stop oc-secrets.service
	guest systemctl enable --now oc-secrets-client@host.socket
	deploy bootstrap --only upkeep >"$GUEST/upkeep" 2>&1 || { cat "$GUEST/upkeep" && return 1; }
	[[ $(guest cat /etc/systemd/system/openclaw-update.service) == *'LoadCredential=GHCR_TOKEN:/run/oc-secrets/clients/host/socket'* ]]
	vps_registry_serve
	# The timer has elapsed before the boot, as its stamp says: of the service, which has not run since, nothing is known.
	last() { guest openclaw-deploy status --json | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["update"]["last"]))'; }
	guest systemctl stop openclaw-update.timer
	guest touch /var/lib/systemd/timers/stamp-openclaw-update.timer
	guest systemctl start openclaw-update.timer
	[[ $(guest systemctl show --value --property LastTriggerUSec openclaw-update.timer) == *:* ]] # the control
	[ "$(last)" = '""' ]
	[[ $(deploy status) == *'weekly, next '* && $(deploy status) != *', last:'* ]]
	told_of() { guest journalctl --quiet --no-pager --unit openclaw-update | grep -c "$1" || true; }
	guest mkdir -p /etc/openclaw-deploy/hooks
	printf '#!/bin/sh\nenv >/srv/told\n' >"$GUEST/root/etc/openclaw-deploy/hooks/post-failure"
	chmod 0755 "$GUEST/root/etc/openclaw-deploy/hooks/post-failure"
	run guest systemctl start openclaw-update.service # the control: the registry looks at the token, and somebody is told
	[ "$status" -ne 0 ]
	[ "$(told_of 'is not known: auth: .* runs on as it is')" -eq 1 ] || { guest journalctl --no-pager -n 30 -u openclaw-update -u oc-secrets && return 1; }
	grep -qx 'OPENCLAW_CAUSE=auth' "$GUEST/root/srv/told"
	guest rm -r /etc/openclaw-deploy/hooks /srv/told
	[ "$(last)" = '"exit-code"' ]
	has "$rotated"
	vps_items OpenClaw "Telegram Bot Token=$rotated" "GitHub GHCR Pull Token=$vps_token"
	guest oc-secrets lock
	guest systemctl start openclaw-update.service
	[ "$(told_of 'is not known')" -eq 1 ] || { guest journalctl --no-pager -n 30 -u openclaw-update -u oc-secrets && return 1; }
	[ "$(told_of 'gateway     unchanged')" -eq 1 ]
	[ "$(last)" = '"success"' ]
	[[ $(guest journalctl --quiet --no-pager --unit oc-secrets) == *host*GHCR_TOKEN* ]]
	has "$rotated"
	[ "$(found "$vps_token")" = '' ]
}

@test "a remote engine and a Swarm are refused with the reason" {
	told 'app_secrets = ["TELEGRAM_BOT_TOKEN"]' 'deliver = "broker"'
	run deploy status --docker-host ssh://root@elsewhere
	[ "$status" -eq 2 ]
	[[ $output == *'a container on another machine cannot reach the broker'* ]]
	run boot --swarm
	[ "$status" -ne 0 ]
	[[ $output == *'which a Swarm service cannot be given'* ]]
}
