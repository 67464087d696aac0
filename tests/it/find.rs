//! Which `op` is run, and which is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::{CANARY, Sandbox};

fn sandbox() -> Sandbox {
    Sandbox::with_fields(&[("A", CANARY)])
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
}

const INSTALL: &str = "hint: install it: https://developer.1password.com/docs/cli/get-started, or name its absolute path in OC_SECRETS_OP\n";
const TRUST: &str = "hint: `op` must be executable; it and every directory above it must belong to root or to you, and nobody else may write there\n";

#[test]
fn an_absent_op_is_named_with_where_to_get_it() {
    let sandbox = sandbox();
    let run = sandbox.oc(["check"]).env("PATH", "/usr/bin:/bin");
    run.done().fails(
        5,
        &format!("oc-secrets: error: 1Password CLI `op` was not found\n{INSTALL}"),
    );
}

#[test]
fn a_relative_entry_of_the_path_is_never_searched() {
    let sandbox = sandbox();
    let expected = format!(
        "oc-secrets: error: 1Password CLI `op` was not found (relative PATH entries are not searched)\n{INSTALL}"
    );
    for path in [":/usr/bin", ".:/usr/bin", "/usr/bin:", ":", "."] {
        let run = sandbox
            .oc(["--manifest", "builtin", "check"])
            .env("PATH", path)
            .in_directory(&sandbox.path("bin"));
        run.done().fails(5, &expected);
    }
    let nested = sandbox.oc(["check"]).env("PATH", "../bin:/usr/bin");
    nested.done().fails(5, &expected);
    assert!(sandbox.calls().is_empty());
}

#[test]
fn a_file_that_is_not_executable_is_not_found() {
    let sandbox = sandbox();
    chmod(&sandbox.path("bin/op"), 0o644);
    let done = sandbox.oc(["check"]).done();
    assert_eq!(done.status.code(), Some(5));
}

#[test]
fn what_others_could_have_written_is_refused() {
    for (path, mode) in [
        ("bin", 0o777),
        ("bin", 0o1777),
        ("bin/op", 0o757),
        ("bin/op", 0o777),
    ] {
        let sandbox = sandbox();
        chmod(&sandbox.path(path), mode);
        let done = sandbox.oc(["check"]).done();
        assert_eq!(done.status.code(), Some(5), "{path} {mode:o}");
        let op = sandbox.path("bin/op").display().to_string();
        assert!(
            done.stderr
                .starts_with(&format!("oc-secrets: error: cannot use {op}: ")),
            "{}",
            done.stderr
        );
        assert!(done.stderr.ends_with(TRUST), "{}", done.stderr);
        assert!(sandbox.calls().is_empty());
    }
}

#[test]
fn a_chosen_path_with_nothing_or_a_directory_at_it_is_named_once() {
    let sandbox = sandbox();
    let chosen = |path| sandbox.oc(["check"]).env("OC_SECRETS_OP", path).done();
    chosen("/nonexistent").fails(
        5,
        "oc-secrets: error: cannot use /nonexistent: no such file\n\
         hint: correct the path in OC_SECRETS_OP or under [op] in the manifest; without it, `op` is looked for on PATH\n",
    );
    let directory = "oc-secrets: error: cannot use /usr: it is not a regular file\n";
    chosen("/usr").fails(5, &format!("{directory}{TRUST}"));
}

#[test]
fn a_chosen_path_beats_the_search() {
    let sandbox = sandbox();
    let op = sandbox.path("bin/op");
    let bare = |words: &[&str]| sandbox.oc(words).env("PATH", "/usr/bin:/bin");
    let text = bare(&["read", "A"])
        .env("OC_SECRETS_OP", &op)
        .done()
        .succeeds();
    assert_eq!(text, format!("{CANARY}\n"));
    sandbox.manifest(&format!(
        "[secrets]\nA = 'op://Vault/Item/A'\n[op]\npath = '{}'\n",
        op.display()
    ));
    let named = ["--manifest", "oc-secrets.toml", "read", "A"];
    assert_eq!(bare(&named).done().succeeds(), format!("{CANARY}\n"));
    bare(&named).env("OC_SECRETS_OP", "bin/op").done().fails(
        2,
        "oc-secrets: error: the path of `op` must be absolute, not `bin/op`\n\
         hint: write it from the root, such as /usr/bin/op\n",
    );
}

#[test]
fn a_manifest_that_merely_lies_here_cannot_choose_the_program() {
    let sandbox = sandbox();
    let op = sandbox.path("bin/op").display().to_string();
    sandbox.manifest(&format!(
        "[secrets]\nA = 'op://Vault/Item/A'\n[op]\npath = '{op}'\n"
    ));
    let manifest = sandbox.path("work/oc-secrets.toml").display().to_string();
    sandbox.oc(["read", "A"]).done().fails(
        2,
        &format!(
            "oc-secrets: error: {manifest}: `path` in [op] is not allowed in a manifest that was found and not named\n\
             hint: set OC_SECRETS_OP, or keep the path in ~/.config/oc-secrets/oc-secrets.toml\n"
        ),
    );
    assert!(sandbox.calls().is_empty());
}

#[test]
fn op_gets_nothing_but_what_it_needs() {
    let sandbox = sandbox();
    let run = sandbox.oc(["check", "--account", "acme"]);
    let run = run
        .env("LD_LIBRARY_PATH", "/tmp")
        .env("OP_FORMAT", "json")
        .env("OP_DEBUG", "true");
    let run = run
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .env("LC_ALL", "C")
        .env("OP_CACHE", "false");
    run.done().succeeds();
    let call = &sandbox.calls()[0];
    let op = sandbox.path("bin/op").display().to_string();
    assert_eq!(
        call["argv"],
        serde_json::json!([
            op,
            "--account=acme",
            "read",
            "--no-newline",
            "op://Vault/Item/A"
        ])
    );
    assert_eq!(call["stdin"], "null");
    let env = call["env"].as_array().expect("names").iter();
    let given: Vec<&str> = env.filter_map(serde_json::Value::as_str).collect();
    assert_eq!(given, ["HOME", "LC_ALL", "PATH"]);
    let names = [
        "OP_CACHE",
        "OP_SERVICE_ACCOUNT_TOKEN",
        "OP_BIOMETRIC_UNLOCK_ENABLED",
        "OP_LOAD_DESKTOP_APP_SETTINGS",
    ];
    assert_eq!(call["op_env"], serde_json::json!(names));
    assert_eq!(call["pid"], call["pgid"], "a process group of its own");
}
