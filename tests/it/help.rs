//! `--help`: examples for each command, which are command lines that the program takes.

use std::path::Path;

use crate::sandbox::Sandbox;

const COMMANDS: &[&str] = &[
    "exec", "read", "env", "init", "allow", "check", "ls", "explain", "docker", "git", "doctor",
    "lock",
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
            shown.lines().all(|line| line.chars().count() <= 88),
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
