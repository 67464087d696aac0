//! Values arrive byte for byte, and none can pose as another.

use std::ffi::OsString;

use serde_json::json;

use crate::sandbox::{Sandbox, awkward, item};

/// What the child of `exec` receives of the awkward values.
fn received(sandbox: &Sandbox) -> Vec<(OsString, Vec<u8>)> {
    let done = sandbox
        .oc(["exec", "--clean", "--", "/usr/bin/env", "-0"])
        .done();
    done.succeeds();
    done.environment()
}

fn expected(values: &[(&str, String)]) -> Vec<(OsString, Vec<u8>)> {
    values
        .iter()
        .map(|(name, value)| (name.into(), value.clone().into_bytes()))
        .collect()
}

/// Every character that `op inject` drops.
fn control_characters() -> String {
    let dropped = ('\u{1}'..='\u{8}').chain('\u{e}'..='\u{1f}');
    dropped.chain(['\u{7f}']).flat_map(|c| ['x', c]).collect()
}

#[test]
fn awkward_values_arrive_unchanged_by_one_op() {
    let control = ("CONTROL", control_characters());
    let values: Vec<_> = awkward().into_iter().chain([control]).collect();
    let sandbox = Sandbox::with_fields(&values);
    assert_eq!(received(&sandbox), expected(&values));
    assert_eq!(sandbox.commands(), ["run"]);
}

#[test]
fn control_op_inject_would_lose_control_characters() {
    let sandbox = Sandbox::with_fields(&[("A", control_characters())]);
    let inject = sandbox.run(&sandbox.path("bin/op"), ["inject"]);
    let inject = inject.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    let text = inject.input("{{ op://Vault/Item/A }}").done().succeeds();
    assert_eq!(text, "x".repeat(8 + 18 + 1) + "\n");
}

#[test]
fn exact_values_arrive_unchanged_by_the_item() {
    let control = ("CONTROL", control_characters());
    let values: Vec<_> = awkward().into_iter().chain([control]).collect();
    let sandbox = Sandbox::with_fields(&values);
    let lines = values.iter().map(|(name, _)| {
        format!("{name} = {{ ref = \"op://Vault/Item/{name}\", exact = true }}\n")
    });
    sandbox.manifest(&format!("[secrets]\n{}", lines.collect::<String>()));
    assert_eq!(received(&sandbox), expected(&values));
    assert_eq!(sandbox.commands(), ["item get"]);
}

/// Every byte but NUL, that no text and no JSON can hold as they are.
fn bytes() -> (String, Vec<u8>) {
    let bytes: Vec<u8> = (1..=255).chain(*b"\n\n").collect();
    (bytes.iter().map(|&byte| char::from(byte)).collect(), bytes)
}

#[test]
fn a_value_alone_arrives_unchanged_by_op_read() {
    let (characters, every_byte) = bytes();
    let control = ("CONTROL", control_characters());
    for (name, value) in awkward().into_iter().chain([control]) {
        let sandbox = Sandbox::with_fields(&[(name, &value)]);
        assert_eq!(received(&sandbox), expected(&[(name, value)]), "{name}");
        assert_eq!(sandbox.commands(), ["read"], "{name}");
    }
    let sandbox = Sandbox::with_fields(&[("A", characters)]);
    sandbox.mode("bytes");
    assert_eq!(sandbox.oc(["read", "-n", "A"]).done().stdout, every_byte);
    let exec = ["exec", "--clean", "--", "/usr/bin/env", "-0"];
    let environment = sandbox.oc(exec).done().environment();
    assert_eq!(environment, [("A".into(), every_byte)]);
    assert_eq!(sandbox.commands(), ["read", "read"]);
}

#[test]
fn an_empty_answer_beside_a_diagnostic_is_no_empty_value() {
    let sandbox = Sandbox::with_fields(&[("A", "")]);
    sandbox.manifest("[secrets]\nA = { ref = 'op://Vault/Item/A', default = 'd' }\n");
    // The control: an empty field is empty, and what else is on stderr is no failure.
    for mode in ["", "notice", "daemon-notice"] {
        sandbox.mode(mode);
        assert_eq!(sandbox.oc(["read", "A"]).done().succeeds(), "d\n", "{mode}");
    }
    sandbox.mode("swallowed-error");
    sandbox.oc(["read", "A"]).done().fails(
        5,
        "oc-secrets: error: `op` gave an answer that cannot be trusted: it is empty, and there is a diagnostic instead\n\
         hint: check that `op` is 1Password's own (op --version); if the secrets are large, ask for fewer at a time with --only\n",
    );
}

#[test]
fn what_fits_no_environment_is_read_alone_or_had_from_its_item() {
    let long = "0123456789abcdef".repeat(16 * 1024);
    let sandbox = Sandbox::with_fields(&[("A", long.as_str()), ("B", "b")]);
    assert_eq!(sandbox.oc(["read", "-n", "A"]).done().succeeds(), long);
    assert_eq!(sandbox.commands(), ["read"]);
    let text = sandbox.oc(["check"]).done().succeeds();
    assert!(text.contains("\n2 of 2 found · "), "{text}");
    assert_eq!(sandbox.commands()[1..], ["run", "item get"]);
}

#[test]
fn a_reordered_answer_gives_no_name_the_value_of_another() {
    let sandbox = Sandbox::with_fields(&[("A", "a"), ("B", "b")]);
    sandbox.mode("reorder");
    let values = [("A", "a".to_owned()), ("B", "b".to_owned())];
    assert_eq!(received(&sandbox), expected(&values));
    // The control: the stand-in does tamper with what it prints.
    sandbox.mode("swap-values");
    let swapped = [("A", "b".to_owned()), ("B", "a".to_owned())];
    assert_eq!(received(&sandbox), expected(&swapped));
}

#[test]
fn names_that_the_syntax_cannot_carry_go_by_the_item() {
    let sandbox = Sandbox::new();
    sandbox.vault(json!([
        item("Signing (prod)", &[("private key", "one"), ("a/b", "two")]),
        item("Grüße", &[("credential", "three")]),
        item("Plain", &[("credential", "four")]),
        item("--vault=Other", &[("credential", "five")]),
    ]));
    sandbox.manifest(
        "vault = 'Vault'\n[secrets]\n\
         A = { item = 'Signing (prod)', field = 'private key' }\n\
         B = { item = 'Signing (prod)', field = 'a/b' }\n\
         C = { item = 'Grüße' }\n\
         D = 'op://Vault/Plain/credential'\n\
         E = { item = '--vault=Other' }\n",
    );
    let values = ["one", "two", "three", "four", "five"].map(|value| value.as_bytes().to_vec());
    let names = ["A", "B", "C", "D", "E"].map(OsString::from);
    assert_eq!(
        received(&sandbox),
        names.into_iter().zip(values).collect::<Vec<_>>()
    );
    let mut commands = sandbox.commands();
    commands.sort();
    assert_eq!(commands, ["item get", "item get", "item get", "read"]);
}

#[test]
fn sections_ids_and_one_time_passwords_are_understood_either_way() {
    let sandbox = Sandbox::new();
    sandbox.vault(json!([{
        "id": "iiiiiiiiiiiiiiiiiiiiiiiiii", "title": "Item", "category": "LOGIN",
        "sections": [{ "id": "s1", "label": "Admin" }],
        "fields": [
            { "id": "password", "type": "CONCEALED", "label": "password", "value": "top" },
            { "id": "x", "section": "s1", "type": "CONCEALED", "label": "password", "value": "inner" },
            { "id": "otp", "type": "OTP", "label": "one-time password", "value": "seed", "totp": "741354" }
        ]
    }]));
    for exact in ["false", "true"] {
        sandbox.manifest(&format!(
            "[secrets]\n\
             A = {{ ref = 'op://vault/item/Password', exact = {exact} }}\n\
             B = {{ ref = 'op://Vault/Item/Admin/password', exact = {exact} }}\n\
             C = {{ ref = 'op://{}/{}/s1/x', exact = {exact} }}\n\
             D = {{ ref = 'op://Vault/Item/one-time password?attribute=otp', exact = {exact} }}\n",
            "v".repeat(26),
            "i".repeat(26),
        ));
        let values: Vec<_> = received(&sandbox)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(
            values,
            [&b"top"[..], b"inner", b"inner", b"741354"],
            "exact = {exact}"
        );
    }
}

#[test]
fn an_attached_file_is_read_as_it_is() {
    let sandbox = Sandbox::new();
    let mut item = item("Item", &[("credential", "x")]);
    item["files"] = json!([{ "id": "ffff", "name": "ca.pem", "content": "PEM\n\u{1b}\n" }]);
    sandbox.vault(json!([item]));
    sandbox.manifest("[secrets]\nCA = { ref = 'op://Vault/Item/ca.pem', exact = true }\n");
    assert_eq!(received(&sandbox), [("CA".into(), b"PEM\n\x1b\n".to_vec())]);
}

#[test]
fn values_that_cannot_be_values_are_refused() {
    let placeholder = "[use 'op item get aaaaaaaaaaaaaaaaaaaaaaaaaa --reveal' to reveal]";
    for (value, why) in [
        ("", "it is empty"),
        (
            placeholder,
            "`op` answered with its placeholder for a concealed value",
        ),
        (
            "a\0b",
            "it holds a NUL byte, which no environment can carry",
        ),
    ] {
        for exact in ["false", "true"] {
            let sandbox = Sandbox::with_fields(&[("A", value)]);
            sandbox.manifest(&format!(
                "[secrets]\nA = {{ ref = 'op://Vault/Item/A', exact = {exact} }}\n"
            ));
            sandbox.oc(["exec", "--", "true"]).done().fails(
                125,
                &format!(
                    "oc-secrets: error: 1 secret not resolved\n  A  op://Vault/Item/A  unusable: {why}\n\
                     hint: compare with `op item get Item --vault Vault`, or mark what may be absent with `required = false`\n"
                ),
            );
        }
    }
}
