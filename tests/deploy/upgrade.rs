//! Checks 3, 4, 13, 14, 15, 17, 19, 29, 46: one version in place of another, and the way back.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::gate::{Harm, Rule};
use crate::images::Images;
use crate::world::{
    GOOD, STEPS, World, answering, finish, hold, inspect, ran, same, sh, text, wait_for,
};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[
    check(
        3,
        "a new digest: one recreate, the old one kept, a snapshot",
        new_digest,
    ),
    check(4, "the same image, or no registry: no restart", same_image),
    check(
        13,
        "never healthy: the old version is put back",
        never_healthy,
    ),
    check(14, "exit 78: seen at once, the state put back", exit_78),
    check(15, "the way back fails too", both_fail),
    check(17, "a foreign listener on the port", foreign_listener),
    check(
        19,
        "interrupted anywhere, the next run finishes",
        interrupted,
    ),
    check(29, "five upgrades leave N of our images", five_upgrades),
    check(
        46,
        "killed before the stop, with only .env changed: it is not taken for done",
        only_env,
    ),
];

const DATA: &str = "/home/deploy/.openclaw/state/data";

fn new_digest(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    // The engine's events are found by the second.
    let events = sh("sleep 1.1; date +%s")?;
    world.bootstrap("v2", &[]).exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    let made = sh(&format!(
        "docker events --since {events} --until $(( $(date +%s) + 1 )) --filter type=container --filter event=create --format '{{{{.ID}}}}' | wc -l"
    ))?;
    same("containers made", made.as_str(), "1")?;
    let old = world.images.digest("v1");
    hold(
        sh("docker images --digests")?.contains(old),
        "the old digest is gone",
    )?;
    let snapshots = sh(
        "ls -d /var/lib/openclaw-deploy/snapshots/*-2/state/state/data && cat /var/lib/openclaw-deploy/snapshots/*-2/state/state/data",
    )?;
    hold(
        snapshots.contains("written by v1"),
        format!("the snapshot is not v1's state: {snapshots}"),
    )?;
    let rollback = world.run(&["rollback"]);
    rollback.exits(0)?;
    same("who answers after rollback", answering(), "v1".to_owned())?;
    same("v1's state", text(DATA).as_str(), "written by v1\n")?;
    // And back again, for the state of v2 was kept too.
    sh(&format!("echo of-v1 > {DATA}.v1"))?;
    world.run(&["rollback"]).exits(0)?;
    same("who answers after another", answering(), "v2".to_owned())?;
    hold(
        text(&format!("{DATA}.v1")).is_empty(),
        "v2 has the state of v1",
    )?;
    world.run(&["rollback"]).exits(0)?;
    same(
        "v1's own file",
        text(&format!("{DATA}.v1")).as_str(),
        "of-v1\n",
    )?;
    world
        .run(&["status", "--json"])
        .exits(0)?
        .says("\"gateway\":\"answers\"")?
        .says(old)
        .map(drop)
}

fn same_image(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    let unmoved = |what: &str| {
        same(
            what,
            inspect("{{.Id}} {{.State.StartedAt}}")?,
            before.clone(),
        )
    };
    world
        .bootstrap("same", &[])
        .exits(0)?
        .says("gateway     unchanged")?;
    unmoved("same digest, other tag")?;
    world.gate.harm(Harm::Down);
    let run = world.bootstrap("v1", &["--pull-timeout", "4s"]);
    run.exits(0)?.says("was left alone")?;
    same("warnings", run.err.matches("warning:").count(), 1)?;
    unmoved("registry down")?;
    world.gate.harm(Harm::None);
    world.gate.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    let run = world.bootstrap_as(Some("ghp_bad"), "v1", &[]);
    run.exits(0)?.says("auth")?;
    same("warnings", run.err.matches("warning:").count(), 1)?;
    unmoved("token bad")
}

fn never_healthy(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let before = text(DATA);
    let run = world.bootstrap("v3", &["--health-timeout", "3s"]);
    run.exits(5)?
        .says("runs again with its state")?
        .says("/startupz says starting")?;
    hold(
        run.took < 3.0 + 2.0 + 3.0,
        format!("it took {:.1} s", run.took),
    )?;
    same("who answers", answering(), "v1".to_owned())?;
    same(
        "restart policy",
        inspect("{{.HostConfig.RestartPolicy.Name}}")?,
        "unless-stopped".to_owned(),
    )?;
    same("the state", text(DATA), before)?;
    hold(
        run.err.contains("    | gateway v3 mode never"),
        "the log is not shown",
    )?;
    let token = sh("sed -n 's/^OPENCLAW_GATEWAY_TOKEN=//p' /home/deploy/openclaw/.env")?;
    hold(
        token.len() == 64 && !run.err.contains(&token),
        "the log shows the gateway's token",
    )?;
    run.says("listening with token <concealed>")?;
    let id = inspect("{{.Id}}")?;
    world
        .bootstrap("v3", &[])
        .exits(5)?
        .says("not tried again")?;
    same("the container", inspect("{{.Id}}")?, id)?;
    world
        .bootstrap("v3", &["--retry", "--health-timeout", "2s"])
        .exits(5)?
        .says("did not become healthy")?;
    // The way back alone: from the verdict to the answer.
    let took: f64 = run
        .err
        .split("answers, after ")
        .nth(1)
        .and_then(|it| it.split(' ').next())
        .and_then(|it| it.parse().ok())
        .unwrap_or(99.0);
    hold(took < 3.0, format!("the way back took {took} s"))
}

fn exit_78(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let run = world.bootstrap("v4", &["--health-timeout", "60s"]);
    run.exits(5)?
        .says("exited with 78")?
        .says("configuration or state")?
        .says("cannot migrate database")?;
    hold(run.took < 10.0, format!("it took {:.1} s", run.took))?;
    same("who answers", answering(), "v1".to_owned())?;
    // v4 wrote into the state before it ended; v1 writes its own line when it starts. So look
    // at a file that only a restored snapshot can bring back.
    world.reset()?;
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!(
        "echo precious > {DATA}.kept; chown 1000:1000 {DATA}.kept"
    ))?;
    let image = world.image("v4");
    let child = world
        .command(Some(GOOD), &["update", "--image", &image])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|why| why.to_string())?;
    // While v4 is tried, the file is destroyed, as a bad migration would.
    hold(
        wait_for(10, || {
            text("/var/lib/openclaw-deploy/records.json").contains("-2\"")
        }),
        "no snapshot was taken",
    )?;
    let _ = std::fs::remove_file(format!("{DATA}.kept"));
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    ran(&output, 0.0).exits(5)?;
    same(
        "the file that was destroyed",
        text(&format!("{DATA}.kept")).as_str(),
        "precious\n",
    )
}

fn both_fail(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let image = world.image("v3");
    let args = ["update", "--image", &image, "--health-timeout", "4s"];
    let child = world
        .command(Some(GOOD), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|why| why.to_string())?;
    hold(
        wait_for(15, || {
            inspect("{{.State.Running}} {{.Config.Image}}")
                .is_ok_and(|it| it.contains("true") && it.contains(world.images.digest("v3")))
        }),
        "v3 was never started",
    )?;
    // The old image is taken away meanwhile.
    sh("docker rmi -f $(docker images -q --no-trunc openclaw-deploy/kept)")?;
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    let run = ran(&output, 0.0);
    run.exits(6)?
        .says("no gateway is running now")?
        .says("hint: openclaw-deploy rollback --to 1")
        .map(drop)
}

fn foreign_listener(world: &World) -> Outcome {
    let listener = std::net::TcpListener::bind("127.0.0.1:18789").map_err(|why| why.to_string())?;
    world
        .bootstrap("v1", &[])
        .exits(1)?
        .says("another program listens on port 18789")?;
    hold(sh("docker ps -aq")?.is_empty(), "a container was made")?;
    drop(listener);
    world.bootstrap("v1", &[]).exits(0)?;
    // Our own gateway is no stranger.
    world.bootstrap("v2", &[]).exits(0).map(drop)
}

fn interrupted(world: &World) -> Outcome {
    let moments: [(&str, &str, u64); 9] = [
        ("INT", "pull", 300),
        ("TERM", "pull", 600),
        ("KILL", "pull", 500),
        ("KILL", "pending", 0),
        ("KILL", "snapshot", 0),
        ("TERM", "snapshot", 0),
        ("KILL", "started", 0),
        ("INT", "started", 0),
        ("KILL", "compose", 0),
    ];
    for (signal, moment, pause) in moments {
        world.reset()?;
        world.bootstrap("v1", &[]).exits(0)?;
        sh(&format!(
            "echo precious > {DATA}.kept; head -c 20M /dev/zero > {DATA}.large; chown 1000:1000 {DATA}.*"
        ))?;
        let code = strike(world, signal, moment, pause)
            .map_err(|why| format!("{signal} in {moment}: {why}"))?;
        let wanted = if signal == "KILL" { -9 } else { 130 };
        same(&format!("{signal} in {moment}: exit"), code, wanted)?;
        if signal != "KILL" {
            same(
                &format!("{signal} in {moment}: who answers at once"),
                answering(),
                "v1".to_owned(),
            )?;
        }
        hold(
            sh("grep -rlF '\"auths\"' /root /home /run/openclaw* 2>/dev/null; true")?.is_empty(),
            "a credential file was left",
        )?;
        let env = text("/home/deploy/openclaw/.env");
        hold(
            env.contains("OPENCLAW_GATEWAY_TOKEN=") && env.ends_with('\n'),
            format!("{signal} in {moment}: .env is torn"),
        )?;
        world.gate.harm(Harm::None);
        world
            .bootstrap("big", &[])
            .exits(0)
            .map_err(|why| format!("after {signal} in {moment}: {why}"))?;
        same(
            &format!("{signal} in {moment}: who answers"),
            answering(),
            "big".to_owned(),
        )?;
        same(
            &format!("{signal} in {moment}: state"),
            text(&format!("{DATA}.kept")).as_str(),
            "precious\n",
        )?;
        let left = sh(
            "find /home/deploy /var/lib/openclaw-deploy -name '*.openclaw-deploy.new' -o -name '*.restoring' -o -name '*.replaced' -o -name '.*.new'",
        )?;
        same(
            &format!("{signal} in {moment}: left over"),
            left.as_str(),
            "",
        )?;
    }
    Ok(())
}

/// Upgrades, and sends `signal` at `moment`. Returns the exit.
fn strike(world: &World, signal: &str, moment: &str, pause: u64) -> Result<i32, String> {
    world.gate.harm(if moment == "pull" {
        Harm::Slow(20_000_000)
    } else {
        Harm::None
    });
    world.gate.requests();
    // One that takes its time to answer, where the moment is between start and answer.
    let tag = if moment == "started" { "slow" } else { "big" };
    let image = world.image(tag);
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        &image,
        "--health-timeout",
        "20s",
    ];
    let child = world
        .command(Some(GOOD), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|why| why.to_string())?;
    let records = "/var/lib/openclaw-deploy/records.json";
    let digest = world.images.digest(tag);
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    let reached = loop {
        let now = match moment {
            "pull" => {
                seen.extend(world.gate.requests());
                seen.iter().any(|it| it.contains("/blobs/"))
            }
            "pending" => !text(records).contains("\"pending\": null"),
            "snapshot" => {
                sh("ls -A /var/lib/openclaw-deploy/snapshots").is_ok_and(|it| it.contains(".new"))
            }
            "compose" => text("/home/deploy/openclaw/compose.yaml").contains(digest),
            _ => inspect("{{.State.Running}} {{.Config.Image}}")
                .is_ok_and(|it| it.contains("true") && it.contains(digest)),
        };
        if now || Instant::now() > deadline {
            break now;
        }
    };
    std::thread::sleep(Duration::from_millis(pause));
    sh(&format!("kill -{signal} {}", child.id())).map_err(|_| "it had ended already".to_owned())?;
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    hold(reached, "that moment did not come")?;
    Ok(ran(&output, 0.0).code)
}

fn five_upgrades(world: &World) -> Outcome {
    sh(
        "docker pull -q 127.0.0.1:5000/me/openclaw:html >/dev/null && docker tag 127.0.0.1:5000/me/openclaw:html foreign:1 && \
        printf 'FROM scratch\\nLABEL x=1\\n' | DOCKER_BUILDKIT=0 docker build -q -",
    )?;
    let foreign =
        sh("docker images -q -f dangling=true --no-trunc; docker images -q --no-trunc foreign")?;
    hold(
        foreign.lines().count() == 2,
        format!("the set-up is not as wanted: {foreign}"),
    )?;
    for tag in ["v1", "v2", "v5", "v6", "2026.9.6"] {
        Images::move_tag("moving", tag)?;
        let image = world.image("moving");
        finish(world.command(
            Some(GOOD),
            &[
                "bootstrap",
                "--only",
                STEPS,
                "--image",
                &image,
                "--keep",
                "2",
            ],
        ))
        .exits(0)?;
    }
    let kept = sh("docker images --no-trunc -q openclaw-deploy/kept | sort -u | wc -l")?;
    same("our images", kept.as_str(), "2")?;
    let all = sh(
        "docker images -q --no-trunc --filter reference='127.0.0.1:5001/*/*' | sort -u | wc -l",
    )?;
    same("images of our registry", all.as_str(), "2")?;
    same(
        "snapshots",
        sh("ls /var/lib/openclaw-deploy/snapshots | wc -l")?.as_str(),
        "2",
    )?;
    let still =
        sh("docker images -q -f dangling=true --no-trunc; docker images -q --no-trunc foreign")?;
    same("images of others", still, foreign)
}

fn only_env(world: &World) -> Outcome {
    let env = "/home/deploy/openclaw/.env";
    let records = "/var/lib/openclaw-deploy/records.json";
    let parsed = || serde_json::from_str::<serde_json::Value>(&text(records)).unwrap_or_default();
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!("echo FRESH=yes >> {env}"))?;
    world.bootstrap("v1", &[]).exits(0)?;
    let fresh = parsed()["releases"][1].clone();
    sh(&format!("sed -i /FRESH/d {env}"))?;
    world.bootstrap("v1", &[]).exits(0)?;
    // What a run leaves that was killed after it had written down what it was about to do.
    sh(&format!("echo FRESH=yes >> {env}"))?;
    let mut killed = parsed();
    killed["pending"] = serde_json::json!({"release": fresh, "from": 3, "snapshot": null});
    killed["pending"]["release"]["id"] = 4.into();
    crate::world::put(records, &killed.to_string())?;
    world.bootstrap("v1", &[]).exits(0)?.says("was cut off")?;
    hold(
        inspect("{{json .Config.Env}}")?.contains("FRESH=yes"),
        "the gateway runs without the new variable",
    )
}
