//! Every way in which `op` can misbehave: exit code, hint, and nothing left behind.

use std::path::Path;
use std::time::Duration;

use crate::sandbox::{CANARY, Sandbox};

const DEADLINE: Duration = Duration::from_millis(1500);

fn sandbox(mode: &str) -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("A", CANARY), ("B", "other")]);
    sandbox.mode(mode);
    sandbox
}

/// What `check` answers in `mode`: exit code, error line, hint line.
fn fails_in(mode: &str, token: bool) -> (i32, String, String) {
    let sandbox = sandbox(mode);
    let mut run = sandbox.oc(["check"]);
    if !token {
        run = run.without("OP_SERVICE_ACCOUNT_TOKEN");
    }
    let done = run.done();
    assert_eq!(done.text(), "", "{mode}");
    let mut lines = done.stderr.lines().map(str::to_owned);
    let (error, hint) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    assert_eq!(lines.next(), None, "{mode}");
    assert!(hint.starts_with("hint: "), "{mode}: {hint}");
    let error = error
        .strip_prefix("oc-secrets: error: ")
        .expect("an error")
        .to_owned();
    (done.status.code().expect("a code"), error, hint)
}

#[test]
fn each_failure_has_its_exit_code_and_its_text() {
    let with_a_token = [
        (
            "deleted-token",
            3,
            "the service-account token belongs to a deleted service account",
        ),
        (
            "bad-token",
            3,
            "the service-account token cannot be decoded",
        ),
        ("exit-9", 3, "the service-account token cannot be decoded"),
        (
            "rate-limited",
            6,
            "1Password's rate limit is reached; retry in 58 minutes",
        ),
        (
            "frame=bare\nrate-limited",
            6,
            "1Password's rate limit is reached; retry in 58 minutes",
        ),
        (
            "frame=error\nrate-limited",
            6,
            "1Password's rate limit is reached; retry in 58 minutes",
        ),
        (
            "other-device",
            3,
            "1Password takes these credentials for those of another account or device",
        ),
        ("read-deadline", 5, "1Password cannot be reached"),
        (
            "panic",
            5,
            "`op` gave an answer that cannot be trusted: it crashed instead",
        ),
        (
            "swallowed-error",
            5,
            "`op` gave an answer that cannot be trusted: it is empty, and there is a diagnostic instead",
        ),
        ("network", 5, "1Password cannot be reached"),
        ("timeout-text", 5, "1Password cannot be reached"),
        ("config-dir", 5, "`op` refuses its configuration directory"),
        ("kill-self", 5, "`op` was killed by signal 9"),
        (
            "empty-answer",
            5,
            "`op` gave an answer that cannot be trusted: a part of it is missing",
        ),
        (
            "partial",
            5,
            "`op` gave an answer that cannot be trusted: it is cut short",
        ),
        (
            "drop-tail",
            5,
            "`op` gave an answer that cannot be trusted: a part of it is missing",
        ),
        (
            "duplicate",
            5,
            "`op` gave an answer that cannot be trusted: a part of it is repeated",
        ),
        (
            "unresolved",
            5,
            "`op` gave an answer that cannot be trusted: it holds a reference in the place of a value",
        ),
        (
            "endless-stdout",
            5,
            "`op` gave an answer that cannot be trusted: it is longer than 8 MiB",
        ),
    ];
    for (mode, code, text) in with_a_token {
        let (exit, error, _) = fails_in(mode, true);
        assert_eq!((exit, error.as_str()), (code, text), "{mode}");
    }
    let with_the_app = [
        ("signed-out", 3, "not signed in to 1Password"),
        ("session-expired", 3, "not signed in to 1Password"),
        ("no-accounts", 3, "`op` has no 1Password account configured"),
        (
            "no-accounts-alone",
            3,
            "`op` has no 1Password account configured",
        ),
        ("no-session-token", 3, "not signed in to 1Password"),
        (
            "unsigned-caller",
            3,
            "the 1Password app refuses the program that asks it",
        ),
        (
            "many-accounts",
            3,
            "`op` knows several accounts and none was chosen",
        ),
        ("dismissed", 3, "the 1Password prompt was dismissed"),
        (
            "prompt-timeout=50",
            3,
            "the 1Password prompt was not answered",
        ),
        (
            "app-unreachable",
            3,
            "`op` cannot reach the 1Password app: it is not running",
        ),
        (
            "app-refused",
            3,
            "`op` cannot reach the 1Password app: it refused the connection; `op` must keep its setgid bit",
        ),
        (
            "app-locked",
            3,
            "`op` cannot reach the 1Password app: it is locked",
        ),
        (
            "app-outdated",
            3,
            "`op` cannot reach the 1Password app: it is too old",
        ),
        (
            "app-timeout",
            3,
            "`op` cannot reach the 1Password app: it did not answer",
        ),
    ];
    for (mode, code, text) in with_the_app {
        let (exit, error, _) = fails_in(mode, false);
        assert_eq!((exit, error.as_str()), (code, text), "{mode}");
    }
}

#[test]
fn an_item_that_is_gone_is_a_missing_one_in_every_frame() {
    for frame in ["", "frame=bare\n", "frame=error\n"] {
        for (mode, reference) in [
            ("gone-item", "op://Vault/Item/A"),
            ("", "op://Vault/None/A"),
        ] {
            let sandbox = sandbox(&format!("{frame}{mode}"));
            let done = sandbox.oc(["read", reference]).done();
            let told = format!("{reference}  missing: no such item");
            assert_eq!(
                done.status.code(),
                Some(4),
                "{frame}{mode}: {}",
                done.stderr
            );
            assert!(done.stderr.contains(&told), "{}", done.stderr);
            // The item is what is missing, so nothing else is asked.
            assert_eq!(sandbox.commands(), ["read"]);
        }
    }
}

#[test]
fn what_is_not_known_is_withheld_and_counted() {
    for (mode, code) in [("stderr-secret", 1), ("bad-request", 4)] {
        let (exit, error, _) = fails_in(mode, true);
        assert_eq!(exit, 1, "{mode}");
        assert!(
            error.starts_with(&format!("`op` failed with exit code {code}; ")),
            "{mode}: {error}"
        );
        assert!(
            error.ends_with(" bytes of its diagnostic are withheld"),
            "{mode}: {error}"
        );
    }
}

#[test]
fn the_hint_of_what_is_not_known_shows_the_same_failure() {
    let sandbox = sandbox("bad-request");
    for (reference, by_hand) in [
        ("op://Vault/Item/A", "op read op://Vault/Item/A > /dev/null"),
        (
            "op://Vault/It's (prod)/A",
            "op item get --vault=Vault --format=json -- 'It'\\''s (prod)' > /dev/null",
        ),
    ] {
        let done = sandbox.oc(["read", reference]).done();
        assert_eq!(
            done.stderr.lines().last(),
            Some(format!("hint: run `{by_hand}` yourself to see what it says").as_str())
        );
        let shown = sandbox.run("dash".as_ref(), ["-c", by_hand]);
        let shown = shown
            .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
            .done();
        assert_eq!((shown.status.code(), shown.text().as_str()), (Some(4), ""));
        assert!(shown.stderr.starts_with("[ERROR] "), "{}", shown.stderr);
    }
}

#[test]
fn an_account_that_does_not_exist_is_named() {
    let sandbox = sandbox("unknown-account");
    let run = sandbox
        .oc(["check", "--account", "nobody"])
        .without("OP_SERVICE_ACCOUNT_TOKEN");
    run.done().fails(
        3,
        "oc-secrets: error: `op` knows no account `nobody`\n\
         hint: run `op account list` and name one with --account, OP_ACCOUNT or `account = …` in the manifest\n",
    );
}

#[test]
fn a_stale_session_is_suspected() {
    let sandbox = sandbox("");
    let run = sandbox
        .oc(["check"])
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .env("OP_SESSION_x", "stale");
    run.done().fails(
        3,
        "oc-secrets: error: not signed in to 1Password\n\
         hint: an OP_SESSION variable is set and may be stale: unset it, or run `op signin` again\n",
    );
}

#[test]
fn what_hangs_is_ended_at_the_deadline_with_all_it_started() {
    for mode in [
        "hang",
        "ignores-term",
        "hang-after-partial",
        "close-stdout-and-run-on",
    ] {
        let sandbox = sandbox(mode);
        let done = sandbox.oc(["check", "--timeout", "1500ms"]).done();
        let error = "oc-secrets: error: `op` did not answer within 1.5 s\n\
             hint: answer the 1Password prompt if one is open; allow more time with --timeout; run `op vault list` to see where it hangs\n";
        done.fails(5, error);
        assert!(
            done.took >= DEADLINE && done.took < DEADLINE + Duration::from_secs(1),
            "{mode}: {:?}",
            done.took
        );
        sandbox.assert_nothing_is_left();
    }
}

#[test]
fn every_mode_ends_within_the_deadline_and_leaves_no_process() {
    for mode in [
        "stderr-flood",
        "child-survives",
        "endless-stdout",
        "kill-self",
        "notice",
        "daemon-notice",
    ] {
        let sandbox = sandbox(mode);
        let done = sandbox.oc(["check", "--timeout", "1500ms"]).done();
        assert!(
            done.took < DEADLINE + Duration::from_secs(1),
            "{mode}: {:?}",
            done.took
        );
        sandbox.assert_nothing_is_left();
    }
}

#[test]
fn noise_on_stderr_with_success_is_no_failure() {
    for mode in ["notice", "daemon-notice", "stderr-flood", "child-survives"] {
        let text = sandbox(mode).oc(["read", "B"]).done().succeeds();
        assert_eq!(text, "other\n", "{mode}");
    }
}

#[test]
fn a_daemon_that_keeps_our_pipes_open_delays_nothing_and_lives() {
    let sandbox = sandbox("daemon");
    let done = sandbox.oc(["read", "B"]).done();
    assert_eq!(done.succeeds(), "other\n");
    assert!(done.took < Duration::from_secs(1), "{:?}", done.took);
    let daemons = std::fs::read_to_string(sandbox.path("double/daemons")).expect("a pid");
    for pid in daemons.lines() {
        // `op`'s cache daemon serves others too; only what stays in the group of `op` is ended.
        let kill = std::process::Command::new("kill")
            .arg(pid)
            .status()
            .expect("kill runs");
        assert!(kill.success(), "the daemon was still there");
    }
}

#[test]
fn a_placeholder_is_never_taken_for_a_value() {
    let sandbox = sandbox("placeholder");
    let done = sandbox.oc(["exec", "--", "echo", "ran"]).done();
    assert_eq!((done.status.code(), done.text().as_str()), (Some(125), ""));
    assert!(
        done.stderr.contains("placeholder for a concealed value"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_old_op_works_and_its_texts_are_understood() {
    for version in ["2.20.0", "2.27.0", "2.30.0", "2.34.1"] {
        let sandbox = sandbox(&format!("version={version}"));
        assert_eq!(
            sandbox.oc(["read", "B"]).done().succeeds(),
            "other\n",
            "{version}"
        );
        sandbox.manifest("[secrets]\nA = 'op://Vault/Item/A'\nB = 'op://Vault/Item/none'\n");
        let done = sandbox.oc(["exec", "--", "true"]).done();
        assert!(
            done.stderr
                .contains("B  op://Vault/Item/none  missing: no such field"),
            "{version}: {}",
            done.stderr
        );
    }
}

#[test]
fn the_first_of_two_token_sources_wins_and_the_other_is_withheld() {
    let sandbox = sandbox("");
    let done = sandbox
        .oc(["-v", "read", "B"])
        .env("OP_CONNECT_HOST", "h")
        .env("OP_CONNECT_TOKEN", "t")
        .done();
    assert!(
        done.stderr.contains("signing in by service account (OP_SERVICE_ACCOUNT_TOKEN); OP_CONNECT_HOST and OP_CONNECT_TOKEN are set too and not used")
            || done.stderr.contains("OP_CONNECT_HOST and OP_CONNECT_TOKEN are set too and not used"),
        "{}",
        done.stderr
    );
    let names = &sandbox.calls()[0]["op_env"];
    assert!(!names.to_string().contains("OP_CONNECT"), "{names}");
}

#[test]
fn a_token_file_is_used_only_if_it_is_ours_alone() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox("no-app");
    sandbox.file("home/token", "ops_from_a_file\n");
    let run = || {
        let run = sandbox
            .oc(["read", "B"])
            .without("OP_SERVICE_ACCOUNT_TOKEN");
        run.env("OC_SECRETS_TOKEN_FILE", sandbox.path("home/token"))
            .done()
    };
    let open = run();
    assert_eq!(open.status.code(), Some(2));
    assert!(
        open.stderr.contains("it can be read or written by others"),
        "{}",
        open.stderr
    );
    let mode = PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(sandbox.path("home/token"), mode).expect("its mode");
    assert_eq!(run().succeeds(), "other\n");
}

#[test]
fn too_few_open_files_are_an_error_that_says_so() {
    let sandbox = sandbox("");
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let limited = |limit: u32| {
        let script = format!("ulimit -n {limit}; exec {program} exec -- true");
        let run = sandbox.run(Path::new("/bin/sh"), ["-c", &script]);
        run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done()
    };
    for limit in 6..32 {
        let done = limited(limit);
        if limit < 18 || done.status.code() != Some(0) {
            let error = "oc-secrets: error: too few files may be open at the same time\nhint: raise the limit: ulimit -n 256\n";
            done.fails(125, error);
        }
    }
    limited(32).succeeds();
}
