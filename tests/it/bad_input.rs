//! Commands of a person's machine where that machine is in trouble: no home, one that cannot be
//! written, a full disk, a screen of 20 columns, output that nobody takes. Each says what is wrong
//! and ends, and never by a panic.

use std::path::Path;

use crate::docker_world::{TOKEN, World};
use crate::sandbox::{Done, Run};
use crate::terminal::Terminal;

const COMMANDS: &[&str] = &[
    "allow --yes",
    "ls",
    "explain GHCR_TOKEN",
    "check",
    "check --json",
    "docker install",
    "docker status",
    "docker off ghcr.io",
    "docker uninstall",
    "git install",
    "git status",
    "git uninstall",
    "doctor",
    "completions bash",
    "completions nu",
    "shell fish",
    "hook bash",
    "man exec",
    "help",
    "env --unset",
    "env --format nu --unset",
    "exec --mask -- true",
    "read GHCR_TOKEN -n",
    "pin --dry-run",
    "pin",
    "check --environment wqadrv3ix5cxwrv642dxae6puy",
    "lock",
    "demo",
    "clients",
    "login --stdin",
    "login --stdin --systemd x.service",
    "logout",
    // Last, since it replaces the manifest that the others read.
    "init --vault Vault --item Token --force",
];

/// A program that runs in a mount namespace of its own, behind this preparation of `$HOME`.
fn behind(world: &World, preparation: &str, command: &str) -> Run {
    let program = world.path("bin/oc-secrets").display().to_string();
    let line = format!("{preparation} && exec {program} {command}");
    let words = ["--mount", "/bin/sh", "-c", &line];
    given(
        world,
        world.sandbox.run(Path::new("/usr/bin/unshare"), words),
    )
}

fn plain(world: &World, command: &str) -> Run {
    let words: Vec<&str> = command.split(' ').collect();
    given(world, world.program("oc-secrets", &words))
}

fn given(world: &World, run: Run) -> Run {
    run.env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token())
        .env("XDG_RUNTIME_DIR", world.path("run"))
        .env("REGISTRY_AUTH_FILE", world.path("home/auth.json"))
}

/// Fails unless the program ended by itself, in words of its own.
#[track_caller]
fn is_decent(trouble: &str, command: &str, done: &Done) {
    let code = done.status.code();
    let told = &done.stderr;
    let known = [0, 1, 2, 3, 4, 5, 6, 125].map(Some).contains(&code);
    assert!(known, "{trouble}: {command}: {code:?} {told}");
    assert!(!told.contains("panicked"), "{trouble}: {command}: {told}");
    assert!(!told.contains(TOKEN), "{trouble}: {command}: {told}");
    let first = told.lines().next().unwrap_or_default();
    let ours = first.is_empty() || first.starts_with("oc-secrets: ");
    assert!(
        ours || command == "docker uninstall",
        "{trouble}: {command}: {told}"
    );
    let failed = code != Some(0) && !command.starts_with("doctor") && !command.starts_with("check");
    assert!(
        !failed || told.contains("oc-secrets: error: "),
        "{trouble}: {command}: exit {code:?} without a word: {told}"
    );
}

#[test]
fn without_a_home_each_command_says_so_or_does_without() {
    let world = World::new();
    for command in COMMANDS {
        is_decent(
            "no HOME",
            command,
            &plain(&world, command).without("HOME").done(),
        );
    }
}

#[test]
fn a_home_that_cannot_be_written_is_told() {
    let world = World::new();
    let read_only = "mount --bind \"$HOME\" \"$HOME\" && mount -o remount,ro,bind \"$HOME\"";
    for command in COMMANDS {
        let done = behind(&world, read_only, command).done();
        is_decent("read-only HOME", command, &done);
        if command.starts_with("docker install") {
            assert!(
                done.stderr.contains("read-only"),
                "the control: {}",
                done.stderr
            );
        }
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_files_as_they_were() {
    let world = World::new();
    let before = "{\"credsStore\": \"pass\"}";
    let full = format!(
        "mount -t tmpfs -o size=64k tmpfs \"$HOME\" && mkdir \"$HOME/.docker\" && \
         echo '{before}' >\"$HOME/.docker/config.json\" && \
         ! cat /dev/zero >\"$HOME/fill\" 2>/dev/null"
    );
    for command in COMMANDS {
        is_decent("full disk", command, &behind(&world, &full, command).done());
    }
    let program = world.path("bin/oc-secrets").display().to_string();
    let line = format!("{full}; {program} docker install 2>&1; cat \"$HOME/.docker/config.json\"");
    let words = ["--mount", "/bin/sh", "-c", &line];
    let run = world.sandbox.run(Path::new("/usr/bin/unshare"), words);
    let text = given(&world, run).done().text();
    assert!(text.contains("oc-secrets: error: "), "the control: {text}");
    assert!(text.ends_with(&format!("{before}\n")), "{text}");
}

#[test]
fn output_that_nobody_takes_is_a_failure_and_no_panic() {
    let world = World::new();
    for command in COMMANDS
        .iter()
        .filter(|command| !command.starts_with("exec"))
    {
        let done = behind(&world, "exec >/dev/full", command).done();
        is_decent("/dev/full", command, &done);
        if ["ls", "check", "completions bash", "help"].contains(command) {
            assert_ne!(done.status.code(), Some(0), "{command}: {}", done.stderr);
        }
    }
}

#[test]
fn twenty_columns_are_enough_for_every_command() {
    let world = World::new();
    for command in COMMANDS.iter().filter(|command| **command != "man exec") {
        let run = plain(&world, command).env("TERM", "xterm");
        let (text, status) = Terminal::start(run, 20).finish();
        assert!(
            status.code().is_some_and(|code| code <= 6),
            "{command}: {text}"
        );
        assert!(!text.contains("panicked"), "{command}: {text}");
    }
}
