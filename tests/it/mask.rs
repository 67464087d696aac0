//! `exec --mask`: what a command writes, without a secret in it.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::{CANARY, Run, Sandbox, until};
use crate::terminal::Terminal;

const MASK: &str = "<concealed by oc-secrets>";

fn world() -> Sandbox {
    Sandbox::with_fields(&[("A", CANARY), ("LINES", "first line\nsecond line\n")])
}

/// A shell script with the secrets in its environment, masked.
fn masked(sandbox: &Sandbox, script: &str) -> Run {
    sandbox.oc(["exec", "--mask", "--", "sh", "-c", script])
}

#[test]
fn secrets_are_concealed_in_both_outputs_and_in_other_forms() {
    let sandbox = world();
    let script = "echo \"a $A b\"; printf '%s' \"$A\" | base64 -w0; echo; \
                  printf '%s' \"$A\" | od -An -v -tx1 | tr -d ' \\n'; echo; \
                  echo \"$LINES\"; echo second line; echo \"err $A\" >&2";
    let done = masked(&sandbox, script).done();
    let expected = format!("a {MASK} b\n{MASK}\n{MASK}\n{MASK}\n{MASK}\n");
    assert_eq!(done.succeeds_saying(&format!("err {MASK}\n")), expected);
    // The control: without --mask nothing changes.
    let plain = sandbox.oc(["exec", "--", "sh", "-c", "echo $A"]).done();
    assert_eq!(plain.succeeds(), format!("{CANARY}\n"));
}

#[test]
fn a_secret_that_comes_byte_by_byte_is_concealed_from_its_eighth_byte() {
    let sandbox = world();
    let script = "printf '[' ; printf '%s' \"$A\" | while IFS= read -r -n1 c; do printf '%s' \"$c\"; sleep 0.05; done; printf ']'";
    let run = sandbox.oc(["exec", "--mask", "--", "bash", "-c", script]);
    let text = run.done().succeeds();
    assert_eq!(text, format!("[{}{MASK}]", &CANARY[..7]));
}

#[test]
fn short_secrets_are_named_and_pass() {
    let sandbox = Sandbox::with_fields(&[("PIN", "12345"), ("LONG", "123456")]);
    let done = masked(&sandbox, "echo $PIN $LONG").done();
    let warning =
        "oc-secrets: warning: too short to be masked: PIN (fewer than 6 bytes)\n".to_owned();
    assert_eq!(done.succeeds_saying(&warning), format!("12345 {MASK}\n"));
}

#[test]
fn a_value_that_contains_the_mask_is_one_mask() {
    let value = format!("x{MASK}y");
    let sandbox = Sandbox::with_fields(&[("A", value.as_str())]);
    let done = masked(&sandbox, "echo \"$A\"; echo \"<concealed by oc-secrets>\"").done();
    assert_eq!(done.succeeds(), format!("{MASK}\n{MASK}\n"));
}

#[test]
fn it_ends_as_the_command_did() {
    let sandbox = world();
    assert_eq!(masked(&sandbox, "exit 42").done().status.code(), Some(42));
    let killed = masked(&sandbox, "kill -TERM $$").done();
    assert_eq!(killed.status.signal(), Some(15));
    let missing = sandbox
        .oc(["exec", "--mask", "--", "no-such-command"])
        .done();
    assert_eq!(missing.status.code(), Some(127));
    sandbox.file("work/script", "#!/no/such/interpreter\n");
    std::fs::set_permissions(
        sandbox.path("work/script"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("its mode");
    let refused = sandbox.oc(["exec", "--mask", "--", "./script"]).done();
    let why = "oc-secrets: error: cannot execute ./script: its interpreter does not exist\n";
    assert_eq!(refused.status.code(), Some(126));
    assert!(refused.stderr.starts_with(why), "{}", refused.stderr);
}

/// A program of ours with at most so many kB of locked memory, and without root's right to more.
fn with_locked_memory(sandbox: &Sandbox, limit: u32, words: &str) -> Run {
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let script = format!("cp {program} ../home/oc && ulimit -l {limit} && exec ../home/oc {words}");
    let mut line = vec!["sh", "-c", &script];
    if nix::unistd::geteuid().is_root() {
        let given = std::process::Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(sandbox.path("."))
            .status();
        assert!(given.expect("chown runs").success());
        let other = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        line.splice(0..0, ["setpriv"].into_iter().chain(other));
    }
    let run = sandbox.run(line[0].as_ref(), &line[1..]);
    run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
}

/// The patterns and what is searched need more than the secrets themselves.
#[test]
fn memory_that_cannot_be_locked_is_told_of() {
    let sandbox = world();
    let warning = "oc-secrets: warning: memory could not be locked, so secrets may reach swap: raise `ulimit -l`\n";
    let run = |limit, words| with_locked_memory(&sandbox, limit, words).done();
    run(512, "exec --mask -- true").succeeds_saying(warning);
    // The controls: there is enough, and enough for all but the mask.
    run(8192, "exec --mask -- true").succeeds();
    run(512, "exec -- true").succeeds();
}

#[test]
fn signals_reach_the_command() {
    let sandbox = world();
    let mut run = masked(
        &sandbox,
        "trap 'echo got; exit 7' USR1; touch up; while :; do sleep 0.05; done",
    );
    let child = run
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    until("it is up", || sandbox.path("work/up").exists());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGUSR1).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(7), &b"got\n"[..])
    );
}

/// Whoever reads it sleeps, and the pipe is full.
#[test]
fn signals_reach_a_command_whose_reader_is_slow() {
    let sandbox = world();
    for (script, signal) in [
        ("exec yes", Signal::SIGTERM),
        ("exec yes >&2", Signal::SIGINT),
    ] {
        let mut run = masked(&sandbox, script);
        let command = run.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it runs");
        let ended = || child.try_wait().expect("waited for");
        let status = std::iter::repeat_with(ended).find_map(|status| {
            std::thread::sleep(Duration::from_millis(5));
            assert!(begun.elapsed() < Duration::from_secs(5), "{signal} is lost");
            status
        });
        let status = status.expect("it has ended");
        assert_eq!(status.signal(), Some(signal as i32));
    }
}

/// The command has ended, and what it said is whole, however late it is read.
#[test]
fn a_reader_that_is_slow_gets_all_of_it() {
    let sandbox = world();
    let mut run = masked(
        &sandbox,
        "trap : TERM; touch up; sleep 0.5; head -c 200000 /dev/zero",
    );
    let command = run.command().stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    until("it is up", || sandbox.path("work/up").exists());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    std::thread::sleep(Duration::from_millis(2500));
    let mut text = vec![];
    let mut out = child.stdout.take().expect("a pipe");
    out.read_to_end(&mut text).expect("read");
    assert_eq!(text.len(), 200_000);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_flood_is_passed_on_whole_and_what_is_written_last_too() {
    let sandbox = world();
    let script = "head -c 50000000 /dev/zero | tr '\\0' 'x'; printf 'end %s' \"$A\"";
    let text = masked(&sandbox, script).done().succeeds();
    assert_eq!(text.len(), 50_000_000 + 4 + MASK.len());
    assert!(text.ends_with(&format!("xend {MASK}")));
}

#[test]
fn where_nobody_reads_any_more_the_command_is_told() {
    let sandbox = world();
    let mut run = masked(&sandbox, "yes; echo $? >yes-ended");
    run.command().stdout(Stdio::piped());
    let mut child = run.command().spawn().expect("it starts");
    let mut line = [0; 2];
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut line).expect("read");
    drop(out);
    child.wait().expect("it ends");
    until("yes has ended", || sandbox.path("work/yes-ended").exists());
}

#[test]
fn a_command_that_closes_its_output_goes_on() {
    let sandbox = world();
    let done = masked(&sandbox, "exec >&- 2>&-; sleep 0.2; exit 3").done();
    assert_eq!(done.status.code(), Some(3));
}

#[test]
fn what_it_leaves_in_the_background_is_not_waited_for() {
    let sandbox = world();
    let done = masked(&sandbox, "sleep 5 & echo done").done();
    assert_eq!(done.succeeds(), "done\n");
    assert!(done.took < Duration::from_secs(3), "{:?}", done.took);
}

/// As a server of the Model Context Protocol speaks.
#[test]
fn json_rpc_over_stdio_passes_untouched_and_without_delay() {
    let sandbox = world();
    let mut run = masked(&sandbox, "exec cat");
    let command = run.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut slowest = Duration::ZERO;
    for number in 0..200 {
        let message =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"tools/list\"}}\n");
        let begun = Instant::now();
        stdin.write_all(message.as_bytes()).expect("written");
        let mut answer = vec![0; message.len()];
        stdout.read_exact(&mut answer).expect("answered");
        if number > 0 {
            slowest = slowest.max(begun.elapsed());
        }
        assert_eq!(String::from_utf8_lossy(&answer), message);
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn on_a_terminal_the_command_has_a_terminal_of_its_own() {
    let sandbox = world();
    let script = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; echo \"$A\"";
    // Quiet, since a terminal is told where even this `op` is waited for.
    let run = sandbox.oc(["--quiet", "exec", "--mask", "--", "sh", "-c", script]);
    let (text, status) = Terminal::start(run, 77).finish();
    let (first, rest) = text.split_once('\n').expect("lines");
    assert!(first.starts_with("/dev/pts/"), "{text}");
    assert_eq!(
        (rest, status.code()),
        (&*format!("24 77\nall\n{MASK}\n"), Some(0))
    );
}

#[test]
fn a_prompt_is_seen_at_once_and_what_is_typed_arrives() {
    let sandbox = world();
    let script = "printf 'Password: c'; stty -echo; read -r x; stty echo; echo; echo \"got $x\"";
    let mut terminal = Terminal::start(masked(&sandbox, script), 80);
    terminal.shows("Password: c");
    std::thread::sleep(Duration::from_millis(100));
    terminal.types("hunter\r").shows("got hunter");
    assert_eq!(terminal.ends().code(), Some(0));
    assert!(
        !terminal.text().contains("hunter\r\ngot"),
        "{}",
        terminal.text()
    );
}

/// A pipeline whose last command is masked, in a shell without jobs.
fn behind_a_pipe(sandbox: &Sandbox, before: &str, script: &str) -> Terminal {
    let oc = env!("CARGO_BIN_EXE_oc-secrets");
    let line = format!("{before} | {oc} --quiet exec --mask -- sh -c '{script}'");
    let run = sandbox
        .run("sh".as_ref(), ["-c", &line])
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    Terminal::start(run, 100)
}

/// As ssh, sudo, gpg and less do; and what comes through the pipe is not touched.
#[test]
fn behind_a_pipe_it_can_ask_at_the_terminal() {
    let sandbox = world();
    let script = "stty -echo </dev/tty; printf pass? >/dev/tty; read -r a </dev/tty; \
                  stty echo </dev/tty; echo \"got=$a $(cat) $A\"";
    let mut terminal = behind_a_pipe(&sandbox, "printf x", script);
    terminal.shows("pass?").types("geheim\r").shows("got=");
    assert_eq!(terminal.ends().code(), Some(0));
    assert_eq!(terminal.text(), format!("pass?got=geheim x {MASK}\r\n"));
}

/// The keys are taken from nobody who asks before it.
#[test]
fn what_stands_before_it_in_a_pipeline_can_ask_too() {
    let sandbox = world();
    let before = "{ printf name? >/dev/tty; read -r n </dev/tty; echo $n; }";
    let script = "read -r n; printf pass? >/dev/tty; read -r p </dev/tty; echo \"got=$n,$p\"";
    let mut terminal = behind_a_pipe(&sandbox, before, script);
    terminal.shows("name?");
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("anna\r").shows("pass?");
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("one\r").shows("got=anna,one");
    assert_eq!(terminal.ends().code(), Some(0));
    // And Ctrl-C is for all of them.
    let mut terminal = behind_a_pipe(&sandbox, "{ echo; sleep 30; }", "echo up; cat");
    terminal.shows("up");
    terminal.types("\x03").ends();
}

#[test]
fn ctrl_c_and_the_size_of_the_window_reach_it() {
    let sandbox = world();
    let script = "trap 'stty size' WINCH; trap 'echo int; exit 9' INT; echo up; while :; do sleep 0.05; done";
    let mut terminal = Terminal::start(masked(&sandbox, script), 80);
    terminal.shows("up");
    terminal.resize(30, 90);
    terminal.shows("30 90");
    terminal.types("\x03").shows("int");
    assert_eq!(terminal.ends().code(), Some(9));
}

fn shell_with_jobs(sandbox: &Sandbox) -> Terminal {
    let run = sandbox
        .run("bash".as_ref(), ["--norc", "--noprofile", "-i"])
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .env("PS1", "$ ");
    Terminal::start(run, 100)
}

#[test]
fn in_a_shell_with_jobs_it_is_stopped_and_continued() {
    let sandbox = world();
    let oc = env!("CARGO_BIN_EXE_oc-secrets");
    let mut terminal = shell_with_jobs(&sandbox);
    let script = "echo u''p; while read -r x; do echo \"<$x>\"; test $x != end || exit 5; done";
    terminal.types(&format!(
        "{oc} exec --mask -- sh -c '{}'\r",
        script.replace('\'', "'\\''")
    ));
    terminal.shows("up\r\n");
    terminal.types("one\r").shows("<one>");
    terminal.types("\x1a").shows("Stopped");
    terminal
        .forget()
        .types("stty -a | grep -o ' echo '; echo sh'el'l\r")
        .shows("shell");
    assert!(terminal.text().contains(" echo "), "{}", terminal.text());
    terminal.types("fg\r").types("two\r").shows("<two>");
    // Its own prompt, or the next line would still be the command's.
    terminal.forget().types("end\r").shows("2004h$ ");
    terminal.types("echo code=$?\r").shows("code=5");
    terminal.types("exit\r");
    terminal.ends();
}

/// A shell sends no signal to a job that runs already.
#[test]
fn a_job_that_began_in_the_background_is_typed_at_in_the_foreground() {
    let sandbox = world();
    let oc = env!("CARGO_BIN_EXE_oc-secrets");
    let mut terminal = shell_with_jobs(&sandbox);
    let script = "echo u''p; read -r x; echo got=$x; stty size";
    terminal.types(&format!(
        "{oc} --quiet exec --mask -- sh -c \"{}\" &\r",
        script.replace('$', "\\$")
    ));
    terminal.shows("up\r").resize(30, 90);
    terminal.types("fg\r");
    std::thread::sleep(Duration::from_millis(500));
    terminal.types("hello\r").shows("got=hello\r\n30 90");
    terminal.types("exit\r");
    terminal.ends();
}

#[test]
fn the_terminal_is_as_it_was_after_a_command_that_left_it_raw() {
    let sandbox = world();
    let script = format!(
        "stty -g >before; {} exec --mask -- sh -c 'stty raw -echo; kill -KILL $$'; echo $? >code; stty -g >after",
        env!("CARGO_BIN_EXE_oc-secrets")
    );
    let run = sandbox
        .run("sh".as_ref(), ["-c", &script])
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    let mut terminal = Terminal::start(run, 80);
    terminal.ends();
    let file = |name: &str| std::fs::read_to_string(sandbox.path("work").join(name)).expect(name);
    assert_eq!(file("before"), file("after"));
    assert_eq!(file("code"), "137\n");
}
