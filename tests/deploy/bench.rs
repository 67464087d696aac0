//! Measures the program against doing the same by hand, and prints a table. Asserts nothing.
//!
//! `tests/bench-deploy [RUNS]`; every figure is a median, ways that are compared take turns.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::world::{GOOD, Ran, World, finish, sh, text};

/// The host's side of the gateway, as a person would set it up.
const BY_HAND: &str = "/run/by-hand";
/// Where the gateway's state is.
const STATE: &str = "/home/deploy/.openclaw";

/// Measures `runs` times and prints the table.
pub fn run(world: &World, runs: usize) -> Result<(), String> {
    println!(
        "{:<58} {:>30}  target",
        format!("medians of {runs} runs"),
        "measured"
    );
    cold(world, runs)?;
    again(world, runs)?;
    way_back(world, runs, "v4", "exits")?;
    way_back(world, runs, "v3", "never answers")?;
    status(world, runs)?;
    rollback(world, runs)
}

fn row(what: &str, value: String, target: &str) {
    println!("{what:<58} {value:>30}  {target}");
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    let half = all.len() / 2;
    match all.len() % 2 {
        0 => f64::midpoint(all[half - 1], all[half]),
        _ => all[half],
    }
}

/// An image of 90 MB in three layers, on an empty engine.
fn cold(world: &World, runs: usize) -> Result<(), String> {
    // What the program writes is what a person would have written.
    bootstrap(world, "big").exits(0)?;
    sh(&format!("rm -rf {BY_HAND}; cp -a /home/deploy {BY_HAND}"))?;
    let (mut by_hand, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        world.reset()?;
        sh(&format!("cp -a {BY_HAND}/. /home/deploy"))?;
        let start = Instant::now();
        sh(&format!(
            "docker pull -q {} >/dev/null && cd /home/deploy/openclaw && docker compose --progress quiet up -d && \
             until curl -sf http://127.0.0.1:18789/startupz | grep -q started; do sleep 0.1; done",
            world.image("big")
        ))?;
        by_hand.push(start.elapsed().as_secs_f64());
        world.reset()?;
        ours.push(bootstrap(world, "big").exits(0)?.took);
    }
    let (by_hand, ours) = (median(by_hand), median(ours));
    row(
        "docker pull, docker compose up, curl by hand, 90 MB",
        format!("{by_hand:.2} s"),
        "",
    );
    row(
        "openclaw-deploy bootstrap, steps 3 and 4, cold",
        format!("{ours:.2} s, {:.2} x", ours / by_hand),
        "<= 1.10 x",
    );
    Ok(())
}

fn bootstrap(world: &World, tag: &str) -> Ran {
    let image = world.image(tag);
    let args = ["bootstrap", "--only", "files,gateway", "--image", &image];
    finish(world.command(Some(GOOD), &args))
}

/// Nothing to do.
fn again(world: &World, runs: usize) -> Result<(), String> {
    world.proxy.requests();
    let mut took = Vec::new();
    for _ in 0..runs {
        took.push(
            bootstrap(world, "big")
                .exits(0)?
                .says("gateway     unchanged")?
                .took,
        );
    }
    let asked = world.proxy.requests();
    let blobs = asked.iter().filter(|it| it.contains("/blobs/")).count();
    row(
        "again, with nothing to do",
        format!("{:.2} s, {blobs} blobs", median(took)),
        "<= 1 s, 0 blobs",
    );
    Ok(())
}

/// From the failure of `tag` to the answer of the version before it, with 20 MB of state.
fn way_back(world: &World, runs: usize, tag: &str, how: &str) -> Result<(), String> {
    world.reset()?;
    bootstrap(world, "v1").exits(0)?;
    sh(&format!(
        "head -c 20M /dev/urandom > {STATE}/large && chown 1000:1000 {STATE}/large"
    ))?;
    let image = world.image(tag);
    let args = [
        "update",
        "--image",
        &image,
        "--retry",
        "--health-timeout",
        "2s",
    ];
    let (mut took, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let child = world
            .command(Some(GOOD), &args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let mut child = child.map_err(|why| why.to_string())?;
        let tried = format!("written by {tag}\n");
        while text(&format!("{STATE}/state/data")) != tried {
            std::thread::sleep(Duration::from_millis(5));
        }
        let failed = failure(tag)?;
        // A connection that hangs between two containers must not be waited for.
        let ask = "curl -s -m 0.2 http://127.0.0.1:18789/version";
        while sh(ask).unwrap_or_default() != "v1" {
            std::thread::sleep(Duration::from_millis(5));
        }
        let answered = seconds()?;
        let _ = child.wait();
        took.push(answered - failed);
        starts.push(answered - event("start")?);
    }
    let start = median(starts);
    row(
        &format!("a new version {how} -> the old one answers, 20 MB of state"),
        format!("{:.2} s, its start {start:.2} s", median(took)),
        "<= 3 s + its start",
    );
    Ok(())
}

/// What a person asks most, with two releases.
fn status(world: &World, runs: usize) -> Result<(), String> {
    let mut took = Vec::new();
    for _ in 0..runs {
        let ran = finish(world.command(None, &["status"]));
        took.push(ran.exits(0)?.says("release")?.took);
    }
    let milliseconds = median(took) * 1000.0;
    row("status", format!("{milliseconds:.0} ms"), "<= 50 ms");
    Ok(())
}

/// Back to the version before, with hardly any state and with 1 GB of it: what that adds, against a copy by hand on the
/// same disk.
fn rollback(world: &World, runs: usize) -> Result<(), String> {
    world.reset()?;
    let root = world.scratch.join("root");
    let root = root.display();
    sh(&format!(
        "mkdir -p {root}/etc && cp /etc/passwd /etc/group {root}/etc && install -d -o 1001 -g 1001 {root}/home/deploy"
    ))?;
    let below = format!("--root={root}");
    let run = |args: &[&str]| finish(world.command(Some(GOOD), &[args, &[&below]].concat()));
    let deploy = |tag: &str| {
        let image = world.image(tag);
        let ran = run(&["bootstrap", "--only", "files,gateway", "--image", &image]);
        ran.exits(0).map(drop)
    };
    let timed = || run(&["rollback", "--yes"]).exits(0).map(|it| it.took);
    deploy("v1")?;
    deploy("v2")?;
    let small: Result<_, _> = (0..runs).map(|_| timed()).collect();
    let small = median(small?);
    row(
        "rollback with a few files of state",
        format!("{small:.2} s"),
        "",
    );
    // One snapshot has it, and so has what is there.
    for tag in ["v5", "v6"] {
        sh(&format!(
            "for i in $(seq 1000); do head -c 1M /dev/urandom > {root}{STATE}/large$i; done; chown -R 1000:1000 {root}{STATE}"
        ))?;
        deploy(tag)?;
    }
    let (mut by_hand, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        calm()?;
        let start = Instant::now();
        sh(&format!(
            "cp -a --reflink=auto {root}{STATE} {root}/copy && sync -f {root}"
        ))?;
        by_hand.push(start.elapsed().as_secs_f64());
        sh(&format!("rm -r {root}/copy"))?;
        calm()?;
        ours.push(timed()?);
    }
    let (by_hand, ours) = (median(by_hand), median(ours));
    row(
        "cp -a --reflink=auto of 1 GB of state, and sync",
        format!("{by_hand:.2} s"),
        "",
    );
    let (whole, adds) = (ours / by_hand, (ours - small) / by_hand);
    row(
        "rollback with 1 GB of state, and what that adds",
        format!("{ours:.2} s, {whole:.2} x, {adds:.2} x"),
        "<= 1.2 x",
    );
    Ok(())
}

/// Waits until the kernel lets a writer of some gigabytes go on at once again.
fn calm() -> Outcome {
    sh("sync; sleep 8").map(drop)
}

/// When the version under trial failed: it ended, or its two seconds are over.
fn failure(tag: &str) -> Result<f64, String> {
    if tag == "v3" {
        return Ok(event("start")? + 2.0);
    }
    loop {
        let (start, die) = (event("start")?, event("die")?);
        if die > start {
            return Ok(die);
        }
    }
}

/// When the engine last saw this happen, in seconds since 1970.
fn event(name: &str) -> Result<f64, String> {
    let until = seconds()?;
    let all = sh(&format!(
        "docker events --since 10m --until {until} --filter type=container --filter event={name} --format '{{{{.TimeNano}}}}'"
    ))?;
    let last = all.lines().last().unwrap_or("0");
    last.parse::<f64>()
        .map(|it| it / 1e9)
        .map_err(|why| why.to_string())
}

fn seconds() -> Result<f64, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|it| it.as_secs_f64())
        .map_err(|why| why.to_string())
}
