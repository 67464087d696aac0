//! What changes while the broker serves: its manifest, its values, and whether it runs at all.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::sandbox::{CANARY, Sandbox, item, until};
use crate::serve::{Broker, MANIFEST, command, sandbox};

const ASKS_MAIL: &[u8] = b"oc-secrets/1 get\nMAIL\n\n";

fn reload(sandbox: &Sandbox, broker: &Broker<'_>, manifest: &str) {
    let ends = |log: &str| log.matches("reloaded").count();
    let before = ends(&broker.log());
    sandbox.file("work/oc-secrets.toml", manifest);
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || ends(&broker.log()) > before);
}

fn rest(mut stream: UnixStream) -> String {
    let mut answer = vec![];
    stream.read_to_end(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(broker: &Broker<'_>, client: &str) -> UnixStream {
    UnixStream::connect(broker.socket(client)).expect("connected")
}

#[test]
fn a_reload_that_cannot_make_a_socket_takes_nothing_away() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    sandbox.file("run/clients/third", "no folder");
    // The new one would give `gateway` another name, and it has a client before and after the bad one.
    let new = MANIFEST.replace("[\"TELEGRAM_BOT_TOKEN\", \"GONE\"]", "[\"MAIL\"]")
        + "[clients.third]\nsecrets = [\"MAIL\"]\n[clients.zoo]\nsecrets = [\"MAIL\"]\n";
    reload(&sandbox, &broker, &new);
    assert!(broker.log().contains("not reloaded"), "{}", broker.log());
    broker.read("mail", "MAIL").succeeds();
    broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds();
    assert_ne!(broker.read("gateway", "MAIL").status.code(), Some(0));
    assert!(broker.control(&["lock"]).status.success());
    let folder = std::fs::read_dir(sandbox.path("run/clients/mail")).expect("there");
    assert_eq!(folder.count(), 1, "nothing lies beside the socket");

    std::fs::remove_file(sandbox.path("run/clients/third")).expect("removed");
    reload(&sandbox, &broker, &new);
    for client in ["gateway", "mail", "third", "zoo"] {
        broker.read(client, "MAIL").succeeds();
    }
}

#[test]
fn a_socket_that_fits_stays_with_those_who_wait_at_it() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let inode = |client| {
        broker
            .socket(client)
            .symlink_metadata()
            .expect("there")
            .ino()
    };
    let (mail, gateway) = (inode("mail"), inode("gateway"));
    let other_user = MANIFEST.replace("\"GONE\"]\n", "\"GONE\"]\nuid = 1000\n");
    reload(&sandbox, &broker, &other_user);
    assert_eq!(inode("mail"), mail);
    assert_ne!(
        inode("gateway"),
        gateway,
        "control: another user's is another one"
    );
    reload(
        &sandbox,
        &broker,
        MANIFEST.split("[clients.mail]").next().expect("a part"),
    );
    assert!(!broker.socket("mail").exists());
}

#[test]
fn what_a_client_may_have_is_decided_when_it_asks() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    let ask = |mut stream: UnixStream| {
        stream.write_all(ASKS_MAIL).expect("asked");
        rest(stream)
    };
    assert!(ask(connect(&broker, "mail")).contains("mail\n"), "control");
    let (early, later) = (connect(&broker, "mail"), connect(&broker, "mail"));
    // They are let in by now.
    std::thread::sleep(Duration::from_millis(200));
    reload(
        &sandbox,
        &broker,
        &MANIFEST.replace("[\"MAIL\"]", "[\"GONE\"]"),
    );
    let answer = ask(early);
    assert!(
        answer.starts_with("oc-secrets/1 ok ") && !answer.contains("mail\n"),
        "{answer}"
    );
    let others = MANIFEST.replace("[\"MAIL\"]", "[\"MAIL\"]\nuid = 1000");
    reload(&sandbox, &broker, &others);
    assert_eq!(ask(later), "");
}

#[test]
fn a_manifest_that_changes_while_op_runs_decides_what_is_answered() {
    let sandbox = sandbox();
    sandbox.mode("latency=1000");
    let broker = Broker::start(&sandbox);
    let ask = || {
        let before = sandbox.calls().len();
        let mut stream = connect(&broker, "mail");
        stream.write_all(ASKS_MAIL).expect("asked");
        sandbox.wait_for_calls(before + 1);
        stream
    };
    let waiting = ask();
    let elsewhere = MANIFEST.replace("Item/MAIL", "Item/TELEGRAM_BOT_TOKEN");
    reload(&sandbox, &broker, &elsewhere);
    assert!(rest(waiting).contains(CANARY), "as the manifest says now");
    broker.control(&["lock"]);
    let waiting = ask();
    reload(
        &sandbox,
        &broker,
        &elsewhere.replace("[\"MAIL\"]", "[\"GONE\"]"),
    );
    let answer = rest(waiting);
    assert!(
        answer.starts_with("oc-secrets/1 ok ") && !answer.contains(CANARY),
        "{answer}"
    );
}

#[test]
fn a_name_that_goes_while_it_is_asked_for_takes_no_other_with_it() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    sandbox.mode("latency=1000");
    let mut stream = connect(&broker, "gateway");
    stream
        .write_all(b"oc-secrets/1 get\nTELEGRAM_BOT_TOKEN\nGONE\n\n")
        .expect("asked");
    until("op runs", || sandbox.calls().len() == 1);
    let without = MANIFEST
        .replace("GONE = \"op://Vault/Gone/f\"\n", "")
        .replace(", \"GONE\"", "");
    reload(&sandbox, &broker, &without);
    let answer = rest(stream);
    assert!(answer.contains(CANARY), "{answer}: {}", broker.log());
}

#[test]
fn what_goes_while_the_rest_is_asked_for_is_asked_for_too() {
    let sandbox = sandbox();
    let broker = Broker::start(&sandbox);
    broker.read("gateway", "TELEGRAM_BOT_TOKEN").succeeds(); // kept from now on
    sandbox.mode("latency=1000");
    let before = sandbox.calls().len();
    let mut stream = connect(&broker, "gateway");
    stream
        .write_all(b"oc-secrets/1 get\nTELEGRAM_BOT_TOKEN\nGONE\n\n")
        .expect("asked");
    until("op runs", || sandbox.calls().len() > before);
    broker.control(&["lock"]);
    let answer = rest(stream);
    assert!(answer.contains(CANARY), "{answer}: {}", broker.log());
}

#[test]
fn who_asks_after_lock_gets_what_the_vault_has_then() {
    let sandbox = sandbox();
    sandbox.mode("latency=1500");
    let broker = Broker::start(&sandbox);
    let ask = || {
        let mut stream = connect(&broker, "mail");
        stream.write_all(ASKS_MAIL).expect("asked");
        stream
    };
    let before = ask();
    sandbox.wait_for_calls(1);
    let joins = ask();
    std::thread::sleep(Duration::from_millis(100));
    sandbox.vault(json!([item("Item", &[("MAIL", "rotated")])]));
    assert!(broker.control(&["lock"]).status.success());
    let after = ask();
    assert!(rest(after).contains("rotated"));
    assert_eq!(sandbox.calls().len(), 2, "one before and one after");
    assert!(!rest(before).is_empty() && !rest(joins).is_empty());
}

#[test]
fn killed_under_load_it_leaves_no_half_answer_and_starts_anew() {
    let sandbox = sandbox();
    let mut broker = Broker::start(&sandbox);
    broker.read("mail", "MAIL").succeeds();
    let socket = broker.socket("mail");
    let whole = b"oc-secrets/1 ok ";
    let stop = AtomicBool::new(false);
    let (answers, others) = std::thread::scope(|scope| {
        let asks = || {
            let (mut answers, mut others) = (0, vec![]);
            while !stop.load(Ordering::Relaxed) {
                let Ok(mut stream) = UnixStream::connect(&socket) else {
                    continue;
                };
                let mut answer = vec![];
                if stream.write_all(ASKS_MAIL).is_ok() {
                    let _ = stream.read_to_end(&mut answer);
                }
                let complete = answer.starts_with(whole) && answer.ends_with(b"mail\n\"1\"");
                answers += u32::from(complete);
                if !complete && !answer.is_empty() {
                    others.push(String::from_utf8_lossy(&answer).into_owned());
                }
                // 6,000 questions a minute are answered, which the fastest machines ask in half a second.
                std::thread::sleep(Duration::from_millis(1));
            }
            (answers, others)
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(asks)).collect();
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..3 {
            broker.signal(Signal::SIGKILL);
            broker.ends();
            broker = Broker::start(&sandbox);
            std::thread::sleep(Duration::from_millis(300));
        }
        stop.store(true, Ordering::Relaxed);
        let all = all.into_iter().map(|one| one.join().expect("asked"));
        all.fold((0, vec![]), |sum, one| {
            (sum.0 + one.0, [sum.1, one.1].concat())
        })
    });
    assert!(others.is_empty(), "{others:?}");
    assert!(answers > 20, "{answers}");
    sandbox.assert_nothing_is_left();
}

#[test]
fn without_a_token_it_serves_and_says_so_until_there_is_one() {
    let sandbox = sandbox();
    let mut run = command(&sandbox, &[])
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .env("OC_SECRETS_TOKEN_FILE", sandbox.path("home/token"));
    let broker = Broker::of(&sandbox, run.command());
    until("the broker serves", || broker.log().contains("serving"));
    let none = broker.read("mail", "MAIL");
    assert_ne!(none.status.code(), Some(0));
    assert!(
        !none.stderr.contains("home/token"),
        "the log's matter: {}",
        none.stderr
    );
    assert!(broker.log().contains("home/token"), "{}", broker.log());
    assert_eq!(sandbox.calls().len(), 0);
    sandbox.file("home/token", &sandbox.token());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(sandbox.path("home/token"), mode).expect("a mode");
    broker.signal(Signal::SIGHUP);
    until("it has reloaded", || broker.log().contains("reloaded"));
    broker.read("mail", "MAIL").succeeds();
}

/// What the control socket answers to a token.
fn sign_in(broker: &Broker<'_>, sandbox: &Sandbox, token: &str) -> String {
    let stream = UnixStream::connect(sandbox.path("run/control"));
    let mut stream = stream.unwrap_or_else(|why| panic!("{why}: {}", broker.log()));
    let question = format!("oc-secrets/1 token\n{token}\n\n");
    stream.write_all(question.as_bytes()).expect("asked");
    rest(stream)
}

#[test]
fn a_new_token_does_not_wait_for_an_op_that_hangs_by_the_old_one() {
    let sandbox = sandbox();
    sandbox.mode("hang");
    let broker = Broker::start(&sandbox);
    let mut stream = connect(&broker, "mail");
    stream
        .write_all(b"oc-secrets/1 get\nMAIL\n\n")
        .expect("asked");
    until("op hangs", || sandbox.calls().len() == 1);
    sandbox.mode("only-token=ops_rotated");
    let begun = Instant::now();
    assert_eq!(
        sign_in(&broker, &sandbox, "ops_rotated"),
        "oc-secrets/1 ok 0\n"
    );
    let answer = rest(stream);
    assert!(answer.contains("mail\n\"1\""), "{answer}: {}", broker.log());
    assert!(begun.elapsed() < Duration::from_secs(10), "`op` has 20");
    assert!(!broker.log().contains("ops_rotated"));
    let long = "x".repeat(16 * 1024 + 1);
    let answer = sign_in(&broker, &sandbox, &long);
    assert!(answer.contains("refused 2 it is too large"), "{answer}");
    broker.control(&["lock"]);
    broker.read("mail", "MAIL").succeeds(); // by the token from before
}

/// At whatever moment of the call by the old token it comes.
#[test]
fn a_new_token_ends_a_call_by_the_old_one_from_its_first_moment_on() {
    let sandbox = sandbox();
    sandbox.place(&sandbox.path("bin/op"), "bin/real");
    sandbox.file(
        "op",
        "#!/bin/sh\n[ \"$OP_SERVICE_ACCOUNT_TOKEN\" = ops_rotated ] || sleep 5\n\
         exec \"${0%/*}/real\" \"$@\"\n",
    );
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("op"), executable).expect("a mode");
    sandbox.place(&sandbox.path("op"), "bin/op");
    for milliseconds in 0..16 {
        let broker = Broker::start(&sandbox);
        let mut stream = connect(&broker, "mail");
        stream.write_all(ASKS_MAIL).expect("asked");
        std::thread::sleep(Duration::from_millis(milliseconds));
        let begun = Instant::now();
        sign_in(&broker, &sandbox, "ops_rotated");
        let answer = rest(stream);
        assert!(answer.contains("mail\n\"1\""), "{answer}: {}", broker.log());
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(4),
            "{milliseconds} ms: {took:?}: {}",
            broker.log()
        );
        assert!(!broker.log().contains("reloaded"), "{}", broker.log());
    }
}

#[test]
fn a_signal_that_ends_it_is_not_lost_to_one_that_reloads_it() {
    let sandbox = sandbox();
    sandbox.mode("hang");
    let mut broker = Broker::start(&sandbox);
    let mut stream = connect(&broker, "mail");
    stream.write_all(ASKS_MAIL).expect("asked");
    until("op hangs", || sandbox.calls().len() == 1);
    broker.signal(Signal::SIGTERM);
    broker.signal(Signal::SIGHUP);
    assert!(broker.ends() < Duration::from_secs(5));
}

#[test]
fn a_token_is_not_taken_where_a_file_has_it() {
    let sandbox = sandbox();
    sandbox.file("home/token", &sandbox.token());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(sandbox.path("home/token"), mode).expect("a mode");
    let mut run = command(&sandbox, &[])
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .env("OC_SECRETS_TOKEN_FILE", sandbox.path("home/token"));
    let broker = Broker::of(&sandbox, run.command());
    until("the broker serves", || broker.log().contains("serving"));
    let answer = sign_in(&broker, &sandbox, "ops_rotated");
    let refused = "oc-secrets/1 refused 2 it signs in by another: /";
    assert!(answer.starts_with(refused), "{answer}");
    assert!(answer.ends_with("home/token\n"), "{answer}");
}
