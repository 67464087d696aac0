//! `--help`: examples for each command, which are command lines that the program takes.

use std::path::Path;

use crate::sandbox::Sandbox;

const COMMANDS: &[&str] = &[
    "exec", "read", "env", "init", "allow", "check", "ls", "explain", "pin", "docker", "git",
    "doctor", "lock", "login",
];

/// The examples that the help of `command` ends with.
fn examples(sandbox: &Sandbox, command: &str) -> String {
    let help = sandbox.oc([command, "--help"]).done().succeeds();
    let shown = help.split_once("\nExamples:\n");
    let (_, shown) = shown.unwrap_or_else(|| panic!("{command}: {help}"));
    shown.to_owned()
}

#[test]
fn every_command_a_person_types_has_examples_in_its_help() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let shown = examples(&sandbox, command);
        assert!(
            shown.contains(&format!("oc-secrets {command}")),
            "{command}: {shown}"
        );
        assert!(
            shown.lines().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
        let help = sandbox.oc(["help", command]).done().succeeds();
        assert!(help.contains(&shown), "{help}");
    }
}

#[test]
fn the_examples_are_command_lines_that_the_program_takes() {
    let sandbox = Sandbox::new();
    let mut seen = 0;
    for command in COMMANDS {
        let shown = examples(&sandbox, command);
        let lines = shown
            .lines()
            .filter_map(|line| line.trim().strip_prefix("oc-secrets "));
        for line in lines {
            let words = line.split(['|', '>']).next().unwrap_or_default();
            let words = words.split("    ").next().unwrap_or_default();
            // Asked for its help instead: wrong words are told all the same.
            let asking = match words.split_once(" -- ") {
                Some((before, _)) => format!("{before} --help"),
                None => format!("{words} --help"),
            };
            let shell = format!("exec {} {asking}", env!("CARGO_BIN_EXE_oc-secrets"));
            let done = sandbox.run(Path::new("/bin/sh"), ["-c", &shell]).done();
            assert!(done.status.success(), "{line}: {}", done.stderr);
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} examples");
    let wrong = sandbox.oc(["ls", "--jsn", "--help"]).done();
    assert!(!wrong.status.success(), "the control");
}

/// The help of `command` in a terminal of so many columns.
fn help(sandbox: &Sandbox, command: &str, columns: &str) -> String {
    let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let run = sandbox.oc(words).env("COLUMNS", columns);
    run.done().succeeds()
}

#[test]
fn help_wraps_at_the_width_of_the_terminal() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        for (columns, most) in [("60", 60), ("80", 80), ("200", 100)] {
            let text = help(&sandbox, command, columns);
            let text = text.split("\nExamples:").next().unwrap_or_default();
            let long = text.lines().find(|line| line.chars().count() > most);
            assert_eq!(long, None, "{command} at {columns}");
        }
    }
    // No word is lost on the narrowest of screens.
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (wide, narrow) = (help(&sandbox, "env", "200"), help(&sandbox, "env", "20"));
    assert_eq!(words(&wide), words(&narrow));
    assert_ne!(wide, narrow, "the control");
}

#[test]
fn help_shows_the_options_that_apply_and_the_others_are_taken_all_the_same() {
    let sandbox = Sandbox::new();
    for (command, shown, hidden) in [
        ("exec", "--strict --only --refresh --manifest", ""),
        ("check", "--strict --only --timeout", "--refresh --no-cache"),
        ("ls", "--manifest --profile", "--timeout --refresh --strict"),
        (
            "docker status",
            "--manifest --quiet --color",
            "--only --vault --timeout",
        ),
        (
            "git install",
            "--manifest --quiet",
            "--only --vault --timeout",
        ),
        (
            "openclaw",
            "--manifest --profile --timeout",
            "--only --strict",
        ),
        ("demo", "--color", "--manifest --only --timeout"),
    ] {
        let text = help(&sandbox, command, "100");
        for option in shown.split_whitespace() {
            assert!(
                text.contains(&format!("{option} ")) || text.contains(&format!("{option}\n")),
                "{command}: {option}: {text}"
            );
        }
        for option in hidden.split_whitespace() {
            assert!(!text.contains(option), "{command}: {option}: {text}");
        }
    }
    sandbox.oc(["demo", "--timeout", "5s"]).done().succeeds();
}

#[test]
fn help_tells_each_commands_own_deadline() {
    let sandbox = Sandbox::new();
    for (command, limit) in [
        ("exec", "60s"),
        ("openclaw", "4s"),
        ("openclaw config", "4s"),
        ("serve", "20s"),
    ] {
        let text = help(&sandbox, command, "100");
        assert!(
            text.contains(&format!("[default: {limit}]")),
            "{command}: {text}"
        );
    }
}
