//! Checks 1, 2, 16, 18, 20, 27, 28, 30, 32: a first install, and what holds ever after.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::gate::{Harm, Rule, base64};
use crate::world::{GOOD, World, answering, hold, inspect, ran, same, sh, text, wait_for};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[
    check(1, "cold: an empty engine and a good token", cold),
    check(2, "a second run changes nothing", again),
    check(
        16,
        "a first install that is not healthy is left for inspection",
        first_unhealthy,
    ),
    check(18, "a web page that answers 200 is not health", web_page),
    check(20, "two runs at once", two_at_once),
    check(27, "the state belongs to uid 1000", ownership),
    check(28, "nothing beyond loopback", exposure),
    check(30, "journal and stats", figures),
    check(
        32,
        "a dry run touches nothing and predicts the digest",
        dry_run,
    ),
];

fn cold(world: &World) -> Outcome {
    world.gate.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    world.gate.harm(Harm::Slow(2_000_000));
    let watch = Watch::begin();
    let run = world.bootstrap("v1", &[]);
    let seen = watch.end();
    run.exits(0)?;
    for step in ["1/9  docker", "3/9  files", "4/9  gateway"] {
        run.says(step)?;
    }
    same("who answers", answering(), "v1".to_owned())?;
    same(
        "mode and owner of .env",
        sh("stat -c '%a %U' /home/deploy/openclaw/.env")?,
        "600 deploy".to_owned(),
    )?;
    let image = inspect("{{.Config.Image}}")?;
    same(
        "image by digest",
        image,
        format!("127.0.0.1:5001/me/openclaw@{}", world.images.digest("v1")),
    )?;
    no_token_anywhere(&seen, &(run.out + &run.err))?;
    // The control: the watch does see a token that is on a command line.
    let watch = Watch::begin();
    let _ = sh(&format!("sleep 0.3; true {GOOD}"));
    let _ = Command::new("sleep").arg("0.3").env("LEAK", GOOD).status();
    hold(
        watch.end().contains(GOOD),
        "the watch would not have seen a token",
    )
}

/// The token in no file, no process, no output, and not with the engine.
fn no_token_anywhere(processes: &str, output: &str) -> Outcome {
    let pair = base64(&format!("x-access-token:{GOOD}"));
    let files = "/root /home /run /etc/docker /var/lib/openclaw-deploy";
    for needle in [GOOD, &base64(GOOD)[..40], &pair[..40]] {
        hold(
            !processes.contains(needle),
            "the token was in a process's arguments or environment",
        )?;
        hold(!output.contains(needle), "the token was in the output")?;
        let found = sh(&format!(
            "grep -rlF -- '{needle}' {files} 2>/dev/null || true"
        ))?;
        same("files with the token", found.as_str(), "")?;
    }
    hold(
        !inspect("{{json .}}")?.contains(GOOD),
        "the token is in docker inspect",
    )
}

/// Looks every 20 ms at every process's arguments, and at every other process's environment.
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<String>>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    /// Begins to look.
    pub fn begin() -> Self {
        let (stop, seen) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(String::new())),
        );
        let (halt, store) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            while !halt.load(Ordering::Relaxed) {
                let mut all = String::new();
                for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let read =
                        |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
                    let arguments = read("cmdline");
                    all.push_str(&String::from_utf8_lossy(&arguments));
                    // Ours has the token from the moment it is started until its first line.
                    if !arguments.starts_with(crate::world::PROGRAM.as_bytes()) {
                        all.push_str(&String::from_utf8_lossy(&read("environ")));
                    }
                }
                if let Ok(mut seen) = store.lock()
                    && (all.contains("ghp_") || all.contains("canary") || seen.is_empty())
                {
                    seen.push_str(&all);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, seen, thread }
    }

    /// Everything that was seen.
    pub fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.seen
            .lock()
            .map(|seen| seen.clone())
            .unwrap_or_default()
    }
}

fn again(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    world.gate.requests();
    let run = world.bootstrap("v1", &[]);
    run.exits(0)?
        .never_says("  changed ")?
        .says("gateway     unchanged")?;
    same(
        "container and its start",
        inspect("{{.Id}} {{.State.StartedAt}}")?,
        before,
    )?;
    let requests = world.gate.requests();
    hold(
        !requests.iter().any(|it| it.contains("/blobs/")),
        format!("blobs were asked for: {requests:?}"),
    )?;
    hold(
        requests.iter().any(|it| it.contains("/manifests/")),
        "the registry was not asked at all",
    )?;
    hold(run.took < 1.0, format!("it took {:.2} s", run.took))
}

fn first_unhealthy(world: &World) -> Outcome {
    world
        .bootstrap("v3", &["--health-timeout", "2s"])
        .exits(6)?
        .says("left stopped for inspection")?;
    same(
        "its container",
        inspect("{{.State.Status}}")?,
        "exited".to_owned(),
    )?;
    // It is not remembered as bad: there was nothing to prefer to it.
    world.bootstrap("v1", &[]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())
}

fn web_page(world: &World) -> Outcome {
    world
        .bootstrap("html", &["--health-timeout", "2s"])
        .exits(6)?
        .says("not with JSON")?;
    world.reset()?;
    // An old version without health endpoints is taken, with a warning.
    world
        .bootstrap("old", &[])
        .exits(0)?
        .says("no health endpoint")
        .map(drop)
}

fn two_at_once(world: &World) -> Outcome {
    world.gate.harm(Harm::Slow(400_000));
    let image = world.image("v1");
    let args = [
        "bootstrap",
        "--only",
        crate::world::STEPS,
        "--image",
        &image,
    ];
    let mut command = world.command(Some(GOOD), &args);
    let first = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| why.to_string())?;
    let pid = first.id();
    hold(
        wait_for(5, || {
            text("/run/openclaw-deploy.lock").contains(&pid.to_string())
        }),
        "no lock was taken",
    )?;
    let second = world.bootstrap("v1", &[]);
    second.exits(7)?.says(&format!("pid {pid}, started 20"))?;
    hold(second.took < 1.0, "the second did not exit at once")?;
    let waiting = world.bootstrap("v1", &["--wait"]);
    waiting.exits(0)?.says("gateway     unchanged")?;
    let output = first.wait_with_output().map_err(|why| why.to_string())?;
    ran(&output, 0.0).exits(0).map(drop)
}

fn ownership(world: &World) -> Outcome {
    // As Docker leaves them: made by root. And what must not be touched.
    sh(
        "mkdir -p /home/deploy/.openclaw/state /home/deploy/other /run/elsewhere; touch /home/deploy/.openclaw/state/db /home/deploy/other/x /run/elsewhere/y; \
        ln -s /run/elsewhere /home/deploy/.openclaw/link; mkdir /home/deploy/.openclaw/mnt; mount --bind /run/elsewhere /home/deploy/.openclaw/mnt",
    )?;
    let run = world.bootstrap("v1", &["--skip", "gateway"]);
    let owner = |path: &str| sh(&format!("stat -c %u:%g {path}"));
    let saw = (
        owner("/home/deploy/.openclaw/state/db"),
        owner("/run/elsewhere/y"),
        owner("/home/deploy/other/x"),
    );
    sh("umount /home/deploy/.openclaw/mnt")?;
    run.exits(0)?;
    same(
        "db, elsewhere, other",
        saw,
        (Ok("1000:1000".into()), Ok("0:0".into()), Ok("0:0".into())),
    )?;
    world.bootstrap("v1", &[]).exits(0)?;
    same(
        "what the gateway wrote",
        sh("stat -c %u /home/deploy/.openclaw/state/data")?,
        "1000".to_owned(),
    )
}

fn exposure(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let open = sh("ss -Hltn | awk '{print $4}' | grep -E ':(18789|18790|3978)$'")?;
    same("listeners", open.as_str(), "127.0.0.1:18789")?;
    // The control: a neighbour on 18790 beyond loopback is found by the program itself.
    let listener = std::net::TcpListener::bind("0.0.0.0:18790").map_err(|why| why.to_string())?;
    let run = world.run(&["doctor"]);
    drop(listener);
    run.exits(1)?
        .says("reached from outside")?
        .says("18790")
        .map(drop)
}

fn figures(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("missing", &[]).exits(4)?;
    let stats = world.run(&["stats", "--json"]);
    stats
        .exits(0)?
        .says("\"median_seconds\":")?
        .says("\"pulled\":1")?
        .says("\"not-found\":1")?
        .says("\"success_percent\":50.0")?;
    world
        .run(&["stats"])
        .exits(0)?
        .says("provisioning  ")?
        .says("median of 1 runs")?;
    let journal = text("/var/lib/openclaw-deploy/journal.jsonl");
    for line in journal.lines() {
        hold(
            line.starts_with('{') && line.contains("\"time\":") && line.ends_with('}'),
            format!("not a line of JSON: {line}"),
        )?;
    }
    for word in [
        "\"bytes\":",
        "\"seconds\":",
        "\"cause\":\"not-found\"",
        "\"outcome\":\"unchanged\"",
        "\"step\":\"gateway\"",
    ] {
        hold(journal.contains(word), format!("the journal lacks {word}"))?;
    }
    hold(!journal.contains("ghp_"), "the journal holds a token")
}

fn dry_run(world: &World) -> Outcome {
    let hash = || {
        sh(
            "(find /home /var/lib/openclaw-deploy /run/openclaw* -printf '%p %m %u %T@\\n' 2>/dev/null; docker ps -aq --no-trunc; docker images -aq --no-trunc) | sha256sum",
        )
    };
    let before = hash()?;
    let run = world.bootstrap("v1", &["--dry-run"]);
    run.exits(0)?
        .says("planned")?
        .says(world.images.digest("v1"))?;
    same("what is there", hash()?, before)?;
    world.bootstrap("v1", &[]).exits(0)?;
    let before = hash()?;
    world
        .bootstrap("v2", &["--dry-run"])
        .exits(0)?
        .says(world.images.digest("v2"))?
        .says("replace the gateway")?;
    world
        .bootstrap("v1", &["--dry-run"])
        .exits(0)?
        .says("gateway     unchanged")?;
    same("what is there", hash()?, before)
}
