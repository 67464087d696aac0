//! `oc-secrets pin`: names of vaults and items become ids, and nothing is lost on the way.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::sandbox::{CANARY, Sandbox, item};
use crate::terminal::Terminal;

const MANIFEST: &str = "# mine\nvault = 'Vault'\n\n[secrets]\nA = { item = 'One' }   # keep\n\
    B = 'op://Vault/Two/B'\nC = { item = 'None', required = false }\n[vars]\nV = 'One'\n";

fn id(title: &str) -> String {
    item(title, &[("x", "y")])["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn pinned() -> String {
    let (vault, one, two) = ("v".repeat(26), id("One"), id("Two"));
    format!(
        "# mine\nvault = '{vault}'  # Vault\n\n[secrets]\nA = {{ item = '{one}' }}   # keep  # One\n\
         B = 'op://{vault}/{two}/B'  # Vault/Two\nC = {{ item = 'None', required = false }}\n[vars]\nV = 'One'\n"
    )
}

fn world(manifest: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let twin = item("Twin", &[("credential", "x")]);
    let mut other = twin.clone();
    other["id"] = json!("otherotherotherotherother0");
    sandbox.vault(json!([
        item("One", &[("credential", CANARY)]),
        item("Two", &[("B", "value of B")]),
        twin,
        other
    ]));
    sandbox.manifest(manifest);
    sandbox
}

fn text(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("work/oc-secrets.toml")).expect("a manifest")
}

#[test]
fn names_become_ids_by_one_call_and_the_manifest_stays_allowed() {
    let sandbox = world(MANIFEST);
    let before = sandbox.oc(["read", "A"]).done().succeeds();
    let dry = sandbox.oc(["pin", "--dry-run"]).done();
    assert!(dry.text().contains("would be rewritten"), "{}", dry.text());
    assert_eq!(text(&sandbox), MANIFEST);
    let done = sandbox.oc(["pin"]).done();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert_eq!(
        done.stderr,
        "oc-secrets: warning: C keeps its names: missing: no such item, did you mean `One`?; \
         compare with `op item list --vault Vault`\n"
    );
    assert_eq!(text(&sandbox), pinned());
    assert_eq!(sandbox.commands(), ["read", "item list", "item list"]);
    assert_eq!(sandbox.oc(["read", "A"]).done().succeeds(), before);
    assert_eq!(sandbox.oc(["read", "B"]).done().succeeds(), "value of B\n");
    // Twice is once.
    let again = sandbox.oc(["pin"]).done();
    assert!(
        again
            .stderr
            .contains("no name was left that could become an id"),
        "{}",
        again.stderr
    );
    assert_eq!((text(&sandbox), again.text()), (pinned(), String::new()));
}

#[test]
fn only_an_allowed_or_a_named_manifest_is_rewritten() {
    let sandbox = world(MANIFEST);
    sandbox.oc(["deny"]).done();
    let done = sandbox.oc(["pin"]).done();
    assert_eq!(done.status.code(), Some(2));
    assert!(
        done.stderr.contains("has not been allowed yet"),
        "{}",
        done.stderr
    );
    assert!(sandbox.calls().is_empty());
    assert_eq!(text(&sandbox), MANIFEST);
    let named = ["--manifest", "oc-secrets.toml", "pin"];
    assert_eq!(sandbox.oc(named).done().status.code(), Some(0));
    assert_eq!(text(&sandbox), pinned());
    // What nobody had allowed is not allowed by that.
    assert_eq!(sandbox.oc(["read", "A"]).done().status.code(), Some(2));
    // The same for one that was allowed: it stays so.
    sandbox.manifest(MANIFEST);
    sandbox.oc(named).done();
    sandbox.oc(["read", "A"]).done().succeeds();
    let builtin = sandbox.oc(["--manifest", "builtin", "pin"]).done();
    assert_eq!(builtin.status.code(), Some(2));
}

#[test]
fn a_file_that_changes_meanwhile_is_left_and_not_allowed() {
    let sandbox = world(MANIFEST);
    sandbox.mode("latency=1500\n");
    let mut run = sandbox.oc(["pin"]);
    let command = run.command();
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("it starts");
    sandbox.wait_for_calls(1);
    let theirs = format!("{MANIFEST}W = 'somebody'\n");
    sandbox.file("work/oc-secrets.toml", &theirs);
    let done = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(done.stderr).expect("text");
    assert_eq!(done.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("was changed by another program just now"),
        "{stderr}"
    );
    assert_eq!(text(&sandbox), theirs);
    sandbox.mode("");
    let refused = sandbox.oc(["read", "A"]).done();
    assert!(
        refused.stderr.contains("has changed since it was allowed"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_required_secret_that_is_not_found_or_not_alone_is_told() {
    let sandbox = world(
        "vault = 'Vault'\n[secrets]\nA = { item = 'One' }\nT = { item = 'Twin' }\nN = 'op://Nowhere/x/y'\n",
    );
    let done = sandbox.oc(["pin"]).done();
    assert_eq!(done.status.code(), Some(4));
    assert!(
        done.stderr
            .contains("T keeps its names: ambiguous: more than one item"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("otherotherotherotherother0"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("N keeps its names: nothing is listed in a vault `Nowhere`; compare with `op vault list`"), "{}", done.stderr);
    // What is certain is written all the same.
    assert!(text(&sandbox).contains(&id("One")), "{}", text(&sandbox));
}

/// Two vaults, which a service account has to name to `op item list`.
fn with_a_second_vault(sandbox: &Sandbox) {
    let vaults = json!({ "vaults": [
        { "id": "v".repeat(26), "name": "Vault", "items": [item("One", &[("credential", CANARY)])] },
        { "id": "w".repeat(26), "name": "Second", "items": [item("Two", &[("B", "value of B")])] },
    ] });
    sandbox.file("double/vaults.json", &vaults.to_string());
}

#[test]
fn a_service_account_that_sees_two_vaults_is_asked_for_each() {
    let manifest = "vault = 'Vault'\n[secrets]\nA = { item = 'One' }\nB = 'op://Second/Two/B'\n\
        N = { ref = 'op://Nowhere/x/y', required = false }\n";
    let (vault, second, one, two) = ("v".repeat(26), "w".repeat(26), id("One"), id("Two"));
    let expected = format!(
        "vault = '{vault}'  # Vault\n[secrets]\nA = {{ item = '{one}' }}  # One\n\
         B = 'op://{second}/{two}/B'  # Second/Two\n\
         N = {{ ref = 'op://Nowhere/x/y', required = false }}\n"
    );
    let sandbox = world(manifest);
    with_a_second_vault(&sandbox);
    let done = sandbox.oc(["pin"]).done();
    let said = "oc-secrets: warning: N keeps its names: nothing is listed in a vault `Nowhere`; \
                compare with `op vault list`\n";
    done.succeeds_saying(said);
    assert_eq!(text(&sandbox), expected);
    assert_eq!(sandbox.commands(), ["item list"; 3]);
    // A person is asked for leave once.
    sandbox.manifest(manifest);
    let person = sandbox.oc(["pin"]).without("OP_SERVICE_ACCOUNT_TOKEN");
    person.env("OP_SESSION", "x").done().succeeds_saying(said);
    assert_eq!(text(&sandbox), expected);
    assert_eq!(sandbox.commands(), ["item list"; 4]);
}

#[test]
fn a_connect_server_has_no_list_and_is_not_asked_for_one() {
    let sandbox = world(MANIFEST);
    let run = sandbox.oc(["pin"]).without("OP_SERVICE_ACCOUNT_TOKEN");
    let run = run.env("OP_CONNECT_HOST", "h").env("OP_CONNECT_TOKEN", "t");
    run.done().fails(
        2,
        "oc-secrets: error: a Connect server (OP_CONNECT_HOST) lists no items, and `pin` needs a list\n\
         hint: pin with a service account's token or the 1Password app: \
         env -u OP_CONNECT_HOST -u OP_CONNECT_TOKEN oc-secrets pin\n",
    );
    assert!(sandbox.calls().is_empty());
    assert_eq!(text(&sandbox), MANIFEST);
}

#[test]
fn ids_of_another_vault_than_that_of_a_run_here_are_not_written() {
    let sandbox = world(MANIFEST);
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    let refusal = |named: &str| {
        format!(
            "oc-secrets: error: --vault or OP_VAULT names the vault `Other`, and the manifest `Vault`\n\
             hint: pin without OP_VAULT / --vault: env -u OP_VAULT oc-secrets {named}pin\n"
        )
    };
    let by_variable = |words: &[&str]| sandbox.oc(words).env("OP_VAULT", "Other").done();
    by_variable(&["pin"]).fails(2, &refusal(""));
    let named = refusal(&format!("--manifest {path} "));
    by_variable(&["--manifest", "oc-secrets.toml", "pin"]).fails(2, &named);
    let by_option = sandbox.oc(["pin", "--vault", "Other"]).done();
    by_option.fails(2, &refusal(""));
    assert!(sandbox.calls().is_empty());
    assert_eq!(text(&sandbox), MANIFEST);
    // The same vault is no other one, and where all secrets name theirs, none is taken instead.
    let same = sandbox.oc(["pin", "--vault", "Vault"]).done();
    assert_eq!(same.status.code(), Some(0), "{}", same.stderr);
    assert_eq!(text(&sandbox), pinned());
    sandbox.manifest("vault = 'Vault'\n[secrets]\nB = 'op://Vault/Two/B'\n");
    assert_eq!(by_variable(&["pin"]).status.code(), Some(0));
}

#[test]
fn links_modes_and_marks_stay_and_a_read_only_file_is_left() {
    let sandbox = world(MANIFEST);
    let path = sandbox.path("work/oc-secrets.toml");
    std::fs::rename(&path, sandbox.path("work/real.toml")).expect("moved");
    symlink("real.toml", &path).expect("a link");
    sandbox.file("work/real.toml", &format!("\u{feff}{MANIFEST}"));
    let real = sandbox.path("work/real.toml");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).expect("a mode");
    sandbox.oc(["allow", "--yes"]).done();
    assert_eq!(sandbox.oc(["pin"]).done().status.code(), Some(0));
    assert!(path.is_symlink());
    assert_eq!(text(&sandbox), format!("\u{feff}{}", pinned()));
    assert_eq!(real.metadata().expect("there").mode() & 0o777, 0o640);
    sandbox.oc(["read", "A"]).done().succeeds();
    std::fs::remove_file(&path).expect("the link");
    sandbox.manifest(MANIFEST);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).expect("a mode");
    let done = sandbox.oc(["pin"]).done();
    assert_eq!(done.status.code(), Some(2));
    assert!(
        done.stderr
            .contains("is read-only\nhint: make it writable for you: chmod u+w"),
        "{}",
        done.stderr
    );
    assert_eq!(text(&sandbox), MANIFEST);
}

#[test]
fn a_full_disk_loses_nothing() {
    let sandbox = world(MANIFEST);
    let program = Path::new(env!("CARGO_BIN_EXE_oc-secrets"))
        .display()
        .to_string();
    let line = format!(
        "cp oc-secrets.toml ../kept && mount -t tmpfs -o size=64k tmpfs . && cd . && \
         cp ../kept \"$PWD/oc-secrets.toml\" && cd \"$PWD\" && ! cat /dev/zero >fill 2>/dev/null; \
         {program} --manifest \"$PWD/oc-secrets.toml\" pin; cmp oc-secrets.toml ../kept && echo same; ls -A"
    );
    let words = ["--mount", "/bin/sh", "-c", &line];
    let run = sandbox.run(Path::new("/usr/bin/unshare"), words);
    let done = run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token()).done();
    assert!(
        done.stderr.contains("cannot be written"),
        "{}{}",
        done.text(),
        done.stderr
    );
    assert_eq!(
        done.text(),
        "same\nfill\noc-secrets.toml\n",
        "{}",
        done.stderr
    );
}

#[test]
fn trouble_of_op_is_told_and_leaves_the_file() {
    for (mode, code) in [
        ("deleted-token", 3),
        ("rate-limited", 6),
        ("network", 5),
        ("hang", 5),
        ("invalid-json", 5),
        ("endless-stdout", 5),
        ("panic", 5),
    ] {
        let sandbox = world(MANIFEST);
        sandbox.mode(mode);
        let done = sandbox.oc(["pin", "--timeout", "1s"]).done();
        assert_eq!(done.status.code(), Some(code), "{mode}: {}", done.stderr);
        assert!(
            done.stderr.starts_with("oc-secrets: error: "),
            "{mode}: {}",
            done.stderr
        );
        assert_eq!(text(&sandbox), MANIFEST, "{mode}");
        sandbox.assert_nothing_is_left();
    }
}

#[test]
fn twenty_columns_and_no_home_are_enough() {
    let sandbox = world(MANIFEST);
    let (shown, status) = Terminal::start(sandbox.oc(["pin", "--dry-run"]), 20).finish();
    assert_eq!(status.code(), Some(0), "{shown}");
    // Without a home nothing that was found is allowed; what is named can still be rewritten.
    let named = ["--manifest", "oc-secrets.toml", "pin"];
    let done = sandbox.oc(named).without("HOME").done();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert_eq!(text(&sandbox), pinned());
}
