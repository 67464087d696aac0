//! What befalls a gateway between two runs, and a way back that is itself cut.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::interruption::strike;
use crate::world::{GOOD, STEPS, World, answering, hold, inspect, put, same, sh, text, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    a_gateway_that_crashed_and_was_restarted_is_healthy,
    a_gateway_that_others_started_is_put_back_when_ours_fails,
    a_gateway_whose_state_is_elsewhere_is_left_alone_until_it_is_brought_along,
    a_restore_that_fails_or_is_interrupted_loses_no_state,
    an_unreadable_env_file_and_a_port_in_use_are_seen_before_the_stop,
];

const DATA: &str = "/home/deploy/.openclaw/state/data";
const ENV: &str = "/home/deploy/openclaw/.env";

fn a_gateway_that_crashed_and_was_restarted_is_healthy(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    sh("kill -9 $(docker inspect --format '{{.State.Pid}}' openclaw-openclaw-gateway-1)")?;
    hold(
        wait_for(20, || answering() == "v1"),
        "Docker did not restart it",
    )?;
    same("restarts", inspect("{{.RestartCount}}")?.as_str(), "1")?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    world
        .run(&["status"])
        .exits(0)?
        .says("gateway     answers")?;
    world
        .bootstrap("v1", &[])
        .exits(0)?
        .says("gateway     unchanged")?;
    same(
        "the gateway",
        inspect("{{.Id}} {{.State.StartedAt}}")?,
        before,
    )
}

/// As upstream's own Compose file has it: the same names, and the state in another folder.
fn a_gateway_whose_state_is_elsewhere_is_left_alone_until_it_is_brought_along(
    world: &World,
) -> Outcome {
    sh(&format!(
        "docker pull -q {0} && install -d -o 1000 -g 1000 /home/theirs && echo theirs >/home/theirs/notes && mkdir -p /run/theirs",
        world.image("v1")
    ))?;
    let theirs = format!(
        "services: {{openclaw-gateway: {{image: \"{}\", ports: [\"127.0.0.1:18789:18789\"], volumes: [\"/home/theirs:/home/node/.openclaw\"]}}}}\n",
        world.image("v1")
    );
    put("/run/theirs/compose.yaml", &theirs)?;
    sh("docker compose -p openclaw -f /run/theirs/compose.yaml up -d")?;
    hold(
        wait_for(20, || answering() == "v1"),
        "theirs does not answer",
    )?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    let run = world.bootstrap("v2", &[]);
    run.exits(1)?.says("has its state in /home/theirs")?;
    same("theirs", inspect("{{.Id}} {{.State.StartedAt}}")?, before)?;
    let hint = run.err.split("run this again: ").nth(1).unwrap_or_default();
    sh(hint.lines().next().unwrap_or_default())?;
    world.bootstrap("v2", &[]).exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    let notes = text("/home/deploy/.openclaw/notes");
    same("what theirs had", notes.as_str(), "theirs\n")
}

/// As the scripts that this program replaces ran it: built here, and with a `compose.yaml` of its own.
fn a_gateway_that_others_started_is_put_back_when_ours_fails(world: &World) -> Outcome {
    let theirs = "services: {openclaw-gateway: {image: \"openclaw:local\", ports: [\"127.0.0.1:18789:18789\"], volumes: [\"/home/deploy/.openclaw:/home/node/.openclaw\"], restart: unless-stopped}}\n";
    sh(&format!(
        "docker pull -q {0} && docker tag {0} openclaw:local && docker rmi {0} && install -d -o 1001 -g 1001 /home/deploy/openclaw && install -d -o 1000 -g 1000 /home/deploy/.openclaw",
        world.image("v1")
    ))?;
    put("/home/deploy/openclaw/docker-compose.yml", theirs)?;
    sh("docker compose -p openclaw -f /home/deploy/openclaw/docker-compose.yml up -d")?;
    hold(
        wait_for(20, || answering() == "v1"),
        "theirs does not answer",
    )?;
    sh(&format!(
        "echo theirs > {DATA}.kept; chown 1000:1000 {DATA}.kept"
    ))?;
    let state = text(DATA);
    world
        .bootstrap("v4", &[])
        .exits(5)?
        .says("openclaw:local runs here and was not started by us")?
        .says("runs again with its state and answers")?;
    same("who answers", answering(), "v1".to_owned())?;
    same("the state", text(DATA), state)?;
    same("theirs", text(&format!("{DATA}.kept")).as_str(), "theirs\n")?;
    world.bootstrap("v2", &[]).exits(0)?;
    same("who answers then", answering(), "v2".to_owned())?;
    world.run(&["rollback"]).exits(0)?;
    same("after a rollback", answering(), "v1".to_owned())?;
    for tag in ["v2", "v5", "v6", "slow"] {
        world
            .bootstrap(tag, &["--keep", "1", "--health-timeout", "20s"])
            .exits(0)?;
    }
    sh("docker image inspect openclaw:local").map(drop)
}

fn a_restore_that_fails_or_is_interrupted_loses_no_state(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!("echo precious > {DATA}.kept"))?;
    let before = text(DATA);
    // Whoever takes the port when the gateway stops: no version can start, the old one neither.
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let thief = std::thread::spawn(move || {
        let mut held = None;
        while !until.load(Ordering::Relaxed) {
            held = held.or_else(|| TcpListener::bind("127.0.0.1:18789").ok());
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let first = world.bootstrap("v4", &[]);
    let second = world.run(&["rollback", "--to", "1"]);
    stop.store(true, Ordering::Relaxed);
    let _ = thief.join();
    first.exits(6)?.says("no gateway answers now")?;
    second.exits(6)?;
    world.run(&["rollback", "--to", "1"]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    same("the state", text(DATA), before)?;
    same(
        "the rest",
        text(&format!("{DATA}.kept")).as_str(),
        "precious\n",
    )?;
    interrupted_restore(world)
}

/// Killed when the old version runs again and was not yet found healthy: what it writes stays.
fn interrupted_restore(world: &World) -> Outcome {
    let slow = &["--health-timeout", "30s"];
    world.bootstrap("slow", slow).exits(0)?;
    let (image, digest) = (world.image("v4"), world.images.digest("slow"));
    let args = ["bootstrap", "--only", STEPS, "--image", &image];
    let command = world.command(Some(GOOD), &[&args[..], slow].concat());
    let is_back = || {
        let records = text("/var/lib/openclaw-deploy/records.json");
        let json: serde_json::Value = serde_json::from_str(&records).unwrap_or_default();
        let pending = &json["pending"];
        pending["from"].is_u64()
            && pending["snapshot"].is_null()
            && inspect("{{.State.Running}} {{.Config.Image}}")
                .is_ok_and(|it| it.contains("true") && it.contains(digest))
            && json["bad"].as_array().is_some_and(|it| !it.is_empty())
    };
    strike(command, "KILL", is_back)?.exits(-9)?;
    sh(&format!("echo later > {DATA}.later"))?;
    world.bootstrap("slow", slow).exits(0)?;
    same("who answers", answering(), "slow".to_owned())?;
    same(
        "what it wrote",
        text(&format!("{DATA}.later")).as_str(),
        "later\n",
    )
}

fn an_unreadable_env_file_and_a_port_in_use_are_seen_before_the_stop(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    let good = text(ENV);
    for (bad, at) in [("MY TOKEN=canary-1\n", ""), ("APP=\"canary-2\n", "")] {
        put(ENV, &format!("{good}{bad}"))?;
        sh(&format!("chown 1001:1001 {ENV}; chmod 600 {ENV}"))?;
        let run = world.bootstrap("v2", &[]);
        run.exits(1)?
            .says(&format!("Compose cannot read {ENV}{at}"))?
            .says("the gateway was not touched")?
            .never_says("canary")?;
        same(
            "v1",
            inspect("{{.Id}} {{.State.StartedAt}}")?,
            before.clone(),
        )?;
    }
    put(ENV, &format!("{good}APP='quoted $x'\n"))?;
    sh(&format!("chown 1001:1001 {ENV}; chmod 600 {ENV}"))?;
    world.bootstrap("v2", &[]).exits(0)?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    let listener = TcpListener::bind("0.0.0.0:3978").map_err(|why| why.to_string())?;
    world
        .bootstrap("v1", &[])
        .exits(1)?
        .says("another program listens on every address, port 3978")?;
    drop(listener);
    same("v2", inspect("{{.Id}} {{.State.StartedAt}}")?, before)?;
    // A state on a disk of its own could not be put back.
    sh("mount -t tmpfs tmpfs /home/deploy/.openclaw/workspace")?;
    let run = world.bootstrap("v1", &[]);
    sh("umount /home/deploy/.openclaw/workspace")?;
    run.exits(1)?
        .says("/home/deploy/.openclaw/workspace is a mount of its own")?;
    same("who answers", answering(), "v2".to_owned())
}
