//! The hook of `oc-secrets shell`, in real shells that are typed at, and `use oc_secrets` in direnv.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::sandbox::{CANARY, Run, Sandbox};
use crate::terminal::Terminal;

/// A world with our program on PATH.
fn world() -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("A", CANARY), ("B", "other")]);
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    symlink(program, sandbox.path("bin/oc-secrets")).expect("linked");
    // A repository, up to whose root a manifest is looked for.
    for directory in ["work/.git", "work/deep"] {
        std::fs::create_dir(sandbox.path(directory)).expect("made");
    }
    sandbox
}

fn shell(sandbox: &Sandbox, shell: &str, words: &[&str]) -> Run {
    sandbox
        .run(Path::new(shell), words)
        .env("PS1", "$ ")
        .env("LANG", "C.UTF-8")
        .in_directory(&sandbox.path("home"))
}

/// Goes in and out of the directory, in a shell where `setup` puts the hook in place.
fn check(name: &str, words: &[&str], setup: &str) {
    let sandbox = world();
    let run = shell(&sandbox, name, words).env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    let mut terminal = Terminal::start(run, 200);
    let work = sandbox.path("work").display().to_string();
    // The marks are typed in two parts, so that they are seen only when they are printed.
    terminal
        .types(&format!("{setup}; echo rea'dy'\r"))
        .shows("ready");
    terminal.types("export B=mine\r");
    terminal
        .types(&format!("cd {work}\r"))
        .shows("A is loaded from");
    terminal
        .types("sh -c 'echo \"<$A $B>\"'\r")
        .shows(&format!("<{CANARY} mine>"));
    terminal
        .forget()
        .types("cd deep\r")
        .types("sh -c 'echo \"[$A]\"'\r");
    terminal.shows(&format!("[{CANARY}]"));
    assert!(!terminal.text().contains("loaded"), "{}", terminal.text());
    assert_eq!(sandbox.calls().len(), 1);
    terminal
        .types("cd /\r")
        .types("sh -c 'echo \"{$A $B}\"'\r")
        .shows("{ mine}");
    sandbox.file(
        "work/oc-secrets.toml",
        "[secrets]\nA = 'op://Vault/Item/B'\n",
    );
    terminal.forget().types(&format!("cd {work}\r"));
    terminal
        .shows("nothing is loaded")
        .shows("oc-secrets allow");
    terminal
        .forget()
        .types("oc-secrets allow --yes\r")
        .shows("A is loaded from");
    terminal
        .types("sh -c 'echo \"(${A}-)\"'\r")
        .shows("(other-)");
    terminal.types("exit\r");
    terminal.ends();
}

#[test]
fn bash_loads_and_unloads() {
    let setup = "eval \"$(oc-secrets shell bash)\"";
    check("bash", &["--norc", "--noprofile", "-i"], setup);
}

#[test]
fn zsh_loads_and_unloads() {
    check("zsh", &["-f", "-i"], "eval \"$(oc-secrets shell zsh)\"");
}

#[test]
fn fish_loads_and_unloads() {
    check(
        "fish",
        &["--no-config", "-i"],
        "oc-secrets shell fish | source",
    );
}

#[test]
fn a_prompt_of_1password_is_never_caused_and_what_to_type_is_said_once() {
    let sandbox = world();
    let run = shell(&sandbox, "bash", &["--norc", "--noprofile", "-i"]);
    let mut terminal = Terminal::start(run, 200);
    terminal
        .types("eval \"$(oc-secrets shell bash)\"; echo rea'dy'\r")
        .shows("ready");
    let work = sandbox.path("work").display().to_string();
    terminal.types(&format!("cd {work}\r"));
    terminal.shows("1Password would have to ask you first; eval \"$(oc-secrets env)\"");
    terminal.forget().types("echo \"<$A>\"\r").shows("<>");
    terminal.types("cd deep; echo do'ne'\r").shows("done");
    assert!(
        !terminal.text().contains("would have to ask"),
        "{}",
        terminal.text()
    );
    assert!(sandbox.calls().is_empty(), "`op` was not started");
    terminal.types("exit\r");
    terminal.ends();
}

#[test]
fn direnv_loads_and_fails_when_signed_out() {
    let sandbox = world();
    let library = sandbox.oc(["shell", "direnv"]).done().succeeds();
    std::fs::create_dir_all(sandbox.path("home/.config/direnv/lib")).expect("made");
    sandbox.file("home/.config/direnv/lib/oc-secrets.sh", &library);
    sandbox.file("work/.envrc", "use oc_secrets --only A\n");
    let direnv = |words: &[&str]| {
        sandbox
            .run(Path::new("direnv"), words)
            .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
    };
    assert!(direnv(&["allow", "."]).done().status.success());
    let words = ["exec", ".", "sh", "-c", "echo \"$A-$B\""];
    assert_eq!(direnv(&words).done().text(), format!("{CANARY}-\n"));
    sandbox.mode("bad-token");
    let done = direnv(&words).done();
    assert_eq!((done.status.success(), done.text()), (false, String::new()));
}
