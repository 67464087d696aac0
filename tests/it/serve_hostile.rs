//! Clients that want to cost the broker more than others do: memory, time, a place.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::sandbox::{CANARY, Done, Sandbox, item, until};
use crate::serve::{Broker, MANIFEST, OC, command_behind, sandbox};

/// A value of a megabyte, and a client that has it.
fn large() -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("BIG", "x".repeat(1 << 20)), ("MAIL", "m".to_owned())]);
    let manifest = "[secrets]\nBIG = \"op://Vault/Item/BIG\"\nMAIL = \"op://Vault/Item/MAIL\"\n\
        [clients.big]\nsecrets = [\"BIG\"]\n[clients.mail]\nsecrets = [\"MAIL\"]\n";
    sandbox.file("work/oc-secrets.toml", manifest);
    sandbox
}

/// The same name so many times.
fn question(times: usize) -> Vec<u8> {
    format!("oc-secrets/1 get\n{}\n", "BIG\n".repeat(times)).into_bytes()
}

/// A number of the broker's /proc/PID/status, in KiB.
fn kib(broker: &Broker<'_>, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.child.id()));
    let status = status.expect("it lives");
    let line = status.lines().find(|line| line.starts_with(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("a number")
}

#[test]
fn an_answer_is_no_longer_than_a_client_reads() {
    let sandbox = large();
    let broker = Broker::start(&sandbox);
    assert!(broker.raw("big", &question(8)).len() > 8 << 20, "control");
    let refused = broker.raw("big", &question(10));
    assert!(refused.len() < 1024, "{} bytes", refused.len());
    let why = "more is asked for than one answer may hold";
    until("it is logged", || broker.log().contains(why));
}

#[test]
fn who_asks_and_does_not_listen_holds_a_bounded_amount_of_memory() {
    let sandbox = large();
    let broker = Broker::start(&sandbox);
    broker.raw("big", &question(1));
    let connections: Vec<UnixStream> = (0..60)
        .map(|_| {
            let mut stream = UnixStream::connect(broker.socket("big")).expect("connected");
            stream.write_all(&question(8)).expect("asked");
            stream
        })
        .collect();
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        most = most.max(kib(&broker, "VmRSS:"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(most > 30 * 1024, "control: some are answered: {most} KiB");
    assert!(most < 120 * 1024, "{most} KiB");
    broker.read("mail", "MAIL").succeeds();
    drop(connections);
    let again = || broker.raw("big", &question(8)).len() > 8 << 20;
    until("there is room again", again);
}

#[test]
fn who_goes_on_talking_is_not_waited_for() {
    let sandbox = sandbox();
    sandbox.mode("latency=3000");
    let broker = Broker::start(&sandbox);
    let mut endless = UnixStream::connect(broker.socket("mail")).expect("connected");
    endless
        .write_all(b"oc-secrets/1 get\nMAIL\n\n")
        .expect("asked");
    let begun = Instant::now();
    while endless.write_all(&[b'x'; 4096]).is_ok() {
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "it is still listened to"
        );
    }
    let why = "the client goes on talking";
    until("it is logged", || broker.log().contains(why));
}

#[test]
fn a_connection_that_fails_for_want_of_memory_is_not_waited_for_in_the_end() {
    let sandbox = large();
    let mut broker = Broker::start(&sandbox);
    broker.raw("big", &question(1));
    let limit = |bytes: Option<u64>| {
        let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let set = std::process::Command::new("prlimit")
            .args([
                "--pid",
                &broker.child.id().to_string(),
                &format!("--as={bytes}:"),
            ])
            .status();
        assert!(set.expect("prlimit runs").success());
    };
    limit(Some((kib(&broker, "VmSize:") + 4096) * 1024));
    assert!(
        broker.raw("big", &question(8)).is_empty(),
        "{}",
        broker.log()
    );
    limit(None);
    assert!(broker.raw("big", &question(8)).len() > 8 << 20, "it lives");
    broker.signal(Signal::SIGTERM);
    let took = broker.ends();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(broker.log().contains("ended"), "{}", broker.log());
}

/// Reads `MAIL` as user 1000 of a user namespace in which that is `100_000 + 1000` outside, as under
/// Docker's `userns-remap`.
fn remapped(broker: &Broker<'_>) -> Done {
    let holder = Command::new("unshare")
        .args(["--user", "sleep", "60"])
        .spawn();
    let mut holder = holder.expect("starts");
    let pid = holder.id().to_string();
    let namespace = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/user")).ok();
    until("it has a namespace of its own", || {
        namespace(&pid) != namespace("self")
    });
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{file}"), "0 100000 65536\n").expect("mapped");
    }
    let within = [
        "--user", "--target", &pid, "--setuid", "1000", "--setgid", "1000",
    ];
    let words = within.iter().chain(&[OC, "read", "MAIL"]);
    let done = broker.program("/usr/bin/nsenter", "mail", words).done();
    holder.kill().expect("it lives");
    holder.wait().expect("ends");
    done
}

#[test]
fn in_a_remapped_namespace_the_user_is_the_one_that_the_host_sees() {
    for (uid, served) in [(101_000, true), (1000, false)] {
        let sandbox = sandbox();
        let own = MANIFEST.replace("[\"MAIL\"]\n", &format!("[\"MAIL\"]\nuid = {uid}\n"));
        sandbox.file("work/oc-secrets.toml", &own);
        let broker = Broker::start(&sandbox);
        for path in ["", "run/clients"] {
            let open = PermissionsExt::from_mode(0o711);
            std::fs::set_permissions(sandbox.path(path), open).expect("a mode");
        }
        // The mode alone would stop the wrong one.
        let everyone = PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(broker.socket("mail"), everyone).expect("a mode");
        let done = remapped(&broker);
        assert_eq!(done.status.success(), served, "{uid}: {}", done.stderr);
        until("it is logged", || {
            broker.log().contains("client=mail uid=101000")
        });
    }
}

#[test]
fn a_question_has_no_more_names_than_anybody_needs() {
    let sandbox = large();
    let broker = Broker::start(&sandbox);
    let said = |times: usize| {
        let question = format!("oc-secrets/1 get\n{}\n", "NONE\n".repeat(times));
        String::from_utf8(broker.raw("mail", question.as_bytes())).expect("text")
    };
    assert!(said(512).starts_with("oc-secrets/1 ok "), "control");
    assert!(said(513).contains("refused 2 a question has at most 512 names"));
    until("it is logged", || {
        broker.log().contains("too many names in a question")
    });
}

/// A failure that concerns one name is learned once, and not asked for again by each who waits for it.
#[test]
fn many_different_questions_that_fail_cost_a_call_for_each_name_at_most() {
    let names = ["A", "B", "C", "D"];
    let sandbox = Sandbox::with_fields(&names.map(|name| (name, CANARY)));
    let all: Vec<String> = names.map(|name| format!("\"{name}\"")).to_vec();
    let mut manifest = String::from("[secrets]\n");
    for name in names {
        manifest.push_str(&format!("{name} = \"op://Vault/Item/{name}\"\n"));
    }
    manifest.push_str(&format!("[clients.one]\nsecrets = [{}]\n", all.join(", ")));
    sandbox.file("work/oc-secrets.toml", &manifest);
    sandbox.mode("latency=300\nforbidden");
    let broker = Broker::start(&sandbox);
    let ask = |names: &[&str]| {
        let mut stream = UnixStream::connect(broker.socket("one")).expect("connected");
        let question = format!("oc-secrets/1 get\n{}\n\n", names.join("\n"));
        stream.write_all(question.as_bytes()).expect("asked");
        stream
    };
    // The first is under way while all others wait for the next call.
    let mut connections = vec![ask(&["A"])];
    std::thread::sleep(Duration::from_millis(100));
    for chosen in (1..16_usize).cycle().take(45) {
        let some = (0..4).filter(|at| chosen & (1 << at) != 0);
        let some: Vec<&str> = some.map(|at| names[at]).collect();
        connections.push(ask(&some));
    }
    for mut stream in connections {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("oc-secrets/1 ok "), "{answer}");
    }
    let calls = sandbox.calls().len();
    assert!((2..=6).contains(&calls), "{calls} calls");
}

/// `mail` has `MAIL` and `TEL`; `evil` has `MAIL` too, and `EVIL`, which 1Password forbids.
fn with_a_forbidden_item() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.vault(serde_json::json!([
        item("Item", &[("MAIL", CANARY), ("TEL", "555-0100")]),
        item("Secretive", &[("EVIL", "x")]),
    ]));
    sandbox.file(
        "work/oc-secrets.toml",
        "[secrets]\nMAIL = \"op://Vault/Item/MAIL\"\nTEL = \"op://Vault/Item/TEL\"\n\
         EVIL = \"op://Vault/Secretive/EVIL\"\n\
         [clients.mail]\nsecrets = [\"MAIL\", \"TEL\"]\n\
         [clients.evil]\nsecrets = [\"MAIL\", \"EVIL\"]\n",
    );
    sandbox.place(&sandbox.path("bin/op"), "bin/real");
    sandbox.file(
        "op",
        "#!/bin/sh\ncase \"$*$(env)\" in *Secretive*) \
         echo \"[ERROR] 2026/01/01 00:00:00 (403) Forbidden: You aren't authorized to access this resource.\" >&2; \
         echo >>\"${0%/*}/../forbidden\"; exit 1 ;; esac\n\
         exec \"${0%/*}/real\" \"$@\"\n",
    );
    let executable = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("op"), executable).expect("a mode");
    sandbox.place(&sandbox.path("op"), "bin/op");
    sandbox
}

#[test]
fn what_one_client_is_forbidden_takes_nothing_from_another() {
    let sandbox = with_a_forbidden_item();
    let forbidden = || {
        let noted = std::fs::read_to_string(sandbox.path("forbidden"));
        noted.unwrap_or_default().lines().count()
    };
    sandbox.mode("latency=300");
    let broker = Broker::start(&sandbox);
    let ask = |client: &str, names: &str| {
        let mut stream = UnixStream::connect(broker.socket(client)).expect("connected");
        let question = format!("oc-secrets/1 get\n{names}\n\n");
        stream.write_all(question.as_bytes()).expect("asked");
        stream
    };
    let rest = |mut stream: UnixStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    };
    // By a name that both have.
    assert!(rest(ask("evil", "EVIL\nMAIL")).contains("not allowed"));
    broker.read("mail", "MAIL").succeeds();
    // The control: it is remembered of the one who asked.
    let before = forbidden();
    assert!(rest(ask("evil", "EVIL")).contains("not allowed"));
    assert_eq!(forbidden(), before);
    // In one call: the first is under way while the others wait for the next.
    broker.control(&["lock"]);
    let first = ask("mail", "TEL");
    std::thread::sleep(Duration::from_millis(100));
    let (evil, mail) = (ask("evil", "EVIL"), ask("mail", "MAIL"));
    assert!(rest(first).contains("555-0100"));
    assert!(rest(evil).contains("not allowed"));
    let answer = rest(mail);
    assert!(answer.contains(CANARY), "{answer}: {}", broker.log());
}

#[test]
fn a_client_does_not_fill_the_log() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    for number in 0..300 {
        let question = format!("oc-secrets/1 get\nINVENTED_{number}\n\n");
        assert!(
            broker
                .raw("mail", question.as_bytes())
                .starts_with(b"oc-secrets/1 ok ")
        );
    }
    let told = broker.log().matches("names=INVENTED_").count();
    assert!((120..150).contains(&told), "{told} lines");
    // One finds room in half a second, and says how many did not.
    std::thread::sleep(Duration::from_millis(600));
    broker.read("mail", "MAIL").succeeds();
    until("the others are counted", || {
        broker.log().contains(" questions not logged")
    });
}

#[test]
fn memory_that_cannot_be_locked_is_told_once() {
    let warnings = |line: &str| {
        let sandbox = sandbox();
        let mut run = command_behind(&sandbox, line);
        let broker = Broker::of(&sandbox, run.command());
        until("the broker serves", || broker.log().contains("serving"));
        for _ in 0..3 {
            broker.read("mail", "MAIL").succeeds();
        }
        let log = broker.log();
        log.matches("memory could not be locked, so secrets may reach swap")
            .count()
    };
    let without = "ulimit -l 0; exec setpriv --bounding-set=-ipc_lock \"$@\"";
    assert_eq!(warnings(without), 1);
    assert_eq!(warnings("exec \"$@\""), 0); // the control
}
