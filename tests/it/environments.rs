//! 1Password Environments: all their variables come along in the one `op run`.

use serde_json::{Value, json};

use crate::sandbox::{CANARY, Done, Run, Sandbox, item};

const ID: &str = "wqadrv3ix5cxwrv642dxae6puy";
const OTHER: &str = "oqadrv3ix5cxwrv642dxae6puy";

/// A world with an item `Item` (`A`, `B`), an Environment with these variables, and an `op` that
/// knows Environments.
fn world(variables: Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let item = item("Item", &[("A", "value of A"), ("B", "value of B")]);
    let vaults = json!({
        "vaults": [{ "id": "v".repeat(26), "name": "Vault", "items": [item] }],
        "environments": [
            { "id": ID, "variables": variables },
            { "id": OTHER, "variables": { "OF_OTHER": "x" } },
        ],
    });
    sandbox.file("double/vaults.json", &vaults.to_string());
    sandbox.mode("version=2.41.0\n");
    sandbox
}

fn manifest(rest: &str) -> String {
    format!("environments = [\"{ID}\"]\n{rest}")
}

/// The value of `name` in what `exec -- env -0` printed.
fn value(done: &Done, name: &str) -> Option<Vec<u8>> {
    let environment = done.environment();
    let found = environment.into_iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value)
}

fn exec(sandbox: &Sandbox, words: &[&str]) -> Run {
    let words = words.iter().chain(&["exec", "--", "/usr/bin/env", "-0"]);
    sandbox.oc(words)
}

#[test]
fn all_variables_come_along_in_the_one_op_run() {
    let awkward = "two\nlines 'and' \"quotes\" $HOME";
    let sandbox = world(json!({ "E": CANARY, "AWKWARD": awkward }));
    sandbox.manifest(&manifest("[secrets]\nA = 'op://Vault/Item/A'\n"));
    let done = exec(&sandbox, &[]).done();
    done.succeeds();
    assert_eq!(value(&done, "E"), Some(CANARY.into()));
    assert_eq!(value(&done, "AWKWARD"), Some(awkward.into()));
    assert_eq!(value(&done, "A"), Some("value of A".into()));
    assert_eq!(sandbox.commands(), ["run"]);
    let log = std::fs::read_to_string(sandbox.path("double/calls.jsonl")).expect("a log");
    assert!(!log.contains(CANARY));
    // What only surrounds `op` is no variable of the Environment.
    let names: Vec<_> = done
        .environment()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn an_environment_needs_no_secret_and_no_manifest() {
    let sandbox = world(json!({ "E": "1" }));
    let flag = ["--environment", ID, "--environment", OTHER];
    let done = exec(&sandbox, &flag).done();
    done.succeeds();
    assert_eq!(value(&done, "E"), Some("1".into()));
    assert_eq!(value(&done, "OF_OTHER"), Some("x".into()));
    // The built-in list stands aside.
    assert_eq!(sandbox.commands(), ["run"]);
    sandbox.manifest(&manifest(""));
    let done = exec(&sandbox, &[]).done();
    done.succeeds();
    assert_eq!(value(&done, "E"), Some("1".into()));
    assert_eq!(sandbox.oc(["read", "E"]).done().succeeds(), "1\n");
}

#[test]
fn what_a_file_defines_is_not_replaced_by_an_environment() {
    let variables = json!({ "A": "theirs", "V": "theirs", "F": "theirs", "E": "theirs" });
    let sandbox = world(variables);
    sandbox.manifest(&manifest(
        "[secrets]\nA = 'op://Vault/Item/A'\nB = 'op://Vault/Item/B'\n[vars]\nV = 'mine'\n\
         [profiles.p]\nsecrets = ['B']\n",
    ));
    sandbox.file("work/.env", "F=mine\n");
    let done = exec(&sandbox, &["--env-file", ".env"]).done();
    done.succeeds();
    let seen = ["A", "V", "F", "E"].map(|name| value(&done, name).expect("set"));
    assert_eq!(
        seen,
        ["value of A", "mine", "mine", "theirs"].map(Vec::from)
    );
    // Also where the profile leaves the manifest's own out.
    let done = exec(&sandbox, &["--profile", "p"]).done();
    assert_eq!(
        (value(&done, "A"), value(&done, "E")),
        (None, Some("theirs".into()))
    );
}

#[test]
fn names_that_steer_programs_are_refused_before_anything_is_handed_on() {
    for (name, why) in [
        ("LD_PRELOAD", "steers the loader"),
        ("PS4", "steers shells"),
        ("a-b", "a name is a letter"),
        ("GIT_SSH_VARIANT", "this name"),
    ] {
        let sandbox = world(json!({ "E": CANARY, name: CANARY }));
        sandbox.manifest(&manifest("[secrets]\nA = 'op://Vault/Item/A'\n"));
        for words in [
            &["exec", "--", "env"][..],
            &["env"],
            &["read", "E"],
            &["check"],
        ] {
            let done = sandbox.oc(words).done();
            let code = if words[0] == "exec" { 125 } else { 2 };
            assert_eq!(done.status.code(), Some(code), "{name}: {words:?}");
            assert!(
                done.stderr.contains(name) && done.stderr.contains(why),
                "{}",
                done.stderr
            );
            assert!(!done.text().contains("value") && !done.stderr.contains(CANARY));
        }
        // What was named by hand is held to the exact table alone.
        let named = ["--manifest", "oc-secrets.toml"];
        let allowed = exec(&sandbox, &named).done().status.success();
        assert_eq!(allowed, name == "GIT_SSH_VARIANT", "{name}");
    }
}

#[test]
fn check_ls_and_allow_name_the_environment_and_its_variables() {
    let sandbox = world(json!({ "E": "ghp_0123456789abcdefghijABCDEFGHIJ012345", "EMPTY": "" }));
    sandbox.file(
        "work/oc-secrets.toml",
        &manifest("[secrets]\nA = 'op://Vault/Item/A'\n"),
    );
    let shown = sandbox.oc(["allow", "--yes"]).done().text();
    let line =
        format!("from 1Password Environments\n  {ID}  all variables that it has, then and later\n");
    assert!(shown.contains(&line), "{shown}");
    let listed = sandbox.oc(["ls"]).done().succeeds();
    assert!(
        listed.contains(&format!("1Password Environments\n  {ID}  all variables\n")),
        "{listed}"
    );
    let listed: Value =
        serde_json::from_str(&sandbox.oc(["ls", "--json"]).done().succeeds()).expect("JSON");
    assert_eq!(listed["environments"], json!([ID]));
    assert!(sandbox.calls().is_empty());
    let checked = sandbox.oc(["check"]).done().succeeds();
    assert!(checked.contains(&format!("Environment {ID}")), "{checked}");
    assert!(checked.contains("2 of 3 found"), "{checked}");
    assert!(!checked.contains("ghp_"), "{checked}");
    let checked = sandbox.oc(["check", "--json"]).done().succeeds();
    let checked: Value = serde_json::from_str(&checked).expect("JSON");
    assert_eq!(checked["secrets"][1]["name"], "E");
    assert_eq!(checked["secrets"][1]["from"], "1password environment");
    // Another Environment is another thing to allow.
    sandbox.file("work/oc-secrets.toml", &manifest("").replace(ID, OTHER));
    let shown = sandbox.oc(["allow"]).done().text();
    assert!(
        shown.contains(&format!("+ {OTHER}")) && shown.contains(&format!("- {ID}")),
        "{shown}"
    );
}

#[test]
fn only_and_require_know_names_of_an_environment() {
    let sandbox = world(json!({ "E": "1", "F": "2" }));
    sandbox.manifest(&manifest("[secrets]\nA = 'op://Vault/Item/A'\n"));
    let done = exec(&sandbox, &["--only", "E"]).done();
    done.succeeds();
    assert_eq!(
        (value(&done, "E"), value(&done, "F"), value(&done, "A")),
        (Some("1".into()), None, None)
    );
    let missing = format!(
        "oc-secrets: error: no secret `NOPE` in the manifest, nor in the 1Password Environment {ID}\n\
         hint: `oc-secrets check` shows the names of both\n"
    );
    for words in [&["--require", "NOPE"][..], &["--only", "NOPE"]] {
        exec(&sandbox, words).done().fails(125, &missing);
    }
    sandbox.oc(["read", "NOPE"]).done().fails(2, &missing);
    let own = exec(&sandbox, &["--prefer-env"]).env("E", "own").done();
    assert_eq!(value(&own, "E"), Some("own".into()));
}

#[test]
fn what_cannot_be_a_value_is_left_out_by_name() {
    let sandbox = world(json!({ "E": "1", "EMPTY": "", "REF": "op://Vault/Item/A" }));
    sandbox.manifest(&manifest(""));
    let done = exec(&sandbox, &[]).done();
    assert_eq!((value(&done, "EMPTY"), value(&done, "REF")), (None, None));
    assert!(
        done.stderr
            .contains("EMPTY is optional and left out: unusable: it is empty"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("REF is optional and left out"),
        "{}",
        done.stderr
    );
    let strict = exec(&sandbox, &["--strict"]).done();
    assert_eq!(strict.status.code(), Some(125));
    assert!(
        strict.stderr.contains("2 secrets not resolved"),
        "{}",
        strict.stderr
    );
}

#[test]
fn values_of_an_environment_are_masked_and_never_kept() {
    let sandbox = world(json!({ "E": CANARY }));
    sandbox.manifest(&manifest("[cache]\nttl = '5m'\n"));
    let words = ["exec", "--mask", "--", "sh", "-c", "echo \"got $E\""];
    let done = sandbox.oc(words).done();
    assert_eq!(done.text(), "got <concealed by oc-secrets>\n");
    for _ in 0..2 {
        sandbox.oc(["read", "E"]).done().succeeds();
    }
    assert_eq!(sandbox.calls().len(), 3);
}

#[test]
fn a_missing_secret_costs_the_environment_one_call_more_and_no_name_is_lost() {
    for mode in ["version=2.41.0\n", "version=2.41.0\nolder-read-texts\n"] {
        let sandbox = world(json!({ "E": "1" }));
        sandbox.mode(mode);
        sandbox.manifest(&manifest(
            "[secrets]\nA = 'op://Vault/Item/A'\nN = { ref = 'op://Vault/None/x', default = 'd' }\n",
        ));
        for app in [false, true] {
            let mut run = exec(&sandbox, &[]);
            if app {
                run = run.without("OP_SERVICE_ACCOUNT_TOKEN");
            }
            let done = run.done();
            done.succeeds();
            let seen = ["A", "E", "N"].map(|name| value(&done, name).expect("set"));
            assert_eq!(seen, ["value of A", "1", "d"].map(Vec::from));
        }
        let asked = sandbox.commands();
        let runs = asked.iter().filter(|command| *command == "run").count();
        assert_eq!((asked.len(), runs), (8, 4), "{asked:?}");
    }
}

#[test]
fn an_op_that_is_too_old_is_told_in_a_sentence() {
    let sandbox = world(json!({ "E": "1" }));
    let told = "oc-secrets: error: this `op` does not know 1Password Environments\n\
                hint: update it with `op update`: 2.41 has `op run --environment`, 2.39 does not\n";
    for rest in ["", "[secrets]\nA = 'op://Vault/Item/A'\n"] {
        sandbox.manifest(&manifest(rest));
        sandbox.mode("version=2.39.0\n");
        sandbox.oc(["check"]).done().fails(5, told);
        sandbox.mode("version=2.33.0-beta.02\n");
        sandbox.oc(["check"]).done().succeeds();
    }
}

#[test]
fn a_service_account_without_access_is_told_in_a_sentence() {
    let sandbox = world(json!({ "E": "1" }));
    sandbox.mode("version=2.41.0\nno-environment-access\n");
    let told = format!(
        "oc-secrets: error: 1Password does not give this service account the Environment {ID}\n\
         hint: a service account needs read access to the Environment itself, which cannot be added \
         later: make a new one that has it\n"
    );
    for rest in ["", "[secrets]\nA = 'op://Vault/Item/A'\n"] {
        sandbox.manifest(&manifest(rest));
        sandbox.oc(["check"]).done().fails(3, &told);
    }
    // A vault that is forbidden is not the Environment's fault.
    sandbox.mode("version=2.41.0\nforbidden\n");
    let done = sandbox.oc(["check"]).done();
    assert_eq!(done.status.code(), Some(3));
}

#[test]
fn what_is_no_id_is_refused_at_its_place() {
    let sandbox = world(json!({}));
    sandbox.file("work/oc-secrets.toml", "environments = ['--no-masking']\n");
    let done = sandbox.oc(["allow", "--yes"]).done();
    assert_eq!(done.status.code(), Some(2));
    let told = "oc-secrets.toml:1:17: this is not the id of a 1Password Environment\n";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    let done = sandbox
        .oc(["--manifest", "builtin", "--environment", "Prod", "check"])
        .done();
    assert_eq!(done.status.code(), Some(2));
    assert!(sandbox.calls().is_empty());
}

#[test]
fn an_empty_or_invented_answer_is_no_environment() {
    for mode in ["empty-answer", "endless-stdout"] {
        let sandbox = world(json!({ "E": "1" }));
        sandbox.mode(&format!("version=2.41.0\n{mode}\n"));
        sandbox.manifest(&manifest(""));
        let done = exec(&sandbox, &[]).done();
        assert_eq!(done.status.code(), Some(125), "{mode}: {}", done.stderr);
        assert!(
            done.stderr.contains("cannot be trusted"),
            "{mode}: {}",
            done.stderr
        );
    }
}

#[test]
fn trouble_of_op_is_told_and_nothing_is_handed_on() {
    for (mode, code) in [
        ("deleted-token", 3),
        ("rate-limited", 6),
        ("network", 5),
        ("hang", 5),
        ("panic", 5),
        ("stderr-secret", 1),
    ] {
        let sandbox = world(json!({ "E": CANARY }));
        sandbox.mode(&format!("version=2.41.0\n{mode}\n"));
        for words in [&["read", "E"][..], &["check"]] {
            let flags = ["--environment", ID, "--timeout", "2s", "--refresh"];
            let done = sandbox.oc([&flags, words].concat()).done();
            assert_eq!(done.status.code(), Some(code), "{mode}: {}", done.stderr);
            assert!(done.stderr.contains("oc-secrets: error: "), "{mode}");
            assert!(!(done.text() + &done.stderr).contains(CANARY), "{mode}");
        }
        sandbox.assert_nothing_is_left();
    }
}
