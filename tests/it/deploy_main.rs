//! `openclaw-deploy` before it does anything: as careful with its process and its words as `oc-secrets`.

use std::path::Path;

use crate::sandbox::Sandbox;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_openclaw-deploy"))
}

#[test]
fn a_command_line_that_is_refused_says_what_and_what_to_do() {
    let sandbox = Sandbox::new();
    for (words, what, hint) in [
        (
            &["bootstrap", "--imag", "x"][..],
            "unexpected argument '--imag' found",
            "did you mean --image?",
        ),
        (
            &["bootstap"],
            "unrecognized subcommand 'bootstap'",
            "did you mean bootstrap?",
        ),
        (
            &["bootstrap", "--port", "x"],
            "invalid value 'x' for '--port <PORT>': invalid digit found in string",
            "see openclaw-deploy --help",
        ),
        (&[], "no command", "see openclaw-deploy --help"),
    ] {
        let expected = format!("openclaw-deploy: error: {what}\nhint: {hint}\n");
        sandbox.run(program(), words).done().fails(2, &expected);
    }
}

#[test]
fn a_colour_that_was_asked_for_is_stronger_than_no_color() {
    let sandbox = Sandbox::new();
    let stderr = |color: &str| {
        let words = ["--config", "absent.toml", "--color", color, "status"];
        let run = sandbox.run(program(), words).env("NO_COLOR", "1");
        run.done().stderr
    };
    assert!(stderr("always").contains("\u{1b}["), "{}", stderr("always"));
    assert!(!stderr("auto").contains('\u{1b}'), "{}", stderr("auto"));
}

#[test]
fn the_process_is_hardened_before_it_reads_a_file_or_starts_a_program() {
    let sandbox = Sandbox::new();
    let words = [
        "-f",
        "-e",
        "trace=prctl,prlimit64,openat,execve",
        "-o",
        "trace",
    ];
    let status = ["--config", "absent.toml", "status"].map(Path::new);
    let strace = Path::new("/usr/bin/strace");
    let words = words.iter().map(Path::new).chain([program()]).chain(status);
    sandbox.run(strace, words).done();
    let trace = std::fs::read_to_string(sandbox.path("work/trace")).expect("a trace");
    let at = |what: &str| {
        trace
            .find(what)
            .unwrap_or_else(|| panic!("no {what}: {trace}"))
    };
    let first_file = at("openat(AT_FDCWD, \"absent.toml\"");
    assert!(at("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") < first_file);
    assert!(at("RLIMIT_CORE, {rlim_cur=0") < first_file);
}

#[test]
fn quiet_leaves_warnings_out_and_errors_in() {
    let sandbox = Sandbox::new();
    let login = r#"{"auths": {"ghcr.io": {"auth": "eDp5"}}}"#;
    let root = sandbox.path("work/host");
    std::fs::create_dir_all(root.join("home/ada/.docker")).expect("made");
    sandbox.file("work/host/home/ada/.docker/config.json", login);
    let stderr = |more: &[&str]| {
        let root = root.to_str().expect("text");
        let engine = "unix:///nonexistent/docker.sock";
        let words = ["--root", root, "--docker-host", engine, "update"];
        let rest = ["--dry-run", "--only", "gateway"];
        let words = words.iter().chain(&rest).chain(more);
        let done = sandbox.run(program(), words).done();
        assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
        done.stderr
    };
    let warning = "openclaw-deploy: warning: /home/ada/.docker/config.json holds a login";
    let error = "openclaw-deploy: error: ";
    let loud = stderr(&[]);
    assert!(loud.contains(warning) && loud.contains(error), "{loud}");
    let quiet = stderr(&["-q"]);
    assert!(quiet.starts_with(error), "{quiet}");
}

#[test]
fn too_few_open_files_are_no_bug() {
    let sandbox = Sandbox::new();
    for limit in 6..16 {
        let program = program().display();
        let script = format!("ulimit -n {limit}; exec {program} --root . status");
        let done = sandbox.run(Path::new("/bin/sh"), ["-c", &script]).done();
        let said = "openclaw-deploy: error: cannot start the event loop: Too many open files (os error 24)\n";
        assert!(done.stderr.starts_with(said), "{limit}: {}", done.stderr);
    }
}
