//! Cut off anywhere, by any signal, and the next run finishes.
//!
//! Where a moment is a system call of ours, the signal is delivered at that very call by strace; where it
//! is the work of another program, the run is watched until that work is under way.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::registry_proxy::Harm;
use crate::token::PLACES;
use crate::world::{
    GOOD, Ran, STEPS, World, answering, finish, hold, inspect, put, ran, same, sh, text,
};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    a_run_that_is_interrupted_anywhere_is_finished_by_the_next,
    what_a_version_wrote_since_its_run_was_killed_is_not_lost,
    a_way_back_that_was_killed_is_neither_taken_for_done_nor_gone_twice,
];

/// What [`strike`] says of a run that ended before the moment was seen.
const MISSED: &str = "that moment did not come";
const SIGNALS: [&str; 3] = ["INT", "TERM", "KILL"];
const DATA: &str = "/home/deploy/.openclaw/state/data";
const ENV: &str = "/home/deploy/openclaw/.env";
/// Where it lies.
const PROJECT: &str = "/home/deploy/openclaw";
/// What `.env` is written as before it is renamed.
const FRESH: &str = "/home/deploy/openclaw/..env.openclaw-deploy.new";
const LOCK: &str = "/run/openclaw-deploy.lock";

fn a_run_that_is_interrupted_anywhere_is_finished_by_the_next(world: &World) -> Outcome {
    // The control: what `nothing_left` looks for would be found.
    put("/root/.docker/config.json", "{\"auths\":{}}")?;
    hold(
        nothing_left(world).is_err(),
        "a credential file would not be found",
    )?;
    env_write(world)?;
    env_image(world)?;
    boundaries(world)?;
    same_second(world)?;
    for moment in ["pull", "snapshot", "up", "started"] {
        for signal in SIGNALS {
            unless_missed(|| within(world, signal, moment))
                .map_err(|why| format!("{signal} in {moment}: {why}"))?;
        }
    }
    first(world).map_err(|why| format!("KILL of the first install: {why}"))?;
    within(world, "KILL", "pending").map_err(|why| format!("KILL in pending: {why}"))
}

/// On a busy machine a moment can be over before it is seen; then nothing was struck, and it is tried again.
fn unless_missed(attempt: impl Fn() -> Outcome) -> Outcome {
    let mut outcome = attempt();
    for _ in 0..4 {
        if outcome.as_ref().is_err_and(|why| why == MISSED) {
            outcome = attempt();
        }
    }
    outcome
}

/// The first version over a state that was there, killed when it has written over that.
fn first(world: &World) -> Outcome {
    world.reset()?;
    let kept = "/home/deploy/.openclaw/state/kept";
    sh(&format!(
        "install -d -o 1000 -g 1000 /home/deploy/.openclaw /home/deploy/.openclaw/state && echo precious > {kept} && chown 1000:1000 {kept}"
    ))?;
    let image = world.image("v3");
    let command = world.bootstrapping(Some(GOOD), &image, &["--health-timeout", "20s"]);
    let spoiled = || text(kept) == "migrated by v3\n";
    strike(command, "KILL", spoiled)?.exits(-9)?;
    hold(spoiled(), "the control: it has not written over it")?;
    // The run that mends it is interrupted while it still waits: the state is put back all the same.
    let more = ["--health-timeout", "4s"];
    let mending = world.bootstrapping(Some(GOOD), &world.image("v1"), &more);
    let start = Instant::now();
    let waits = || start.elapsed() > Duration::from_millis(1500);
    strike(mending, "INT", waits)?.exits(130)?;
    same("the state at once", text(kept).as_str(), "precious\n")?;
    finish(world.bootstrapping(Some(GOOD), &world.image("v1"), &more)).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    same("the state", text(kept).as_str(), "precious\n")
}

/// It was used meanwhile, and nobody has run us since.
fn what_a_version_wrote_since_its_run_was_killed_is_not_lost(world: &World) -> Outcome {
    let since = format!("{DATA}.since");
    let used = |tag: &str| {
        world.reset()?;
        world.bootstrap("v1", &[]).exits(0)?;
        let digest = world.images.digest(tag);
        let started = || {
            inspect("{{.State.Running}} {{.Config.Image}}")
                .is_ok_and(|it| it.contains("true") && it.contains(digest))
        };
        let image = world.image(tag);
        let command = world.bootstrapping(Some(GOOD), &image, &["--health-timeout", "20s"]);
        strike(command, "KILL", started)?.exits(-9)?;
        std::thread::sleep(Duration::from_secs(9));
        sh(&format!("echo since > {since}")).map(drop)
    };
    let quick = ["--health-timeout", "4s"];
    // Who goes back takes it away as from any other release.
    used("slow")?;
    let back = world.run(&["rollback", "--to", "1", "--health-timeout", "4s"]);
    back.exits(0)?.says("openclaw-deploy rollback --to 2")?;
    same("who answers", answering(), "v1".to_owned())?;
    same("the state", text(&since).as_str(), "")?;
    let again = world.run(&["rollback", "--to", "2", "--health-timeout", "20s"]);
    again.exits(0)?;
    same("what it wrote", text(&since).as_str(), "since\n")?;
    // The machine was started anew meanwhile, and with it nothing that is not committed.
    used("slow")?;
    sh("docker stop openclaw-openclaw-gateway-1")?;
    let more = ["--health-timeout", "8s"];
    world
        .bootstrap("slow", &more)
        .exits(0)?
        .says("keeping it")?;
    same("who answers", answering(), "slow".to_owned())?;
    same("what it wrote", text(&since).as_str(), "since\n")?;
    // It does not answer any more.
    used("v3")?;
    let run = world.bootstrap("v1", &quick);
    let kept = run.exits(0)?.err.split("is kept in ").nth(1);
    let kept = kept.and_then(|it| it.split(';').next()).unwrap_or_default();
    same("who answers", answering(), "v1".to_owned())?;
    same("the state", text(&since).as_str(), "")?;
    let there = text(&format!("{kept}/state/state/data.since"));
    same("what it wrote", there.as_str(), "since\n")?;
    let id = kept.rsplit('/').next().unwrap_or_default();
    world.run(&["rollback", "--forget", id]).exits(0)?;
    hold(!Path::new(kept).exists(), "it was not let go")
}

fn a_way_back_that_was_killed_is_neither_taken_for_done_nor_gone_twice(world: &World) -> Outcome {
    unless_missed(|| killed_restore(world))?;
    unless_missed(|| killed_rollback(world))
}

/// The gateway that it stopped is made from the same as what it starts.
fn killed_restore(world: &World) -> Outcome {
    world.reset()?;
    sh("rm -rf /var/backups/openclaw")?;
    let notes = format!("{DATA}.notes");
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!(
        "echo one > {notes}; head -c 60M /dev/zero > {DATA}.large; chown 1000:1000 {DATA}.*"
    ))?;
    world.run(&["backup"]).exits(0)?;
    // Within the second in which the restore begins, which is all that its time tells.
    sh(&format!(
        "echo two > {notes}; docker restart openclaw-openclaw-gateway-1"
    ))?;
    let copies = || Path::new("/home/deploy/.openclaw.restoring").exists();
    strike(world.command(Some(GOOD), &["restore"]), "KILL", copies)?.exits(-9)?;
    std::thread::sleep(Duration::from_secs(9));
    let run = world.bootstrap("v1", &["--health-timeout", "8s"]);
    run.exits(0)?
        .says("putting back")?
        .never_says("keeping it")?;
    same("what was written", text(&notes).as_str(), "two\n")?;
    world.run(&["restore"]).exits(0)?;
    same("what came back", text(&notes).as_str(), "one\n")
}

/// Killed while it waited, and typed again, it goes where it was to go.
fn killed_rollback(world: &World) -> Outcome {
    world.reset()?;
    world
        .bootstrap("slow", &["--health-timeout", "20s"])
        .exits(0)?;
    world.bootstrap("v2", &[]).exits(0)?;
    let digest = world.images.digest("slow");
    let waits = || {
        inspect("{{.State.Running}} {{.Config.Image}}")
            .is_ok_and(|it| it.contains("true") && it.contains(digest))
    };
    strike(world.command(Some(GOOD), &["rollback"]), "KILL", waits)?.exits(-9)?;
    let again = world.run(&["rollback"]);
    again.exits(0)?.says("release 1 runs and answers")?;
    same("who answers", answering(), "slow".to_owned())?;
    world
        .run(&["status"])
        .says("(rolled back from, and not")
        .map(drop)
}

/// The exit of a run that `signal` has ended.
fn exit_of(signal: &str) -> i32 {
    if signal == "KILL" { -9 } else { 130 }
}

/// Runs `command` until `moment`, and sends `signal`.
pub fn strike(
    mut command: Command,
    signal: &str,
    mut moment: impl FnMut() -> bool,
) -> Result<Ran, String> {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|why| why.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut reached = moment();
    while !reached && Instant::now() < deadline && child.try_wait().is_ok_and(|it| it.is_none()) {
        std::thread::sleep(Duration::from_millis(1));
        reached = moment();
    }
    hold(reached, MISSED)?;
    // It stands still while the lock is looked at, so that the moment does not pass meanwhile.
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).map_err(|_| MISSED)?;
    let lock_is_held = sh(&format!("flock -n {LOCK} true")).is_err();
    sh(&format!("kill -{signal} {pid}; kill -CONT {pid}; true"))?;
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    hold(lock_is_held, "the control: no lock was held meanwhile")?;
    Ok(ran(&output, 0.0))
}

/// No lock is held and no credentials lie about.
fn nothing_left(world: &World) -> Outcome {
    hold(
        sh(&format!("flock -n {LOCK} true")).is_ok(),
        "somebody holds the lock",
    )?;
    // The form of a credential file, and the token in any form.
    let mut needles = crate::token::forms(GOOD);
    needles.push("\"auths\"".to_owned());
    same(
        "credential files",
        world.files_with(&needles, PLACES)?.as_str(),
        "",
    )
}

/// Files that only an unfinished run has.
fn unfinished() -> Result<String, String> {
    sh(
        "find /home/deploy /var/lib/openclaw-deploy -name '*.openclaw-deploy.new' -o -name '*.restoring' -o -name '*.replaced' -o -name '.*.new'",
    )
}

/// Arguments for strace that deliver `signal` at the nth such call on `path`.
fn at(path: &str, call: &str, nth: usize, signal: &str) -> Vec<String> {
    let inject = format!("inject={call}:signal={signal}:when={nth}");
    let more = ["-e", "trace=all", "-e", &inject].map(str::to_owned);
    on(path).into_iter().chain(more).collect()
}

/// Arguments for strace that show the calls on `path`, by its descriptor, its whole name, or its name
/// in the directory that is held open.
fn on(path: &str) -> [String; 4] {
    let name = Path::new(path).file_name().unwrap_or_default();
    ["-P", path, "-P", &name.to_string_lossy()].map(str::to_owned)
}

/// Runs the program with these arguments and `signal` at that call.
fn cut_at(world: &World, place: &[String], out: &Path, args: &[&str]) -> Result<Ran, String> {
    let options: Vec<&str> = place.iter().map(String::as_str).collect();
    let mut command = world.traced(&options, &world.scratch.join("trace"));
    let file = std::fs::File::create(out).map_err(|why| why.to_string())?;
    command
        .args(args)
        .env("GHCR_TOKEN", GOOD)
        .stdout(file)
        .stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().map_err(|why| why.to_string())?;
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    Ok(ran(&output, start.elapsed().as_secs_f64()))
}

/// The calls of a whole run on the file that becomes `.env`, each with its place among its like; and, once
/// it has its name, the call that syncs the directory.
fn calls(trace: &str) -> Vec<(&'static str, String, usize)> {
    let mut all: Vec<(&str, String, usize)> = Vec::new();
    for (name, _) in trace.lines().filter_map(|line| line.split_once('(')) {
        let nth = 1 + all.iter().filter(|(_, there, _)| there == name).count();
        all.push((FRESH, name.to_owned(), nth));
    }
    all.push((PROJECT, "fsync".to_owned(), 1));
    all
}

/// `.env` is written by step 3: cut at every call that has to do with it, by every signal. It holds all its
/// secrets already, so that what is to come of it is known byte for byte.
fn env_write(world: &World) -> Outcome {
    world.reset()?;
    let old = "# mine\nOPENCLAW_GATEWAY_TOKEN=mine-1234567890\nMINE='p $x'\n";
    let out = world.scratch.join("out");
    let renew = || {
        sh("install -d -m 750 -o 1001 -g 1001 /home/deploy/openclaw")?;
        put(ENV, old)?;
        sh(&format!("chown 1001:1001 {ENV}; chmod 600 {ENV}")).map(drop)
    };
    renew()?;
    let args = [
        "bootstrap",
        "--only",
        "files,gateway",
        "--image",
        "127.0.0.1:1/x:1",
    ];
    let files = ["bootstrap", "--only", "files"];
    cut_at(world, &on(FRESH), &out, &files)?.exits(0)?;
    let new = text(ENV);
    hold(
        new.starts_with(old) && new.len() > old.len(),
        format!("not what was wanted: {new}"),
    )?;
    let calls = calls(&text(&world.scratch.join("trace").to_string_lossy()));
    for wanted in ["openat", "write", "fsync", "renameat"] {
        hold(
            calls.iter().any(|(_, name, _)| name == wanted),
            format!("no {wanted} in {calls:?}"),
        )?;
    }
    for signal in SIGNALS {
        let mut seen = (false, false);
        for (path, call, nth) in &calls {
            let what = |why: String| format!("{signal} at {call} {nth} of {path}: {why}");
            renew()?;
            let run = cut_at(world, &at(path, call, *nth, signal), &out, &args)?;
            run.exits(exit_of(signal)).map_err(what)?;
            let now = text(ENV);
            // The password that is added is another one each time, and as long.
            let is_new = now.starts_with(old) && now.len() == new.len() && now.ends_with('\n');
            hold(now == old || is_new, format!("torn: {now}")).map_err(what)?;
            seen = (seen.0 || now == old, seen.1 || is_new);
            nothing_left(world).map_err(what)?;
            world.run(&files).exits(0).map_err(what)?;
            let after = text(ENV);
            let whole = after.starts_with(old) && after.len() == new.len();
            hold(whole, format!("after the next run: {after}")).map_err(what)?;
            same("left over", unfinished()?.as_str(), "").map_err(what)?;
        }
        // The others are heeded when the file is written; a kill comes before the rename and after.
        same("old seen, new seen", seen, (signal == "KILL", true))?;
    }
    Ok(())
}

/// `.env` is written by step 4, which names the new image in it: killed before and after.
fn env_image(world: &World) -> Outcome {
    world.reset()?;
    let out = world.scratch.join("out");
    world.bootstrap("v1", &[]).exits(0)?;
    let old = text(ENV);
    let new = old.replace(world.images.digest("v1"), world.images.digest("v2"));
    hold(old != new, "v1 is not named in .env")?;
    let image = world.image("v2");
    for call in ["write", "renameat"] {
        let args = ["update", "--image", &image, "--health-timeout", "20s"];
        let run = cut_at(world, &at(FRESH, call, 1, "KILL"), &out, &args)?;
        run.exits(-9)?;
        same(
            &format!(".env after a kill at its {call}"),
            text(ENV),
            old.clone(),
        )?;
        nothing_left(world)?;
        world.bootstrap("v2", &[]).exits(0)?;
        same("who answers", answering(), "v2".to_owned())?;
        same(".env after the next run", text(ENV), new.clone())?;
        same("left over", unfinished()?.as_str(), "")?;
        world.bootstrap("v1", &[]).exits(0)?;
    }
    Ok(())
}

/// Before the first step, and at the line that ends each of the three, on a host that has nothing.
fn boundaries(world: &World) -> Outcome {
    let out = world.scratch.join("out");
    let lines = out.display().to_string();
    let image = world.image("v1");
    let args = ["bootstrap", "--only", STEPS, "--image", &image];
    // Step 2 is skipped, and has a line of its own.
    for (boundary, path, nth) in [
        ("before step 1", LOCK, 1),
        ("after step 1", lines.as_str(), 1),
        ("after step 3", lines.as_str(), 3),
        ("after step 4", lines.as_str(), 4),
    ] {
        for signal in SIGNALS {
            let what = |why: String| format!("{signal} {boundary}: {why}");
            world.reset()?;
            let run = cut_at(world, &at(path, "write", nth, signal), &out, &args)?;
            // After the last step there is nothing left to interrupt.
            let is_over = boundary == "after step 4" && signal != "KILL";
            run.exits(if is_over { 0 } else { exit_of(signal) })
                .map_err(what)?;
            let made = !sh("docker ps -aq")?.is_empty();
            same("a gateway", made, boundary == "after step 4").map_err(what)?;
            nothing_left(world).map_err(what)?;
            world.bootstrap("v1", &[]).exits(0).map_err(what)?;
            same("who answers", answering(), "v1".to_owned()).map_err(what)?;
            same("left over", unfinished()?.as_str(), "").map_err(what)?;
        }
    }
    Ok(())
}

/// The next run may begin within the second of the one that was cut off, whose snapshot has the same name.
fn same_second(world: &World) -> Outcome {
    world.reset()?;
    world.bootstrap("v1", &[]).exits(0)?;
    let snapshots = "/var/lib/openclaw-deploy/snapshots";
    sh(&format!(
        "now=$(date +%s); for s in $(seq $now $((now + 60))); do mkdir -p {snapshots}/$s-2/state/old; done"
    ))?;
    world.bootstrap("v2", &[]).exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    let kept = sh(&format!("ls {snapshots}/*-2/state"))?;
    hold(
        kept.contains("workspace") && !kept.contains("old"),
        format!("the snapshot holds {kept}"),
    )
}

/// Whether a snapshot is being taken: it has a name with a dot until it is complete.
fn snapshot_begins() -> bool {
    let entries = std::fs::read_dir("/var/lib/openclaw-deploy/snapshots");
    let mut names = entries.into_iter().flatten().flatten();
    names.any(|it| it.file_name().to_string_lossy().ends_with(".new"))
}

/// In the middle of an upgrade, with a state that has to survive it.
fn within(world: &World, signal: &str, moment: &str) -> Outcome {
    world.reset()?;
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!(
        "echo precious > {DATA}.kept; head -c 60M /dev/zero > {DATA}.large; chown 1000:1000 {DATA}.*"
    ))?;
    let env = text(ENV);
    // One that arrives slowly, one that takes its time to answer, one that does neither.
    let tag = match moment {
        "pull" => "big",
        "started" => "slow",
        _ => "v2",
    };
    if moment == "pull" {
        world.proxy.harm(Harm::Slow(20_000_000));
    }
    world.proxy.requests();
    let image = world.image(tag);
    let digest = world.images.digest(tag);
    let command = world.bootstrapping(Some(GOOD), &image, &["--health-timeout", "20s"]);
    let run = strike(command, signal, || match moment {
        "pull" => world
            .proxy
            .requests()
            .iter()
            .any(|it| it.contains("/blobs/")),
        "pending" => !text("/var/lib/openclaw-deploy/records.json").contains("\"pending\": null"),
        "snapshot" => snapshot_begins(),
        "up" => text("/home/deploy/openclaw/compose.yaml").contains(digest),
        _ => inspect("{{.State.Running}} {{.Config.Image}}")
            .is_ok_and(|it| it.contains("true") && it.contains(digest)),
    })?;
    run.exits(exit_of(signal))?;
    let is_here = sh(&format!(
        "docker image inspect 127.0.0.1:5001/me/openclaw@{digest}"
    ))
    .is_ok();
    same("the new image is here", is_here, moment != "pull")?;
    same(".env", text(ENV), env.clone())?;
    nothing_left(world)?;
    if signal != "KILL" {
        same("who answers at once", answering(), "v1".to_owned())?;
    }
    world.proxy.harm(Harm::None);
    world.bootstrap(tag, &[]).exits(0)?;
    same("who answers", answering(), tag.to_owned())?;
    same(
        "the state",
        text(&format!("{DATA}.kept")).as_str(),
        "precious\n",
    )?;
    let named = env.replace(world.images.digest("v1"), digest);
    same(".env after the next run", text(ENV), named)?;
    same("left over", unfinished()?.as_str(), "")
}
