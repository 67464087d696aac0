//! `oc-secrets ls` and `explain`: what the manifest holds, without `op` and without `allow`.

use serde_json::{Value, json};

use crate::sandbox::{CANARY, Sandbox};

const MANIFEST: &str = "vault = 'Main'
[secrets]
TOKEN = { item = 'GitHub' }
DB_PASSWORD = { ref = 'op://Own/Postgres/admin/password', required = false }
LEVEL = { item = 'Signing (prod)', default = 'info' }
EXACT = { item = 'Key', field = 'private key', exact = true }
[vars]
APP_ENV = 'production'
WRONG = 'ghp_pastedByMistake'
[registries.\"ghcr.io\"]
secret = 'TOKEN'
[git.\"github.com\"]
username = 'me'
secret = 'TOKEN'
[profiles.db]
secrets = ['DB_PASSWORD']
";

/// A world with this manifest, which nobody has allowed.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("work/oc-secrets.toml", MANIFEST);
    sandbox
}

#[test]
fn all_that_the_manifest_holds_is_listed_without_op_and_without_allow() {
    let sandbox = sandbox();
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    let expected = format!(
        "\
secrets
  TOKEN        required  op://Main/GitHub/credential
  DB_PASSWORD  optional  op://Own/Postgres/admin/password
  LEVEL        default   op://Main/Signing (prod)/credential
  EXACT        required  op://Main/Key/private key

plain values
  APP_ENV  production
  WRONG    (GitHub classic token: keep it in 1Password)

registries
  ghcr.io  TOKEN as x-access-token

git
  github.com  TOKEN as me

profiles
  db  DB_PASSWORD

{path} (not allowed yet: oc-secrets allow)
"
    );
    assert_eq!(sandbox.oc(["ls"]).done().succeeds(), expected);
    assert!(sandbox.calls().is_empty());
    sandbox.oc(["allow", "--yes"]).done();
    let allowed = sandbox.oc(["ls"]).done().succeeds();
    assert!(allowed.ends_with(&format!("\n{path}\n")), "{allowed}");
}

#[test]
fn a_selection_narrows_it_and_an_env_file_adds_to_it() {
    let sandbox = sandbox();
    let profile = sandbox.oc(["ls", "--profile", "db"]).done().succeeds();
    assert!(profile.starts_with("secrets\n  DB_PASSWORD  optional  op://Own"));
    sandbox.file("work/.env", "MORE=op://V/I/f\nPLAIN=x\n");
    let more = sandbox.oc(["ls", "--env-file", ".env", "--vault", "Other"]);
    let more = more.done().succeeds();
    assert!(
        more.contains("  MORE         required  op://V/I/f\n"),
        "{more}"
    );
    assert!(
        more.contains("  PLAIN    (of --env-file: not shown)\n"),
        "{more}"
    );
    assert!(more.contains("op://Other/GitHub/credential"), "{more}");
    let without_vault = "[secrets]\nA = { item = 'x' }\n";
    sandbox.file("work/oc-secrets.toml", without_vault);
    let text = sandbox.oc(["ls"]).done().succeeds();
    assert!(text.contains("op://(default vault)/x/credential"), "{text}");
}

#[test]
fn no_value_of_an_env_file_and_none_that_may_be_a_secret_is_shown() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let manifest = "[secrets]\nA = 'op://Vault/Item/A'\n\
        [vars]\nURL = 'https://example.org'\nADMIN_PASS = 'hunter2'\nAPP_ENV = 'production'\n";
    sandbox.manifest(manifest);
    let file = "DB_PASS=$A\nNOTE=\"see $A\"\nDB_PASSWORD=hunter2\nAPP_ENV=dev\nB=op://V/I/f\n";
    sandbox.file("work/.env", file);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let ls = |words: &[&str]| {
        let inner = ["exec", "--only", "A", "--", program, "ls"];
        sandbox.oc([&inner, words].concat()).done().succeeds()
    };
    let (list, json) = (
        ls(&["--env-file", ".env"]),
        ls(&["--env-file", ".env", "--json"]),
    );
    for text in [&list, &json] {
        assert!(
            !text.contains(CANARY) && !text.contains("hunter2"),
            "{text}"
        );
        assert!(text.contains("op://V/I/f"), "{text}");
        assert!(text.contains("https://example.org"), "the control: {text}");
    }
    let row = "  ADMIN_PASS   (may be a secret: keep it in 1Password)\n";
    assert!(list.contains(row), "{list}");
    let report: Value = serde_json::from_str(&json).expect("JSON");
    for name in ["DB_PASS", "NOTE", "DB_PASSWORD", "APP_ENV"] {
        assert_eq!(report["vars"].get(name), Some(&Value::Null), "{name}");
        assert!(list.contains(&format!("\n  {name} ")), "{list}");
    }
}

#[test]
fn json_says_the_same_to_programs() {
    let sandbox = sandbox();
    let text = sandbox.oc(["ls", "--json"]).done().succeeds();
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        report["secrets"][1],
        json!({ "name": "DB_PASSWORD", "reference": "op://Own/Postgres/admin/password",
                "required": false, "default": false, "exact": false })
    );
    assert_eq!(report["allowed"], false);
    assert_eq!(report["vars"]["APP_ENV"], "production");
    assert!(!text.contains("ghp_"), "{text}");
    assert_eq!(
        report["registries"],
        json!([{ "host": "ghcr.io", "username": "x-access-token", "secret": "TOKEN" }])
    );
    assert_eq!(report["profiles"], json!({ "db": ["DB_PASSWORD"] }));
}

#[test]
fn a_secret_is_explained() {
    let sandbox = sandbox();
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    let text = sandbox.oc(["explain", "TOKEN"]).done().succeeds();
    assert_eq!(
        text,
        format!(
            "\
TOKEN
  reference   op://Main/GitHub/credential
  vault       Main  (from `vault` of the manifest)
  item        GitHub  (from the manifest)
  field       credential  (from the default)
  if missing  the run fails, and nothing is handed on
  fetched     by one `op`, together with the others
  kept        no: the next run asks again
  used by     registry ghcr.io, git github.com
  manifest    {path} (not allowed yet: oc-secrets allow)
"
        )
    );
    assert!(sandbox.calls().is_empty());
}

#[test]
fn whoever_has_a_say_in_a_secret_is_named() {
    let sandbox = sandbox();
    let explain = |words: &[&str]| sandbox.oc([&["explain"], words].concat());
    let line = |text: String, label: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        line.unwrap_or_default().trim().to_owned()
    };
    let exact = explain(&["EXACT"]).done().succeeds();
    assert_eq!(
        line(exact, "fetched"),
        "fetched     by an `op item get` of its own, since it is `exact`"
    );
    let level = explain(&["LEVEL"]).done().succeeds();
    assert_eq!(
        line(level.clone(), "fetched"),
        "fetched     by an `op item get` of its own: `op://` cannot carry these names"
    );
    assert_eq!(line(level, "if missing"), "if missing  its default is used");
    let vault = explain(&["TOKEN", "--vault", "W"]).done().succeeds();
    assert_eq!(line(vault, "vault"), "vault       W  (from --vault)");
    let vault = explain(&["TOKEN"]).env("OP_VAULT", "W").done().succeeds();
    assert_eq!(line(vault, "vault"), "vault       W  (from OP_VAULT)");
    let set = explain(&["TOKEN"]).env("TOKEN", CANARY).done().succeeds();
    assert!(!set.contains(CANARY), "{set}");
    assert_eq!(
        line(set, "instead"),
        "instead     TOKEN is set too: used with --prefer-env and by helpers"
    );
    sandbox.file("work/.env", "TOKEN=op://V/I/f\n");
    let file = explain(&["TOKEN", "--env-file", ".env"]).done().succeeds();
    assert_eq!(
        line(file, "instead"),
        "instead     --env-file, which comes before the manifest"
    );
    let plain = explain(&["APP_ENV"]).done().succeeds();
    assert!(
        plain.starts_with("APP_ENV\n  a plain value of /"),
        "{plain}"
    );
    let unknown = explain(&["TOKN"]).done();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stderr.ends_with("hint: did you mean `TOKEN`?\n"));
}
