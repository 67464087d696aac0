//! We are root, and the home of the deploy user is the deploy user's.

use crate::world::{GOOD, World, hold, inspect, put, same, sh, text};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] =
    checks![what_the_deploy_user_plants_is_not_followed_read_or_waited_for,];

const SSH: &str = "/home/deploy/.ssh";
const ENV: &str = "/home/deploy/openclaw/.env";

fn what_the_deploy_user_plants_is_not_followed_read_or_waited_for(world: &World) -> Outcome {
    keys(world)?;
    directories(world)?;
    way_back(world)?;
    variables(world)?;
    // A large file is refused and not cut.
    world.bootstrap("v1", &[]).exits(0)?;
    let large = format!("{}# {}\nLAST=1\n", text(ENV), "x".repeat(1 << 20));
    put(ENV, &large)?;
    sh(&format!("chown 1001:1001 {ENV}; chmod 600 {ENV}"))?;
    world
        .bootstrap("v1", &[])
        .exits(1)?
        .says(&format!("expected at most 1 MiB in {ENV}, found more"))?;
    hold(text(ENV) == large, ".env was changed")
}

/// Keys that are a way to read what only root may, and pipes that never say anything.
fn keys(world: &World) -> Outcome {
    put("/root/op-token", "ops_canary-0123456789\n")?;
    let user = ["bootstrap", "--only", "user", "--dry-run"];
    let plan = |what: &str| {
        let mut command = std::process::Command::new("timeout");
        command.args(["20", crate::world::PROGRAM]).args(user);
        let run = crate::world::finish(command);
        hold(run.code != 124, format!("{what}: it hangs"))?;
        run.never_says("canary").map(|_| run.code)
    };
    sh(&format!("install -d -m 700 -o 1001 -g 1001 {SSH}"))?;
    for (what, line) in [
        ("a link", "ln -s /root/op-token authorized_keys"),
        (
            "a pipe",
            "mkfifo authorized_keys; chown 1001 authorized_keys",
        ),
        ("a folder", "mkdir authorized_keys"),
        (
            "somebody else's",
            "install -m 644 -o 1002 /dev/null authorized_keys",
        ),
    ] {
        sh(&format!("cd {SSH} && rm -rf authorized_keys && {line}"))?;
        same(what, plan(what)?, 1)?;
    }
    // The control: a file of the user's own is read.
    sh(&format!(
        "cd {SSH} && rm -rf authorized_keys && install -m 600 -o 1001 /dev/null authorized_keys"
    ))?;
    same("the control", plan("the control")?, 0)?;
    sh(
        "mkdir -p /home/deploy/.docker && mkfifo /home/deploy/.docker/config.json && chown -R 1001 /home/deploy/.docker",
    )?;
    let mut command = std::process::Command::new("timeout");
    let image = world.image("v1");
    command
        .args(["20", crate::world::PROGRAM, "bootstrap", "--dry-run"])
        .args(["--only", "gateway", "--image", &image])
        .env("GHCR_TOKEN", GOOD);
    crate::world::finish(command).exits(0)?;
    sh("rm -r /home/deploy/.docker").map(drop)
}

/// The directory in which the old state is put together is moved away and a link left in its place,
/// while files are copied into it.
fn way_back(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    sh(
        "mkdir /home/deploy/.openclaw/many && cd /home/deploy/.openclaw/many && seq 6000 | xargs touch && chown -R 1000:1000 .",
    )?;
    let script = "cd /home/deploy; i=0; while :; do \
        if [ -d .openclaw.restoring ] && [ ! -L .openclaw.restoring ]; then \
        i=$((i + 1)); mv .openclaw.restoring .taken$i && ln -s /root/precious .openclaw.restoring; fi; done";
    let mut thief = std::process::Command::new("setpriv")
        .args([
            "--reuid=1001",
            "--regid=1001",
            "--clear-groups",
            "sh",
            "-c",
            script,
        ])
        .spawn()
        .map_err(|why| why.to_string())?;
    let run = world.bootstrap("v4", &[]);
    let ended = thief.kill().and_then(|()| thief.wait());
    ended.map_err(|why| why.to_string())?;
    run.exits(5)?.says("runs again with its state")?;
    let taken = sh("ls -d /home/deploy/.taken* | wc -l")?;
    hold(taken != "0", "the control: nothing was moved away")?;
    let led = sh("ls -A /root/precious | wc -l; ls /home/deploy/.openclaw/many | wc -l")?;
    same(
        "where the link leads, and the state",
        led.as_str(),
        "0\n6000",
    )?;
    sh("rm -rf /home/deploy/.taken* /home/deploy/.openclaw/many").map(drop)
}

/// `.env` is exchanged for a link once it was looked at: while the new version is started.
fn variables(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    put("/root/variables", "SECRET=rootonly\n")?;
    sh("chmod 600 /root/variables")?;
    // Values of the file that Compose finds by itself would get into this one.
    sh(&format!("echo 'LEAK=$SECRET' >>{ENV}"))?;
    let script = "cd /home/deploy/openclaw; until grep -q \"$1\" compose.yaml; do :; done; ln -sf /root/variables .env";
    let digest = world.images.digest("v2");
    let mut thief = std::process::Command::new("setpriv")
        .args([
            "--reuid=1001",
            "--regid=1001",
            "--clear-groups",
            "sh",
            "-c",
            script,
            "sh",
            digest,
        ])
        .spawn()
        .map_err(|why| why.to_string())?;
    let run = world.bootstrap("v2", &[]);
    thief.wait().map_err(|why| why.to_string())?;
    // The control: it was in time for Compose, and what reads `.env` afterwards refuses it.
    run.exits(1)?.says("symbolic link")?;
    let given = inspect("{{json .Config.Env}}")?;
    hold(
        !given.contains("rootonly"),
        "Compose read what root alone may",
    )?;
    hold(
        given.contains("OPENCLAW_GATEWAY_TOKEN="),
        "the control: it has no variables",
    )?;
    sh(&format!(
        "rm {ENV}; rm /root/variables; ls /run/openclaw-deploy.env 2>/dev/null || true"
    ))
    .and_then(|left| same("left over", left.as_str(), ""))
}

/// Directories of ours that are links: neither their owner nor their mode is changed.
fn directories(world: &World) -> Outcome {
    sh("install -d -m 700 /root/precious && ln -s /root/precious /home/deploy/openclaw")?;
    world.bootstrap("v1", &[]).exits(1)?;
    let owner = sh("stat -c '%u:%g %a' /root/precious; ls -A /root/precious")?;
    same("what it leads to", owner.as_str(), "0:0 700")?;
    sh(
        "rm /home/deploy/openclaw; install -d -o 1000 /home/deploy/.openclaw; ln -s /root/precious /home/deploy/.openclaw/link; echo x > /home/other; ln /home/other /home/deploy/.openclaw/second",
    )?;
    world.bootstrap("v1", &[]).exits(0)?;
    let owner = sh("stat -c '%u:%g' /root/precious /home/other")?;
    same("what links lead to", owner.as_str(), "0:0\n0:0")?;
    let link = sh("stat -c '%u:%g' /home/deploy/.openclaw/link")?;
    same("the link itself", link.as_str(), "1000:1000")
}
