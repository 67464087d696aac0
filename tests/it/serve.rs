//! The broker and its clients: who gets what, and what bad clients, bad `op`s and restarts do.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::sandbox::{CANARY, Done, Run, Sandbox, until};

pub const OC: &str = env!("CARGO_BIN_EXE_oc-secrets");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-oc");

/// Three names; `gateway` has two of them, `mail` one, of which `GONE` is not in the vault.
pub const MANIFEST: &str = "[secrets]\n\
    TELEGRAM_BOT_TOKEN = \"op://Vault/Item/TELEGRAM_BOT_TOKEN\"\n\
    GONE = \"op://Vault/Gone/f\"\n\
    MAIL = \"op://Vault/Item/MAIL\"\n\
    [clients.gateway]\nsecrets = [\"TELEGRAM_BOT_TOKEN\", \"GONE\"]\n\
    [clients.mail]\nsecrets = [\"MAIL\"]\n";

pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("TELEGRAM_BOT_TOKEN", CANARY), ("MAIL", "mail\n\"1\"")]);
    sandbox.file("work/oc-secrets.toml", MANIFEST);
    sandbox
}

/// A broker, ended with the test.
pub struct Broker<'a> {
    sandbox: &'a Sandbox,
    pub child: Child,
}

impl<'a> Broker<'a> {
    pub fn start(sandbox: &'a Sandbox) -> Self {
        Self::with(sandbox, &[])
    }

    pub fn with(sandbox: &'a Sandbox, more: &[&str]) -> Self {
        let mut run = command(sandbox, more);
        let broker = Self::of(sandbox, run.command());
        until("the broker serves", || broker.log().contains("serving"));
        broker
    }

    pub fn of(sandbox: &'a Sandbox, command: &mut Command) -> Self {
        let log = std::fs::File::create(sandbox.path("serve.log")).expect("a log");
        let child = command.stderr(log).stdout(Stdio::null()).spawn();
        Self {
            sandbox,
            child: child.expect("it starts"),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("serve.log")).expect("a log")
    }

    pub fn socket(&self, client: &str) -> PathBuf {
        self.sandbox.path(&format!("run/clients/{client}/socket"))
    }

    /// A program that has nothing but a socket: no `op`, no token, no manifest.
    pub fn client<S: AsRef<std::ffi::OsStr>>(
        &self,
        client: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Run {
        self.program(OC, client, words)
    }

    pub fn program<S: AsRef<std::ffi::OsStr>>(
        &self,
        program: &str,
        client: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Run {
        self.sandbox
            .run(Path::new(program), words)
            .env("PATH", "/usr/bin:/bin")
            .env("OC_SECRETS_SOCKET", self.socket(client))
            .in_directory(Path::new("/"))
    }

    pub fn read(&self, client: &str, name: &str) -> Done {
        self.client(client, ["read", name]).done()
    }

    pub fn raw(&self, client: &str, bytes: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.socket(client)).expect("connected");
        let _ = stream.write_all(bytes);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// One of the broker's own commands: without a keyring, of which `lock` would take what tests beside it keep.
    pub fn control(&self, words: &[&str]) -> Done {
        let directory = self.sandbox.path("run");
        let mut run = self.sandbox.oc(words).arg("--directory").arg(directory);
        // SAFETY: only async-signal-safe system calls between fork and exec.
        unsafe {
            run.command()
                .pre_exec(|| crate::seccomp::refuse_keyrings(libc::EPERM.cast_unsigned()))
        };
        run.done()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it lives");
    }

    pub fn ends(&mut self) -> Duration {
        let begun = Instant::now();
        while self.child.try_wait().expect("waited").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }
}

impl Drop for Broker<'_> {
    fn drop(&mut self) {
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if begun.elapsed() > Duration::from_secs(8) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn command(sandbox: &Sandbox, more: &[&str]) -> Run {
    let (manifest, directory) = (sandbox.path("work/oc-secrets.toml"), sandbox.path("run"));
    let words = [
        manifest.to_str().expect("text"),
        "serve",
        "--directory",
        directory.to_str().expect("text"),
    ];
    let words: Vec<&str> = ["--manifest"]
        .iter()
        .chain(&words)
        .chain(more)
        .copied()
        .collect();
    sandbox.oc(words)
}

/// The same, started by a line of a shell.
pub fn command_behind(sandbox: &Sandbox, line: &str) -> Run {
    let mut run = command(sandbox, &[]);
    let words = run.command().get_args().map(std::ffi::OsStr::to_owned);
    let all = ["-c", line, "sh", OC].map(Into::into).into_iter();
    let run = sandbox.run(Path::new("/bin/sh"), all.chain(words));
    run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
}

#[test]
fn all_programs_work_with_a_socket_and_nothing_else() {
    let sandbox = sandbox();
    sandbox.file("work/oc-secrets.toml", &MANIFEST.replace(", \"GONE\"", ""));
    let broker = Broker::start(&sandbox);
    assert_eq!(
        broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds(),
        format!("{CANARY}\n")
    );
    let done = broker
        .client(
            "mail",
            [
                "exec",
                "--",
                "sh",
                "-c",
                "printf %s \"$MAIL\"; echo \" $OC_SECRETS_SOCKET\"",
            ],
        )
        .done();
    assert_eq!(
        done.succeeds(),
        format!("mail\n\"1\" {}\n", broker.socket("mail").display())
    );
    let env = broker.client("mail", ["env"]).done().succeeds();
    assert_eq!(env, "export MAIL='mail\n\"1\"'\n");
    let check = broker.client("gateway", ["check"]).done().succeeds();
    assert!(
        check.contains("TELEGRAM_BOT_TOKEN  found") && check.contains("1 of 1 found"),
        "{check}"
    );
    let request = "{\"protocolVersion\":1,\"ids\":[\"mail\",\"TELEGRAM_BOT_TOKEN\"]}";
    let answer = broker.client("mail", ["openclaw"]).input(request).done();
    assert_eq!(
        answer.text(),
        "{\"protocolVersion\":1,\"values\":{\"mail\":\"mail\\u000a\\\"1\\\"\"},\"errors\":{\"TELEGRAM_BOT_TOKEN\":{\"code\":\"NOT_FOUND\"}}}\n"
    );
    // One key by both of its names is one key twice.
    let request = "{\"protocolVersion\":1,\"ids\":[\"mail\",\"MAIL\"]}";
    let answer = broker.client("mail", ["openclaw"]).input(request).done();
    let answer = answer.text().to_owned();
    assert!(
        !answer.contains("errors") && answer.contains("\"MAIL\":\"mail"),
        "{answer}"
    );
    let block = broker.client("mail", ["openclaw", "config"]).done().stdout;
    let block = String::from_utf8_lossy(&block);
    assert!(
        block.contains("--provider-pass-env OC_SECRETS_SOCKET "),
        "{block}"
    );
    assert_eq!(
        sandbox.calls().len(),
        2,
        "one for each client, since they are kept"
    );
}

#[test]
fn docker_gets_its_password_by_the_socket() {
    let sandbox = Sandbox::with_fields(&[("GHCR_TOKEN", "ghp_x")]);
    sandbox.file(
        "work/oc-secrets.toml",
        "[secrets]\nGHCR_TOKEN = \"op://Vault/Item/GHCR_TOKEN\"\n[clients.ci]\nsecrets = [\"GHCR_TOKEN\"]\n",
    );
    let broker = Broker::start(&sandbox);
    let done = broker
        .program(HELPER, "ci", ["get"])
        .input("ghcr.io")
        .done();
    assert_eq!(
        done.succeeds(),
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"x-access-token\",\"Secret\":\"ghp_x\"}\n"
    );
}

#[test]
fn what_a_client_may_not_have_and_what_does_not_exist_look_the_same() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let ask = |name: &str| {
        broker.raw(
            "gateway",
            format!("oc-secrets/1 get\n{name}\n\n").as_bytes(),
        )
    };
    let gone = ask("GONE");
    assert!(gone.starts_with(b"oc-secrets/1 ok "));
    assert_eq!(ask("MAIL"), gone);
    assert_eq!(ask("NOWHERE"), gone);
    assert_ne!(ask("TELEGRAM_BOT_TOKEN"), gone, "control");
    let line = "oc-secrets: error: no secret `MAIL` in the manifest (the broker";
    assert!(broker.read("gateway", "MAIL").stderr.starts_with(line));
    let reference = broker.read("gateway", "op://Vault/Item/MAIL");
    assert_eq!(reference.status.code(), Some(2), "{}", reference.stderr);
    assert!(!broker.log().contains("mail\\n"));
}

#[test]
fn folders_and_sockets_are_the_clients_alone_and_another_user_is_refused() {
    let sandbox = sandbox();
    sandbox.file(
        "work/oc-secrets.toml",
        &MANIFEST.replace("\"GONE\"]\n", "\"GONE\"]\nuid = 1000\n"),
    );
    let broker = Broker::start(&sandbox);
    let stat = |path: &str| sandbox.path(path).symlink_metadata().expect("there");
    for (path, mode, uid) in [
        ("run/clients", 0o700, 0),
        ("run/clients/gateway", 0o755, 0),
        ("run/clients/gateway/socket", 0o600, 1000),
        ("run/clients/mail/socket", 0o600, 0),
        ("run/control", 0o600, 0),
    ] {
        let found = stat(path);
        assert_eq!((found.mode() & 0o7777, found.uid()), (mode, uid), "{path}");
    }
    // As if the folder were mounted.
    for path in ["", "run/clients"] {
        std::fs::set_permissions(sandbox.path(path), PermissionsExt::from_mode(0o711))
            .expect("a mode");
    }
    let as_user = |uid: u32, client: &str| {
        let mut run = broker.client(client, ["read", "TELEGRAM_BOT_TOKEN"]);
        run.command().uid(uid).gid(uid);
        run.done()
    };
    assert_eq!(as_user(1000, "gateway").succeeds(), format!("{CANARY}\n"));
    let denied = as_user(1001, "gateway");
    assert_eq!(denied.status.code(), Some(5));
    assert!(
        denied.stderr.contains("Permission denied"),
        "{}",
        denied.stderr
    );
    // Even if the mode did not stop it, and even root.
    let open = PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(broker.socket("gateway"), open).expect("a mode");
    for uid in [1001, 0] {
        let denied = as_user(uid, "gateway");
        assert_eq!(denied.status.code(), Some(5), "{uid}");
    }
    until("it is logged", || {
        broker.log().contains("client=gateway uid=1001")
    });
    assert!(
        broker.log().contains("outcome=\"refused\""),
        "{}",
        broker.log()
    );
    let table = broker.control(&["clients"]).succeeds();
    assert!(
        table.contains("2 refused; last 20") && table.contains(": uid 0 (refused: another user)"),
        "{table}"
    );
}

#[test]
fn values_are_kept_until_lock_hangup_or_the_end_of_their_time() {
    let sandbox = sandbox();
    sandbox.file(
        "work/oc-secrets.toml",
        &MANIFEST.replace("\"GONE\"]\n", "\"GONE\"]\nttl = \"2s\"\n"),
    );
    let broker = Broker::start(&sandbox);
    let read = || {
        assert_eq!(
            broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds(),
            format!("{CANARY}\n")
        )
    };
    read();
    read();
    assert_eq!(sandbox.calls().len(), 1);
    assert!(
        broker
            .control(&["lock"])
            .text()
            .ends_with("the broker forgot 1 value\n")
    );
    read();
    assert_eq!(sandbox.calls().len(), 2);
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || {
        broker.log().contains("reloaded: 1 value forgotten")
    });
    read();
    assert_eq!(sandbox.calls().len(), 3);
    std::thread::sleep(Duration::from_millis(2100));
    assert!(
        broker
            .control(&["lock"])
            .text()
            .ends_with("the broker forgot 0 values\n")
    );
    read();
    assert_eq!(sandbox.calls().len(), 4);
    let log = broker.log();
    assert!(
        log.contains("names=TELEGRAM_BOT_TOKEN outcome=\"ok\" kept=0 asked=1"),
        "{log}"
    );
    assert!(
        log.contains("names=TELEGRAM_BOT_TOKEN outcome=\"ok\" kept=1 asked=0"),
        "{log}"
    );
    let clients: Value =
        serde_json::from_slice(&broker.control(&["clients", "--json"]).stdout).expect("JSON");
    assert_eq!(clients[0]["client"], "gateway");
    assert_eq!(clients[0]["last"]["names"][0], "TELEGRAM_BOT_TOKEN");
    let table = broker.control(&["clients"]).succeeds();
    assert!(
        table.contains("mail  uid 0  MAIL\n  0 questions, 0 refused; has not asked yet\n"),
        "{table}"
    );
    broker.client("mail", ["ls"]).done().succeeds();
    let table = broker.control(&["clients"]).succeeds();
    assert!(
        table.contains("\n  1 question, 0 refused; last 20"),
        "{table}"
    );
    assert!(table.contains(": which names it has (ok)\n"), "{table}");
}

#[test]
fn all_who_ask_at_once_share_one_op() {
    let sandbox = sandbox();
    sandbox.mode("latency=500");
    let broker = Broker::start(&sandbox);
    let question = b"oc-secrets/1 get\nTELEGRAM_BOT_TOKEN\n\n";
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| broker.raw("gateway", question)))
            .collect();
        for one in all {
            let answer = one.join().expect("asked");
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.contains(CANARY), "{answer}\n{}", broker.log());
        }
    });
    assert_eq!(sandbox.calls().len(), 1);
}

#[test]
fn a_rate_limit_opens_a_breaker_and_old_values_are_given_where_they_may_be() {
    let sandbox = sandbox();
    let stale = MANIFEST.replace("\"GONE\"]\n", "\"GONE\"]\nttl = \"0\"\nstale = \"1h\"\n");
    sandbox.file("work/oc-secrets.toml", &stale);
    let broker = Broker::start(&sandbox);
    broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds();
    sandbox.mode("rate-limited");
    let old = broker.read("gateway", "TELEGRAM_BOT_TOKEN");
    assert_eq!(old.succeeds(), format!("{CANARY}\n"));
    assert!(broker.log().contains("stale=1"), "{}", broker.log());
    let calls = sandbox.calls().len();
    for _ in 0..3 {
        let limited = broker.read("mail", "MAIL");
        assert_eq!(limited.status.code(), Some(6), "{}", limited.stderr);
        assert!(limited.stderr.contains("retry in "), "{}", limited.stderr);
    }
    assert_eq!(sandbox.calls().len(), calls, "nobody asked again");
    sandbox.mode("");
    broker.control(&["lock"]);
    assert_eq!(broker.read("mail", "MAIL").succeeds(), "mail\n\"1\"\n");
}

#[test]
fn a_new_token_needs_no_restart() {
    let sandbox = sandbox();
    sandbox.file("home/token", &sandbox.token());
    std::fs::set_permissions(sandbox.path("home/token"), PermissionsExt::from_mode(0o600))
        .expect("a mode");
    sandbox.mode("expired-token");
    let mut run = command(&sandbox, &[])
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .env("OC_SECRETS_TOKEN_FILE", sandbox.path("home/token"));
    let broker = Broker::of(&sandbox, run.command());
    until("the broker serves", || broker.log().contains("serving"));
    let dead = broker.read("mail", "MAIL");
    assert_eq!(dead.status.code(), Some(3));
    assert_eq!(
        dead.stderr,
        "oc-secrets: error: the broker is not signed in to 1Password, or not allowed\nhint: the broker's log says why: journalctl -u oc-secrets\n"
    );
    let calls = sandbox.calls().len();
    broker.read("mail", "MAIL");
    assert_eq!(
        sandbox.calls().len(),
        calls,
        "a dead token is not tried again at once"
    );
    sandbox.mode("");
    std::fs::write(sandbox.path("home/token"), "ops_another").expect("written");
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || broker.log().contains("reloaded"));
    broker.read("mail", "MAIL").succeeds();
}

#[test]
fn silent_slow_and_endless_clients_cost_the_others_nothing() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let silent: Vec<_> = (0..400)
        .filter_map(|_| UnixStream::connect(broker.socket("gateway")).ok())
        .collect();
    assert!(silent.len() > 100);
    let begun = Instant::now();
    broker.read("mail", "MAIL").succeeds();
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    let endless = broker.raw("mail", &vec![b'x'; 1024 * 1024]);
    assert!(endless.is_empty() || endless.starts_with(b"oc-secrets/1 refused 2 "));
    let long = [&b"oc-secrets/1 get\n"[..], &vec![b'A'; 200_000]].concat();
    assert!(broker.raw("mail", &long).len() < 200);
    let mut stuck = UnixStream::connect(broker.socket("mail")).expect("connected");
    stuck.write_all(b"oc-sec").expect("written");
    let mut rest = vec![];
    stuck.read_to_end(&mut rest).expect("it hangs up by itself");
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "{:?}",
        begun.elapsed()
    );
    drop(silent);
    broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds();
}

#[test]
fn with_forty_descriptors_everybody_is_served_in_turn() {
    let sandbox = sandbox();
    let mut limited = command_behind(&sandbox, "ulimit -n 32; exec \"$@\"");
    let broker = Broker::of(&sandbox, limited.command());
    until("the broker serves", || broker.log().contains("serving"));
    let question = b"oc-secrets/1 get\nTELEGRAM_BOT_TOKEN\n\n";
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..60)
            .map(|_| scope.spawn(|| broker.raw("gateway", question)))
            .collect();
        for one in all {
            let answer = one.join().expect("asked");
            assert!(
                String::from_utf8_lossy(&answer).contains(CANARY),
                "{}",
                broker.log()
            );
        }
    });
    assert_eq!(sandbox.calls().len(), 1);
}

#[test]
fn an_op_that_hangs_is_given_up_and_ends_with_the_broker() {
    let sandbox = sandbox();
    sandbox.mode("hang");
    let mut broker = Broker::with(&sandbox, &["--timeout", "1s"]);
    let done = broker.read("mail", "MAIL");
    assert_eq!(done.status.code(), Some(5), "{}", done.stderr);
    assert!(done.took < Duration::from_secs(4), "{:?}", done.took);
    assert!(
        done.stderr.contains("the broker cannot ask 1Password now"),
        "{}",
        done.stderr
    );
    let calls = sandbox.calls().len();
    assert_eq!(broker.read("mail", "MAIL").status.code(), Some(5));
    assert_eq!(sandbox.calls().len(), calls, "not asked again at once");
    broker.signal(Signal::SIGTERM);
    broker.ends();
    sandbox.assert_nothing_is_left();

    let mut broker = Broker::with(&sandbox, &["--timeout", "1h"]);
    let mut waiting = UnixStream::connect(broker.socket("mail")).expect("connected");
    waiting
        .write_all(b"oc-secrets/1 get\nMAIL\n\n")
        .expect("asked");
    sandbox.wait_for_calls(calls + 1);
    broker.signal(Signal::SIGTERM);
    let took = broker.ends();
    assert!(took < Duration::from_secs(5), "{took:?}");
    sandbox.assert_nothing_is_left();
}

#[test]
fn two_brokers_do_not_serve_the_same_directory() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let second = command(&sandbox, &[]).done();
    assert_eq!(second.status.code(), Some(2));
    assert!(
        second.stderr.contains("another broker serves "),
        "{}",
        second.stderr
    );
    broker.read("mail", "MAIL").succeeds();
}

#[test]
fn a_client_outlives_a_killed_broker_and_a_deleted_directory() {
    let sandbox = sandbox();
    let mut broker = Broker::start(&sandbox);
    let folder = sandbox
        .path("run/clients/mail")
        .symlink_metadata()
        .expect("there")
        .ino();
    broker.signal(Signal::SIGKILL);
    broker.ends();
    let gone = broker.read("mail", "MAIL");
    assert_eq!(gone.status.code(), Some(5));
    assert!(
        gone.stderr.contains("Connection refused"),
        "{}",
        gone.stderr
    );
    let mut broker = Broker::start(&sandbox);
    broker.read("mail", "MAIL").succeeds();
    let after = sandbox
        .path("run/clients/mail")
        .symlink_metadata()
        .expect("there")
        .ino();
    assert_eq!(folder, after, "a mount of the folder holds");
    std::fs::remove_dir_all(sandbox.path("run")).expect("deleted");
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || broker.log().contains("reloaded"));
    broker.read("mail", "MAIL").succeeds();
    broker.signal(Signal::SIGTERM);
    broker.ends();
    assert!(!broker.socket("mail").exists() && sandbox.path("run/clients/mail").is_dir());
    assert!(
        broker
            .log()
            .ends_with("oc-secrets: ended; nothing is kept\n"),
        "{}",
        broker.log()
    );
}

#[test]
fn a_hangup_takes_a_new_manifest_and_a_broken_one_leaves_the_former() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    sandbox.file("work/oc-secrets.toml", "[clients.x]\n");
    broker.signal(Signal::SIGHUP);
    until("it is refused", || broker.log().contains("not reloaded"));
    broker.read("mail", "MAIL").succeeds();
    let more = format!("{MANIFEST}[clients.third]\nsecrets = [\"MAIL\"]\n");
    sandbox.file("work/oc-secrets.toml", &more);
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || broker.log().contains("reloaded: "));
    broker.read("third", "MAIL").succeeds();
}

#[test]
fn another_version_and_nonsense_are_told_so() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let text = |bytes: &[u8]| String::from_utf8(broker.raw("mail", bytes)).expect("text");
    assert_eq!(
        text(b"oc-secrets/2 fetch MAIL\n"),
        "oc-secrets/1 refused 2 this broker speaks version 1 of the protocol: update the older one of the two programs\n"
    );
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"oc-secrets/1 lock\n\n",
        b"oc-secrets/1 clients\n\n",
    ] {
        assert_eq!(
            text(nonsense),
            "oc-secrets/1 refused 2 this is no question for a broker\n"
        );
    }
    // A client of today with a broker of another day.
    let path = sandbox.path("other");
    let listener = UnixListener::bind(&path).expect("bound");
    let other = std::thread::spawn(move || {
        for answer in ["oc-secrets/2 ok 5\nnames", "HTTP/1.1 400 Bad Request\n\n"] {
            let (mut stream, _) = listener.accept().expect("accepted");
            let _ = stream.read(&mut [0; 100]);
            stream.write_all(answer.as_bytes()).expect("answered");
        }
    });
    for why in [
        "it speaks another version of the protocol",
        "its answer makes no sense",
    ] {
        let done = sandbox
            .run(Path::new(OC), ["read", "A"])
            .env("OC_SECRETS_SOCKET", &path)
            .done();
        assert_eq!(done.status.code(), Some(5));
        assert!(done.stderr.contains(why), "{}", done.stderr);
    }
    other.join().expect("answered");
}

#[test]
fn systemd_makes_the_sockets_and_hears_that_we_are_ready() {
    let sandbox = sandbox();
    let make = |name: &str| UnixListener::bind(sandbox.path(name)).expect("bound");
    let sockets = [make("mail.sock"), make("control.sock"), make("nobody.sock")];
    let notify = UnixDatagram::bind(sandbox.path("notify")).expect("bound");
    notify
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("set");
    let manifest = sandbox.path("work/oc-secrets.toml");
    let script = "LISTEN_PID=$$ exec \"$@\"";
    let words = [
        "-c",
        script,
        "sh",
        OC,
        "--manifest",
        manifest.to_str().expect("text"),
        "serve",
        "--log",
        "json",
    ];
    let mut run = sandbox
        .run(Path::new("/bin/sh"), words)
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "mail:control:nobody")
        .env("NOTIFY_SOCKET", sandbox.path("notify"));
    let descriptors = sockets.each_ref().map(AsRawFd::as_raw_fd);
    let hand_on = move || {
        // First out of the way of one another.
        // SAFETY: fcntl is async-signal-safe, and the descriptors are the child's own.
        let high = descriptors.map(|one| unsafe { libc::fcntl(one, libc::F_DUPFD, 100) });
        for (at, one) in high.into_iter().enumerate() {
            let target = i32::try_from(at).map_err(std::io::Error::other)? + 3;
            // SAFETY: dup2 is async-signal-safe, and both descriptors are the child's own.
            if unsafe { libc::dup2(one, target) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only fcntl and dup2 are called.
    unsafe { run.command().pre_exec(hand_on) };
    let mut broker = Broker::of(&sandbox, run.command());
    let mut heard = [0; 64];
    let length = notify.recv(&mut heard).expect("heard");
    assert_eq!(&heard[..length], b"READY=1");
    let ask = |socket: &str| {
        sandbox
            .run(Path::new(OC), ["read", "MAIL"])
            .env("OC_SECRETS_SOCKET", sandbox.path(socket))
            .done()
    };
    assert_eq!(ask("mail.sock").succeeds(), "mail\n\"1\"\n");
    assert_eq!(ask("nobody.sock").status.code(), Some(5));
    let lines: Vec<Value> = broker
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let asked = lines
        .iter()
        .find(|line| line["client"] == "mail" && line["asked"] == 1);
    assert_eq!(asked.expect("logged")["outcome"], "ok");
    let missing =
        "client gateway has no socket: systemctl enable --now oc-secrets-client@gateway.socket";
    assert!(
        lines.iter().any(|line| line["message"] == missing),
        "{}",
        broker.log()
    );
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || broker.log().contains("reloaded"));
    ask("mail.sock").succeeds();
    broker.signal(Signal::SIGTERM);
    broker.ends();
    assert!(
        sandbox.path("mail.sock").exists(),
        "what systemd made stays"
    );
}

#[test]
fn sockets_that_systemd_is_said_to_have_made_are_looked_at() {
    let sandbox = sandbox();
    let manifest = sandbox.path("work/oc-secrets.toml");
    let manifest = manifest.to_str().expect("text");
    for (count, what) in [("1", "descriptor 3"), ("512", "descriptor 3")] {
        let script = "LISTEN_PID=$$ exec \"$@\"";
        let words = ["-c", script, "sh", OC, "--manifest", manifest, "serve"];
        let done = sandbox
            .run(Path::new("/bin/sh"), words)
            .env("LISTEN_FDS", count)
            .done();
        assert_eq!(done.status.code(), Some(2), "{}", done.stderr);
        let said = format!("{what} is no listening socket, as LISTEN_FDS has it");
        assert!(done.stderr.contains(&said), "{}", done.stderr);
    }
}

#[test]
fn a_unit_loads_a_credential_from_the_socket() {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let load = |credential: &str, random: &str| {
        let end = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .expect("a socket");
        let name = format!("{random}/unit/app.service/{credential}");
        bind(
            end.as_raw_fd(),
            &UnixAddr::new_abstract(name.as_bytes()).expect("a name"),
        )
        .expect("bound");
        connect(
            end.as_raw_fd(),
            &UnixAddr::new(&broker.socket("mail")).expect("a path"),
        )
        .expect("connected");
        let mut value = vec![];
        UnixStream::from(end).read_to_end(&mut value).expect("read");
        String::from_utf8(value).expect("text")
    };
    let random = format!("{:016x}", std::process::id());
    assert_eq!(load("MAIL", &random), "mail\n\"1\"");
    assert_eq!(load("mail", &random), "mail\n\"1\"");
    assert_eq!(load("TELEGRAM_BOT_TOKEN", &random), "");
}

#[test]
fn no_value_and_no_token_is_seen_anywhere() {
    let sandbox = sandbox();
    let broker = Broker::with(&sandbox, &["-v"]);
    broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds();
    broker.raw("gateway", b"oc-secrets/1 get\nTELEGRAM_BOT_TOKEN\n\n");
    broker.raw("gateway", format!("{CANARY}\n\n").as_bytes());
    sandbox.mode("stderr-secret");
    broker.control(&["lock"]);
    broker.read("gateway", "TELEGRAM_BOT_TOKEN");
    let clients = broker.control(&["clients", "--json"]).text();
    let process = |file: &str| {
        std::fs::read(format!("/proc/{}/{file}", broker.child.id())).expect("root reads it")
    };
    for text in [
        broker.log().into_bytes(),
        clients.into_bytes(),
        process("cmdline"),
    ] {
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            !text.contains(CANARY) && !text.contains(&sandbox.token()),
            "{text}"
        );
    }
    let environ = String::from_utf8_lossy(&process("environ")).into_owned();
    assert!(
        !environ.contains(CANARY) && environ.contains("HOME="),
        "control: it is readable"
    );
}

#[test]
fn an_idle_broker_does_not_wake_up() {
    let sandbox = sandbox();
    sandbox.file(
        "work/oc-secrets.toml",
        &MANIFEST.replace("\"MAIL\"]\n", "\"MAIL\"]\nttl = \"300ms\"\n"),
    );
    let broker = Broker::start(&sandbox);
    broker.read("mail", "MAIL").succeeds();
    // Past the value's end, and that of the thread that called `op`.
    std::thread::sleep(Duration::from_secs(12));
    let switches = || {
        let tasks =
            std::fs::read_dir(format!("/proc/{}/task", broker.child.id())).expect("it lives");
        let tasks =
            tasks.map(|task| std::fs::read_to_string(task.expect("a task").path().join("status")));
        let lines = tasks.map(|status| {
            let status = status.expect("its status");
            let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>()
    };
    let before = switches();
    assert_eq!(before.len(), 1, "one thread is left");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(switches(), before);
}

#[test]
fn a_manifest_without_clients_and_a_socket_without_a_broker_are_explained() {
    let sandbox = sandbox();
    sandbox.file("work/oc-secrets.toml", "[secrets]\nA = \"op://v/i/f\"\n");
    let done = command(&sandbox, &[]).done();
    assert_eq!(done.status.code(), Some(2));
    assert!(
        done.stderr.contains("no clients in the manifest ("),
        "{}",
        done.stderr
    );
    let done = sandbox
        .run(Path::new(OC), ["read", "A"])
        .env("OC_SECRETS_SOCKET", "/no/such/socket")
        .done();
    done.fails(
        5,
        "oc-secrets: error: no broker at /no/such/socket: No such file or directory\n\
         hint: look at the broker on the host: systemctl status oc-secrets; is its folder mounted, and OC_SECRETS_SOCKET the socket in it?\n",
    );
}
