//! What lies in our memory: the key to the vault while `op` runs, and a secret at the last system
//! call of each command.
//!
//! All readable mappings are searched for every run of ten bytes. Allowed are locked pages alone:
//! they are wiped, never swapped, and in no core. Each search has a planted value that it must find.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::libc;

use crate::desktop::Desktop;
use crate::docker_world::World;
use crate::sandbox::{Run, until};

/// The vault's key of these tests.
const KEY: &str = "ops_r3s1due-0f-the-v4ults-k3y-9c41e7";

/// What is planted in the environment, where nobody wipes it.
const PLANTED: &str = "pl4nted-in-0rdinary-m3mory-5d20";

/// The value of the secret.
const VALUE: &str = "ghp_v4lue0fTheS3cret8be6f1aa";

/// How long a run of bytes counts as a residue.
const RUN: usize = 10;

/// Where a text lies in the memory of a process.
#[derive(Debug, Default)]
struct Found {
    locked: usize,
    /// The mappings that are not locked, by name.
    loose: Vec<String>,
}

/// Searches all readable mappings of `pid`. Root may, and these tests run as root.
fn search(pid: u32, text: &str) -> Found {
    assert!(nix::unistd::geteuid().is_root(), "these tests run as root");
    // Again where one was unmapped meanwhile: what it held may lie in one that was not there yet.
    let found = (0..100).find_map(|_| search_once(pid, text));
    found.expect("it stands still")
}

/// The same; `None` where a mapping was gone before it was read.
fn search_once(pid: u32, text: &str) -> Option<Found> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("root may read it");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("its mappings");
    let mut found = Found::default();
    let mut mapping: Option<(u64, u64, String)> = None;
    let mut is_the_files = false;
    for line in maps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-')
            && let (Ok(start), Ok(end)) =
                (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        {
            mapping = Some((start, end, line.to_owned()));
        }
        // No page of its own: what is there is what the file holds.
        if let Some(own) = line.strip_prefix("Anonymous:") {
            let file = mapping
                .as_ref()
                .is_some_and(|(.., name)| name.contains(" /"));
            is_the_files = file && own.trim() == "0 kB";
        }
        let Some(flags) = line.strip_prefix("VmFlags:") else {
            continue;
        };
        let (start, end, name) = mapping.take().expect("a mapping before its flags");
        if is_the_files {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start).expect("a size")];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its mappings");
            if !maps.lines().any(|line| line == name) {
                return None;
            }
            // The kernel's own pages, and those that nobody may read.
            assert!(name.contains("[v") || name.contains(" ---"), "{name}");
            continue;
        }
        let bytes = without_empty_pages(&bytes);
        let runs = text.as_bytes().windows(RUN);
        let count: usize = runs
            .map(|run| memchr::memmem::find_iter(&bytes, run).count())
            .sum();
        match flags.contains(" lo") {
            true => found.locked += count,
            false if count > 0 => found.loose.push(name),
            false => {}
        }
    }
    Some(found)
}

/// The pages that hold anything, which is a small part of them, and as much of an empty one as
/// keeps others apart.
fn without_empty_pages(bytes: &[u8]) -> Vec<u8> {
    const EMPTY: [u8; 4096] = [0; 4096];
    let mut full = vec![];
    for page in bytes.chunks(EMPTY.len()) {
        match *page == EMPTY[..page.len()] {
            true => full.push(0),
            false => full.extend_from_slice(page),
        }
    }
    full
}

/// The commands and helpers that ask `op`.
const COMMANDS: &[(&str, &[&str], &str)] = &[
    ("oc-secrets", &["read", "GHCR_TOKEN"], ""),
    ("oc-secrets", &["env"], ""),
    ("oc-secrets", &["exec", "--", "/bin/true"], ""),
    (
        "oc-secrets",
        &["exec", "--keep-op-env", "--", "/bin/true"],
        "",
    ),
    ("oc-secrets", &["exec", "--mask", "--", "/bin/true"], ""),
    (
        "oc-secrets",
        &["openclaw"],
        "{\"protocolVersion\":1,\"provider\":\"oc\",\"ids\":[\"GHCR_TOKEN\"]}",
    ),
    ("oc-secrets", &["check"], ""),
    ("oc-secrets", &["doctor"], ""),
    ("docker-credential-oc", &["get"], "ghcr.io\n"),
    (
        "git-credential-oc",
        &["get"],
        "protocol=https\nhost=github.com\n\n",
    ),
];

/// A world whose secret is [`VALUE`] and where nothing is kept.
fn world() -> World {
    let world = World::with("[cache]\nttl = \"0\"\n");
    world.token(VALUE);
    // `openclaw` takes no manifest from the environment or the working directory.
    let own = world.path("home/.config/oc-secrets");
    std::fs::create_dir_all(&own).expect("made");
    std::fs::copy(
        world.path("work/oc-secrets.toml"),
        own.join("oc-secrets.toml"),
    )
    .expect("copied");
    world
}

/// Where the key comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Environment,
    File,
    Systemd,
}

/// `run` with the key from `source`, and with what is planted.
fn with_key(world: &World, run: Run, source: Source) -> Run {
    use std::os::unix::fs::PermissionsExt;
    let run = run
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .env("PLANTED", PLANTED);
    let place = |path: &str| {
        world.sandbox.file(path, &format!("{KEY}\n"));
        let path = world.sandbox.path(path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
        path
    };
    match source {
        Source::Environment => run.env("OP_SERVICE_ACCOUNT_TOKEN", KEY),
        Source::File => run.env("OC_SECRETS_TOKEN_FILE", place("home/key")),
        Source::Systemd => {
            place("home/op-token");
            run.env("CREDENTIALS_DIRECTORY", world.sandbox.path("home"))
        }
    }
}

/// Starts it with `input`, its output thrown away.
fn start(mut run: Run, input: &str) -> Child {
    let command = run.command();
    let started = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("written");
    child
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

#[test]
fn while_op_runs_the_key_lies_in_locked_memory_only() {
    for source in [Source::Environment, Source::File, Source::Systemd] {
        for (program, words, input) in COMMANDS {
            let world = world();
            world.sandbox.mode("hang");
            let run = with_key(&world, world.program(program, words), source);
            let what = format!("{program} {words:?}, key from {source:?}");
            key_is_locked(&world, run, input, &what);
        }
    }
}

/// What a process of ours asks the OS keyring for does not come into ours but by a pipe.
#[test]
fn what_the_os_keyring_gave_or_gets_lies_in_locked_memory_only() {
    let world = world();
    let desktop = Desktop::new(&world.sandbox);
    let within = |program: &str, words: &[&str]| {
        let run = world.program(program, words).env("PLANTED", PLANTED);
        desktop.within(run)
    };
    let login = || within("oc-secrets", &["login", "--stdin"]);
    let done = login().input(KEY).done();
    assert!(done.status.success(), "{}", done.stderr);
    for (program, words, input) in [
        ("oc-secrets", &["read", "GHCR_TOKEN"][..], ""),
        ("docker-credential-oc", &["get"], "ghcr.io\n"),
        ("oc-secrets", &["login", "--stdin"], KEY),
    ] {
        world.sandbox.mode("hang");
        std::fs::remove_file(world.path("double/calls.jsonl")).expect("a login was tried");
        key_is_locked(&world, within(program, words), input, program);
    }
}

/// Waits for a stand-in that hangs, and gives its pid. A command may ask for its version first, and
/// that call ends.
#[track_caller]
fn wait_for_one_that_hangs(world: &World) -> u32 {
    let sleeps = format!("{} ", libc::SYS_clock_nanosleep);
    let hangs = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/syscall"))
            .is_ok_and(|call| call.starts_with(&sleeps))
    };
    let found = || world.sandbox.survivors().into_iter().find(hangs);
    until("`op` hangs", || found().is_some());
    found().expect("it hangs for ever")
}

/// Starts `run` where `op` hangs, and looks for the key in it.
#[track_caller]
fn key_is_locked(world: &World, run: Run, input: &str, what: &str) {
    let mut child = start(run, input);
    let op = wait_for_one_that_hangs(world);
    signal("STOP", child.id());
    let key = search(child.id(), KEY);
    let planted = search(child.id(), PLANTED);
    let environ = std::fs::read(format!("/proc/{}/environ", child.id()));
    let environ = environ.expect("root may read it");
    let theirs = std::fs::read(format!("/proc/{op}/environ")).expect("readable");
    signal("CONT", child.id());
    signal("TERM", child.id());
    child.wait().expect("ends");
    world.sandbox.assert_nothing_is_left();
    let has = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    assert!(has(&theirs, KEY), "{what}: `op` has it");
    assert!(!has(&environ, KEY), "{what}: our own environment");
    assert!(has(&environ, PLANTED), "{what}: the control");
    assert!(!planted.loose.is_empty(), "{what}: the control is found");
    assert!(key.locked > 0, "{what}: it is there");
    assert_eq!(key.loose, Vec::<String>::new(), "{what}");
}

/// Runs it under strace, which holds our process at `call`; gives its pid, and strace.
fn held(world: &World, program: &str, words: &[&str], input: &str, call: &str) -> (u32, Child) {
    let path = world
        .sandbox
        .path(&format!("bin/{program}"))
        .display()
        .to_string();
    let inject = format!("--inject={call}:delay_enter=60s");
    // Of writes those to its output alone, which is thrown away.
    let only = if call == "write" {
        "-P/dev/null"
    } else {
        "-qq"
    };
    let options = ["-qq", "-o/dev/null", only, &inject, &path];
    let run = world
        .sandbox
        .run(Path::new("/usr/bin/strace"), options.iter().chain(words));
    let manifest = world.path("work/oc-secrets.toml");
    let run = run.env("OC_SECRETS_MANIFEST", manifest);
    let child = start(with_key(world, run, Source::Environment), input);
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let number = match call {
        "execve" => libc::SYS_execve,
        "write" => libc::SYS_write,
        _ => libc::SYS_exit_group,
    };
    let pid = || -> Option<u32> {
        let pids = std::fs::read_to_string(&children).ok()?;
        pids.split_whitespace().next()?.parse().ok()
    };
    let waits = |pid: u32| {
        let now = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        // Its own start is an execve too; what matters comes after `op`.
        now.starts_with(&format!("{number} ")) && !world.sandbox.calls().is_empty()
    };
    until("it stands at the call", || pid().is_some_and(waits));
    (pid().expect("a pid"), child)
}

/// The last system call of each command that matters: `execve` hands the secret on, and at the end
/// nothing is left.
#[test]
fn at_the_last_system_call_a_secret_lies_in_locked_memory_or_nowhere() {
    for (program, words, input) in COMMANDS {
        let world = world();
        let becomes = words[0] == "exec" && words[1] != "--mask";
        let call = if becomes { "execve" } else { "exit_group" };
        let (pid, mut strace) = held(&world, program, words, input, call);
        let what = format!("{program} {words:?} at {call}");
        let [value, key, planted] = [VALUE, KEY, PLANTED].map(|text| search(pid, text));
        signal("KILL", pid);
        strace.kill().expect("killed");
        strace.wait().expect("ends");
        assert!(!planted.loose.is_empty(), "{what}: the control is found");
        assert_eq!(value.loose, Vec::<String>::new(), "{what}: the secret");
        assert_eq!(key.loose, Vec::<String>::new(), "{what}: the key");
        assert_eq!(value.locked > 0, becomes, "{what}: the secret is handed on");
    }
}

/// What is printed is written from where it was read to.
#[test]
fn while_a_secret_is_written_it_lies_in_locked_memory_only() {
    let prints = |words: &[&str]| matches!(words[0], "read" | "env" | "openclaw" | "get");
    for (program, words, input) in COMMANDS.iter().filter(|(_, words, _)| prints(words)) {
        let world = world();
        let (pid, mut strace) = held(&world, program, words, input, "write");
        let what = format!("{program} {words:?} at its write");
        let [value, key, planted] = [VALUE, KEY, PLANTED].map(|text| search(pid, text));
        signal("KILL", pid);
        strace.kill().expect("killed");
        strace.wait().expect("ends");
        assert!(!planted.loose.is_empty(), "{what}: the control is found");
        assert!(value.locked > 0, "{what}: it is about to be written");
        assert_eq!(value.loose, Vec::<String>::new(), "{what}: the secret");
        assert_eq!(key.loose, Vec::<String>::new(), "{what}: the key");
    }
}

/// The broker holds both for as long as it runs.
#[test]
fn the_broker_has_key_and_values_in_locked_memory_only() {
    let world = World::with("[cache]\nttl = \"0\"\n[clients.me]\nsecrets = [\"GHCR_TOKEN\"]\n");
    world.token(VALUE);
    world.sandbox.mode("hang");
    let directory = world.path("run");
    let manifest = world.path("work/oc-secrets.toml");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let words = [
        "--manifest",
        &text(&manifest),
        "--timeout",
        "1s",
        "serve",
        "--directory",
        &text(&directory),
    ];
    let run = with_key(
        &world,
        world.program("oc-secrets", &words),
        Source::Environment,
    );
    let mut broker = start(run, "");
    let socket = directory.join("clients/me/socket");
    until("it serves", || socket.exists());
    let ask = || {
        let run = world.program("oc-secrets", &["read", "GHCR_TOKEN"]);
        start(run.env("OC_SECRETS_SOCKET", &socket), "")
    };
    let mut waits = ask();
    world.sandbox.wait_for_calls(1);
    let [key, planted] = [KEY, PLANTED].map(|text| search(broker.id(), text));
    assert!(!planted.loose.is_empty(), "the control is found");
    assert!(key.locked > 0, "it is there");
    assert_eq!(key.loose, Vec::<String>::new(), "while `op` runs");
    assert!(!waits.wait().expect("ends").success(), "`op` hangs");

    world.sandbox.mode("");
    signal("HUP", broker.id());
    until("it has an answer", || ask().wait().expect("ends").success());
    let [value, key] = [VALUE, KEY].map(|text| search(broker.id(), text));
    assert!(value.locked > 0, "it is kept");
    assert_eq!(value.loose, Vec::<String>::new(), "kept");
    assert_eq!(key.loose, Vec::<String>::new(), "after `op` has run");
    signal("TERM", broker.id());
    broker.wait().expect("ends");
}
