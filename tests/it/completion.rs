//! Completion in real shells: Tab is pressed, and what is then on the line is run.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::sandbox::{CANARY, Sandbox};
use crate::terminal::Terminal;

const MANIFEST: &str = "[secrets]\n\
    GHCR_TOKEN = 'op://Vault/Item/GHCR_TOKEN'\n\
    OTHER = 'op://Vault/Item/OTHER'\n\
    [profiles]\ndeploy = { secrets = ['OTHER'] }\n";

/// A world with our program on PATH, and a manifest that was not allowed.
fn world() -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("GHCR_TOKEN", CANARY), ("OTHER", "other-value")]);
    sandbox.oc(["deny"]).done();
    sandbox.file("work/oc-secrets.toml", MANIFEST);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    symlink(program, sandbox.path("bin/oc-secrets")).expect("linked");
    sandbox
}

/// Types `setup` at `shell`, then lines with Tab in them.
fn check(shell: &str, words: &[&str], setup: &str) {
    let sandbox = world();
    let run = sandbox
        .run(Path::new(shell), words)
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .env("PS1", "$ ")
        .env("LANG", "C.UTF-8");
    let mut terminal = Terminal::start(run, 100);
    // The marks are typed in two parts, so that they are seen only when they are printed.
    terminal.types(&format!("{setup}; echo rea'dy'\r"));
    terminal.shows("ready");
    // elvish quotes the comma, and lets one look at that before Enter: hence a second one below.
    // The name, by the manifest, without `op` and although nobody allowed it.
    terminal.types("echo oc=1; oc-secrets read GHC\t\r");
    terminal.shows("oc-secrets allow");
    assert!(sandbox.calls().is_empty(), "completion asked op");
    sandbox.oc(["allow", "--yes"]).done();
    terminal.forget().types("oc-secrets rea\tGHC\t\r");
    terminal.shows(CANARY);
    terminal.forget().types("oc-secrets check --prof\tdep\t\r");
    terminal.shows("1 of 1 found");
    terminal
        .forget()
        .types("oc-secrets env --format js\t --show --only OTHER,GH\t\r\r");
    terminal.shows("other-value").shows(CANARY);
    terminal
        .forget()
        .types("oc-secrets exec --only OTHER -- printen\t OTHER\r");
    terminal.shows("other-value");
    std::fs::write(sandbox.path("work/a-manifest.toml"), MANIFEST).expect("written");
    terminal
        .forget()
        .types("oc-secrets --manifest a-man\tread OTH\t\r");
    terminal.shows("other-value");
    terminal.types("exit\r");
    terminal.ends();
}

#[test]
fn bash_completes() {
    let setup = "eval \"$(oc-secrets completions bash)\"";
    check("bash", &["--norc", "--noprofile", "-i"], setup);
}

/// What the first Tab puts on the line, the second one has to understand.
#[test]
fn bash_completes_a_list_and_quoted_words() {
    let sandbox = world();
    let manifest = "[secrets]\nGHCR_TOKEN = 'op://Vault/Item/GHCR_TOKEN'\n\
        OTHER = 'op://Vault/Item/OTHER'\nTHIRD = 'op://Vault/Item/OTHER'\n\
        [profiles]\n'big one' = { secrets = ['OTHER'] }\n";
    sandbox.manifest(manifest);
    let run = sandbox.run(Path::new("bash"), ["--norc", "--noprofile", "-i"]);
    let run = run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    let mut terminal = Terminal::start(run.env("PS1", "$ "), 100);
    terminal.types("eval \"$(oc-secrets completions bash)\"; echo rea'dy'\r");
    terminal.shows("ready");
    terminal
        .forget()
        .types("oc-secrets env --show --only OTHER,\t\tGH\t\r");
    terminal.shows("export GHCR_TOKEN=").shows("other-value");
    for typed in ["big\\ o\t", "'big o\t"] {
        terminal
            .forget()
            .types(&format!("oc-secrets check --profile {typed}\r"));
        terminal.shows("1 of 1 found");
    }
    terminal
        .forget()
        .types("oc-secrets read \"$(touch touched)\"GH\t\x15exit\r");
    terminal.ends();
    assert!(!sandbox.path("work/touched").exists(), "Tab ran the line");
}

#[test]
fn zsh_completes() {
    let setup = "autoload -U compinit; compinit -u; source <(oc-secrets completions zsh)";
    check("zsh", &["-f", "-i"], setup);
}

#[test]
fn fish_completes() {
    check(
        "fish",
        &["--no-config", "-i"],
        "oc-secrets completions fish | source",
    );
}

#[test]
fn elvish_completes() {
    check(
        "elvish",
        &["-norc"],
        "eval (oc-secrets completions elvish | slurp)",
    );
}

#[test]
fn completion_of_a_broken_manifest_says_nothing() {
    let sandbox = world();
    sandbox.file("work/oc-secrets.toml", "this is no TOML");
    let words = ["complete", "--", "oc-secrets", "read", ""];
    assert_eq!(sandbox.oc(words).done().succeeds(), "words\n");
    let words = ["complete", "--", "oc-secrets", "rea"];
    assert_eq!(
        sandbox.oc(words).done().succeeds(),
        "words\nread\tPrint one secret\n"
    );
}

#[test]
fn every_shell_has_a_script_and_man_prints_roff_where_there_is_no_terminal() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell", "nu"] {
        let text = sandbox.oc(["completions", shell]).done().succeeds();
        assert!(text.contains("openclaw-deploy"), "{shell}: {text}");
    }
    let page = sandbox.oc(["man", "docker", "install"]).done().succeeds();
    assert!(page.contains(".TH oc-secrets-docker-install 1"), "{page}");
    let hint = "oc-secrets: error: no manual page for `exce`\nhint: did you mean `exec`?\n";
    sandbox.oc(["man", "exce"]).done().fails(2, hint);
}

#[test]
fn on_a_terminal_man_shows_the_page() {
    let sandbox = Sandbox::new();
    let run = sandbox.oc(["man", "exec"]).env("MANPAGER", "cat");
    let mut terminal = Terminal::start(run, 100);
    terminal.shows("oc-secrets-exec - Run a command");
    assert!(terminal.ends().success());
    assert!(!terminal.text().contains(".SH"), "{}", terminal.text());
}
