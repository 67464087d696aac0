//! How all checks look for a token: in files, in every process, in what was said.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::registry_proxy::{Harm, Rule, base64};
use crate::world::{PROGRAM, Ran, World, finish, hold, inspect, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![random_tokens_are_seen_nowhere_through_every_failure,];

/// Where a file with the token would lie: homes, runtime files, our records and `.env`, the clients' and
/// the engine's own configuration.
pub const PLACES: &str = "/root /home /run /etc /var/lib/openclaw-deploy";

/// What `token` looks like in plain, in JSON, and anywhere within base64 of either alphabet.
pub fn forms(token: &str) -> Vec<String> {
    let mut all = vec![token.to_owned()];
    let escaped = token.replace('\\', "\\\\").replace('"', "\\\"");
    if escaped != token {
        all.push(escaped.clone());
    }
    for text in [token, &escaped] {
        for shift in 0..3 {
            let whole = (shift + text.len()) / 3 * 4;
            let digits = base64(&format!("{}{text}", "-".repeat(shift)));
            let core = &digits[[0, 2, 3][shift]..whole];
            all.push(core.to_owned());
            all.push(core.replace('+', "-").replace('/', "_"));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Looks every 20 ms at every process's arguments, and at every other process's environment.
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    begun: Instant,
    thread: std::thread::JoinHandle<()>,
}

/// What a watch has seen.
#[derive(Clone, Default)]
pub struct Seen {
    /// Arguments of the processes that had a token.
    pub hits: Vec<String>,
    /// How often it looked.
    pub looks: usize,
}

impl Watch {
    /// Begins to look for `needles`.
    pub fn begin(needles: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (halt, store) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            while !halt.load(Ordering::Relaxed) {
                let hits = look(&needles);
                let mut seen = store.lock().unwrap_or_else(PoisonError::into_inner);
                seen.hits.extend(hits);
                seen.looks += 1;
                drop(seen);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            stop,
            seen,
            begun: Instant::now(),
            thread,
        }
    }

    /// Demands that no process had a token, and that it was looked often enough, on a slow machine too.
    pub fn saw_nothing(self) -> Outcome {
        let wanted = 1 + self.begun.elapsed().as_millis() / 200;
        let seen = self.end();
        hold(
            seen.looks as u128 >= wanted,
            format!("it was looked {} times only", seen.looks),
        )?;
        hold(
            seen.hits.is_empty(),
            format!("a process had the token: {:?}", seen.hits),
        )
    }

    /// Everything that was seen.
    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

fn look(needles: &[String]) -> Vec<String> {
    let mut hits = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let arguments = read("cmdline");
        let mut text = String::from_utf8_lossy(&arguments).into_owned();
        // Ours has the token from the moment it is started until its first line.
        if !arguments.starts_with(PROGRAM.as_bytes()) {
            text.push_str(&String::from_utf8_lossy(&read("environ")));
        }
        if needles.iter().any(|needle| text.contains(needle.as_str())) {
            hits.push(String::from_utf8_lossy(&arguments).replace('\0', " "));
        }
    }
    hits
}

/// Demands that `needles` are in no file, no output and not with the engine; and that they would be found.
pub fn nowhere(world: &World, needles: &[String], output: &str) -> Outcome {
    let engine = inspect("{{json .}}")?;
    hold(
        engine.contains("OPENCLAW_GATEWAY_TOKEN="),
        "the control: the gateway's own token, which is there by design, is not seen",
    )?;
    for needle in needles {
        hold(!output.contains(needle), "the token was in the output")?;
        hold(!engine.contains(needle), "the token is in docker inspect")?;
    }
    let places = format!("{PLACES} {}/dockerd.log", world.scratch.display());
    same(
        "files with the token",
        world.files_with(needles, &places)?.as_str(),
        "",
    )?;
    // The control: each form is found in a file as `docker login` writes it, deep in a home.
    let planted = "/home/deploy/.docker/config.json";
    sh("mkdir -p /home/deploy/.docker")?;
    for needle in needles {
        crate::world::put(planted, &format!("{{\"auth\":\"x{needle}\"}}\n"))?;
        same(
            "the control",
            world.files_with(&[needle], PLACES)?.as_str(),
            planted,
        )?;
    }
    sh("rm -r /home/deploy/.docker").map(drop)
}

fn tokens(token: &str) -> Rule {
    Rule::Tokens {
        token: token.to_owned(),
        public: false,
    }
}

/// 40 bytes of everything that is visible, quotes and backslashes too.
fn random() -> Result<String, String> {
    let token = sh("head -c 4000 /dev/urandom | LC_ALL=C tr -dc '!-~' | head -c 39")?;
    same("length", token.len(), 39)?;
    Ok(format!("t{token}"))
}

/// A failure to walk into: what it is called, what the registry does, the arguments, the exit.
type Path = (&'static str, Harm, &'static [&'static str], i32);

const PATHS: [Path; 12] = [
    ("v1", Harm::None, &[], 0),
    ("missing", Harm::None, &[], 4),
    ("arm", Harm::None, &[], 4),
    ("v3", Harm::None, &["--health-timeout", "1s"], 5),
    ("v4", Harm::None, &[], 5),
    ("big", Harm::Corrupt, &[], 4),
    ("big", Harm::Truncate, &[], 4),
    ("big", Harm::Slow(1_000_000), &["--pull-timeout", "2s"], 4),
    (
        "big",
        Harm::Cut {
            after: 1_000_000,
            spare: Vec::new(),
        },
        &["--pull-timeout", "3s"],
        4,
    ),
    ("v6", Harm::Down, &["--pull-timeout", "2s"], 4),
    (
        "v6",
        Harm::None,
        &["--upstream-image", "127.0.0.1:5000/me/none:1"],
        0,
    ),
    ("v5", Harm::None, &["--only", "docker,nonsense"], 2),
];

fn random_tokens_are_seen_nowhere_through_every_failure(world: &World) -> Outcome {
    for (tag, harm, more, code) in PATHS {
        let token = random()?;
        world.proxy.rule(tokens(&token));
        world.proxy.harm(harm.clone());
        let what = |why: String| format!("{tag}, {harm:?}: {why}");
        let watch = Watch::begin(forms(&token));
        let run = world.bootstrap_as(Some(&token), tag, more);
        run.exits(code).map_err(what)?;
        watch.saw_nothing().map_err(what)?;
        nowhere(world, &forms(&token), &(run.out + &run.err)).map_err(what)?;
    }
    world.proxy.harm(Harm::None);
    refused(world)?;
    interrupted(world)?;
    children(world)?;
    repeated(world)
}

/// A token that the registry does not take, as a token and as a password.
fn refused(world: &World) -> Outcome {
    for rule in [
        tokens("another"),
        Rule::Basic {
            pair: base64("x:another"),
        },
    ] {
        let token = random()?;
        world.proxy.rule(rule);
        let watch = Watch::begin(forms(&token));
        let run = world.bootstrap_as(Some(&token), "v2", &[]);
        run.exits(4)?.says("auth")?;
        watch.saw_nothing()?;
        nowhere(world, &forms(&token), &(run.out + &run.err))?;
    }
    Ok(())
}

/// A run that is cut off in the middle of a pull.
fn interrupted(world: &World) -> Outcome {
    for signal in ["INT", "KILL"] {
        let token = random()?;
        world.proxy.rule(tokens(&token));
        world.proxy.harm(Harm::Slow(2_000_000));
        world.proxy.requests();
        let image = world.image("big");
        let watch = Watch::begin(forms(&token));
        let run = crate::interruption::strike(
            world.command(Some(&token), &["update", "--image", &image]),
            signal,
            || {
                world
                    .proxy
                    .requests()
                    .iter()
                    .any(|it| it.contains("/blobs/"))
            },
        )?;
        watch.saw_nothing()?;
        nowhere(world, &forms(&token), &(run.out + &run.err))?;
    }
    Ok(())
}

/// Not sampled but traced: every program that ours starts, with its arguments and its environment.
fn children(world: &World) -> Outcome {
    world.proxy.reset();
    let token = random()?;
    world.proxy.rule(tokens(&token));
    let trace = world.scratch.join("children");
    let image = world.image("v2");
    let mut command = world.traced(&["-f", "-v", "-s", "100000", "-e", "trace=execve"], &trace);
    command
        .args([
            "bootstrap",
            "--only",
            crate::world::STEPS,
            "--image",
            &image,
        ])
        .env("GHCR_TOKEN", &token);
    finish(command).exits(0)?;
    let text = crate::world::text(&trace.to_string_lossy());
    let calls: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("execve("))
        .collect();
    let (ours, others) = calls.split_first().ok_or("nothing was traced")?;
    // strace writes a string as C does, which for these characters is what JSON does.
    let has = |line: &str| {
        forms(&token)
            .iter()
            .any(|form| line.contains(form.as_str()))
    };
    hold(
        has(ours),
        "the control: the token in our own environment is not seen",
    )?;
    hold(others.len() > 3, format!("no children were traced: {text}"))?;
    match others.iter().find(|line| has(line)) {
        None => Ok(()),
        Some(line) => Err(format!("a child had the token: {line}")),
    }
}

/// A registry whose refusal repeats what it was given; that it did shows in what is hidden.
fn repeated(world: &World) -> Outcome {
    let token = random()?;
    world.proxy.rule(Rule::Echo);
    let run: Ran = world.bootstrap_as(Some(&token), "v5", &[]);
    run.exits(4)?.says("denied: <concealed> and Basic ")?;
    let needles = forms(&token);
    hold(
        !needles
            .iter()
            .any(|it| run.out.contains(it) || run.err.contains(it)),
        format!("the registry's echo was shown: {}", run.err),
    )?;
    same(
        "files with the token",
        world.files_with(&needles, PLACES)?.as_str(),
        "",
    )
}
