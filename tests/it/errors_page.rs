//! docs/errors.md: each message there is one that the program prints.

use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use crate::sandbox::{CANARY, Sandbox, item};

/// The messages of the page, as they stand in its first column.
fn messages() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let page = std::fs::read_to_string(path).expect("a page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let message = |row: &str| row.split("` (").next().unwrap_or_default().to_owned();
    rows.map(message).collect()
}

/// Whether `text` has the parts of `message` in their order; `…` stands for anything.
fn prints(text: &str, message: &str) -> bool {
    let mut rest = text;
    message.split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

const GOOD: &str = "[secrets]\nA = \"op://Vault/Item/credential\"\n";

fn world(manifest: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let twin = item("Twin", &[("credential", "x")]);
    let mut other = twin.clone();
    other["id"] = json!("otherotherotherotherother0");
    let one = item("Item", &[("credential", CANARY), ("empty", "")]);
    sandbox.vault(json!([one, twin, other]));
    sandbox.file("work/oc-secrets.toml", manifest);
    sandbox
}

/// What the program says to `words` where `mode` is the stand-in's.
fn says(sandbox: &Sandbox, mode: &str, words: &[&str]) -> String {
    sandbox.mode(mode);
    sandbox.oc(words).done().stderr
}

/// The same without a token, so that the app is asked.
fn app_says(mode: &str) -> String {
    let sandbox = world(GOOD);
    sandbox.mode(mode);
    let run = sandbox.oc(["--manifest", "oc-secrets.toml", "read", "A"]);
    run.without("OP_SERVICE_ACCOUNT_TOKEN").done().stderr
}

fn of_manifests() -> Vec<String> {
    let named = |manifest: &str, words: &[&str]| {
        let words = [&["--manifest", "oc-secrets.toml"], words].concat();
        says(&world(manifest), "", &words)
    };
    let found = world(GOOD);
    let new = says(&found, "", &["check"]);
    found
        .manifest(GOOD)
        .file("work/oc-secrets.toml", &format!("{GOOD}\n"));
    let changed = says(&found, "", &["check"]);
    chown(found.path("work/oc-secrets.toml"), Some(4242), None).expect("root gives it away");
    let strange = says(&found, "", &["check"]);
    let lost = "[secrets]\nA = \"op://Vault/Item/credential\"\n\
                B = \"op://Vault/None/credential\"\nC = \"op://Vault/Item/none\"\n\
                D = \"op://None/Item/credential\"\nE = \"op://Vault/Twin/credential\"\n\
                F = \"op://Vault/Item/empty\"\n";
    let registry = format!("{GOOD}[registries.ghcr.io]\nsecret = \"A\"\n");
    let oc = env!("CARGO_BIN_EXE_oc-secrets");
    let line = format!("exec {oc} --manifest oc-secrets.toml env >kept");
    let file = world(GOOD).run(Path::new("/bin/sh"), ["-c", &line]).done();
    vec![
        new,
        changed,
        strange,
        file.stderr,
        named(&registry, &["ls"]),
        named(GOOD, &["--timeout", "5", "check"]),
        named("[secrets]\nA = { item = \"Item\" }\n", &["check"]),
        named(GOOD, &["read", "NONE"]),
        named(lost, &["exec", "--", "true"]),
        named(GOOD, &["exec", "--", "a b"]),
    ]
}

fn of_1password() -> Vec<String> {
    let named = [
        "--timeout",
        "1s",
        "--manifest",
        "oc-secrets.toml",
        "read",
        "A",
    ];
    let modes = [
        "expired-token",
        "forbidden",
        "hang",
        "network",
        "rate-limited",
    ];
    let service = modes.map(|mode| says(&world(GOOD), mode, &named));
    let app = ["signed-out\nno-app", "dismissed", "app-unreachable"].map(app_says);
    [service.as_slice(), app.as_slice()].concat()
}

fn of_brokers() -> Vec<String> {
    let sandbox = world(GOOD);
    let path = sandbox.path("strange");
    let listener = UnixListener::bind(&path).expect("bound");
    let hangs_up = std::thread::spawn(move || drop(listener.accept()));
    let asks = |socket: &Path| {
        let run = sandbox.oc(["read", "A"]).env("OC_SECRETS_SOCKET", socket);
        run.done().stderr
    };
    let said = vec![asks(Path::new("/no/such/socket")), asks(&path)];
    hangs_up.join().expect("joined");
    said
}

#[test]
fn each_message_of_the_page_is_one_that_the_program_prints() {
    let (messages, said) = (
        messages(),
        [of_manifests(), of_1password(), of_brokers()].concat(),
    );
    assert!(messages.len() >= 20, "only {} messages", messages.len());
    for message in &messages {
        let printed = said.iter().any(|text| prints(text, message));
        assert!(printed, "nobody says `{message}`: {said:#?}");
    }
    assert!(
        !said.iter().any(|text| prints(text, "no such …planet")),
        "the control"
    );
}
