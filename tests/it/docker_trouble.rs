//! `op` in each mode of the stand-in, and a client that goes away.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker_world::{ANSWER, NOT_FOUND, TOKEN, World};

/// Modes in which the value arrives all the same.
const HARMLESS: &[&str] = &[
    "notice",
    "daemon-notice",
    "daemon",
    "cache-daemon",
    "child-survives",
    "stderr-flood",
    "older-read-texts",
    "latency=100",
];

/// Modes in which it cannot, each within the deadline.
const TROUBLE: &[&str] = &[
    "deleted-token",
    "expired-token",
    "bad-token",
    "exit-9",
    "rate-limited",
    "conflict",
    "network",
    "timeout-text",
    "forbidden",
    "bad-request",
    "hang",
    "ignores-term",
    "panic",
    "config-dir",
    "stderr-secret",
    "placeholder",
    "swallowed-error",
    "gone-item",
    "other-device",
    "read-deadline",
    "frame=bare\nnetwork",
    "frame=error\nrate-limited",
    "empty-answer",
    "hang-after-partial",
    "kill-self",
    "close-stdout-and-run-on",
    "endless-stdout",
];

#[test]
fn every_trouble_of_op_is_an_error_and_never_not_found() {
    for mode in TROUBLE {
        // Shorter than the time after which it says what it waits for.
        let world = World::with("[op]\ntimeout = \"1500ms\"\n");
        world.sandbox.mode(mode);
        let done = world.ask("get", "ghcr.io");
        assert_eq!(done.status.code(), Some(1), "{mode}");
        let text = done.text();
        assert!(
            text != NOT_FOUND && text.lines().count() == 1 && text.ends_with('\n'),
            "{mode}: {text}"
        );
        assert!(
            done.stderr.starts_with("docker-credential-oc: error: "),
            "{mode}: {}",
            done.stderr
        );
        assert!(
            !text.contains(TOKEN) && !done.stderr.contains(TOKEN),
            "{mode}"
        );
        assert!(
            done.took < Duration::from_secs(8),
            "{mode}: {:?}",
            done.took
        );
        assert_eq!(world.sandbox.survivors(), Vec::<u32>::new(), "{mode}");
    }
}

#[test]
fn a_daemon_of_op_holds_nobody_up() {
    for mode in HARMLESS {
        let world = World::with("");
        world.sandbox.mode(mode);
        let done = world.ask("get", "ghcr.io");
        assert_eq!(done.succeeds(), ANSWER, "{mode}");
        assert!(
            done.took < Duration::from_secs(5),
            "{mode}: {:?} until stdout and stderr were closed",
            done.took
        );
    }
}

#[test]
fn control_a_child_that_holds_stdout_does_hold_a_client_up() {
    let world = World::new();
    let done = world
        .sandbox
        .run("sh".as_ref(), ["-c", "sleep 2 & echo"])
        .done();
    assert!(done.took >= Duration::from_secs(2));
}

#[test]
fn no_op_at_all_is_an_error_with_advice() {
    let world = World::with("");
    std::fs::remove_file(world.path("bin/op")).expect("removed");
    let done = world.ask("get", "ghcr.io");
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(1), "1Password CLI `op` was not found\n")
    );
    assert!(done.stderr.contains("\nhint: install it: "));
}

#[test]
fn a_missing_secret_is_an_error_that_names_it() {
    let world = World::with("");
    world.sandbox.vault(serde_json::json!([]));
    let done = world.ask("get", "ghcr.io");
    let line = "the password for ghcr.io was not found: GHCR_TOKEN (op://Vault/Token/credential): no such item\n";
    assert_eq!((done.status.code(), done.text().as_str()), (Some(1), line));
}

#[test]
fn the_deadline_is_shorter_than_any_client_s() {
    let world = World::with("");
    world.sandbox.mode("hang");
    let run = world
        .helper(&["get"])
        .env("OC_SECRETS_TIMEOUT", "1s")
        .input("ghcr.io");
    let done = run.done();
    assert_eq!(done.text(), "`op` did not answer within 1 s\n");
    let world = World::with("");
    world.sandbox.mode("hang");
    // Without a word about it, 25 s: the whole of it must fit into the 30 s of testcontainers.
    let begun = Instant::now();
    let done = world.ask("get", "ghcr.io");
    assert_eq!(done.text(), "`op` did not answer within 25 s\n");
    assert!(
        (24..28).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
}

/// A `get` that waits for a prompt.
fn waiting(world: &World) -> std::process::Child {
    world.sandbox.mode("hang");
    let mut run = world.helper(&["get"]);
    let command = run
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"ghcr.io")
        .expect("written");
    let begun = Instant::now();
    while world.sandbox.survivors().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "`op` was not started"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[track_caller]
fn ends_with_its_op(world: &World, child: &mut std::process::Child) {
    let begun = Instant::now();
    while child.try_wait().expect("waited").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(3), "still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.sandbox.survivors(), Vec::<u32>::new());
}

#[test]
fn sigterm_while_prompting_cancels_the_prompt() {
    let world = World::with("");
    let mut child = waiting(&world);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("sent");
    ends_with_its_op(&world, &mut child);
    let mut text = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("read");
    assert_eq!(text, "interrupted\n");
}

#[test]
fn a_client_that_goes_away_while_prompting_cancels_the_prompt() {
    let world = World::with("");
    let mut child = waiting(&world);
    drop(child.stdout.take());
    ends_with_its_op(&world, &mut child);
}

#[test]
fn no_mode_makes_us_write_the_token_to_a_file() {
    let world = World::new();
    world.gets(ANSWER);
    for directory in ["home", "work", "bin"] {
        let found = world
            .sandbox
            .run(
                "grep".as_ref(),
                ["-rlF", TOKEN, &world.path(directory).display().to_string()],
            )
            .done();
        assert_eq!(
            (found.status.code(), found.text().as_str()),
            (Some(1), ""),
            "{directory}"
        );
    }
    // Control: the vault of the stand-in does hold it.
    let vault = world
        .sandbox
        .run(
            "grep".as_ref(),
            ["-rlF", TOKEN, &world.path("double").display().to_string()],
        )
        .done();
    assert!(vault.text().contains("vaults.json"));
}

#[test]
fn errors_are_on_stdout_with_exit_code_1() {
    let world = World::with("");
    for (mode, host) in [
        ("network", "ghcr.io"),
        ("", "nosuch.example"),
        ("rate-limited", "ghcr.io"),
        ("exit-9", "ghcr.io"),
    ] {
        world.sandbox.mode(mode);
        let done = world.ask("get", host);
        assert_eq!(done.status.code(), Some(1), "{mode}");
        assert!(
            done.text().ends_with('\n') && done.text().len() > 1,
            "{mode}"
        );
    }
}

#[test]
fn the_hint_is_on_stderr_and_stdout_is_one_short_line() {
    let world = World::with("");
    world.sandbox.mode("network");
    let done = world.ask("get", "ghcr.io");
    assert_eq!(done.text(), "1Password cannot be reached\n");
    let said = "docker-credential-oc: error: 1Password cannot be reached\n\
        hint: check the connection and the proxy: curl -sI https://my.1password.com\n";
    assert_eq!(done.stderr, said);
}

#[test]
fn op_gets_neither_our_stdin_nor_our_stdout_nor_our_stderr() {
    let world = World::with("");
    world.sandbox.mode("hang");
    let mut child = waiting(&world);
    let pipes = |pid: u32| -> Vec<String> {
        let end = |fd| std::fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        (0..3)
            .map(|fd| end(fd).expect("open").display().to_string())
            .collect()
    };
    let (ours, op) = (pipes(child.id()), pipes(world.sandbox.survivors()[0]));
    assert!(op.iter().all(|end| !ours.contains(end)), "{ours:?} {op:?}");
    let extra = std::fs::read_dir(format!("/proc/{}/fd", world.sandbox.survivors()[0]))
        .expect("listed")
        .count();
    assert_eq!(extra, 3, "and nothing else of ours");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("sent");
    ends_with_its_op(&world, &mut child);
}
