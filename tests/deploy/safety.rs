//! Checks 21, 22, 25, 26, 31: `.env`, full disks, other people's credentials, and the token.

use crate::cold::Watch;
use crate::gate::{Harm, Rule, base64};
use crate::world::{GOOD, World, answering, hold, inspect, put, same, sh, text};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[
    check(21, "an .env of the user's own", env_file),
    check(22, "full disks", full),
    check(25, "a `pass` helper with an empty store", pass_helper),
    check(26, "a stale login on disk", stale_login),
    check(31, "random tokens through every failure", random_tokens),
];

const ENV: &str = "/home/deploy/openclaw/.env";

fn env_file(world: &World) -> Outcome {
    sh("install -d -o 1001 -g 1001 /home/deploy/openclaw")?;
    let hostile = "# mine\r\nOPENCLAW_IMAGE=openclaw:v2026.2.6\r\nB=`touch /run/pwned`\r\nA=$(touch /run/pwned)\r\nC='l$it \"x\"'\r\nD=\"two\r\nOPENCLAW_GATEWAY_TOKEN=no\r\nlines\"\r\n\r\nOPENCLAW_GATEWAY_TOKEN=first\r\nOPENCLAW_GATEWAY_TOKEN=mine-1234567890\r\n";
    put(ENV, hostile)?;
    sh(&format!("chmod 644 {ENV}"))?;
    let config = || {
        sh(&format!(
            "cd /tmp && touch /run/c.yaml && printf 'services: {{x: {{image: x, env_file: [{ENV}]}}}}' > /run/c.yaml && docker compose -f /run/c.yaml config --format json"
        ))
    };
    let before = config()?;
    world.bootstrap("v1", &[]).exits(0)?;
    hold(
        !std::path::Path::new("/run/pwned").exists(),
        "something in .env was run",
    )?;
    same(
        "mode and owner",
        sh(&format!("stat -c '%a %U' {ENV}"))?,
        "600 deploy".to_owned(),
    )?;
    let after = text(ENV);
    for line in hostile
        .lines()
        .filter(|line| !line.starts_with("OPENCLAW_IMAGE"))
    {
        hold(after.contains(line), format!("lost: {line}"))?;
    }
    hold(
        after.contains(&format!(
            "OPENCLAW_IMAGE=127.0.0.1:5001/me/openclaw@{}",
            world.images.digest("v1")
        )),
        "our image is not named",
    )?;
    let after_config = config()?;
    for line in before
        .lines()
        .filter(|line| !line.contains("OPENCLAW_IMAGE") && line.contains(": "))
    {
        hold(
            after_config.contains(line.trim().trim_end_matches(',')),
            format!("compose reads it differently: {line}"),
        )?;
    }
    hold(
        inspect("{{json .Config.Env}}")?.contains("OPENCLAW_GATEWAY_TOKEN=mine-1234567890"),
        "the user's token is not used",
    )?;
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
    world.bootstrap("v2", &[]).exits(1)?.says("symbolic link")?;
    sh(&format!(
        "rm {ENV} && cp {ENV}.real {ENV} && chown 33 {ENV}"
    ))?;
    world
        .bootstrap("v2", &[])
        .exits(1)?
        .says("uid 33")
        .map(drop)
}

fn full(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    sh(
        "head -c 30M /dev/zero > /home/deploy/.openclaw/large; chown 1000:1000 /home/deploy/.openclaw/large; mount -t tmpfs -o size=20m tmpfs /var/lib/openclaw-deploy/snapshots || true",
    )?;
    let started = inspect("{{.State.StartedAt}}")?;
    sh(
        "mkdir -p /var/lib/openclaw-deploy/snapshots; mountpoint -q /var/lib/openclaw-deploy/snapshots || mount -t tmpfs -o size=20m tmpfs /var/lib/openclaw-deploy/snapshots",
    )?;
    let run = world.bootstrap("v2", &[]);
    sh("umount /var/lib/openclaw-deploy/snapshots")?;
    run.exits(1)?
        .says("no space for a snapshot")?
        .says("needed")?
        .says("free")?;
    same(
        "the gateway's start",
        inspect("{{.State.StartedAt}}")?,
        started.clone(),
    )?;
    // The engine's own disk: an engine whose data lies on 60 MB.
    world.stop_engine();
    let root = world.scratch.join("docker").display().to_string();
    sh(&format!(
        "mv {root} {root}.aside; mkdir {root}; mount -t tmpfs -o size=60m tmpfs {root}"
    ))?;
    world.start_engine()?;
    world.gate.harm(Harm::None);
    let small = world.bootstrap("v1", &[]);
    let run = world.bootstrap("big", &[]);
    let still = answering();
    world.stop_engine();
    sh(&format!(
        "umount {root}; rmdir {root}; mv {root}.aside {root}"
    ))?;
    world.start_engine()?;
    small.exits(0)?;
    run.exits(4)?.says("disk:")?;
    same("who answers", still, "v1".to_owned())
}

fn pass_helper(world: &World) -> Outcome {
    world.gate.rule(Rule::Tokens {
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

fn stale_login(world: &World) -> Outcome {
    world.gate.rule(Rule::Tokens {
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
    world
        .bootstrap("v1", &[])
        .exits(0)?
        .says("/root/.docker/config.json holds a login for 127.0.0.1:5001")?;
    same("the file", text("/root/.docker/config.json"), before)
}

fn random_tokens(world: &World) -> Outcome {
    let token = sh("head -c 300 /dev/urandom | tr -dc 'A-Za-z0-9_' | head -c 40")?;
    same("length", token.len(), 40)?;
    world.gate.rule(Rule::Tokens {
        token: token.clone(),
        public: false,
    });
    let watch = Watch::begin();
    let mut output = String::new();
    let mut keep = |run: crate::world::Ran, code: i32| -> Outcome {
        output.push_str(&run.out);
        output.push_str(&run.err);
        run.exits(code).map(drop)
    };
    let token = Some(token.as_str());
    keep(world.bootstrap_as(token, "v1", &[]), 0)?;
    keep(world.bootstrap_as(token, "missing", &[]), 4)?;
    keep(world.bootstrap_as(token, "arm", &[]), 4)?;
    keep(
        world.bootstrap_as(token, "v3", &["--health-timeout", "1s"]),
        5,
    )?;
    keep(world.bootstrap_as(token, "v4", &[]), 5)?;
    world.gate.harm(Harm::Corrupt);
    keep(world.bootstrap_as(token, "big", &[]), 4)?;
    world.gate.harm(Harm::Down);
    keep(
        world.bootstrap_as(token, "v6", &["--pull-timeout", "2s"]),
        4,
    )?;
    world.gate.harm(Harm::None);
    world.gate.rule(Rule::Tokens {
        token: "another".to_owned(),
        public: false,
    });
    keep(world.bootstrap_as(token, "v6", &[]), 4)?;
    let seen = watch.end();
    let token = token.unwrap_or_default();
    let pair = base64(&format!("x-access-token:{token}"));
    for needle in [token, &base64(token)[..40], &pair[..60]] {
        hold(!output.contains(needle), "in the output")?;
        hold(
            !seen.contains(needle),
            "in a process's arguments or environment",
        )?;
        let found = sh(&format!(
            "grep -rlF -- '{needle}' /root /home /run /etc/docker /var/lib/openclaw-deploy {}/dockerd.log 2>/dev/null || true",
            world.scratch.display()
        ))?;
        same("files with it", found.as_str(), "")?;
    }
    hold(!inspect("{{json .}}")?.contains(token), "in docker inspect")
}
