//! `oc-secrets env`: text to evaluate, and nothing but what stops its reader when it fails.

use std::process::Stdio;

use crate::sandbox::{CANARY, Sandbox};

#[test]
fn prints_vars_and_secrets_for_sh() {
    let sandbox = Sandbox::with_fields(&[("A", "it's"), ("B", "two\nlines")]);
    sandbox
        .manifest("[secrets]\nA = 'op://Vault/Item/A'\nB = 'op://Vault/Item/B'\n[vars]\nC = 'c'\n");
    let text = sandbox.oc(["env"]).done().succeeds();
    assert_eq!(
        text,
        "export C='c'\nexport A='it'\\''s'\nexport B='two\nlines'\n"
    );
}

#[test]
fn a_failure_of_any_kind_prints_false_and_nothing_else() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let prints_false = |words: &[&str], code| {
        let done = sandbox.oc(words).done();
        assert_eq!(
            (done.status.code(), done.text().as_str()),
            (Some(code), "false\n"),
            "{words:?}"
        );
    };
    prints_false(&["env", "--formt", "sh"], 2);
    prints_false(&["env", "--only", "B"], 2);
    sandbox.mode("hang");
    prints_false(&["env", "--timeout", "300ms"], 5);
    sandbox.mode("signed-out");
    sandbox.mode("deleted-token");
    prints_false(&["env"], 3);
    sandbox.mode("");
    sandbox.manifest("[secrets]\nA = 'op://Vault/Item/A'\nB = 'op://Vault/Item/B'\n");
    prints_false(&["env"], 4);
    sandbox.manifest("[secrets]\nA = 'op://Vault/Item/A'\n");
    let done = sandbox.oc(["env"]).done();
    assert!(done.succeeds().contains("export A="), "the control");
    // Last, since it is remembered.
    sandbox.mode("rate-limited");
    prints_false(&["env"], 6);
}

#[test]
fn a_careful_script_stops_where_others_go_on() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.mode("rate-limited");
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    for shell in ["bash", "dash", "zsh"] {
        let script = format!("set -e; eval \"$({program} env 2>/dev/null)\"; echo went on");
        let run = sandbox
            .run(shell.as_ref(), ["-c", &script])
            .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
        let done = run.done();
        assert_eq!(
            (done.text().as_str(), done.status.code()),
            ("", Some(1)),
            "{shell}"
        );
        let control = "set -e; eval \"$(exit 6)\"; echo went on";
        assert_eq!(
            sandbox.run(shell.as_ref(), ["-c", control]).done().text(),
            "went on\n",
            "{shell}"
        );
    }
}

#[test]
fn a_file_is_refused_unless_insisted_on() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let into_a_file = |words: &[&str]| {
        let file = std::fs::File::create(sandbox.path("work/out")).expect("a file");
        let mut run = sandbox.oc(words);
        let output = run
            .command()
            .stdout(Stdio::from(file))
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let done = output.wait_with_output().expect("ends");
        let text = std::fs::read_to_string(sandbox.path("work/out")).expect("text");
        (
            done.status.code(),
            text,
            String::from_utf8(done.stderr).expect("text"),
        )
    };
    let (code, text, stderr) = into_a_file(&["env"]);
    assert_eq!((code, text.as_str()), (Some(2), "false\n"));
    assert!(
        stderr.starts_with(
            "oc-secrets: error: standard output is a file, which would keep the secrets\nhint: "
        ),
        "{stderr}"
    );
    assert!(
        sandbox.calls().is_empty(),
        "refused before anything was fetched"
    );
    let (code, text, stderr) = into_a_file(&["env", "--show"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("export A="));
    assert_eq!(
        stderr,
        "oc-secrets: warning: standard output is a file: the secrets are now on disk\n"
    );
}

#[test]
fn ksh93_is_told_of_a_pipe_and_can_source_it() {
    let sandbox = Sandbox::with_fields(&[("A", "it's")]);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let ksh = |script: &str| {
        let run = sandbox.run("ksh93".as_ref(), ["-c", script]);
        run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done()
    };
    let done = ksh(&format!("set -e; eval \"$({program} env)\"; echo went on"));
    done.fails(
        1,
        "oc-secrets: error: standard output is a file, which would keep the secrets\n\
         hint: ksh keeps what `$(…)` prints in a file; read it from a pipe: . <(oc-secrets env)\n",
    );
    let done = ksh(&format!(
        "set -e; . <({program} env); /usr/bin/env | grep ^A="
    ));
    assert_eq!(done.succeeds(), "A=it's\n");
}

#[test]
fn a_terminal_is_refused_unless_insisted_on() {
    let sandbox = Sandbox::with_fields(&[("A", "seen-on-screen")]);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let on_a_terminal = |words: &str| {
        let line = format!("{program} {words}");
        let run = sandbox.run("script".as_ref(), ["-qec", &line, "/dev/null"]);
        run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done()
    };
    let refused = on_a_terminal("env");
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        refused
            .text()
            .contains("standard output is a terminal, which would show the secrets")
    );
    assert!(!refused.text().contains("seen-on-screen") && !refused.text().contains("false"));
    let shown = on_a_terminal("env --show");
    assert!(
        shown.text().contains("export A='seen-on-screen'"),
        "{}",
        shown.text()
    );
}

#[test]
fn what_a_format_cannot_carry_is_refused_as_a_whole() {
    let sandbox = Sandbox::with_fields(&[("GOOD", "x"), ("A", "two\nlines")]);
    let done = sandbox.oc(["env", "--format", "docker"]).done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(4), "=oc-secrets failed\n")
    );
    assert!(
        done.stderr
            .starts_with("oc-secrets: error: A cannot be written as docker: "),
        "{}",
        done.stderr
    );
}

#[test]
fn unset_asks_op_nothing() {
    let sandbox = Sandbox::with_fields(&[("A", "x"), ("B", "y")]);
    assert_eq!(
        sandbox.oc(["env", "--unset"]).done().succeeds(),
        "unset -v A\nunset -v B\n"
    );
    assert!(sandbox.calls().is_empty());
    let done = sandbox.oc(["env", "--unset", "--format", "json"]).done();
    assert_eq!(done.status.code(), Some(2));
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let sandbox = Sandbox::with_fields(&[("A", "x".repeat(100_000))]);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let script = format!("{program} env | true; echo ${{PIPESTATUS[0]}}");
    let run = sandbox.run("/bin/bash".as_ref(), ["-c", &script]);
    assert_eq!(
        run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
            .done()
            .succeeds(),
        "0\n"
    );
}

#[test]
fn a_full_disk_behind_it_is_an_error() {
    let sandbox = Sandbox::with_fields(&[("A", "x")]);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let script = format!("{program} read A > /dev/full");
    let run = sandbox
        .run("/bin/sh".as_ref(), ["-c", &script])
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    run.done().fails(
        1,
        "oc-secrets: error: cannot write to standard output: ENOSPC: No space left on device\n",
    );
}

#[test]
fn github_gets_masks_on_stdout_and_values_in_its_file() {
    let sandbox = Sandbox::with_fields(&[("A", "first line\nsecond line")]);
    sandbox.file("work/github.env", "OLD=1\n");
    let run = sandbox
        .oc(["env", "--format", "github"])
        .env("GITHUB_ENV", sandbox.path("work/github.env"));
    let done = run.done();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert_eq!(
        done.text(),
        "::add-mask::first line%0Asecond line\n::add-mask::first line\n::add-mask::second line\n"
    );
    assert_eq!(
        done.stderr,
        "oc-secrets: warning: GitHub keeps these secrets in a file for the rest of the job: $GITHUB_ENV\n"
    );
    let kept = std::fs::read_to_string(sandbox.path("work/github.env")).expect("text");
    let lines: Vec<_> = kept.lines().collect();
    assert_eq!(
        (lines[0], lines[1], lines[3], lines[4]),
        ("OLD=1", "", "first line", "second line")
    );
    assert!(
        lines[2].starts_with("A<<") && lines[2].ends_with(lines[5]),
        "{kept}"
    );
    let done = sandbox.oc(["env", "--format", "github"]).done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(2), "false\n")
    );
}

#[test]
fn github_gets_no_values_where_nobody_reads_the_masks() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.file("work/github.env", "OLD=1\n");
    let file = sandbox.path("work/github.env");
    let kept = || std::fs::read_to_string(&file).expect("text");
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    for to in ["/dev/null", "/dev/null --show", "&-"] {
        let script = format!("{program} env --format github >{to}");
        let run = sandbox.run("/bin/sh".as_ref(), ["-c", &script]);
        let run = run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
        run.env("GITHUB_ENV", &file).done().fails(
            2,
            "oc-secrets: error: standard output is a device, which would lose the masks\n\
             hint: leave it as it is in the step: the runner reads them there\n",
        );
    }
    assert!(sandbox.calls().is_empty(), "nothing was fetched");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let run = sandbox.oc(["env", "--format", "github"]);
    let mut run = run.env("GITHUB_ENV", &file);
    let output = run.command().stdout(writer).output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(
        (output.status.code(), said.as_str()),
        (
            Some(1),
            "oc-secrets: error: cannot write to standard output: EPIPE: Broken pipe\n"
        )
    );
    assert_eq!(kept(), "OLD=1\n");
}

#[test]
fn the_format_of_github_and_that_of_each_shell_say_how_they_are_used() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let github = sandbox.oc(["env", "--format", "github"]).done();
    assert_eq!(
        (github.status.code(), github.text().as_str()),
        (Some(2), "false\n")
    );
    assert_eq!(
        github.stderr,
        "oc-secrets: error: --format github writes into the file of $GITHUB_ENV, and that is not set\n\
         hint: GitHub Actions sets it in each step of a job; elsewhere use another format, such as sh\n",
    );
    for (format, line) in [
        ("fish", "oc-secrets env --format fish | source"),
        ("nu", "oc-secrets env --format nu | from json | load-env"),
        ("sh", "eval \"$(oc-secrets env)\""),
    ] {
        let run = sandbox.oc(["env", "--format", format, "--color", "never"]);
        let (text, status) = crate::terminal::Terminal::start(run, 100).finish();
        assert_eq!(status.code(), Some(2), "{text}");
        assert!(text.contains(line) && !text.contains(CANARY), "{text}");
    }
}
