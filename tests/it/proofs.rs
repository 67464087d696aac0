//! The promise, proved: no file, no argument list, no log, no core, no unlocked page.
//!
//! Each proof has a control that its method must catch; a proof without one counts as absent.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::sandbox::{CANARY, Sandbox, item, until};

const OC: &str = env!("CARGO_BIN_EXE_oc-secrets");

fn sandbox() -> Sandbox {
    Sandbox::with_fields(&[("A", CANARY), ("B", "other")])
}

/// Runs `program` under strace and gives the trace of each process.
fn traced(sandbox: &Sandbox, program: &str, words: &[&str]) -> Vec<(PathBuf, String)> {
    let prefix = sandbox.path("work/trace");
    let output = format!("-o{}", prefix.display());
    let options = ["-ff", "-qq", "-yy", "-v", "-s262144", &output, program];
    let run = sandbox.run("strace".as_ref(), options.iter().chain(words));
    run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done();
    let traces = std::fs::read_dir(sandbox.path("work"))
        .expect("a directory")
        .flatten();
    traces
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/trace."))
        .map(|path| {
            (
                path.clone(),
                std::fs::read_to_string(path).expect("a trace"),
            )
        })
        .collect()
}

/// The system calls of `trace` by which the canary, or anything at all, goes where it must not.
fn offences(trace: &str, own: bool) -> Vec<&str> {
    let canary = CANARY.replace('"', "\\\"");
    let offends = |line: &&str| {
        let call = line.split('(').next().unwrap_or_default();
        let holds = line.contains(&canary);
        match call {
            "write" | "writev" | "pwrite64" | "sendto" | "sendmsg" | "sendfile" | "splice" => {
                holds
                    && !line.contains("<pipe:")
                    && !line.contains("<socket:")
                    && !line.contains("<UNIX")
            }
            "execve" => {
                let arguments = line.split("], [").next().unwrap_or_default();
                holds && arguments.contains(&canary)
            }
            "open" | "openat" | "creat" => {
                let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"]
                    .iter()
                    .any(|flag| line.contains(flag));
                own && writes && !line.contains("\"/dev/null\"")
            }
            "mmap" => own && line.contains("MAP_SHARED") && line.contains("PROT_WRITE"),
            "memfd_create" => own,
            _ => false,
        }
    };
    trace.lines().filter(offends).collect()
}

#[test]
fn the_canary_is_written_to_pipes_alone_and_stands_on_no_argv() {
    for words in [
        &["exec", "--", "true"][..],
        &["env"],
        &["read", "A"],
        &["check"],
        &["-v", "check", "--json"],
    ] {
        let sandbox = sandbox();
        let traces = traced(&sandbox, OC, words);
        assert!(traces.len() >= 2, "{words:?}: ours and that of `op`");
        let seen = traces
            .iter()
            .any(|(_, trace)| trace.contains("read(") && trace.contains(CANARY));
        assert!(seen, "{words:?}: the canary was never seen at all");
        for (path, trace) in &traces {
            let own = trace.starts_with(&format!("execve(\"{OC}\""));
            assert_eq!(
                offences(trace, own),
                Vec::<&str>::new(),
                "{words:?} {}",
                path.display()
            );
        }
    }
}

/// The programs that `trace` starts, each with the environment that it is given.
fn started(traces: &[(PathBuf, String)]) -> Vec<&str> {
    let lines = traces.iter().flat_map(|(_, trace)| trace.lines());
    lines.filter(|line| line.starts_with("execve(")).collect()
}

#[test]
fn one_reference_is_in_no_environment_and_the_token_in_that_of_op_alone() {
    for words in [
        &["read", "A"][..],
        &["--only", "A", "env"],
        &["--only", "A", "check"],
    ] {
        let sandbox = sandbox();
        let traces = traced(&sandbox, OC, words);
        let (op, token) = (sandbox.path("bin/op"), sandbox.token());
        for line in started(&traces) {
            assert!(!line.contains(CANARY), "{words:?}: {line}");
            let ours = line.starts_with(&format!("execve(\"{OC}\""));
            let its = line.starts_with(&format!("execve(\"{}\"", op.display()));
            assert!(ours || its, "{words:?}: neither we nor `op`: {line}");
            assert!(line.contains(&token), "{words:?}: the control: {line}");
        }
        assert_eq!(started(&traces).len(), 2, "{words:?}: we and one `op`");
    }
}

#[test]
fn control_of_several_references_an_env_is_seen_with_all_of_it() {
    let sandbox = sandbox();
    let traces = traced(&sandbox, OC, &["env"]);
    let leaks = |line: &&str| {
        line.starts_with("execve(\"/usr/bin/env\"")
            && line.contains(&CANARY.replace('"', "\\\""))
            && line.contains(&sandbox.token())
    };
    assert_eq!(started(&traces).into_iter().filter(leaks).count(), 1);
}

#[test]
fn control_a_file_an_argument_and_an_open_for_writing_are_caught() {
    for (script, call) in [
        (format!("echo \"{CANARY}\" > leaked"), "write("),
        (format!("/bin/echo \"{CANARY}\""), "execve("),
        ("true > harmless".to_owned(), "openat("),
    ] {
        let sandbox = Sandbox::new();
        let traces = traced(&sandbox, "/bin/sh", &["-c", &script]);
        let caught = traces
            .iter()
            .flat_map(|(_, trace)| offences(trace, true))
            .any(|line| line.starts_with(call));
        assert!(caught, "{script}");
    }
}

/// Every way in which a secret may be spelt: as it is, base64, hex, a list of bytes.
fn spellings(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex = |upper: bool| {
        bytes
            .iter()
            .map(|b| {
                if upper {
                    format!("{b:02X}")
                } else {
                    format!("{b:02x}")
                }
            })
            .collect()
    };
    // The end of a base64 text depends on what follows, so a run from its middle is looked for.
    let base64 = (0..3).map(|skip| base64(&bytes[skip..skip + 15]));
    let list = bytes
        .iter()
        .map(u8::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    [
        secret.to_owned(),
        secret[..16].to_owned(),
        hex(false),
        hex(true),
        list,
    ]
    .into_iter()
    .chain(base64)
    .collect()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let triple = |three: &[u8]| {
        let bits = three
            .iter()
            .fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(triple).collect()
}

#[track_caller]
fn says_nothing_of_it(text: &str, what: &str) {
    for spelling in spellings(CANARY) {
        assert!(!text.contains(&spelling), "{what} says {spelling}:\n{text}");
    }
}

const MODES: &[&str] = &[
    "",
    "placeholder",
    "partial",
    "empty-answer",
    "invalid-json",
    "kill-self",
    "stderr-secret",
    "panic",
    "reorder",
    "swap-values",
    "duplicate",
    "drop-tail",
    "unresolved",
    "template-variables",
    "rate-limited",
    "deleted-token",
    "bad-token",
    "network",
    "forbidden",
    "conflict",
    "config-dir",
    "notice",
    "daemon-notice",
    "older-read-texts",
    "hang-after-partial",
    "close-stdout-and-run-on",
    "child-survives",
    "exit-9",
    "bad-request",
    "fail-once=network",
    "swallowed-error",
    "frame=bare\nstderr-secret",
    "frame=error\nstderr-secret",
];

#[test]
fn no_output_line_or_error_in_any_mode_holds_the_canary_in_any_spelling() {
    for mode in MODES {
        for exact in [false, true] {
            let sandbox = sandbox();
            sandbox.mode(mode);
            sandbox.manifest(&format!(
                "[secrets]\nA = {{ ref = 'op://Vault/Item/A', exact = {exact} }}\nB = 'op://Vault/Item/missing'\n"
            ));
            for words in [
                &["check"][..],
                &["check", "--json"],
                &["exec", "--", "true"],
                &["env"],
                &["read", "A"],
            ] {
                let run = sandbox.oc(["-v", "--timeout", "400ms"].iter().chain(words));
                let done = run
                    .env("RUST_BACKTRACE", "full")
                    .env("RUST_LOG", "trace")
                    .done();
                says_nothing_of_it(
                    &done.stderr,
                    &format!("stderr of {words:?} in mode `{mode}`"),
                );
                if words[0] != "read" || !done.status.success() {
                    says_nothing_of_it(
                        &done.text(),
                        &format!("stdout of {words:?} in mode `{mode}`"),
                    );
                }
            }
        }
    }
}

#[test]
fn control_every_spelling_is_caught() {
    let standard = Command::new("base64")
        .arg("-w0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut standard = standard.expect("base64 starts");
    std::io::Write::write_all(
        &mut standard.stdin.take().expect("a pipe"),
        format!("user:{CANARY}").as_bytes(),
    )
    .expect("written");
    let encoded =
        String::from_utf8(standard.wait_with_output().expect("ends").stdout).expect("text");
    for leak in [
        format!("token is {CANARY}"),
        encoded,
        format!("{:?}", CANARY.as_bytes()),
        CANARY.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        let caught = std::panic::catch_unwind(|| says_nothing_of_it(&leak, "the control"));
        assert!(caught.is_err(), "{leak}");
    }
}

/// Whether the stand-in has written all of its answer, and a moment has passed to read it: its
/// stdout was our pipe and is `/dev/null` then.
fn has_answered(sandbox: &Sandbox) -> bool {
    let stdout = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/fd/1"));
    let closed = |pid| stdout(pid).is_ok_and(|target| target == Path::new("/dev/null"));
    let answered = sandbox.survivors().first().is_some_and(closed);
    if answered {
        std::thread::sleep(Duration::from_millis(100));
    }
    answered
}

/// A process that holds the canary, having read all of `op`'s answer while `op` runs on.
struct Holding {
    child: std::process::Child,
    sandbox: Sandbox,
}

impl Holding {
    fn start() -> Self {
        let sandbox = sandbox();
        sandbox.mode("close-stdout-and-run-on");
        let mut run = sandbox.oc(["--timeout", "20s", "exec", "--", "true"]);
        let child = run
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let holding = Self { child, sandbox };
        until("`op` has answered", || has_answered(&holding.sandbox));
        holding
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-s", "TERM", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
        for pid in self.sandbox.survivors() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

/// Whether `command` left a core when it was aborted `once` it was ready, whoever takes cores here.
fn leaves_a_core(sandbox: &Sandbox, command: &str, once: impl Fn() -> bool) -> bool {
    use std::os::unix::process::ExitStatusExt;
    let script = format!("ulimit -c unlimited; exec {command}");
    let mut run = sandbox.run("/bin/sh".as_ref(), ["-c", &script]);
    run = run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    let command = run.command().stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("starts");
    until("it is ready to be aborted", once);
    let aborted = Command::new("kill")
        .args(["-ABRT", &child.id().to_string()])
        .status();
    assert!(aborted.expect("kill runs").success());
    let status = child.wait().expect("ends");
    assert_eq!(status.signal(), Some(6));
    for pid in sandbox.survivors() {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
    status.core_dumped()
}

#[test]
fn a_crash_while_the_secret_is_held_leaves_no_core() {
    let sandbox = sandbox();
    sandbox.mode("close-stdout-and-run-on");
    let held = || has_answered(&sandbox);
    assert!(!leaves_a_core(
        &sandbox,
        &format!("{OC} exec -- true"),
        held
    ));
}

#[test]
fn control_an_ordinary_crash_leaves_a_core() {
    let sandbox = Sandbox::new();
    let started = || {
        std::thread::sleep(Duration::from_millis(200));
        true
    };
    assert!(
        leaves_a_core(&sandbox, "sleep 5", started),
        "this machine keeps no cores at all, so the proof above proves nothing: see core(5)"
    );
}

/// Where runs of 16 bytes of the canary lie in the memory of `pid`: in locked mappings, and not.
fn residue(pid: u32) -> std::io::Result<(usize, usize)> {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let (mut locked, mut loose) = (0, 0);
    let mut range = (0, 0);
    for line in maps.lines() {
        if let Some((start, end)) = line.split(' ').next().and_then(|word| word.split_once('-'))
            && let (Ok(start), Ok(end)) =
                (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        {
            range = (start, end);
        }
        let Some(flags) = line.strip_prefix("VmFlags:") else {
            continue;
        };
        let mut bytes = vec![0; usize::try_from(range.1 - range.0).expect("a size")];
        if memory.read_exact_at(&mut bytes, range.0).is_err() {
            continue; // [vvar] and the like
        }
        let windows = CANARY.as_bytes().windows(16);
        let found = windows
            .map(|run| memchr::memmem::find_iter(&bytes, run).count())
            .sum::<usize>();
        if flags.contains(" lo") {
            locked += found;
        } else {
            loose += found;
        }
    }
    Ok((locked, loose))
}

#[test]
fn while_it_is_held_the_secret_lies_in_locked_memory_only() {
    let holding = Holding::start();
    let found = residue(holding.child.id());
    if nix::unistd::geteuid().is_root() {
        let (locked, loose) = found.expect("root reads all memory");
        assert!(locked > 0, "the secret is there");
        assert_eq!(loose, 0, "runs of it outside locked memory");
    } else {
        let refused = found.expect_err("a process of the same user is refused");
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    }
}

#[test]
fn what_waits_to_be_written_lies_in_locked_memory_only() {
    if !nix::unistd::geteuid().is_root() {
        return assert!(residue(Holding::start().child.id()).is_err());
    }
    for format in ["sh", "fish", "json", "powershell"] {
        let filler = "x".repeat(100_000);
        let sandbox = Sandbox::with_fields(&[("A", CANARY), ("FILLER", &filler)]);
        let mut run = sandbox.oc(["env", "--format", format]);
        let mut child = run
            .command()
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        // Nobody reads: the text does not fit into the pipe.
        sandbox.wait_until_op_has_ended();
        let (locked, loose) = residue(child.id()).expect("root reads all memory");
        child.kill().expect("killed");
        child.wait().expect("ends");
        assert!(locked > 0, "{format}: the secret is there");
        assert_eq!(loose, 0, "{format}: runs of it outside locked memory");
    }
}

#[test]
fn beside_a_command_whose_output_is_masked_the_secret_lies_in_locked_memory_only() {
    if !nix::unistd::geteuid().is_root() {
        return assert!(residue(Holding::start().child.id()).is_err());
    }
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    // The command has written it many times, and stands in the middle of it now. Then it forgets it.
    let script = "for n in 1 2 3 4 5 6 7 8; do echo \"$A $A\"; done; printf '%.20s' \"$A\"; exec env -u A sleep 60";
    let mut run = sandbox.oc(["exec", "--mask", "--", "sh", "-c", script]);
    let mut child = run
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut shown = vec![0; 8 * 2 * ("<concealed by oc-secrets>".len() + 1)];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut shown).expect("written");
    let children = |pid: u32| {
        let file = format!("/proc/{pid}/task/{pid}/children");
        let text = std::fs::read_to_string(file).expect("its children");
        let numbers = text.split_whitespace();
        numbers
            .map(|it| it.parse::<u32>().expect("a number"))
            .collect::<Vec<_>>()
    };
    let between = children(child.id());
    let command = children(between[0]);
    until("it sleeps", || {
        std::fs::read_to_string(format!("/proc/{}/comm", command[0]))
            .is_ok_and(|name| name == "sleep\n")
    });
    let ours = residue(child.id()).expect("root reads all memory");
    let theirs = residue(between[0]).expect("root reads all memory");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(command[0].cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("it runs");
    child.wait().expect("ends");
    assert!(ours.0 > 0, "the patterns are there");
    assert_eq!(ours.1, 0, "runs of it outside locked memory");
    assert_eq!(theirs, (0, 0), "in the process between");
}

/// `oc-secrets env` that is stuck on its last write, into a pipe that was full before.
struct Stuck {
    child: std::process::Child,
    reader: std::io::PipeReader,
    filler: usize,
}

impl Stuck {
    /// Starts it; where `starve` says so, it gets no more memory from when `op` is asked.
    fn start(sandbox: &Sandbox, starve: bool) -> Self {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let stdout = writer.try_clone().expect("a second end");
        let filler = fill(&mut writer);
        sandbox.mode("latency=300");
        let mut run = sandbox.oc(["env"]);
        let command = run.command().stdout(stdout).stderr(Stdio::piped());
        let child = command.spawn().expect("starts");
        // It sleeps once it has all that it needs to wait for the answer.
        sandbox.wait_for_calls(1);
        until("it waits for `op`", || sleeps(child.id()));
        if starve {
            no_more_memory(child.id());
        }
        sandbox.wait_until_op_has_ended();
        Self {
            child,
            reader,
            filler,
        }
    }

    /// Lets it write. Gives what it wrote, what it said, and its exit code.
    fn end(self) -> (String, String, Option<i32>) {
        let Self {
            child,
            mut reader,
            filler,
        } = self;
        let mut written = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut written).expect("readable");
        let output = child.wait_with_output().expect("ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            text(&written[filler..]),
            text(&output.stderr),
            output.status.code(),
        )
    }
}

/// Fills a pipe to the last byte; gives how many fitted.
fn fill(writer: &mut std::io::PipeWriter) -> usize {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let set = |flags| fcntl(&*writer, FcntlArg::F_SETFL(flags)).expect("a flag");
    set(OFlag::O_NONBLOCK);
    let mut filler = 0;
    while let Ok(bytes) = nix::unistd::write(&*writer, &[b'.'; 4096]) {
        filler += bytes;
    }
    set(OFlag::empty());
    filler
}

/// Whether a process waits for something other than its turn.
fn sleeps(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    status.lines().any(|line| line.starts_with("State:\tS"))
}

/// Lowers the limit of a running process to what it has now.
fn no_more_memory(pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let bytes = kilobytes.expect("a size").parse::<u64>().expect("a number") * 1024;
    let lowered = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--as={bytes}")])
        .status();
    assert!(lowered.expect("prlimit runs").success());
}

/// A vault whose values need more room as text than any buffer that is let go before it is made.
fn quotes() -> Sandbox {
    Sandbox::with_fields(&[("A", CANARY), ("QUOTES", &"'".repeat(30_000))])
}

#[test]
fn a_panic_with_the_secret_in_hand_wipes_it_and_says_nothing_of_it() {
    let sandbox = quotes();
    let stuck = Stuck::start(&sandbox, true);
    let found = residue(stuck.child.id());
    if nix::unistd::geteuid().is_root() {
        assert_eq!(found.expect("root reads all memory"), (0, 0));
    } else {
        assert!(found.is_err());
    }
    let (out, err, code) = stuck.end();
    assert_eq!((out.as_str(), code), ("false\n", Some(1)), "{err}");
    assert!(
        err.contains("src/base/locked_memory.rs"),
        "it did panic: {err}"
    );
    says_nothing_of_it(&err, "stderr of a panic");
    sandbox.assert_nothing_is_left();
}

#[test]
fn control_without_the_panic_the_secret_is_found_at_the_same_place() {
    let sandbox = quotes();
    let stuck = Stuck::start(&sandbox, false);
    if nix::unistd::geteuid().is_root() {
        let (locked, loose) = residue(stuck.child.id()).expect("root reads all memory");
        assert!(locked > 0 && loose == 0, "{locked} {loose}");
    }
    let (out, err, code) = stuck.end();
    assert!(out.contains("export A="), "{out}");
    assert_eq!((err.as_str(), code), ("", Some(0)));
}

#[test]
fn control_a_secret_in_ordinary_memory_is_found() {
    let script =
        "import sys\nkept = sys.stdin.readline()\nprint('held', flush=True)\nsys.stdin.readline()";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, format!("{CANARY}\n").as_bytes()).expect("written");
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.as_mut().expect("a pipe")),
        &mut line,
    )
    .expect("a line");
    let (_, loose) = residue(child.id()).expect("readable");
    drop(input);
    child.wait().expect("ends");
    assert!(loose > 0);
}

#[test]
fn an_item_is_parsed_without_a_copy_outside_locked_memory() {
    if !nix::unistd::geteuid().is_root() {
        // Without root nothing can look; the refusal itself is proved above.
        assert!(residue(Holding::start().child.id()).is_err());
        return;
    }
    let sandbox = Sandbox::new();
    let escaped = format!("{CANARY}\"\\\n\t\u{1}é");
    sandbox.vault(json!([
        item("First", &[("A", &escaped)]),
        item("Second", &[("B", &"x".to_owned())])
    ]));
    sandbox.manifest(
        "[secrets]\nA = { ref = 'op://Vault/First/A', exact = true }\nB = { ref = 'op://Vault/Second/B', exact = true }\n",
    );
    // One after the other under the app: the first item is parsed before the second call hangs.
    sandbox.mode("latency=300");
    let mut run = sandbox
        .oc(["--timeout", "20s", "exec", "--", "true"])
        .without("OP_SERVICE_ACCOUNT_TOKEN");
    let mut child = run
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    sandbox.wait_for_calls(1);
    std::thread::sleep(Duration::from_millis(100));
    sandbox.mode("hang");
    sandbox.wait_for_calls(2);
    std::thread::sleep(Duration::from_millis(100));
    let (locked, loose) = residue(child.id()).expect("root reads all memory");
    let _ = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    child.wait().expect("ends");
    assert!(locked > 0, "the secret is there");
    assert_eq!(loose, 0, "runs of it outside locked memory");
}

#[test]
fn the_process_is_closed_to_others_of_the_same_user() {
    let holding = Holding::start();
    let pid = holding.child.id();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .expect("a line");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // An undumpable process belongs to root in /proc, whoever runs it; and gdb cannot attach.
    let look = |pid: u32| {
        Command::new("setpriv")
            .args([
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "cat",
                &format!("/proc/{pid}/environ"),
            ])
            .output()
            .expect("setpriv runs")
            .status
            .success()
    };
    if nix::unistd::geteuid().is_root() {
        let nobody = |program: &Path, words: &[&str]| {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                .arg(program)
                .args(words);
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starts")
        };
        let mut control = nobody("/bin/sleep".as_ref(), &["5"]);
        std::thread::sleep(Duration::from_millis(200));
        assert!(
            look(control.id()),
            "the control: an ordinary process of the same user is open"
        );
        control.kill().expect("killed");
        control.wait().expect("ends");
    }
    let status = std::fs::metadata(format!("/proc/{pid}/environ")).expect("metadata");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&status), 0);
}
