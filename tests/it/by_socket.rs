//! What the commands say of themselves where a broker's socket has the secrets: nothing of an `op` or a reference
//! that is not theirs.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::sandbox::{CANARY, Run, Sandbox, until};

const OC: &str = env!("CARGO_BIN_EXE_oc-secrets");

const MANIFEST: &str = "[secrets]\n\
    API_KEY = \"op://Vault/Item/API_KEY\"\n\
    GONE = \"op://Vault/Gone/f\"\n\
    [clients.app]\nsecrets = [\"API_KEY\"]\n\
    [clients.both]\nsecrets = [\"API_KEY\", \"GONE\"]\n\
    [clients.none]\nsecrets = []\n";

/// A host with a broker, which ends with the test.
struct Host {
    sandbox: Sandbox,
    broker: Child,
}

impl Host {
    fn new() -> Self {
        Self::with(MANIFEST)
    }

    fn with(manifest: &str) -> Self {
        let sandbox = Sandbox::with_fields(&[("API_KEY", CANARY)]);
        sandbox.file("work/oc-secrets.toml", manifest);
        let (manifest, run) = (sandbox.path("work/oc-secrets.toml"), sandbox.path("run"));
        let words = [
            "--manifest".as_ref(),
            manifest.as_os_str(),
            "serve".as_ref(),
            "--directory".as_ref(),
            run.as_os_str(),
        ];
        let mut run = sandbox.oc(words);
        let quiet = run.command().stdout(Stdio::null()).stderr(Stdio::null());
        let broker = quiet.spawn().expect("it starts");
        let host = Self { sandbox, broker };
        until("the broker serves", || host.socket("both").exists());
        host
    }

    fn socket(&self, client: &str) -> PathBuf {
        self.sandbox.path(&format!("run/clients/{client}/socket"))
    }

    /// A program that has this client's socket, and neither `op` nor a manifest.
    fn client(&self, client: &str, words: &[&str]) -> Run {
        let run = self.sandbox.run(Path::new(OC), words);
        run.env("PATH", "/usr/bin:/bin")
            .env("OC_SECRETS_SOCKET", self.socket(client))
            .in_directory(Path::new("/"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

fn json(run: Run) -> Value {
    serde_json::from_slice(&run.done().stdout).expect("JSON")
}

#[test]
fn check_and_ls_show_no_reference() {
    let host = Host::new();
    let broker = format!("the broker {}", host.socket("app").display());
    let check = host.client("app", &["check"]).done().succeeds();
    assert_eq!(
        check,
        format!("API_KEY  found  text\n1 of 1 found · {broker}\n")
    );
    let ls = host.client("app", &["ls"]).done().succeeds();
    assert_eq!(ls, format!("secrets\n  API_KEY  required\n\n{broker}\n"));
    let check = json(host.client("app", &["check", "--json"]));
    assert_eq!(check["manifest"], broker);
    let secret = &check["secrets"][0];
    assert_eq!(
        (&secret["reference"], &secret["from"]),
        (&Value::Null, &Value::from("broker"))
    );
    let ls = json(host.client("app", &["ls", "--json"]));
    assert_eq!(ls["secrets"][0]["reference"], Value::Null);
    let verbose = host.client("app", &["-v", "read", "API_KEY"]).done();
    assert_eq!(
        verbose.succeeds_saying(&format!("oc-secrets: asking {broker}\n")),
        format!("{CANARY}\n")
    );
}

#[test]
fn explain_says_that_the_broker_fetches_and_keeps() {
    let host = Host::new();
    let socket = host.socket("app");
    let socket = socket.display();
    let text = host
        .client("app", &["explain", "API_KEY"])
        .done()
        .succeeds();
    assert_eq!(
        text,
        format!(
            "API_KEY\n  reference   known to the broker alone\n  \
             if missing  the run fails, and nothing is handed on\n  \
             fetched     from the broker, together with the others; no `op` runs here\n  \
             kept        by the broker, for its client's `ttl`\n  \
             manifest    the broker {socket}\n"
        )
    );
}

#[test]
fn what_the_broker_has_not_is_told_without_a_command_for_op() {
    let host = Host::new();
    let done = host.client("both", &["exec", "--", "true"]).done();
    done.fails(
        125,
        &format!(
            "oc-secrets: error: 1 secret not found\n  GONE  the broker {}  missing: no such secret\n\
             hint: fix it in 1Password\n",
            host.socket("both").display()
        ),
    );
    let none = host.client("none", &["check"]).done();
    none.fails(
        2,
        "oc-secrets: error: nothing to pass on: no secret and no plain value\n\
         hint: name what it may have in `secrets` of this client in the broker's manifest\n",
    );
    let request = "{\"protocolVersion\":1,\"ids\":[\"GONE\",\"op://Vault/Item/API_KEY\"]}";
    let asked = host.client("app", &["openclaw"]).input(request).done();
    assert_eq!(
        asked.stderr,
        "oc-secrets: error: 2 of 2 ids not answered: GONE: the broker has no such name for us; \
         op://Vault/Item/API_KEY: a broker is asked by names\n"
    );
}

#[test]
fn a_manifest_that_is_named_beside_a_socket_tells_names_and_not_places() {
    let host = Host::new();
    let manifest = host.sandbox.path("work/oc-secrets.toml");
    let manifest = manifest.to_str().expect("text");
    let words = |more: &[&'static str]| [&["--manifest", manifest], more].concat();
    let source = format!(
        "{manifest}, answered by the broker {}",
        host.socket("both").display()
    );
    let check = host.client("both", &words(&["check"])).done().text();
    assert!(
        !check.contains("op://") && check.ends_with(&format!("1 of 2 found · {source}\n")),
        "{check}"
    );
    let text = host
        .client("both", &words(&["explain", "API_KEY"]))
        .done()
        .succeeds();
    assert!(
        !text.contains("op://") && text.contains("\n  manifest    ") && text.contains(&source),
        "{text}"
    );
    // What the file itself holds.
    let ls = host.client("both", &words(&["ls"])).done().succeeds();
    assert!(
        ls.contains("op://Vault/Item/API_KEY") && ls.ends_with(&format!("{source}\n")),
        "{ls}"
    );
}

/// The rows of `doctor` as check and state, with what they say.
fn doctor(run: Run) -> Vec<(String, String, String)> {
    let report = json(run);
    let rows = report["checks"].as_array().expect("rows").iter();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.map(|row| (text(row, "check"), text(row, "state"), text(row, "text")))
        .collect()
}

#[test]
fn doctor_looks_at_the_broker_in_the_place_of_op() {
    let host = Host::new();
    let rows = doctor(host.client("app", &["doctor", "--json", "--deep"]));
    let row =
        |name: &str, state: &str, text: &str| (name.to_owned(), state.to_owned(), text.to_owned());
    let answers = format!(
        "{} answers; no `op` runs here",
        host.socket("app").display()
    );
    assert_eq!(rows[0], row("broker", "ok", &answers));
    assert_eq!(
        rows[1],
        row(
            "manifest",
            "ok",
            "none here: the broker has 1 secret for us"
        )
    );
    assert_eq!(rows[2], row("secrets", "ok", "1 of 1 found"));
    let others: Vec<&str> = rows[3..].iter().map(|(name, ..)| name.as_str()).collect();
    for name in ["op", "sign-in", "cost", "cache", "sharing"] {
        assert!(!others.contains(&name), "{name}: {others:?}");
    }
    let none = doctor(host.client("none", &["doctor", "--json"]));
    assert_eq!(
        none[1],
        row(
            "manifest",
            "warn",
            "none here, and the broker has no secret for us"
        )
    );

    let gone = host.client("gone", &["doctor", "--json"]);
    let gone = doctor(gone);
    assert_eq!((gone[0].0.as_str(), gone[0].1.as_str()), ("broker", "fail"));
    assert!(gone[0].2.starts_with("no broker at "), "{:?}", gone[0]);
    assert!(
        gone[1..].iter().all(|(_, state, _)| state != "fail"),
        "told once: {gone:?}"
    );
}

#[test]
fn whom_a_broker_does_not_serve_is_told_whose_number_it_wants() {
    let host = Host::new();
    let hint = |uid: u32| {
        format!(
            "hint: `uid =` of this client in the broker's manifest must be this user as the host sees it: \
             {uid} by `id -u`, under userns-remap the mapped number; outside of a container only root can reach this socket\n"
        )
    };
    // As if the folder were mounted.
    for path in ["", "run", "run/clients"] {
        let open = PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(host.sandbox.path(path), open).expect("a mode");
    }
    let socket = host.socket("app");
    let as_other = || {
        let mut run = host.client("app", &["read", "API_KEY"]);
        run.command().uid(1001).gid(1001);
        run.done()
    };
    let start = format!(
        "oc-secrets: error: cannot use the broker at {}: ",
        socket.display()
    );
    as_other().fails(5, &format!("{start}Permission denied\n{}", hint(1001)));
    let mut gateway = host
        .client("app", &["openclaw"])
        .input("{\"protocolVersion\":1,\"ids\":[\"API_KEY\"]}");
    gateway.command().uid(1001).gid(1001);
    let said = gateway.done().stderr;
    assert!(
        said.ends_with("can reach this socket\n") && said.lines().count() == 1,
        "{said}"
    );
    // Where the mode lets everybody connect, the broker hangs up.
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).expect("a mode");
    as_other().fails(
        5,
        &format!("{start}it hung up without an answer\n{}", hint(1001)),
    );
    // The control: one that dies over an answer says nothing of users.
    let path = host.sandbox.path("half");
    let listener = UnixListener::bind(&path).expect("bound");
    let half = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 512]);
        stream.write_all(b"oc-secrets/1 ok 100\n").expect("written");
    });
    let run = host.client("app", &["ls"]).env("OC_SECRETS_SOCKET", &path);
    let broken = run.done();
    half.join().expect("joined");
    assert!(
        broken.stderr.contains("its answer breaks off") && !broken.stderr.contains("uid"),
        "{}",
        broken.stderr
    );
}

#[test]
fn a_secret_of_a_broker_may_have_any_name() {
    let host = Host::with(
        "[secrets]\nsecret = 'op://Vault/Item/API_KEY'\n\
         [clients.other]\nsecrets = ['secret']\n[clients.both]\nsecrets = ['secret']\n",
    );
    let read = host.client("other", &["read", "secret"]).done();
    assert_eq!(read.succeeds(), format!("{CANARY}\n"));
    let by_reference = host.client("other", &["read", "op://Vault/Item/API_KEY"]);
    let done = by_reference.done();
    let said = "a broker is asked by names, and not by references";
    assert!(done.stderr.contains(said), "{}", done.stderr);
}
