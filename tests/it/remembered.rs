//! What outlives a process and is no secret: that `op` told us to wait, or that somebody said no.

use std::path::PathBuf;

use crate::docker_world::World;
use crate::sandbox::{CANARY, Done, Sandbox};

const WAIT: &str = "oc-secrets: error: 1Password's rate limit is reached; retry in 58 minutes";
const FIRST: &str =
    "\nhint: see what is left with `op service-account ratelimit`; every retry costs more\n";
const LATER: &str = " (not asked again before)\nhint: see what is left with `op service-account ratelimit`; to ask all the same: `oc-secrets lock`, or --refresh\n";

fn limited() -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.mode("rate-limited");
    let done = sandbox.oc(["read", "A"]).done();
    done.fails(6, &format!("{WAIT}{FIRST}"));
    sandbox.mode("");
    sandbox
}

/// The files of rate limits, of whatever world.
fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir("/run/oc-secrets/root").expect("these tests are root");
    let paths = folder.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().contains("/limit-"))
        .collect()
}

/// The file of a rate limit that only this one can have written.
fn file_of(before: &[PathBuf], sandbox: &Sandbox) -> PathBuf {
    let new: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    // Another test may have made one meanwhile: ours is the one without which `op` is asked.
    for path in new {
        let text = std::fs::read(&path).expect("readable");
        std::fs::remove_file(&path).expect("removed");
        let done = sandbox.oc(["read", "A"]).done();
        std::fs::write(&path, text).expect("put back");
        if done.status.success() {
            return path;
        }
    }
    panic!("no file");
}

#[test]
fn a_rate_limit_is_remembered_for_everyone_until_the_minute_that_op_named() {
    let sandbox = limited();
    for words in [
        &["read", "A"][..],
        &["exec", "--", "true"],
        &["check"],
        &["--no-cache", "read", "A"],
    ] {
        let done = sandbox.oc(words).done();
        let code = if words[0] == "exec" { 125 } else { 6 };
        done.fails(code, &format!("{WAIT}{LATER}"));
    }
    assert_eq!(sandbox.calls().len(), 1, "nobody asked again");
}

#[test]
fn another_token_is_not_held_up_by_it() {
    let sandbox = limited();
    let other = sandbox.oc(["read", "A"]);
    let other = other.env("OP_SERVICE_ACCOUNT_TOKEN", "ops_another_one");
    assert_eq!(other.done().succeeds(), format!("{CANARY}\n"));
}

#[test]
fn the_same_token_from_a_file_is_held_up_too() {
    let sandbox = limited();
    sandbox.file("home/token", &sandbox.token());
    let path = sandbox.path("home/token");
    std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("root");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("its mode");
    let run = sandbox
        .oc(["read", "A"])
        .without("OP_SERVICE_ACCOUNT_TOKEN");
    let done = run.env("OC_SECRETS_TOKEN_FILE", path).done();
    done.fails(6, &format!("{WAIT}{LATER}"));
}

#[test]
fn refresh_asks_all_the_same_and_what_was_remembered_is_over() {
    let sandbox = limited();
    let refreshed = sandbox.oc(["--refresh", "read", "A"]).done();
    assert_eq!(refreshed.succeeds(), format!("{CANARY}\n"));
    sandbox.oc(["read", "A"]).done().succeeds();
    assert_eq!(sandbox.calls().len(), 3);
}

#[test]
fn its_file_tells_a_moment_and_nothing_else_and_garbage_in_it_is_ignored() {
    let before = files();
    let sandbox = limited();
    let path = file_of(&before, &sandbox);
    let text = std::fs::read_to_string(&path).expect("text");
    let moment = text.strip_prefix("oc-secrets 1 until ").expect("its head");
    assert!(moment.trim_end().bytes().all(|byte| byte.is_ascii_digit()));
    assert!(!path.to_string_lossy().contains(&sandbox.token()));
    for garbage in [
        &b""[..],
        b"oc-secrets 1 until 99999999999\n",
        b"oc-secrets 1 until ",
        b"\xff\0\x1b[31m",
        &[b'x'; 100_000],
    ] {
        std::fs::write(&path, garbage).expect("written");
        let done = sandbox.oc(["read", "A"]).done();
        assert_eq!(done.succeeds(), format!("{CANARY}\n"));
    }
    let _ = std::fs::remove_file(&path);
}

#[test]
fn a_refused_prompt_is_remembered_for_the_helpers_of_root_too_and_not_for_commands() {
    let world = World::with("");
    world.sandbox.mode("dismissed");
    let ask = || -> Done {
        let run = world.helper(&["get"]).without("OP_SERVICE_ACCOUNT_TOKEN");
        run.input("ghcr.io").done()
    };
    assert_eq!(ask().text(), "the 1Password prompt was dismissed\n");
    for _ in 0..3 {
        let line = "the 1Password prompt was dismissed (a moment ago; not asked again)\n";
        assert_eq!(ask().text(), line);
    }
    assert_eq!(world.asked(), 1);
    let read = world.program("oc-secrets", &["read", "GHCR_TOKEN"]);
    let read = read.without("OP_SERVICE_ACCOUNT_TOKEN").done();
    assert_eq!(read.status.code(), Some(3));
    assert_eq!(world.asked(), 2, "a person who asks again is asked again");
    let erase = world.helper(&["erase"]).without("OP_SERVICE_ACCOUNT_TOKEN");
    erase.input("ghcr.io").done();
    ask();
    assert_eq!(world.asked(), 3, "asked again after erase");
}
