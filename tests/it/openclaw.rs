//! OpenClaw's exec provider: what a gateway asks, and the answers to the byte.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::docker_world::World;
use crate::sandbox::{CANARY, Done, Run, Sandbox, awkward, item};

fn request(ids: &[&str]) -> String {
    json!({ "protocolVersion": 1, "provider": "oc", "ids": ids }).to_string()
}

fn provider(sandbox: &Sandbox, more: &[&str]) -> Run {
    let manifest = sandbox.path("work/oc-secrets.toml");
    let words = ["--manifest", manifest.to_str().expect("text")];
    sandbox.oc(words.iter().chain(more).chain(&["openclaw"]))
}

fn ask(sandbox: &Sandbox, ids: &[&str]) -> Done {
    provider(sandbox, &[]).input(request(ids)).done()
}

/// The answer, which a gateway takes only from a program that ends with 0.
#[track_caller]
fn answer(done: &Done) -> Value {
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert!(done.stderr.lines().count() <= 1, "{}", done.stderr);
    assert!(done.stdout.len() + done.stderr.len() <= 1024 * 1024);
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

fn code(answer: &Value, id: &str) -> String {
    assert_eq!(answer["values"].get(id), None, "{id}");
    answer["errors"][id]["code"]
        .as_str()
        .expect("a code")
        .to_owned()
}

#[test]
fn a_batch_is_answered_to_the_byte_by_one_op() {
    let sandbox = Sandbox::with_fields(&[("TELEGRAM_BOT_TOKEN", "1:a\"b"), ("OTHER", "x\ny")]);
    let done = ask(&sandbox, &["TELEGRAM_BOT_TOKEN", "other"]);
    assert_eq!(
        done.succeeds(),
        "{\"protocolVersion\":1,\"values\":{\"TELEGRAM_BOT_TOKEN\":\"1:a\\\"b\",\"other\":\"x\\u000ay\"}}\n"
    );
    assert_eq!(sandbox.calls().len(), 1);
    let done = ask(&sandbox, &["telegram-bot-token"]);
    assert_eq!(
        done.succeeds(),
        "{\"protocolVersion\":1,\"values\":{\"telegram-bot-token\":\"1:a\\\"b\"}}\n"
    );
}

#[test]
fn what_is_not_there_is_told_of_each_id_and_to_people_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.vault(json!([
        item("Item", &[("GOOD", "1"), ("EMPTY", "")]),
        item("Twin", &[("f", "1")]),
        item("Twin", &[("f", "2")]),
    ]));
    sandbox.manifest(
        "[secrets]\nGOOD = \"op://Vault/Item/GOOD\"\nEMPTY = \"op://Vault/Item/EMPTY\"\n\
         GONE = \"op://Vault/Gone/f\"\nTWIN = \"op://Vault/Twin/f\"\n",
    );
    let done = ask(
        &sandbox,
        &["GOOD", "EMPTY", "GONE", "TWIN", "NOBODY", "GOOD"],
    );
    assert_eq!(
        done.succeeds_saying(
            "oc-secrets: error: 4 of 5 ids not answered: EMPTY: unusable: it is empty; \
             GONE: missing: no such item; TWIN: ambiguous: more than one item has this name, name one by its id: twintwintwintwintwintwintw; \
             NOBODY: no such name in the manifest\n"
        ),
        "{\"protocolVersion\":1,\"values\":{\"GOOD\":\"1\"},\"errors\":{\
         \"EMPTY\":{\"code\":\"UNAVAILABLE\"},\"GONE\":{\"code\":\"NOT_FOUND\"},\
         \"TWIN\":{\"code\":\"AMBIGUOUS_DUPLICATE_KEY\"},\"NOBODY\":{\"code\":\"NOT_FOUND\"}}}\n"
    );
}

#[test]
fn five_hundred_and_twelve_ids_cost_one_op() {
    let names: Vec<String> = (0..512).map(|at| format!("KEY_{at}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let sandbox = Sandbox::with_fields(&fields);
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = answer(&ask(&sandbox, &ids));
    let values = answer["values"].as_object().expect("values");
    assert_eq!((values.len(), answer.get("errors")), (512, None));
    assert_eq!(sandbox.calls().len(), 1);
}

#[test]
fn awkward_and_large_values_arrive_as_they_are() {
    let mut fields = awkward();
    fields.push(("HUNDRED_KIB", "x\n\"\\".repeat(25 * 1024)));
    let sandbox = Sandbox::with_fields(&fields);
    let ids: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let answer = answer(&ask(&sandbox, &ids));
    for (name, value) in &fields {
        assert_eq!(
            answer["values"][name].as_str(),
            Some(value.as_str()),
            "{name}"
        );
    }
}

#[test]
fn beyond_a_mebibyte_the_longest_are_left_out_and_the_rest_arrives() {
    let names: Vec<String> = (0..11).map(|at| format!("KEY_{at}")).collect();
    let mut fields: Vec<(&str, String)> = names
        .iter()
        .map(|name| (name.as_str(), "x".repeat(100 * 1024)))
        .collect();
    fields.push(("SMALL", "s".to_owned()));
    let sandbox = Sandbox::with_fields(&fields);
    let ids: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let done = ask(&sandbox, &ids);
    let answer = answer(&done);
    assert_eq!(answer["values"]["SMALL"], "s");
    assert_eq!(answer["values"].as_object().expect("values").len(), 11);
    let left = ids.iter().find(|id| answer["values"].get(**id).is_none());
    let left = left.expect("one is left out");
    assert_eq!(code(&answer, left), "UNAVAILABLE");
    assert_eq!(
        done.stderr,
        format!(
            "oc-secrets: error: 1 of 12 ids not answered: {left}: too long beside the others, the gateway reads 1 MiB\n"
        )
    );
}

#[test]
fn references_are_answered_only_where_the_manifest_has_a_pattern() {
    let sandbox = Sandbox::with_fields(&[("A", "1"), ("B", "2")]);
    let ids = ["op://Vault/Item/A", "op://Vault/Item/B", "op://Private/x/y"];
    let refused = answer(&ask(&sandbox, &ids));
    for id in ids {
        assert_eq!(code(&refused, id), "NOT_FOUND");
    }
    assert_eq!(sandbox.calls().len(), 0, "`op` heard nothing of it");
    let manifest =
        "[secrets]\nA = \"op://Vault/Item/A\"\n[openclaw]\nreferences = [\"op://Vault/Item/B\"]\n";
    sandbox.file("work/oc-secrets.toml", manifest);
    let done = ask(&sandbox, &[ids[0], ids[1], ids[2], "A"]);
    let answer = answer(&done);
    assert_eq!(
        answer["values"],
        json!({ "op://Vault/Item/B": "2", "A": "1" })
    );
    assert_eq!(code(&answer, ids[0]), "NOT_FOUND");
    assert_eq!(code(&answer, ids[2]), "NOT_FOUND");
    assert_eq!(sandbox.calls().len(), 1);
}

#[test]
fn a_profile_narrows_what_is_answered() {
    let sandbox = Sandbox::with_fields(&[("A", "1"), ("B", "2")]);
    let manifest = "[secrets]\nA = \"op://Vault/Item/A\"\nB = \"op://Vault/Item/B\"\n[profiles.p]\nsecrets = [\"A\"]\n";
    sandbox.file("work/oc-secrets.toml", manifest);
    let done = provider(&sandbox, &["--profile", "p"])
        .input(request(&["A", "B"]))
        .done();
    let narrowed = answer(&done);
    assert_eq!(narrowed["values"], json!({ "A": "1" }));
    assert_eq!(code(&narrowed, "B"), "NOT_FOUND");
    let none = provider(&sandbox, &["--profile", "none"]);
    let none = none.input(request(&["A"])).done();
    assert_eq!(code(&answer(&none), "A"), "UNAVAILABLE");
    assert_eq!(
        none.stderr,
        "oc-secrets: error: 1 of 1 ids not answered: no profile `none`\n"
    );
}

#[test]
fn another_version_is_answered_in_ours_without_a_value() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let run = provider(&sandbox, &[]);
    let done = run
        .input(r#"{"protocolVersion":2,"ids":["A"],"more":{}}"#)
        .done();
    assert_eq!(
        done.succeeds_saying(
            "oc-secrets: error: 1 of 1 ids not answered: the gateway speaks version 2 of the protocol, and this is 1\n"
        ),
        "{\"protocolVersion\":1,\"values\":{},\"errors\":{\"A\":{\"code\":\"UNAVAILABLE\"}}}\n"
    );
    assert_eq!(sandbox.calls().len(), 0);
}

const GARBAGE: &str = "oc-secrets: error: standard input is no request of OpenClaw's: `oc-secrets openclaw config` tells how to set it up\n";

#[test]
fn what_is_no_request_is_refused_without_a_word_of_it() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    for garbage in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        b"garbage",
        b"\xff\xfe",
        br#"{"protocolVersion":1}"#,
        br#"{"protocolVersion":1,"ids":"A"}"#,
        br#"{"protocolVersion":1,"ids":[1]}"#,
        br#"{"protocolVersion":-1,"ids":[]}"#,
        br#"{"protocolVersion":"1","ids":["A"]}"#,
        br#"{"protocolVersion":1,"ids":["\ud800"]}"#,
        br#"{"protocolVersion":1,"ids":["A"]}{"protocolVersion":1,"ids":["A"]}"#,
        &[b'['; 100_000],
        &[b' '; 3 * 1024 * 1024],
    ] {
        let done = provider(&sandbox, &[]).input(garbage).done();
        done.fails(2, GARBAGE);
    }
    assert_eq!(sandbox.calls().len(), 0);
    let none = provider(&sandbox, &[]).input(request(&[])).done();
    assert_eq!(none.succeeds(), "{\"protocolVersion\":1,\"values\":{}}\n");
    let strange = ask(&sandbox, &["", "a\u{1b}[2J\nb", "../..", &"x".repeat(1000)]);
    assert_eq!(
        answer(&strange)["errors"]
            .as_object()
            .expect("errors")
            .len(),
        4
    );
    assert!(!strange.stderr.contains('\u{1b}') && strange.stderr.len() < 400);
}

#[test]
fn a_line_of_arguments_that_is_wrong_is_told_in_one_line_too() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let wrong = |words: &[&str]| {
        let done = sandbox.oc(words).input(request(&["A"])).done();
        done.stderr.lines().count()
    };
    assert_eq!(wrong(&["openclaw", "--bogus"]), 1);
    assert_eq!(wrong(&["openclaw", "--timeout", "4"]), 1);
    assert_eq!(wrong(&["openclaw", "config", "--bogus"]), 2, "the control");
}

#[test]
fn an_endless_or_silent_question_ends_by_itself() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let mut run = provider(&sandbox, &[]);
    let zeros = std::fs::File::open("/dev/zero").expect("opened");
    run.command().stdin(zeros);
    let done = run.done();
    assert_eq!((done.status.code(), done.text().as_str()), (Some(1), ""));
    assert_eq!(
        done.stderr,
        "oc-secrets: error: standard input does not end\n"
    );
    assert!(done.took < Duration::from_secs(5), "{:?}", done.took);

    let mut run = provider(&sandbox, &[]);
    let command = run.command();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let begun = std::time::Instant::now();
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(b"{\"protocolVersion\":1,")
        .expect("written");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(3) && took < Duration::from_millis(4900),
        "{took:?}"
    );
    drop(stdin);
}

#[test]
fn an_op_that_hangs_is_given_up_before_the_gateway_gives_us_up() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY), ("B", "2")]);
    sandbox.mode("hang");
    let done = ask(&sandbox, &["A", "B"]);
    assert_eq!(
        done.text(),
        "{\"protocolVersion\":1,\"values\":{},\"errors\":{\"A\":{\"code\":\"UNAVAILABLE\"},\"B\":{\"code\":\"UNAVAILABLE\"}}}\n"
    );
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    // One line, though it was a long wait; what the start took is not `op`'s.
    let line = done.stderr.strip_suffix(" s\n").unwrap_or_default();
    let start = "oc-secrets: error: 2 of 2 ids not answered: `op` did not answer within ";
    assert!(
        line.starts_with(start) && !line.contains('\n'),
        "{}",
        done.stderr
    );
    assert!(done.took < Duration::from_millis(4700), "{:?}", done.took);
    sandbox.assert_nothing_is_left();
    let quick = provider(&sandbox, &["--timeout", "300ms"])
        .input(request(&["B"]))
        .done();
    assert!(quick.took < Duration::from_secs(2), "{:?}", quick.took);
}

#[test]
fn an_audit_asks_once_more_for_each_id_and_op_only_once() {
    for mode in ["deleted-token", "forbidden", "rate-limited", "hang"] {
        let sandbox = Sandbox::with_fields(&[("A", CANARY), ("B", "2"), ("C", "3")]);
        sandbox.mode(mode);
        let ask = |ids: &[&str]| {
            let done = provider(&sandbox, &["--timeout", "1s"])
                .input(request(ids))
                .done();
            let answer = answer(&done);
            ids.iter()
                .for_each(|id| assert_eq!(code(&answer, id), "UNAVAILABLE"));
        };
        ask(&["A", "B", "C"]);
        let calls = sandbox.calls().len();
        ["A", "B", "C"].iter().for_each(|id| ask(&[id]));
        assert_eq!(sandbox.calls().len(), calls, "{mode}");
    }
}

#[test]
fn values_and_absences_are_kept_for_the_gateways_user() {
    let world = World::of_user(1000, "");
    let ask = || {
        let run = world.program("oc-secrets", &["openclaw"]);
        let done = run.input(request(&["ghcr-token", "GHCR_TOKEN"])).done();
        answer(&done)["values"].as_object().expect("values").len()
    };
    assert_eq!((ask(), ask()), (2, 2));
    assert_eq!(world.asked(), 1);
}

#[test]
fn a_manifest_that_cannot_be_used_is_told_of_each_id() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.file("work/oc-secrets.toml", "[secrets]\nA = 1\n");
    let done = ask(&sandbox, &["A"]);
    assert_eq!(code(&answer(&done), "A"), "UNAVAILABLE");
    assert!(
        done.stderr.contains("oc-secrets.toml:2:5: "),
        "{}",
        done.stderr
    );
}

#[test]
fn the_working_directory_has_no_say_and_neither_has_the_environment() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let run = sandbox.oc(["openclaw"]).env("A", "from the environment");
    let done = run.input(request(&["A"])).done();
    assert_eq!(code(&answer(&done), "A"), "NOT_FOUND");
    let run = provider(&sandbox, &[]).env("A", "from the environment");
    assert_eq!(
        answer(&run.input(request(&["A"])).done())["values"]["A"],
        CANARY
    );
}

#[test]
fn the_block_is_what_the_gateway_needs_and_its_rules_are_checked() {
    let sandbox = Sandbox::with_fields(&[("TELEGRAM_BOT_TOKEN", CANARY), ("MAIL", "x")]);
    let program = sandbox.path("home/oc-secrets");
    let config = |uid: &str| {
        let manifest = sandbox.path("work/oc-secrets.toml");
        sandbox
            .oc([
                "--manifest",
                manifest.to_str().expect("text"),
                "openclaw",
                "config",
                "--uid",
                uid,
                "--command",
            ])
            .arg(&program)
            .done()
    };
    sandbox.place(
        std::path::Path::new(env!("CARGO_BIN_EXE_oc-secrets")),
        "home/oc-secrets",
    );
    let mode =
        |mode| std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).expect("a mode");
    mode(0o555);
    chown(&program, Some(1000), None).expect("root");
    let text = config("1000").succeeds();
    let block = text
        .split("# the same")
        .next()
        .expect("a block")
        .trim_start_matches("# for openclaw.json\n");
    let block: Value = serde_json::from_str(block).expect("JSON");
    let provider = &block["secrets"]["providers"]["oc"];
    assert_eq!(provider["command"], program.to_str().expect("text"));
    assert_eq!(provider["source"], "exec");
    assert_eq!(
        provider["passEnv"],
        json!(["HOME", "PATH", "OP_SERVICE_ACCOUNT_TOKEN"])
    );
    assert_eq!(provider["args"][2], "openclaw");
    assert!(text.contains(
        "openclaw config set secrets.providers.oc --provider-source exec --provider-command "
    ));
    assert!(text.contains("\nopenclaw config set channels.telegram.botToken --ref-provider oc --ref-source exec --ref-id TELEGRAM_BOT_TOKEN\n"));
    assert!(text.contains(
        "\nopenclaw config set FIELD --ref-provider oc --ref-source exec --ref-id MAIL\n"
    ));
    assert_eq!(sandbox.calls().len(), 0);

    let refused = |uid: &str, why: &str| {
        let done = config(uid);
        assert_eq!(done.status.code(), Some(1));
        assert!(done.stderr.contains(why), "{}", done.stderr);
    };
    refused(
        "1001",
        "it belongs to uid 1000, and must belong to uid 1001",
    );
    mode(0o575);
    refused("1000", "others can write it");
    std::fs::rename(&program, sandbox.path("home/real")).expect("renamed");
    refused("1000", "No such file");
    symlink("real", &program).expect("a link");
    refused("1000", "it is a link");
}

#[test]
fn the_block_asks_as_it_was_asked_for() {
    let sandbox = Sandbox::with_fields(&[("MAIL", "x")]);
    let options = [
        "--vault",
        "Staging",
        "--account",
        "team",
        "--timeout",
        "3s",
        "--no-cache",
    ];
    let config = |options: &[&str]| {
        let command = ["openclaw", "config"];
        let command = sandbox
            .oc(options.iter().copied().chain(command))
            .env("OP_VAULT", "Other")
            .done();
        String::from_utf8_lossy(&command.stdout).into_owned()
    };
    let args = |text: &str| {
        let block = text.split("# the same").next().expect("a block");
        let block = block.trim_start_matches("# for openclaw.json\n");
        let block: Value = serde_json::from_str(block).expect("JSON");
        block["secrets"]["providers"]["oc"].clone()
    };
    let provider = args(&config(&options));
    let wanted: Vec<_> = options.into_iter().chain(["openclaw"]).collect();
    assert_eq!(provider["args"], json!(wanted));
    let passed = provider["passEnv"].as_array().expect("a list");
    assert!(passed.contains(&json!("OP_VAULT")), "{passed:?}");
    // The control: of what nobody asked for nothing is there.
    assert_eq!(args(&config(&[]))["args"], json!(["openclaw"]));
    std::fs::write(sandbox.path("work/x.env"), "MAIL=op://v/i/f\n").expect("written");
    let file = args(&config(&["--env-file", "x.env"]))["args"][1].clone();
    assert!(
        file.as_str().is_some_and(|it| it.starts_with('/')),
        "{file}"
    );
}

#[test]
fn the_built_in_list_stays_what_it_is_in_the_block() {
    let sandbox = Sandbox::with_fields(&[("MAIL", "x")]);
    let done = sandbox
        .oc(["--manifest", "builtin", "openclaw", "config"])
        .done();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(
        text.contains("--provider-arg --manifest --provider-arg builtin --provider-arg openclaw"),
        "{text}"
    );
    assert!(text.contains("--ref-id TELEGRAM_BOT_TOKEN"), "{text}");
    assert!(
        !text.contains("--ref-id OP_SERVICE_ACCOUNT_TOKEN"),
        "no agent needs the vault's key: {text}"
    );
}
