//! `oc-secrets exec`: the process that the command becomes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};

use crate::sandbox::{CANARY, Sandbox, awkward};

fn one() -> Sandbox {
    Sandbox::with_fields(&[("A", CANARY)])
}

#[test]
fn the_command_keeps_our_pid() {
    let sandbox = one();
    let mut run = sandbox.oc(["exec", "--", "sh", "-c", "echo $$"]);
    let mut child = run
        .command()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let pid = child.id();
    child.wait().expect("ends");
    let text = std::io::read_to_string(child.stdout.take().expect("a pipe")).expect("text");
    assert_eq!(text, format!("{pid}\n"));
}

#[test]
fn the_command_has_one_thread_the_same_signals_and_no_descriptor_of_ours() {
    let sandbox = one();
    let show = "grep -E '^(Threads|Sig|Shd)' /proc/self/status; ls /proc/self/fd";
    let ours = sandbox
        .oc(["exec", "--", "sh", "-c", show])
        .done()
        .succeeds();
    let plain = sandbox
        .run("/bin/sh".as_ref(), ["-c", show])
        .done()
        .succeeds();
    assert_eq!(without_queue(&ours), without_queue(&plain));
}

/// The status without the count of queued signals, which is of the user and not of the process.
fn without_queue(status: &str) -> Vec<&str> {
    status
        .lines()
        .filter(|line| !line.starts_with("SigQ"))
        .collect()
}

#[test]
fn signals_that_our_parent_ignored_stay_ignored() {
    let sandbox = one();
    let show = "grep SigIgn /proc/self/status";
    let ignoring = |command: &str| {
        let script = format!("trap '' HUP INT; exec {command}");
        let run = sandbox.run("/bin/sh".as_ref(), ["-c", &script]);
        run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
            .done()
            .succeeds()
    };
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let plain = ignoring(show);
    assert!(plain.ends_with("3\n"), "the control ignores both: {plain}");
    assert_eq!(ignoring(&format!("{program} exec -- {show}")), plain);
}

#[test]
fn the_core_limit_is_given_back() {
    let sandbox = one();
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    for limit in ["0", "7"] {
        let script = format!("ulimit -Sc {limit}; exec {program} exec -- sh -c 'ulimit -Sc'");
        let run = sandbox.run("/bin/sh".as_ref(), ["-c", &script]);
        assert_eq!(
            run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
                .done()
                .succeeds(),
            format!("{limit}\n")
        );
    }
}

#[test]
fn arguments_and_their_order_are_untouched() {
    let sandbox = one();
    let odd = OsString::from_vec(b"\xff--only\xfe".to_vec());
    let words = ["exec", "--", "printf", "[%s]", "", "-v", "--", "a b", "$A"].map(OsString::from);
    let done = sandbox.oc(words.into_iter().chain([odd])).done();
    assert_eq!(done.stdout, b"[][-v][--][a b][$A][\xff--only\xfe]");
}

#[test]
fn an_environment_that_is_no_text_passes_unchanged() {
    let sandbox = one();
    let odd = OsString::from_vec(b"\xff\n=\xfe".to_vec());
    let done = sandbox
        .oc(["exec", "--", "/usr/bin/env", "-0"])
        .env("ODD", &odd)
        .done();
    let odd = (OsString::from("ODD"), odd.into_vec());
    assert!(done.environment().contains(&odd));
}

#[test]
fn the_keys_to_the_vault_stay_behind_unless_asked_for() {
    let sandbox = one();
    let names = |words: &[&str]| {
        let run = sandbox.oc(words.iter().chain(&["--", "/usr/bin/env", "-0"]));
        let done = run
            .env("OP_CONNECT_HOST", "h")
            .env("OP_SESSION_x", "s")
            .env("OC_SECRETS_TIMEOUT", "9s")
            .env("OP_ACCOUNT", "a")
            .done();
        done.succeeds();
        done.environment()
            .into_iter()
            .map(|(name, _)| name.into_string().expect("text"))
            .collect::<Vec<_>>()
    };
    let mut plain = names(&["exec"]);
    plain.sort();
    assert_eq!(plain, ["A", "HOME", "OP_ACCOUNT", "PATH"]);
    let kept = names(&["exec", "--keep-op-env"]);
    for key in [
        "OP_SERVICE_ACCOUNT_TOKEN",
        "OP_CONNECT_HOST",
        "OP_SESSION_x",
    ] {
        assert!(kept.iter().any(|name| name == key), "{key}");
    }
    assert_eq!(names(&["exec", "--clean"]), ["A"]);
}

#[test]
fn descriptors_that_the_caller_passed_reach_the_command_and_not_op() {
    let sandbox = one();
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let script = format!(
        "exec 3</dev/null; {program} exec -- sh -c 'cat \"$1\"; readlink /proc/self/fd/3' sh <(echo passed)"
    );
    let text = sandbox
        .run("/bin/bash".as_ref(), ["-c", &script])
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .done()
        .succeeds();
    assert_eq!(text, "passed\n/dev/null\n");
    assert_eq!(sandbox.calls()[0]["fds"], serde_json::json!([]));
}

#[test]
fn the_status_of_the_command_is_ours() {
    let sandbox = one();
    let done = sandbox.oc(["exec", "--", "sh", "-c", "exit 42"]).done();
    assert_eq!(done.status.code(), Some(42));
    let done = sandbox
        .oc(["exec", "--", "sh", "-c", "kill -TERM $$"])
        .done();
    assert_eq!(done.status.signal(), Some(15));
}

#[test]
fn a_command_that_cannot_be_run_costs_no_op() {
    let sandbox = one();
    sandbox.file("bin/plain", "not a program");
    let missing = "oc-secrets: error: command not found: no-such-command\nhint: check the spelling and PATH\n";
    sandbox
        .oc(["exec", "--", "no-such-command"])
        .done()
        .fails(127, missing);
    sandbox.oc(["exec", "--", ""]).done().fails(
        127,
        "oc-secrets: error: the command is empty\n\
         hint: name a command after --; a variable there may be unset\n",
    );
    let plain = sandbox.path("bin/plain").display().to_string();
    let denied = format!(
        "oc-secrets: error: cannot execute {plain}: Permission denied\nhint: check the file's mode and its first line\n"
    );
    for word in ["plain", &plain] {
        sandbox.oc(["exec", "--", word]).done().fails(126, &denied);
    }
    assert!(sandbox.calls().is_empty());
}

#[test]
fn scripts_run_as_a_shell_would_run_them() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = one();
    let script = |text: &str| {
        sandbox.file("home/script", text);
        let path = sandbox.path("home/script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its mode");
        sandbox.place(&path, "bin/script");
        sandbox.oc(["exec", "--", "script", "x y"]).done()
    };
    assert_eq!(script("echo \"$1\"").succeeds(), "x y\n");
    assert_eq!(script("#!/bin/sh\necho \"$1\"").succeeds(), "x y\n");
    let done = script("#!/no/such/interpreter\n");
    assert_eq!(done.status.code(), Some(126));
    assert!(
        done.stderr.contains("its interpreter does not exist"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_forgotten_separator_is_pointed_out() {
    let sandbox = one();
    sandbox.oc(["exec", "sh", "-c", "true"]).done().fails(
        125,
        "oc-secrets: error: unexpected argument 'sh'\n\
         hint: put `--` before the command: oc-secrets exec -- sh …\n",
    );
    sandbox.oc(["exec"]).done().fails(
        125,
        "oc-secrets: error: no command to run\nhint: oc-secrets exec -- CMD ARGS…\n",
    );
}

#[test]
fn what_no_environment_can_carry_is_refused_before_the_command_starts() {
    let sandbox = Sandbox::with_fields(&[("A", "x".repeat(131_072))]);
    sandbox.oc(["exec", "--", "echo", "ran"]).done().fails(
        125,
        "oc-secrets: error: A cannot be written as an environment variable: it is longer than 128 KiB\n\
         hint: use `oc-secrets read A`, which prints any value\n",
    );
}

#[test]
fn vars_go_along_and_replace_what_was_inherited() {
    let sandbox = one();
    sandbox
        .manifest("[secrets]\nA = 'op://Vault/Item/A'\n[vars]\nUSER_NAME = 'from the manifest'\n");
    let run = sandbox
        .oc(["exec", "--", "sh", "-c", "echo $USER_NAME"])
        .env("USER_NAME", "inherited");
    assert_eq!(run.done().succeeds(), "from the manifest\n");
}

#[test]
fn interrupted_while_op_runs_nothing_is_left_and_we_die_of_the_signal() {
    let sandbox = one();
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        sandbox.mode("hang");
        let mut run = sandbox.oc(["exec", "--", "echo", "ran"]);
        let before = sandbox.calls().len();
        let mut child = run
            .command()
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        sandbox.wait_for_calls(before + 1);
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
        let status = child.wait().expect("ends");
        assert_eq!(status.signal(), Some(number), "{signal}");
        sandbox.assert_nothing_is_left();
        let said = std::io::read_to_string(child.stdout.take().expect("a pipe")).expect("text");
        assert_eq!(said, "");
    }
}

#[test]
fn standard_input_is_left_for_the_command() {
    let sandbox = one();
    let run = sandbox.oc(["exec", "--", "cat"]).input("for the command\n");
    assert_eq!(run.done().succeeds(), "for the command\n");
    assert_eq!(sandbox.calls()[0]["stdin"], "null", "`op` did not see it");
}

#[test]
fn a_signal_after_op_has_answered_ends_us_too() {
    let sandbox = Sandbox::with_fields(&awkward());
    let mut run = sandbox.oc(["env"]);
    // Nobody reads: the text does not fit into the pipe, and we wait with the secrets in hand.
    let mut child = run
        .command()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    sandbox.wait_until_op_has_ended();
    let kill = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(kill.expect("kill runs").success());
    assert_eq!(child.wait().expect("ends").signal(), Some(15));
}

#[test]
fn a_parent_that_blocks_sigchld_does_not_stop_us() {
    let sandbox = one();
    sandbox.mode("daemon");
    let block = "import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])\nos.execv(sys.argv[1], sys.argv[1:])";
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let show = ["grep", "SigBlk", "/proc/self/status"];
    let words = ["-c", block, program, "exec", "--"].into_iter().chain(show);
    let run = sandbox.run("python3".as_ref(), words);
    let done = run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done();
    assert_eq!(
        done.succeeds(),
        "SigBlk:\t0000000000010000\n",
        "and the mask is given back"
    );
    assert!(
        done.took < std::time::Duration::from_secs(5),
        "{:?}",
        done.took
    );
    for pid in sandbox.survivors() {
        let _ = std::process::Command::new("kill")
            .arg(pid.to_string())
            .status();
    }
}

#[test]
fn a_process_that_was_stopped_in_between_takes_the_answer_that_came() {
    let sandbox = one();
    sandbox.mode("latency=300");
    let mut run = sandbox.oc(["--timeout", "1s", "exec", "--", "true"]);
    let mut child = run.command().spawn().expect("starts");
    let send = |signal: &str| {
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    };
    sandbox.wait_for_calls(1);
    send("STOP");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    send("CONT");
    assert!(child.wait().expect("ends").success());
}

#[test]
fn memory_that_cannot_be_locked_is_told_of() {
    let sandbox = Sandbox::with_fields(&[("A", "x".repeat(100_000))]);
    if nix::unistd::geteuid().is_root() {
        // Root may lock without limit, so somebody else tries.
        let open = std::fs::set_permissions(
            sandbox.path("."),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        );
        open.expect("its mode");
        let chown = std::process::Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(sandbox.path("."))
            .status();
        assert!(chown.expect("chown runs").success());
    }
    let limited = |limit: &str| {
        let program = env!("CARGO_BIN_EXE_oc-secrets");
        let script =
            format!("cp {program} ../home/oc && ulimit -l {limit} && exec ../home/oc exec -- true");
        let run = match nix::unistd::geteuid().is_root() {
            true => sandbox.run(
                "setpriv".as_ref(),
                [
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                    "sh",
                    "-c",
                    &script,
                ],
            ),
            false => sandbox.run("sh".as_ref(), ["-c", &script]),
        };
        run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done()
    };
    limited("4096").succeeds();
    for limit in ["0", "300"] {
        limited(limit).succeeds_saying(
            "oc-secrets: warning: memory could not be locked, so secrets may reach swap: raise `ulimit -l`\n",
        );
    }
}

#[test]
fn a_line_of_a_shell_is_shown_as_one() {
    let sandbox = Sandbox::with_fields(&[("A", "a")]);
    sandbox.oc(["exec", "--", "echo $A"]).done().fails(
        127,
        "oc-secrets: error: command not found: echo $A\n\
         hint: for a line of a shell: oc-secrets exec -- sh -c 'echo $A'\n",
    );
    let shown = sandbox.oc(["exec", "--", "sh", "-c", "echo $A"]).done();
    assert_eq!(shown.succeeds(), "a\n");
}

#[test]
fn sudo_is_told_to_keep_the_variables() {
    let sandbox = Sandbox::with_fields(&[("A", "a"), ("B", "b")]);
    sandbox.file("bin/sudo", "#!/bin/sh\nexit 0\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/sudo"), mode).expect("its mode");
    let warning =
        "oc-secrets: warning: sudo drops these variables, unless: sudo --preserve-env=A,B …\n";
    let plain = sandbox.oc(["exec", "--", "sudo", "-n", "true"]).done();
    plain.succeeds_saying(warning);
    for keeps in [
        &["--preserve-env=A,B"][..],
        &["-E"],
        &["-nE"],
        &["-u", "bob", "--preserve-env=A,B"],
    ] {
        let words = [&["exec", "--", "sudo"], keeps, &["true"]].concat();
        sandbox.oc(words).done().succeeds();
    }
}

#[test]
fn a_plain_value_that_looks_like_a_token_is_named() {
    let sandbox = Sandbox::new();
    sandbox.manifest("[vars]\nWRONG = 'ghp_x'\nRIGHT = 'x'\n");
    sandbox.file("work/.env", "URL=postgres://me:pass@db/x\n");
    let done = sandbox
        .oc(["exec", "--env-file", ".env", "--", "true"])
        .done();
    done.succeeds_saying(
        "oc-secrets: warning: WRONG is a plain value that looks like a secret (GitHub classic token): keep it in 1Password\n\
         oc-secrets: warning: URL is a plain value that looks like a secret (address with a password): keep it in 1Password\n",
    );
}

#[test]
fn a_secret_outside_of_the_profile_is_told_to_be_there() {
    let sandbox = Sandbox::with_fields(&[("A", "a"), ("B", "b")]);
    sandbox.manifest(
        "[secrets]\nA = 'op://Vault/Item/A'\nB = 'op://Vault/Item/B'\n[profiles.p]\nsecrets = ['A']\n",
    );
    sandbox.oc(["read", "--profile", "p", "B"]).done().fails(
        2,
        "oc-secrets: error: `B` is not in profile `p`\n\
         hint: add it to the profile, or leave out --profile (OC_SECRETS_PROFILE)\n",
    );
}

#[test]
fn the_vaults_key_that_was_wiped_reaches_the_command_only_if_the_user_says_so() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    for (words, expected) in [
        (&["exec", "--", "/usr/bin/env"][..], 0),
        (&["exec", "--keep-op-env", "--", "/usr/bin/env"], 1),
        (
            &["exec", "--keep-op-env", "--clean", "--", "/usr/bin/env"],
            0,
        ),
    ] {
        let text = sandbox.oc(words).done().succeeds();
        let line = format!("OP_SERVICE_ACCOUNT_TOKEN={}\n", sandbox.token());
        assert_eq!(text.matches(&line).count(), expected, "{words:?}: {text}");
        let named = text.matches("OP_SERVICE_ACCOUNT_TOKEN").count();
        assert_eq!(named, expected, "{words:?}: {text}");
        assert!(text.contains(&format!("A={CANARY}\n")), "{text}");
    }
}
