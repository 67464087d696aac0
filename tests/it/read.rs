//! `oc-secrets read`: one secret to standard output.

use std::process::Stdio;

use crate::sandbox::{CANARY, Sandbox};

#[test]
fn prints_a_secret_by_name_or_reference_as_it_is_stored() {
    let sandbox = Sandbox::with_fields(&[("A", "a\n"), ("B", " b ")]);
    assert_eq!(sandbox.oc(["read", "A"]).done().succeeds(), "a\n\n");
    assert_eq!(sandbox.oc(["read", "-n", "A"]).done().succeeds(), "a\n");
    assert_eq!(
        sandbox
            .oc(["read", "op://Vault/Item/B", "-n"])
            .done()
            .succeeds(),
        " b "
    );
    assert_eq!(sandbox.commands(), ["read", "read", "read"]);
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    let sandbox = Sandbox::with_fields(&[("GHCR_TOKEN", CANARY)]);
    let done = sandbox.oc(["read", "GHCR_TOKN"]).done();
    assert_eq!((done.status.code(), done.text().as_str()), (Some(2), ""));
    let manifest = sandbox.path("work/oc-secrets.toml").display().to_string();
    assert_eq!(
        done.stderr,
        format!(
            "oc-secrets: error: no secret `GHCR_TOKN` in the manifest ({manifest})\n\
             hint: did you mean `GHCR_TOKEN`?\n"
        )
    );
    let done = sandbox.oc(["read", "op://Vault"]).done();
    assert_eq!(done.status.code(), Some(2));
    assert!(
        done.stderr.contains("op://vault/item/field"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_optional_secret_that_was_asked_for_by_name_is_required() {
    let sandbox = Sandbox::with_fields::<&str, &str>(&[]);
    sandbox.manifest("[secrets]\nA = { ref = 'op://Vault/Item/A', required = false }\n");
    let done = sandbox.oc(["read", "A"]).done();
    assert_eq!((done.status.code(), done.text().as_str()), (Some(4), ""));
}

#[test]
fn a_file_behind_it_is_warned_of() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let file = std::fs::File::create(sandbox.path("work/out")).expect("a file");
    let mut run = sandbox.oc(["read", "A"]);
    let child = run
        .command()
        .stdout(Stdio::from(file))
        .stderr(Stdio::piped())
        .spawn();
    let done = child.expect("starts").wait_with_output().expect("ends");
    assert_eq!(
        String::from_utf8(done.stderr).expect("text"),
        "oc-secrets: warning: standard output is a file: the secret is now on disk\n"
    );
}

#[test]
fn get_is_another_word_for_it_and_run_for_exec() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let read = sandbox.oc(["get", "A"]).done().succeeds();
    assert_eq!(read, format!("{CANARY}\n"));
    let run = sandbox.oc(["run", "--", "sh", "-c", "echo \"$A\""]);
    assert_eq!(run.done().succeeds(), format!("{CANARY}\n"));
    // Its failures are those of `exec`.
    let failed = sandbox.oc(["run", "--only", "B", "--", "true"]).done();
    assert_eq!(failed.status.code(), Some(125));
}

#[test]
fn several_names_are_told_what_to_do_instead() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY), ("B", "b")]);
    for words in [&["read", "A", "B"][..], &["get", "-n", "A", "B"]] {
        sandbox.oc(words).done().fails(
            2,
            "oc-secrets: error: `read` prints one secret at a time\n\
             hint: for several at once: oc-secrets env --only A,B --format json, \
             or oc-secrets exec --only A,B -- CMD\n",
        );
    }
    let advice = sandbox.oc(["env", "--only", "A,B", "--format", "json"]);
    assert!(advice.done().succeeds().contains(CANARY));
}

#[test]
fn words_of_other_tools_are_answered_with_the_command_that_is_meant() {
    let sandbox = Sandbox::new();
    for (word, hint) in [
        ("export", "here it is: eval \"$(oc-secrets env)\""),
        ("list", "here it is: oc-secrets ls"),
        (
            "inject",
            "here it is: oc-secrets exec -- CMD, or eval \"$(oc-secrets env)\"",
        ),
        ("vault", "that is 1Password's own: op vault --help"),
    ] {
        let said = format!("oc-secrets: error: no command `{word}`\nhint: {hint}\n");
        sandbox.oc([word]).done().fails(2, &said);
    }
}
