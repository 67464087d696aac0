# The real OpenClaw in its container, with its keys by the broker: what it does with them, without them, and where they are not.
# shellcheck disable=SC2016,SC2030,SC2031,SC2119,SC2120,SC2154 # code for the guest's shell; each test has variables of its own; `run` sets the rest
# The tests of this file go from state to state, in order, in one guest. Telegram and the model are servers of ours, which
# write down who called: so it can be seen which key the gateway holds.

key=1234567890:AAtelegramKeyThatIsOnNoDisk0000001
rotated=1234567890:AAtelegramKeyAfterItsChange0000002
model=sk-model-key-that-is-on-no-disk
other=notion-key-that-the-gateway-may-not-have
vault_token=ops_TokenOfTheBrokerOnNoDisk
provider=/usr/local/lib/oc-secrets/oc-secrets
config=/home/deploy/.openclaw/openclaw.json
gateway=openclaw-openclaw-gateway-1
image=127.0.0.1:5000/me/openclaw:real
telegram=10.77.0.1:8081

setup_file() {
	load guest
	load vps
	guest_tree
	guest_config
	sed -i '1i app_secrets = ["TELEGRAM_BOT_TOKEN", "OPENCODE_API_KEY"]\ndeliver = "broker"' "$GUEST/root/etc/openclaw-deploy.toml"
	vps_ground
	vps_broker
	vps_boot
	vault_has "$key"
	guest_serve_vendor
	vps_registry
	mkdir "$GUEST/real"
	../deploy/real-gateway "$GUEST/real" >"$GUEST/npm"
	guest_net ./publish "$image" "$GUEST/real" <<<"x-access-token:$vps_token"
	rm -r -- "${GUEST:?}/real"
	serve_telegram
	deploy bootstrap --only docker,user,files >"$GUEST/ground" || { cat "$GUEST/ground" && return 1; }
	vps_op_token "$vault_token"
	write_gateway_configuration TELEGRAM_BOT_TOKEN
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

vault_has() {
	vps_items OpenClaw "Telegram Bot Token=$1" "OpenCode Zen API Key=$model" "Notion API Key=$other"
}

# A Telegram of our own: each line of $GUEST/telegram is the path of a request, which has the bot's key in it.
serve_telegram() {
	guest_net ip address add 10.77.0.1/32 dev lo
	nsenter --target "$GUEST_PID" --net -- python3 - "$GUEST/telegram" "${telegram#*:}" <<-'PYTHON' >"$GUEST/telegram.log" 2>&1 3>&- &
		import http.server, json, sys, time
		class Telegram(http.server.BaseHTTPRequestHandler):
		    def do_POST(self):
		        self.rfile.read(int(self.headers.get("content-length") or 0))
		        print(self.path, file=open(sys.argv[1], "a"))
		        method = self.path.rsplit("/", 1)[1]
		        if method == "getUpdates": time.sleep(1)
		        bot = {"id": 1234567890, "is_bot": True, "first_name": "Bot", "username": "a_bot"}
		        result = {"getUpdates": [], "getMe": bot, "getWebhookInfo": {"url": "", "pending_update_count": 0}}.get(method, True)
		        body = json.dumps({"ok": True, "result": result}).encode()
		        self.send_response(200)
		        self.send_header("Content-Type", "application/json")
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    do_GET = do_POST
		http.server.ThreadingHTTPServer(("10.77.0.1", int(sys.argv[2])), Telegram).serve_forever()
	PYTHON
	echo $! >>"$GUEST/listeners"
}

# write_gateway_configuration NAME: as its user would have it; openclaw-deploy adds the provider. The bot's key is NAME.
write_gateway_configuration() {
	guest mkdir -p "${config%/*}"
	cat >"$GUEST/root$config" <<-END
		{
		  // JSON5, as OpenClaw reads it
		  gateway: { mode: "local" },
		  channels: { telegram: { enabled: true, apiRoot: "http://$telegram", botToken: { source: "exec", provider: "oc", id: "$1" } } },
		  models: { providers: { mine: { baseUrl: "http://$telegram/v1", api: "openai-completions",
		    apiKey: { source: "exec", provider: "oc", id: "OPENCODE_API_KEY" }, models: [{ id: "m", name: "m" }] } } },
		}
	END
	guest chown 1000:1000 "${config%/*}" "$config"
	guest chmod 0600 "$config"
}

boot() {
	guest env GHCR_TOKEN="$vps_token" openclaw-deploy bootstrap --only docker,user,files,gateway --image "$image" --health-timeout 300s "$@" 2>&1
}

openclaw() { guest docker exec "$gateway" node node_modules/openclaw/openclaw.mjs "$@" 2>&1; }

ask() { guest docker exec "$gateway" "$provider" read "$1" 2>&1; } # ask NAME: as the gateway would

started() { [[ $(guest_net curl -s -m 5 http://127.0.0.1:18789/startupz) == *'"started"'* ]]; }

live() { [[ $(guest_net curl -s -m 5 http://127.0.0.1:18789/healthz) == *'"live"'* ]]; }

# within SECONDS COMMAND…: it succeeds within so many seconds
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.5
	done
}

calls_telegram_with() { grep -qF "/bot$1/" "$GUEST/telegram" 2>/dev/null; }

telegram_is_asked_nothing() { : >"$GUEST/telegram"; }

# restart: the container alone, as an engine does it; since_restart: what the gateway has said after it.
restart() {
	restarted=$(guest date --iso-8601=seconds)
	guest docker stop "$gateway" >/dev/null
	telegram_is_asked_nothing # until then the old process may ask
	guest docker start "$gateway" >/dev/null
}

since_restart() { guest docker logs --since "$restarted" "$gateway" 2>&1; }

said() { [[ $(since_restart) == *"$1"* ]]; }

found() { vps_found "$1" "$gateway"; }

@test "the real gateway is healthy with two keys by the broker, and calls Telegram with its own" {
	run boot
	[ "$status" -eq 0 ] || { echo "$output" && guest docker logs "$gateway" && return 1; }
	started
	within 60 calls_telegram_with "$key"
	[[ $(guest journalctl --quiet --no-pager -u oc-secrets) == *'names=OPENCODE_API_KEY,TELEGRAM_BOT_TOKEN outcome="ok"'* ]]
}

@test "its own audit has nothing to say" {
	run openclaw secrets audit --check --allow-exec
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *'plaintext=0, unresolved=0'* ]]
}

@test "it gets no third name, no other client's socket, and not the vault's token" {
	[ "$(ask OPENCODE_API_KEY)" = "$model" ] # the control
	run ask NOTION_API_KEY
	[ "$status" -ne 0 ]
	[[ $output != *"$other"* ]]
	run guest docker exec "$gateway" sh -c 'cat /proc/1/environ; echo /run/oc-secrets/*; echo /run/credentials/*'
	[[ $output == *'/run/oc-secrets/socket'* && ! $output =~ OP_|ops_|/run/credentials/oc ]]
}

@test "neither key nor token is on a disk, in the journal, in what inspect says, or in an environment" {
	local text pid
	for text in "$key" "$model" "$vault_token"; do
		[ "$(found "$text")" = '' ]
		for pid in $(guest sh -c 'ls /proc | grep "^[0-9]*$"'); do
			run guest grep -qaF "$text" "/proc/$pid/environ"
			[ "$status" -ne 0 ] || { guest cat "/proc/$pid/cmdline" && return 1; }
		done
	done
	# The control: a key in .env is found in both.
	guest sh -c 'echo OTHER_KEY=control-key-in-env >>/home/deploy/openclaw/.env'
	boot >/dev/null
	[[ $(found control-key-in-env) == *inspect* ]]
	guest sh -c 'grep -qaF control-key-in-env "/proc/$(docker inspect --format "{{.State.Pid}}" "$1")/environ"' sh "$gateway"
	guest sed -i /OTHER_KEY/d /home/deploy/openclaw/.env
	boot >/dev/null
	within 120 started
}

@test "a key that was changed is there after reload-secrets, without a restart" {
	local before
	before=$(guest docker inspect --format '{{.State.StartedAt}}' "$gateway")
	vault_has "$rotated"
	telegram_is_asked_nothing
	run deploy reload-secrets
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	within 60 calls_telegram_with "$rotated"
	[ "$(guest docker inspect --format '{{.State.StartedAt}}' "$gateway")" = "$before" ]
}

@test "while the broker is stopped it goes on with what it has" {
	guest systemctl stop oc-secrets.service oc-secrets-client@gateway.socket
	run ask TELEGRAM_BOT_TOKEN # the control
	[ "$status" -ne 0 ]
	telegram_is_asked_nothing
	within 60 calls_telegram_with "$rotated"
	live
}

@test "a start without the broker is degraded and says so, and is whole again when the broker is back" {
	restart
	within 180 started
	said _DEGRADED
	live
	run calls_telegram_with "$rotated"
	[ "$status" -ne 0 ]
	guest systemctl start oc-secrets-client@gateway.socket
	run openclaw secrets reload
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	within 60 calls_telegram_with "$rotated"
}

@test "a wrong name leaves its owner cold, and the gateway up" {
	guest sed -i 's/"TELEGRAM_BOT_TOKEN"/"NO_SUCH_KEY"/' "$config"
	restart
	within 180 started
	since_restart | grep -F SECRETS
	said 'account:telegram:default'
	run said provider:mine # the other owner has its key
	[ "$status" -ne 0 ]
	guest sed -i 's/"NO_SUCH_KEY"/"TELEGRAM_BOT_TOKEN"/' "$config"
	restart
	within 180 started
	within 60 calls_telegram_with "$rotated"
}

@test "after all that neither key nor token is on a disk" {
	local text
	for text in "$key" "$rotated" "$model" "$vault_token"; do
		[ "$(found "$text")" = '' ]
	done
}
