//! How many `op` processes a run costs, and in how many rounds.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, item};

/// `total` secrets over three items, of which those with these numbers do not exist.
fn spread(total: usize, missing: &[usize], optional: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    let name = |index: usize| format!("S{index}");
    let items: Vec<Value> = (0..3)
        .map(|at| {
            let fields: Vec<_> = (0..total)
                .filter(|index| index % 3 == at && !missing.contains(index))
                .map(|index| (name(index), format!("value {index}")))
                .collect();
            item(&format!("Item {at}"), &fields)
        })
        .collect();
    sandbox.vault(Value::Array(items));
    let lines = (0..total).map(|index| {
        let required = !(optional && missing.contains(&index));
        format!(
            "S{index} = {{ ref = 'op://Vault/Item {}/S{index}', required = {required} }}\n",
            index % 3
        )
    });
    sandbox.manifest(&format!("[secrets]\n{}", lines.collect::<String>()));
    sandbox
}

/// The most stand-ins that ran at the same time.
fn at_once(sandbox: &Sandbox) -> usize {
    let notes = sandbox.notes();
    let end = |pid: &Value| {
        let note = notes
            .iter()
            .find(|note| note["end"].is_u64() && note["pid"] == *pid);
        note.map_or(u64::MAX, |note| note["end"].as_u64().expect("nanoseconds"))
    };
    let calls = sandbox.calls();
    let spans: Vec<(u64, u64)> = calls
        .iter()
        .map(|call| {
            (
                call["start"].as_u64().expect("nanoseconds"),
                end(&call["pid"]),
            )
        })
        .collect();
    let overlapping = |at: u64| {
        spans
            .iter()
            .filter(|(start, end)| *start <= at && at < *end)
            .count()
    };
    spans
        .iter()
        .map(|(start, _)| overlapping(*start))
        .max()
        .unwrap_or(0)
}

#[test]
fn any_number_of_secrets_costs_one_process() {
    for (total, command) in [
        (1, "read"),
        (2, "run"),
        (7, "run"),
        (20, "run"),
        (50, "run"),
    ] {
        let sandbox = spread(total, &[], false);
        sandbox.oc(["exec", "--", "true"]).done().succeeds();
        assert_eq!(sandbox.commands(), [command], "{total} secrets");
    }
}

#[test]
fn two_names_for_one_reference_are_one_read() {
    let sandbox = spread(1, &[], false);
    sandbox.manifest("[secrets]\nA = 'op://Vault/Item 0/S0'\nB = 'op://Vault/Item 0/S0'\n");
    let text = sandbox
        .oc(["exec", "--clean", "--", "/usr/bin/env"])
        .done()
        .succeeds();
    assert_eq!(text, "A=value 0\nB=value 0\n");
    assert_eq!(sandbox.commands(), ["read"]);
}

/// A hundred secrets of one item each, of which these have a value of so many bytes.
fn sized(large: &[usize], bytes: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    let value = |index: usize| match large.contains(&index) {
        true => "x".repeat(bytes),
        false => format!("value {index}"),
    };
    let items = (0..100).map(|index| item(&format!("Item {index}"), &[("f", value(index))]));
    sandbox.vault(Value::Array(items.collect()));
    let lines = (0..100).map(|index| format!("S{index} = 'op://Vault/Item {index}/f'\n"));
    sandbox.manifest(&format!("[secrets]\n{}", lines.collect::<String>()));
    sandbox
}

#[test]
fn what_one_environment_cannot_carry_is_asked_for_in_halves() {
    // All together are larger than a quarter of the stack, which is what Linux allows.
    let all: Vec<usize> = (0..100).collect();
    let sandbox = sized(&all, 30_000);
    let text = sandbox.oc(["check"]).done().succeeds();
    assert!(text.contains("\n100 of 100 found · "), "{text}");
    assert_eq!(sandbox.commands(), ["run", "run", "run"]);
}

#[test]
fn one_value_that_no_environment_carries_costs_a_few_processes_and_not_a_hundred() {
    let sandbox = sized(&[37], 200_000);
    let text = sandbox.oc(["check"]).done().succeeds();
    assert!(text.contains("\n100 of 100 found · "), "{text}");
    let commands = sandbox.commands();
    let reads = commands.iter().filter(|words| *words == "read").count();
    assert!(
        reads == 1 && commands.len() <= 15,
        "the large one alone goes by `op read`: {commands:?}"
    );
}

#[test]
fn missing_optional_secrets_cost_one_more_round_side_by_side() {
    let sandbox = spread(8, &[1, 4, 7], true);
    sandbox.mode("latency=150");
    let text = sandbox
        .oc(["exec", "--clean", "--", "/usr/bin/env"])
        .done()
        .succeeds_saying("oc-secrets: warning: optional secrets are missing: S1, S4, S7\n");
    assert_eq!(text.lines().count(), 5);
    assert_eq!(
        sandbox.commands(),
        ["run", "item get", "item get", "item get"]
    );
    assert_eq!(at_once(&sandbox), 3);
}

#[test]
fn where_a_prompt_can_appear_one_runs_after_the_other() {
    let sandbox = spread(8, &[1, 4, 7], true);
    sandbox.mode("latency=50");
    let done = sandbox
        .oc(["--quiet", "exec", "--", "true"])
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .done();
    done.succeeds();
    assert_eq!(sandbox.commands().len(), 3);
    assert_eq!(at_once(&sandbox), 1);
}

#[test]
fn all_missing_secrets_are_named_at_once() {
    let sandbox = spread(8, &[1, 4, 5], false);
    sandbox.oc(["check"]).done();
    let sandbox = spread(8, &[1, 4, 5], false);
    sandbox.oc(["exec", "--", "true"]).done().fails(
        125,
        "oc-secrets: error: 3 secrets not found\n  \
           S1  op://Vault/Item 1/S1  missing: no such field, did you mean `S7`?\n  \
           S4  op://Vault/Item 1/S4  missing: no such field, did you mean `S7`?\n  \
           S5  op://Vault/Item 2/S5  missing: no such field, did you mean `S2`?\n\
         hint: compare with `op item get 'Item 1' --vault Vault`, or mark what may be absent with `required = false`\n",
    );
}

#[test]
fn only_what_the_manifest_requires_can_be_marked() {
    let sandbox = spread(1, &[0], false);
    let hint = |words: &[&str]| {
        let stderr = sandbox.oc(words).done().stderr;
        stderr.lines().last().unwrap_or_default().to_owned()
    };
    let look = "hint: compare with `op item get 'Item 0' --vault Vault`";
    let marked = format!("{look}, or mark what may be absent with `required = false`");
    assert_eq!(hint(&["env"]), marked);
    assert_eq!(hint(&["env", "--strict"]), look);
    assert_eq!(hint(&["env", "--require", "S0"]), look);
    assert_eq!(hint(&["read", "S0"]), look);
    assert_eq!(hint(&["read", "op://Vault/Item 0/S0"]), look);
    sandbox.file("work/.env", "S0=op://Vault/Item 0/S0\n");
    assert_eq!(hint(&["--env-file", ".env", "env"]), look);
}

#[test]
fn a_single_missing_secret_costs_one_process() {
    let sandbox = spread(1, &[0], false);
    let done = sandbox.oc(["exec", "--", "true"]).done();
    assert_eq!(done.status.code(), Some(125));
    assert_eq!(sandbox.commands(), ["read"]);
}

#[test]
fn references_that_op_run_does_not_take_are_had_from_their_items() {
    let sandbox = spread(2, &[], false);
    sandbox.mode("template-variables");
    sandbox.oc(["exec", "--", "true"]).done().succeeds();
    assert_eq!(sandbox.commands(), ["run", "item get", "item get"]);
}

#[test]
fn a_single_reference_that_op_read_does_not_take_is_had_from_its_item() {
    let sandbox = spread(1, &[], false);
    let query = "op://Vault/Item 0/S0?attribute=otp";
    let done = sandbox.oc(["read", query]).done();
    assert_eq!(done.status.code(), Some(4), "{}", done.stderr);
    assert_eq!(sandbox.commands(), ["read", "item get"]);
}

#[test]
fn missing_items_and_vaults_and_ambiguous_ones_are_told_apart() {
    let sandbox = Sandbox::new();
    let twin = item("Twin", &[("credential", "x")]);
    let mut other = twin.clone();
    other["id"] = json!("otherotherotherotherother0");
    sandbox.vault(json!([item("Item", &[("credential", "x")]), twin, other]));
    sandbox.manifest(
        "[secrets]\n\
         GOOD = 'op://Vault/Item/credential'\n\
         NO_ITEM = 'op://Vault/None/credential'\n\
         NO_VAULT = 'op://None/Item/credential'\n\
         TWICE = 'op://Vault/Twin/credential'\n",
    );
    sandbox.oc(["exec", "--", "true"]).done().fails(
        125,
        "oc-secrets: error: 3 secrets not resolved\n  \
           NO_ITEM   op://Vault/None/credential  missing: no such item\n  \
           NO_VAULT  op://None/Item/credential  missing: no such vault\n  \
           TWICE     op://Vault/Twin/credential  ambiguous: more than one item has this name, name one by its id: otherotherotherotherother0, twintwintwintwintwintwintw\n\
         hint: compare with `op item list --vault Vault`, `op vault list`, or mark what may be absent with `required = false`\n",
    );
}

#[test]
fn an_ambiguous_item_is_named_alone_and_first() {
    let sandbox = Sandbox::new();
    let twin = item("Twin", &[("credential", "x")]);
    let mut other = twin.clone();
    other["id"] = json!("otherotherotherotherother0");
    sandbox.vault(json!([item("Item", &[("credential", "x")]), twin, other]));
    let told = "TWICE  op://Vault/Twin/credential  ambiguous: more than one item has this name, name one by its id: otherotherotherotherother0, twintwintwintwintwintwintw";
    for rest in ["", "GOOD = 'op://Vault/Item/credential'\n"] {
        sandbox.manifest(&format!(
            "[secrets]\nTWICE = 'op://Vault/Twin/credential'\n{rest}"
        ));
        let done = sandbox.oc(["read", "TWICE"]).done();
        assert_eq!(done.status.code(), Some(4), "{rest}: {}", done.stderr);
        assert!(done.stderr.contains(told), "{rest}: {}", done.stderr);
    }
}

#[test]
fn a_query_that_op_refuses_concerns_its_secret_alone() {
    let sandbox = spread(2, &[], false);
    sandbox.manifest(
        "[secrets]\nA = 'op://Vault/Item 0/S0'\n\
         B = { ref = 'op://Vault/Item 1/S1?attribute=otp', required = false }\n",
    );
    let done = sandbox.oc(["check"]).done();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert!(done.text().contains("\n1 of 2 found · "), "{}", done.text());
}

#[test]
fn a_rate_limit_stops_everything_at_once() {
    let sandbox = spread(8, &[1], true);
    sandbox.mode("rate-limited");
    let done = sandbox.oc(["exec", "--", "true"]).done();
    assert_eq!(done.status.code(), Some(125));
    assert_eq!(sandbox.commands(), ["run"]);
}

#[test]
fn with_everything_in_the_environment_op_is_not_even_looked_for() {
    let sandbox = spread(1, &[], false);
    std::fs::remove_file(sandbox.path("bin/op")).expect("removed");
    let text = sandbox
        .oc(["--prefer-env", "exec", "--clean", "--", "/usr/bin/env"])
        .env("S0", "mine")
        .done()
        .succeeds();
    assert_eq!(text, "S0=mine\n");
}

/// Eight secrets, each of an item of its own; of these items some are not there, some lack the field.
fn queue(absent: &[usize], fieldless: &[usize]) -> Sandbox {
    let sandbox = Sandbox::new();
    let items = (0..8).filter(|index| !absent.contains(index)).map(|index| {
        let field = if fieldless.contains(&index) { "g" } else { "f" };
        item(
            &format!("Item {index}"),
            &[(field, format!("value {index}"))],
        )
    });
    sandbox.vault(Value::Array(items.collect()));
    let line = |index: usize| {
        format!("S{index} = {{ ref = 'op://Vault/Item {index}/f', required = false }}\n")
    };
    sandbox.manifest(&format!(
        "[secrets]\n{}",
        (0..8).map(line).collect::<String>()
    ));
    sandbox
}

/// What `check --json` says, signed in by the app or by a token, and what it asked `op`.
fn told(sandbox: &Sandbox, app: bool) -> (String, Vec<String>) {
    let before = sandbox.commands().len();
    let check = sandbox.oc(["check", "--json"]);
    let done = match app {
        true => check.without("OP_SERVICE_ACCOUNT_TOKEN").done(),
        false => check.done(),
    };
    let commands = sandbox.commands();
    (done.text(), commands[before..].to_vec())
}

#[test]
fn in_a_queue_missing_items_cost_three_calls_and_the_answers_are_the_same() {
    let cases: [(&[usize], &[usize], &[&str]); 8] = [
        (&[1, 4, 7], &[], &["run", "item list", "run"]),
        (&[], &[3], &["run", "run", "item get"]),
        // One more for each item whose field is missing.
        (&[0, 1], &[3], &["run", "item list", "run", "run"]),
        (&[], &[2, 5], &["run", "run", "run", "item get", "item get"]),
        (
            &[],
            &[1, 2, 3],
            &["run", "run", "run", "run", "item get", "item get"],
        ),
        (
            &[0],
            &[2, 5, 6],
            &["run", "item list", "run", "run", "run", "run"],
        ),
        (&[7], &[1, 2], &["run", "run", "run", "item list", "run"]),
        (
            &[0, 1, 2, 3, 4, 5, 6],
            &[],
            &["run", "item list", "item get"],
        ),
    ];
    for (absent, fieldless, expected) in cases {
        let sandbox = queue(absent, fieldless);
        let (answers, commands) = told(&sandbox, true);
        assert_eq!(commands, expected, "{absent:?} {fieldless:?}");
        // The list came along here, and so did the nearest title.
        let near = |line: &str| line.contains("no such item, did you mean `Item ");
        assert_eq!(
            answers.lines().any(near),
            expected.contains(&"item list"),
            "{answers}"
        );
        let plain: Vec<&str> = answers.lines().map(without_near).collect();
        let (others, _) = told(&sandbox, false);
        let others: Vec<&str> = others.lines().map(without_near).collect();
        assert_eq!(plain, others, "{absent:?} {fieldless:?}");
    }
}

/// The line up to the title or label that was probably meant.
fn without_near(line: &str) -> &str {
    let line = line.split(", did you mean `Item ").next().unwrap_or(line);
    let line = line.split(", did you mean `g`").next().unwrap_or(line);
    line.strip_suffix('"').unwrap_or(line)
}

#[test]
fn in_a_queue_a_vault_that_is_not_there_costs_one_call_for_all_its_items() {
    let sandbox = queue(&[], &[]);
    let line = |index: usize| {
        format!("S{index} = {{ ref = 'op://None/Item {index}/f', required = false }}\n")
    };
    sandbox.manifest(&format!(
        "[secrets]\n{}",
        (0..8).map(line).collect::<String>()
    ));
    let (answers, commands) = told(&sandbox, true);
    assert_eq!(commands, ["run", "item list", "item get"]);
    assert_eq!(answers, told(&sandbox, false).0);
}

#[test]
fn text_of_notes_in_the_list_is_shown_nowhere() {
    let sandbox = Sandbox::new();
    let note = "the beginning of a note";
    let items = (0..3).map(|index| {
        let mut item = item(&format!("Item {index}"), &[("f", "value")]);
        item["additional_information"] = json!(note);
        item
    });
    sandbox.vault(Value::Array(items.collect()));
    let line = |index: usize| {
        format!("S{index} = {{ ref = 'op://Vault/Item {index}/f', required = false }}\n")
    };
    sandbox.manifest(&format!(
        "[secrets]\n{}",
        (0..5).map(line).collect::<String>()
    ));
    for words in [&["-v", "env"][..], &["-v", "check"]] {
        let run = sandbox.oc(words).without("OP_SERVICE_ACCOUNT_TOKEN");
        let done = run.done();
        assert!(!(done.text() + &done.stderr).contains("note"), "{words:?}");
    }
    let commands = sandbox.commands();
    assert_eq!(commands[..3], ["run", "item list", "run"]);
}

#[test]
fn a_list_that_is_none_is_not_used() {
    let sandbox = queue(&[1, 4, 7], &[]);
    sandbox.mode("invalid-json");
    let check = sandbox.oc(["check"]).without("OP_SERVICE_ACCOUNT_TOKEN");
    assert_eq!(check.done().status.code(), Some(5));
    assert_eq!(sandbox.commands(), ["run", "item list", "item get"]);
}
