//! `.env` and other people's credentials.

use crate::registry_proxy::{Rule, base64};
use crate::world::{GOOD, World, hold, inspect, put, same, sh, text};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    an_env_file_of_the_users_own_is_kept,
    a_pass_helper_with_an_empty_store_is_no_obstacle,
    a_stale_login_on_disk_is_not_used,
];

const ENV: &str = "/home/deploy/openclaw/.env";

fn an_env_file_of_the_users_own_is_kept(world: &World) -> Outcome {
    sh("install -d -o 1001 -g 1001 /home/deploy/openclaw")?;
    let hostile = "# mine\r\nOPENCLAW_IMAGE=openclaw:v2026.2.6\r\nB=`touch /run/pwned`\r\nA=$(touch /run/pwned)\r\nC='l$it \"x\"'\r\nP=ab$cd\r\nD=\"two\r\nOPENCLAW_GATEWAY_TOKEN=no\r\nlines\"\r\n\r\nOPENCLAW_GATEWAY_TOKEN=first\r\nOPENCLAW_GATEWAY_TOKEN=mine-1234567890\r\n";
    put(ENV, hostile)?;
    sh(&format!("chmod 644 {ENV}"))?;
    let before = environment()?;
    world.bootstrap("v1", &[]).exits(0)?;
    let pwned = std::path::Path::new("/run/pwned");
    hold(!pwned.exists(), "something in .env was run")?;
    // The control: a shell that reads it would.
    let _ = sh(&format!("set +e; . {ENV} 2>/dev/null; true"));
    hold(pwned.exists(), "nothing in .env could be run")?;
    same(
        "mode and owner",
        sh(&format!("stat -c '%a %U' {ENV}"))?,
        "600 deploy".to_owned(),
    )?;
    // Byte for byte what it was, but for our image, and then what was missing.
    let ours = format!("127.0.0.1:5001/me/openclaw@{}", world.images.digest("v1"));
    let after = text(ENV);
    let wanted = hostile.replace("openclaw:v2026.2.6", &ours);
    let added = after
        .strip_prefix(&wanted)
        .ok_or(format!("not what it was: {after}"))?;
    let keys: Vec<_> = added
        .split("\r\n")
        .filter_map(|it| it.split('=').next())
        .collect();
    same(
        "what was added",
        keys.as_slice(),
        &["GOG_KEYRING_PASSWORD", ""],
    )?;
    // And Compose reads it as before.
    let now = environment()?;
    same(
        "the image",
        now["OPENCLAW_IMAGE"].as_str(),
        Some(ours.as_str()),
    )?;
    for (key, value) in &before {
        if key != "OPENCLAW_IMAGE" {
            same(key, now.get(key), Some(value))?;
        }
    }
    same("the keys that were there", before.len(), 7)?;
    hold(
        inspect("{{json .Config.Env}}")?.contains("OPENCLAW_GATEWAY_TOKEN=mine-1234567890"),
        "the user's token is not used",
    )?;
    theirs(world)
}

/// `.env` as Compose reads it.
fn environment() -> Result<serde_json::Map<String, serde_json::Value>, String> {
    let text = sh(&format!(
        "cd /tmp && printf 'services: {{x: {{image: x, env_file: [{ENV}]}}}}' > /run/c.yaml && docker compose -f /run/c.yaml config --format json 2>/dev/null"
    ))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|why| why.to_string())?;
    let found = json["services"]["x"]["environment"].as_object();
    found.cloned().ok_or(format!("no environment: {text}"))
}

/// What is not ours to write.
fn theirs(world: &World) -> Outcome {
    // An image of the user's own is left alone, with a word.
    sh(&format!(
        "sed -i 's|^OPENCLAW_IMAGE=.*|OPENCLAW_IMAGE=me/fork:1|' {ENV}"
    ))?;
    world
        .bootstrap("v2", &[])
        .exits(0)?
        .says("left as it is (me/fork:1)")?;
    // A link and a stranger's file are refused.
    sh(&format!("mv {ENV} {ENV}.real && ln -s /etc/shadow {ENV}"))?;
    let shadow = text("/etc/shadow");
    world.bootstrap("v2", &[]).exits(1)?.says("symbolic link")?;
    same("where the link leads", text("/etc/shadow"), shadow)?;
    sh(&format!(
        "rm {ENV} && cp {ENV}.real {ENV} && chown 33 {ENV}"
    ))?;
    world
        .bootstrap("v2", &[])
        .exits(1)?
        .says("uid 33")
        .map(drop)
}

fn a_pass_helper_with_an_empty_store_is_no_obstacle(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    sh("mkdir -p /root/.docker")?;
    put("/root/.docker/config.json", "{\"credsStore\":\"pass\"}")?;
    // The control: the client itself is stopped by it.
    let login = sh(&format!(
        "echo {GOOD} | docker login -u x --password-stdin 127.0.0.1:5001"
    ));
    hold(
        login.is_err(),
        "the client could log in, so this proves nothing",
    )?;
    world.bootstrap("v1", &[]).exits(0).map(drop)
}

fn a_stale_login_on_disk_is_not_used(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    sh("mkdir -p /root/.docker")?;
    put(
        "/root/.docker/config.json",
        &format!(
            "{{\"auths\":{{\"127.0.0.1:5001\":{{\"auth\":\"{}\"}}}}}}",
            base64("x:ghp_expired")
        ),
    )?;
    let before = text("/root/.docker/config.json");
    // The control: the client itself is refused because of it.
    let pull = sh(&format!("HOME=/root docker pull -q {}", world.image("v1")));
    let refused = pull
        .err()
        .ok_or("the client could pull, so this proves nothing")?;
    hold(refused.contains("denied"), refused)?;
    world
        .bootstrap("v1", &[])
        .exits(0)?
        .says("/root/.docker/config.json holds a login for 127.0.0.1:5001")?;
    same("the file", text("/root/.docker/config.json"), before)
}
