//! `oc-secrets init`: a manifest for somebody who has none, with questions only on a terminal.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use serde_json::json;

use crate::sandbox::{CANARY, Sandbox, item};
use crate::terminal::Terminal;

/// Two vaults; the second has three items.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut note = item("Backup", &[("notesPlain", CANARY)]);
    note["category"] = "SECURE_NOTE".into();
    note["additional_information"] = CANARY.into();
    let mut login = item("Postgres (prod)", &[("password", CANARY)]);
    login["category"] = "LOGIN".into();
    let token = item("GitHub Token", &[("credential", CANARY)]);
    let vaults = json!({ "vaults": [
        { "id": "a".repeat(26), "name": "Private", "items": [] },
        { "id": "b".repeat(26), "name": "Work", "items": [token, login, note] },
    ] });
    sandbox.file("double/vaults.json", &vaults.to_string());
    sandbox
}

fn manifest(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("work/oc-secrets.toml")).expect("a manifest")
}

fn written(sandbox: &Sandbox, next: &str) -> String {
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    format!("{path} is written, and allowed until it changes\n{next}\n")
}

const CHECK: &str = "next: oc-secrets check";

#[test]
fn with_vault_and_items_named_nothing_is_asked_and_the_result_works() {
    let sandbox = sandbox();
    let done = sandbox.oc(["init", "--vault", "Work", "--item", "GitHub Token"]);
    assert_eq!(done.done().succeeds(), written(&sandbox, CHECK));
    assert!(sandbox.calls().is_empty());
    let read = sandbox.oc(["read", "GITHUB_TOKEN"]).done().succeeds();
    assert_eq!(read, format!("{CANARY}\n"));
}

#[test]
fn without_a_terminal_there_is_no_question() {
    let sandbox = sandbox();
    let done = sandbox.oc(["init"]).done();
    let next = "next: add a secret to it, then: oc-secrets allow";
    assert_eq!(done.succeeds(), written(&sandbox, next));
    assert!(sandbox.calls().is_empty());
    assert!(manifest(&sandbox).contains("\n[secrets]\n# NAME = "));
    sandbox.oc(["ls"]).done().succeeds();
    let nowhere = sandbox.oc(["init", "--force", "--item", "X"]).done();
    nowhere.fails(
        2,
        "oc-secrets: error: in which vault are these items?\n\
         hint: add --vault NAME; `op vault list` shows the names\n",
    );
}

#[test]
fn on_a_terminal_vault_and_items_are_chosen_by_name_with_one_op_each() {
    let sandbox = sandbox();
    let mut terminal = Terminal::start(sandbox.oc(["init"]), 80);
    terminal
        .shows("  1  Private")
        .shows("  2  Work")
        .shows("Which vault?");
    terminal.types("nothing\n").shows("None of these.");
    terminal.types("2\n").shows("Which of them?");
    terminal
        .types("prod\n")
        .shows("  3  Postgres (prod)\r\nWhich of them?");
    terminal.types("1,3\n");
    let (text, status) = terminal.finish();
    assert!(status.success(), "{text}");
    assert!(text.ends_with(&written(&sandbox, CHECK)), "{text}");
    assert_eq!(sandbox.commands(), ["vault list", "item list"]);
    assert!(!text.contains(CANARY) && !manifest(&sandbox).contains(CANARY));
    let lines = "BACKUP        = { item = \"Backup\", field = \"notesPlain\" }\n\
                 POSTGRES_PROD = { item = \"Postgres (prod)\", field = \"password\" }\n";
    assert!(manifest(&sandbox).contains(lines), "{}", manifest(&sandbox));
    let check = sandbox.oc(["check"]).done().succeeds();
    assert!(check.contains("2 of 2 found"), "{check}");
}

#[test]
fn a_vault_that_was_named_is_not_asked_for() {
    let sandbox = sandbox();
    let run = sandbox.oc(["init", "--vault", "Work"]);
    let mut terminal = Terminal::start(run, 80);
    terminal.shows("Which of them?").types("all\n");
    let (text, status) = terminal.finish();
    assert!(status.success(), "{text}");
    assert_eq!(sandbox.commands(), ["item list"]);
    let absent = Terminal::start(
        sandbox
            .oc(["init", "--force", "--vault", "Wrok"])
            .env("NO_COLOR", "1"),
        80,
    );
    let (text, status) = absent.finish();
    assert_eq!(status.code(), Some(4));
    assert!(
        text.contains("error: no such vault\nhint: `op vault list`"),
        "{text}"
    );
}

#[test]
fn ctrl_c_or_an_end_of_input_in_a_question_writes_nothing() {
    for (typed, code, said) in [
        ("\u{3}", None, ""),
        ("\u{4}", Some(1), "nothing was written"),
    ] {
        for question in ["Which vault?", "Which of them?"] {
            let sandbox = sandbox();
            let mut terminal = Terminal::start(sandbox.oc(["init"]), 80);
            terminal.shows("Which vault?");
            if question != "Which vault?" {
                terminal.types("2\n").shows(question);
            }
            terminal.types(typed);
            let (text, status) = terminal.finish();
            assert_eq!(status.code(), code, "{text}");
            assert!(text.contains(said), "{text}");
            assert!(!sandbox.path("work/oc-secrets.toml").exists());
        }
    }
}

#[test]
fn force_keeps_the_mode_and_follows_no_link_of_another_user() {
    assert!(nix::unistd::geteuid().is_root(), "the tests run as root");
    let sandbox = sandbox();
    let (file, link) = (sandbox.path("keys"), sandbox.path("work/oc-secrets.toml"));
    let set_mode =
        |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("set");
    let mode = || {
        std::fs::metadata(&file)
            .expect("there")
            .permissions()
            .mode()
            & 0o777
    };
    let init = || {
        let words = ["init", "--force", "--vault", "Work", "--item", "X"];
        sandbox.oc(words).done()
    };
    std::fs::write(&file, "ssh-ed25519 AAAA\n").expect("written");
    set_mode(0o600);
    symlink(&file, &link).expect("a link");
    lchown(&link, Some(4247), None).expect("root");
    init().fails(
        2,
        &format!(
            "oc-secrets: error: {0}: cannot be replaced: the link {0} belongs to another user \
             (uid 4247)\nhint: remove the link, or work in another directory\n",
            link.display()
        ),
    );
    let text = || std::fs::read_to_string(&file).expect("there");
    assert_eq!((text(), mode()), ("ssh-ed25519 AAAA\n".to_owned(), 0o600));
    // The control: our own is followed, and stays a link.
    lchown(&link, Some(0), None).expect("root");
    init().succeeds();
    assert!(link.is_symlink() && text().contains("[secrets]"));
    assert_eq!(mode(), 0o600);
    set_mode(0o666);
    init().succeeds();
    assert_eq!(mode(), 0o644, "what others may write is no manifest");
}

#[test]
fn a_manifest_that_is_there_is_replaced_only_by_force() {
    let sandbox = sandbox();
    sandbox.file("work/oc-secrets.toml", "[vars]\nA = '1'\n");
    let refused = sandbox
        .oc(["init", "--vault", "Work", "--item", "X"])
        .done();
    refused.fails(
        2,
        "oc-secrets: error: there is an oc-secrets.toml here already\n\
         hint: see what it holds: oc-secrets ls; or replace it: oc-secrets init --force\n",
    );
    assert_eq!(manifest(&sandbox), "[vars]\nA = '1'\n");
    let forced = sandbox.oc(["init", "--force", "--vault", "Work", "--item", "X"]);
    assert_eq!(forced.done().succeeds(), written(&sandbox, CHECK));
    assert!(manifest(&sandbox).contains("X = { item = \"X\" }"));
}

#[test]
fn a_manifest_that_changes_while_it_asks_is_not_overwritten() {
    let sandbox = sandbox();
    for before in [None, Some("[vars]\nA = '1'\n")] {
        let _ = std::fs::remove_file(sandbox.path("work/oc-secrets.toml"));
        if let Some(before) = before {
            sandbox.file("work/oc-secrets.toml", before);
        }
        let mut terminal = Terminal::start(sandbox.oc(["init", "--force"]), 80);
        terminal
            .shows("Which vault?")
            .types("Work\n")
            .shows("Which of them?");
        sandbox.file("work/oc-secrets.toml", "[vars]\nTHEIRS = '1'\n");
        terminal.types("1\n");
        let (text, status) = terminal.finish();
        assert_eq!(status.code(), Some(2), "{text}");
        assert!(
            text.contains("was changed by another program just now"),
            "{text}"
        );
        assert_eq!(manifest(&sandbox), "[vars]\nTHEIRS = '1'\n");
    }
}

#[test]
fn a_dotenv_file_is_taken_over_and_no_token_is_copied() {
    let sandbox = sandbox();
    sandbox.file(
        "work/.env",
        &format!(
            "export GITHUB_TOKEN=op://Work/GitHub Token/credential\n\
             APP_ENV=production\n\
             DB_PASSWORD=\"{CANARY}\"\n\
             DATABASE_URL=postgres://me:{CANARY}@db/x\n\
             NPM=ghp_{CANARY}\n\
             DB_PW=correcthorse\n\
             LINK=postgresql://db/shop?user=app&password=correcthorse\n\
             WHERE=$HOME/x\n"
        ),
    );
    let done = sandbox.oc(["init", "--from", ".env"]).done();
    let said = "oc-secrets: warning: not copied from .env, since they hold secrets or may: \
                DB_PASSWORD, DATABASE_URL, NPM, DB_PW, LINK, WHERE\n";
    assert_eq!(done.succeeds_saying(said), written(&sandbox, CHECK));
    let text = manifest(&sandbox);
    assert!(!text.contains(CANARY), "{text}");
    assert!(!text.contains("correcthorse"), "{text}");
    assert!(text.contains("#   DATABASE_URL\n"), "{text}");
    assert!(
        text.contains("\n[vars]\nAPP_ENV = \"production\"\n"),
        "{text}"
    );
    let read = sandbox.oc(["read", "GITHUB_TOKEN"]).done().succeeds();
    assert_eq!(read, format!("{CANARY}\n"));
}

#[test]
fn a_line_that_uses_an_earlier_one_is_taken_over_whole_unless_that_one_may_be_a_secret() {
    let sandbox = sandbox();
    let lines = "HOST=db\nURL=postgres://$HOST/x\nPASS=hunter2\nLINK=db/$PASS\n\
        DEEP=$LINK/y\nDIR=$HOME/x\nSUB=${DIR}/y\nT=op://Work/GitHub Token/credential\nU=$T\n";
    sandbox.file("work/.env", lines);
    let init = |run: &[&str]| sandbox.oc([&["init", "--from", ".env"], run].concat());
    // The hook may have loaded this very file.
    let done = init(&[]).env("HOST", "db").env("DIR", "/home/x").done();
    let said = "oc-secrets: warning: not copied from .env, since they hold secrets or may: \
                PASS, LINK, DEEP, DIR, SUB\n";
    assert_eq!(done.succeeds_saying(said), written(&sandbox, CHECK));
    let text = manifest(&sandbox);
    let vars = "\n[vars]\nHOST = \"db\"\nURL  = \"postgres://db/x\"\n";
    assert!(text.contains(vars), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("\nU = "), "{text}");
    let other = init(&["--force"]).env("HOST", "other").done();
    let refusal = "oc-secrets: error: .env:2:16: an earlier line sets this variable, and `op run` \
        takes the other value in its environment\n\
        hint: write the value out, or unset the variable in the environment\n";
    other.fails(2, refusal);
}

#[test]
fn what_cannot_be_used_replaces_no_manifest() {
    let sandbox = sandbox();
    let before = "[vars]\nMINE = '1'\n";
    sandbox.manifest(before);
    let init = |words: &[&str]| sandbox.oc([&["init", "--force"], words].concat()).done();
    init(&["--vault", "", "--item", "X"]).fails(
        2,
        "oc-secrets: error: in which vault are these items?\n\
         hint: add --vault NAME; `op vault list` shows the names\n",
    );
    assert_eq!(manifest(&sandbox), before);
    sandbox.oc(["ls"]).done().succeeds();
    let claw = init(&["--openclaw", "--vault", ""]);
    assert_eq!(claw.succeeds(), written(&sandbox, CHECK), "the control");
}

#[test]
fn an_item_gets_a_name_that_no_plain_value_has() {
    let sandbox = sandbox();
    sandbox.manifest("[vars]\nMINE = '1'\n");
    sandbox.file("work/.env", "GITHUB_PAGE=https://db/x\n");
    let words = ["--from", ".env", "--item", "GitHub Page"];
    let words = [&["init", "--force", "--vault", "Work"], &words[..]].concat();
    let done = sandbox.oc(words).done();
    assert_eq!(done.succeeds(), written(&sandbox, CHECK));
    let text = manifest(&sandbox);
    assert!(text.contains("GITHUB_PAGE_2 = { item ="), "{text}");
    assert!(
        text.contains("\nGITHUB_PAGE = \"https://db/x\"\n"),
        "{text}"
    );
    sandbox.oc(["ls"]).done().succeeds();
}

#[test]
fn openclaw_s_list_can_be_written_out() {
    let sandbox = sandbox();
    let done = sandbox.oc(["init", "--openclaw", "--vault", "Claw"]).done();
    assert_eq!(done.succeeds(), written(&sandbox, CHECK));
    let list = sandbox.oc(["ls"]).done().succeeds();
    assert!(
        list.contains("op://Claw/GitHub GHCR Pull Token/credential"),
        "{list}"
    );
    assert!(
        list.contains("bootstrap  GHCR_TOKEN, TAILSCALE_AUTH_KEY"),
        "{list}"
    );
}

#[test]
fn what_is_in_the_way_is_told_and_nothing_is_left() {
    let sandbox = sandbox();
    sandbox.mode("signed-out");
    let run = sandbox.oc(["init"]).without("OP_SERVICE_ACCOUNT_TOKEN");
    let (text, status) =
        Terminal::start(run.env("OP_SESSION", "x").env("NO_COLOR", "1"), 80).finish();
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains("error: not signed in to 1Password"), "{text}");
    let (text, status) = {
        std::fs::remove_file(sandbox.path("bin/op")).expect("removed");
        Terminal::start(sandbox.oc(["init"]), 80).finish()
    };
    assert_eq!(status.code(), Some(5), "{text}");
    assert!(!sandbox.path("work/oc-secrets.toml").exists());
}
