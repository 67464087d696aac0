//! A wait for 1Password says what it waits for.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker_world::World;
use crate::sandbox::{CANARY, Run, Sandbox};
use crate::terminal::Terminal;

/// A world whose `op` answers after so many milliseconds.
fn slow(milliseconds: u32) -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.mode(&format!("latency={milliseconds}"));
    sandbox
}

/// Without a token, as under the desktop app, which asks a person.
fn with_a_person(sandbox: &Sandbox, words: &[&str]) -> Run {
    sandbox.oc(words).without("OP_SERVICE_ACCOUNT_TOKEN")
}

#[test]
fn on_a_terminal_one_line_counts_and_is_gone_when_it_is_answered() {
    let sandbox = slow(2600);
    let run = with_a_person(&sandbox, &["--timeout", "1m", "read", "A"]);
    let (text, status) = Terminal::start(run, 100).finish();
    counts(&text, |seconds| {
        format!("waiting for 1Password: {seconds} s of 60 (approve the prompt, or Ctrl-C)")
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_service_account_is_waited_for_without_a_prompt() {
    let sandbox = slow(1500);
    let (text, _) = Terminal::start(sandbox.oc(["read", "A"]), 100).finish();
    counts(&text, |seconds| {
        format!("1Password has not answered for {seconds} s")
    });
}

/// That `text` is one line, again and again with later seconds, which then goes away for the answer.
/// How often it was written depends on the machine.
fn counts(text: &str, line: impl Fn(u64) -> String) {
    let lines = text
        .strip_suffix(&format!("\r\x1b[K{CANARY}\n"))
        .unwrap_or_else(|| panic!("the line stays: {text:?}"));
    let mut seconds = 1;
    for written in lines.split_inclusive("\x1b[K") {
        let of = |seconds| format!("\roc-secrets: {}\x1b[K", line(seconds));
        seconds = (seconds..seconds + 60)
            .find(|&at| written == of(at))
            .unwrap_or_else(|| panic!("after {seconds} s: {written:?}"));
    }
    assert!(!lines.is_empty(), "it was never written");
}

#[test]
fn elsewhere_it_is_said_once() {
    let sandbox = slow(3600);
    let done = with_a_person(&sandbox, &["read", "A"]).done();
    let note = "oc-secrets: waiting for 1Password: 2 s of 60 (approve the prompt)\n";
    assert_eq!(done.succeeds_saying(note), format!("{CANARY}\n"));
    let done = sandbox.oc(["read", "A"]).done();
    let note = "oc-secrets: 1Password has not answered for 2 s\n";
    assert_eq!(done.succeeds_saying(note), format!("{CANARY}\n"));
}

/// Docker passes what its helper says on stderr.
#[test]
fn a_credential_helper_says_it_too() {
    let world = World::with("[cache]\nttl = \"0\"\n");
    world.sandbox.mode("latency=3600");
    let done = world.helper(&["get"]).input("ghcr.io").done();
    assert_eq!(
        done.stderr,
        "docker-credential-oc: 1Password has not answered for 2 s\n"
    );
    assert!(done.status.success(), "{}", done.text());
}

#[test]
fn a_short_wait_and_a_quiet_one_say_nothing() {
    let sandbox = slow(800);
    sandbox.oc(["read", "A"]).done().succeeds();
    let (text, _) = Terminal::start(sandbox.oc(["--quiet", "read", "A"]), 100).finish();
    assert_eq!(text, format!("{CANARY}\n"));
    sandbox.mode("latency=0");
    let (text, _) = Terminal::start(sandbox.oc(["read", "A"]), 100).finish();
    assert_eq!(text, format!("{CANARY}\n"));
}

#[test]
fn the_line_never_wraps_and_makes_room_for_an_error() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.mode("hang");
    let run = with_a_person(&sandbox, &["read", "A"]);
    let mut terminal = Terminal::start(run, 20);
    terminal.shows("\roc-secrets: waiting\x1b[K");
    std::thread::sleep(Duration::from_millis(50));
    kill(Pid::from_raw(terminal.id()), Signal::SIGINT).expect("it runs");
    let (text, status) = terminal.finish();
    assert!(!status.success());
    assert!(
        text.contains("\x1b[K\r\x1b[Koc-secrets: "),
        "{}",
        text.escape_debug()
    );
    assert!(!text.contains("waiting for"), "{}", text.escape_debug());
}
