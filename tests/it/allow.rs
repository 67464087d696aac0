//! `oc-secrets allow`: a manifest that was merely found is used only as somebody has seen it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use nix::pty::openpty;

use crate::sandbox::{CANARY, Run, Sandbox};

const MANIFEST: &str = "[secrets]\nA = 'op://Vault/Item/A'\n[vars]\nURL = 'https://example.org'\n";

/// A world whose manifest nobody has looked at.
fn cloned(text: &str) -> Sandbox {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.oc(["deny"]).done();
    sandbox.file("work/oc-secrets.toml", text);
    sandbox
}

fn refusal(sandbox: &Sandbox, state: &str) -> String {
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    format!(
        "oc-secrets: error: {path} {state}\n\
         hint: look at it, then: oc-secrets allow; or name it: --manifest {path}\n"
    )
}

#[test]
fn a_found_manifest_that_nobody_has_looked_at_is_refused_by_every_command() {
    let sandbox = cloned(MANIFEST);
    let refusal = refusal(&sandbox, "has not been allowed yet");
    for (words, code, stdout) in [
        (&["exec", "--", "env"][..], 125, ""),
        (&["env"], 2, "false\n"),
        (&["read", "A"], 2, ""),
        (&["check"], 2, ""),
    ] {
        let done = sandbox.oc(words).done();
        let seen = (done.status.code(), done.text(), done.stderr.as_str());
        assert_eq!(seen, (Some(code), stdout.to_owned(), refusal.as_str()));
    }
    assert!(sandbox.calls().is_empty(), "`op` was not started");
    // Named, it needs nobody's leave: the control.
    let named = sandbox.oc(["--manifest", "oc-secrets.toml", "read", "A"]);
    assert_eq!(named.done().succeeds(), format!("{CANARY}\n"));
}

#[test]
fn allow_shows_what_is_handed_out_and_then_it_is_used() {
    let sandbox = cloned(MANIFEST);
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    let shown = format!(
        "{path} hands these to the commands that you run with it:\n\n\
         from the vault Vault\n  A    op://Vault/Item/A\n\n\
         plain values\n  URL  https://example.org\n"
    );
    let asked = sandbox.oc(["allow"]).done();
    assert_eq!(
        (asked.status.code(), asked.text()),
        (Some(2), shown.clone())
    );
    let done = sandbox.oc(["allow", "--yes"]).done();
    let note = format!("oc-secrets: {path} is allowed until it changes\n");
    assert_eq!(done.succeeds_saying(&note), shown);
    assert_eq!(
        sandbox.oc(["read", "A"]).done().succeeds(),
        format!("{CANARY}\n")
    );
    let again = format!("oc-secrets: {path} is allowed already\n");
    sandbox.oc(["allow"]).done().succeeds_saying(&again);
    let gone = format!("oc-secrets: {path} is no longer allowed\n");
    sandbox.oc(["deny"]).done().succeeds_saying(&gone);
    let refusal = refusal(&sandbox, "has not been allowed yet");
    sandbox.oc(["read", "A"]).done().fails(2, &refusal);
}

#[test]
fn the_hint_allows_the_manifest_that_was_shown_and_no_other() {
    let sandbox = cloned("[vars]\nHERE = '1'\n");
    std::fs::create_dir(sandbox.path("work/a vendor")).expect("made");
    sandbox.file("work/a vendor/oc-secrets.toml", MANIFEST);
    let vendor = sandbox.path("work/a vendor/oc-secrets.toml");
    let vendor = vendor.display().to_string();
    for words in [
        &["allow", "a vendor/oc-secrets.toml"][..],
        &["allow", "--manifest", "a vendor/oc-secrets.toml"],
    ] {
        let asked = sandbox.oc(words).done();
        assert!(asked.text().starts_with(&vendor), "{}", asked.text());
        let hint = format!("oc-secrets allow --yes '{vendor}'");
        assert_eq!(
            (asked.status.code(), asked.stderr.as_str()),
            (
                Some(2),
                format!(
                    "oc-secrets: error: cannot ask: standard input is not a terminal\n\
                     hint: read what it hands out, then: {hint}\n"
                )
                .as_str()
            )
        );
        let program = Path::new(env!("CARGO_BIN_EXE_oc-secrets"));
        let folder = program.parent().expect("a folder").display();
        let typed = format!("PATH={folder}:$PATH; {hint}");
        let typed = sandbox.run(Path::new("/bin/sh"), ["-c", &typed]).done();
        assert_eq!(typed.status.code(), Some(0), "{}", typed.stderr);
        let exec = |directory: &str| {
            let run = sandbox.oc(["exec", "--", "true"]);
            run.in_directory(&sandbox.path(directory)).done()
        };
        assert_eq!(exec("work").status.code(), Some(125));
        exec("work/a vendor").succeeds();
        sandbox.oc(["deny", &vendor]).done();
    }
}

#[test]
fn a_plain_value_that_alone_has_changed_is_named() {
    let sandbox = cloned(MANIFEST);
    sandbox.oc(["allow", "--yes"]).done();
    sandbox.file(
        "work/oc-secrets.toml",
        &MANIFEST.replace("example.org", "evil.example"),
    );
    let refusal = refusal(&sandbox, "has changed since it was allowed");
    sandbox.oc(["read", "A"]).done().fails(2, &refusal);
    let text = sandbox.oc(["allow", "--yes"]).done().text();
    assert!(
        text.contains("\n! URL  https://evil.example  (changed)\n"),
        "{text}"
    );
    assert!(text.contains("\n  A    op://Vault/Item/A\n"), "{text}");
}

#[test]
fn whose_secrets_are_meant_is_marked_where_it_has_changed() {
    let manifest = |before: &str, item: &str| {
        format!("{before}vault = \"V\"\n[secrets]\nA = {item}\nB = {{ item = \"b\" }}\n")
    };
    let sandbox = cloned(&manifest("account = \"mine\"\n", "\"op://V/a/b/c\""));
    sandbox.oc(["allow", "--yes"]).done();
    let other = manifest("account = \"evil\"\n", "{ item = \"a/b\", field = \"c\" }");
    let other = format!("{other}[cache]\nttl = \"12h\"\n");
    sandbox.file("work/oc-secrets.toml", &other);
    let text = sandbox.oc(["allow", "--yes"]).done().text();
    for line in [
        "! account  evil  (changed)",
        "+ cache    kept by the kernel for 43200 s  (new)",
        "! A        op://V/a/b/c  (changed)",
        "  B        op://V/b/credential",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    sandbox.file("work/oc-secrets.toml", &manifest("", "\"op://V/a/b/c\""));
    let text = sandbox.oc(["allow", "--yes"]).done().text();
    assert!(text.contains("\n- account"), "{text}");
}

#[test]
fn the_records_hold_no_plain_value() {
    let sandbox = cloned(MANIFEST);
    sandbox.oc(["allow", "--yes"]).done();
    let records = sandbox.path("home/.local/state/oc-secrets/allowed");
    let mode = records.metadata().expect("made").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let mut read = 0;
    for entry in std::fs::read_dir(&records).expect("a directory") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        assert!(!text.contains("example.org"), "{text}");
        assert!(text.contains("op://Vault/Item/A"), "the control: {text}");
        read += 1;
    }
    assert_eq!(read, 1);
}

#[test]
fn what_would_move_the_cursor_or_turn_the_text_is_shown_escaped() {
    let sandbox = cloned("[vars]\nA = \"x\\u001b[2Jy\"\nB = \"a\\u202eb\\u200bc\"\n");
    let text = sandbox.oc(["allow", "--yes"]).done().text();
    assert!(
        text.contains("  A  x\\u{1b}[2Jy\n  B  a\\u{202e}b\\u{200b}c\n"),
        "{text}"
    );
}

#[test]
fn another_copy_of_the_same_manifest_asks_for_itself() {
    let sandbox = cloned(MANIFEST);
    sandbox.oc(["allow", "--yes"]).done();
    let git = |words: &[&str]| {
        let run = sandbox.run(Path::new("git"), words);
        run.in_directory(&sandbox.path("work")).done().succeeds();
    };
    git(&["init", "--quiet"]);
    git(&["add", "oc-secrets.toml"]);
    let author = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
    git(&[&author[..], &["commit", "--quiet", "--message=first"]].concat());
    git(&["worktree", "add", "--quiet", "../worktree"]);
    let elsewhere = sandbox.path("worktree");
    let run = sandbox.oc(["read", "A"]).in_directory(&elsewhere);
    assert_eq!(run.done().status.code(), Some(2));
    // A link leads to what was allowed, and it is the same file.
    std::fs::remove_file(elsewhere.join("oc-secrets.toml")).expect("removed");
    symlink(
        sandbox.path("work/oc-secrets.toml"),
        elsewhere.join("oc-secrets.toml"),
    )
    .expect("a link");
    let run = sandbox.oc(["read", "A"]).in_directory(&elsewhere);
    assert_eq!(run.done().succeeds(), format!("{CANARY}\n"));
}

#[test]
fn names_that_steer_programs_are_refused_in_a_found_manifest_only() {
    let sandbox = cloned("[vars]\nGIT_HTTP_USER_AGENT = 'x'\n");
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    sandbox.oc(["allow", "--yes"]).done().fails(
        2,
        &format!(
            "oc-secrets: error: {path}:2:1: `GIT_HTTP_USER_AGENT`: this name steers git, so a manifest that was found and not named may not set it\n\
             hint: set it in the command itself: oc-secrets exec -- env NAME=VALUE CMD\n"
        ),
    );
    let named = [
        "--manifest",
        "oc-secrets.toml",
        "exec",
        "--",
        "sh",
        "-c",
        "echo $GIT_HTTP_USER_AGENT",
    ];
    assert_eq!(sandbox.oc(named).done().succeeds(), "x\n");
}

/// Runs `allow` on a pseudo-terminal; `meanwhile` happens before the answer is typed.
fn on_a_terminal(mut run: Run, meanwhile: impl FnOnce(), answer: &str) -> (Option<i32>, String) {
    let pty = openpty(None, None).expect("a pseudo-terminal");
    let (mut ours, theirs) = (std::fs::File::from(pty.master), pty.slave);
    let stdio = || Stdio::from(theirs.try_clone().expect("a descriptor"));
    run.command().stdin(stdio()).stdout(stdio()).stderr(stdio());
    let mut child = run.command().spawn().expect("it starts");
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"[y/N] ") && ours.read(&mut byte).expect("it asks") == 1 {
        seen.push(byte[0]);
    }
    meanwhile();
    ours.write_all(answer.as_bytes()).expect("typed");
    let status = child.wait().expect("it ends");
    (status.code(), String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn a_terminal_is_asked_and_anything_but_yes_is_no() {
    let sandbox = cloned(MANIFEST);
    for (answer, code) in [("\n", 1), ("n\n", 1), ("yes please\n", 1), ("y\n", 0)] {
        let (status, seen) = on_a_terminal(sandbox.oc(["allow"]), || (), answer);
        assert_eq!(status, Some(code), "{answer:?}: {seen}");
        assert!(seen.ends_with("Allow it? [y/N] "), "{seen}");
        assert_eq!(sandbox.oc(["read", "A"]).done().status.success(), code == 0);
    }
}

#[test]
fn a_file_that_is_swapped_while_it_asks_is_not_what_was_allowed() {
    let sandbox = cloned(MANIFEST);
    let swap = || {
        sandbox.file(
            "work/oc-secrets.toml",
            &MANIFEST.replace("example.org", "evil.example"),
        );
    };
    let (status, _) = on_a_terminal(sandbox.oc(["allow"]), swap, "y\n");
    assert_eq!(status, Some(0));
    let refusal = refusal(&sandbox, "has changed since it was allowed");
    sandbox.oc(["read", "A"]).done().fails(2, &refusal);
}

#[test]
fn root_does_not_believe_the_records_of_the_user_whose_home_it_has() {
    if !nix::unistd::geteuid().is_root() {
        return assert_eq!(std::env::var_os("CI"), None, "CI runs this as root");
    }
    let sandbox = cloned(MANIFEST);
    sandbox.oc(["allow", "--yes"]).done();
    let records = sandbox.path("home/.local/state/oc-secrets/allowed");
    assert!(
        sandbox.oc(["read", "A"]).done().status.success(),
        "the control"
    );
    std::os::unix::fs::chown(&records, Some(4242), None).expect("chown");
    let refusal = refusal(&sandbox, "has not been allowed yet");
    sandbox.oc(["read", "A"]).done().fails(2, &refusal);
}

#[test]
fn the_built_in_list_is_announced_unless_it_was_named() {
    let sandbox = Sandbox::new();
    let note = "oc-secrets: no oc-secrets.toml found: using the built-in list for OpenClaw\n";
    let said = |words: &[&str]| sandbox.oc(words).done().stderr.starts_with(note);
    assert!(said(&["check"]));
    assert!(!said(&["--manifest", "builtin", "check"]));
    assert!(!said(&["--quiet", "check"]));
    assert!(!said(&["demo"]));
}

#[test]
fn below_the_home_directory_the_nearest_manifest_above_is_found() {
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    sandbox.file("home/oc-secrets.toml", MANIFEST);
    std::fs::create_dir_all(sandbox.path("home/deep/er")).expect("made");
    let deep = sandbox.path("home/deep/er");
    let run = |words: &[&str]| sandbox.oc(words).in_directory(&deep);
    assert!(run(&["allow", "--yes"]).done().status.success());
    assert_eq!(run(&["read", "A"]).done().succeeds(), format!("{CANARY}\n"));
}

#[test]
fn a_repository_of_somebody_else_above_us_is_none() {
    if !nix::unistd::geteuid().is_root() {
        return assert_eq!(std::env::var_os("CI"), None, "CI runs this as root");
    }
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("shared/.git")).expect("made");
    std::fs::create_dir_all(sandbox.path("shared/ours")).expect("made");
    sandbox.file("shared/oc-secrets.toml", MANIFEST);
    for path in ["shared/.git", "shared/oc-secrets.toml"] {
        std::os::unix::fs::chown(sandbox.path(path), Some(4242), None).expect("chown");
    }
    let ours = sandbox.path("shared/ours");
    let check = || sandbox.oc(["check"]).in_directory(&ours).done();
    assert!(
        check().stderr.contains("using the built-in list"),
        "{}",
        check().stderr
    );
    // The control: in a repository of ours that file would stop us.
    std::os::unix::fs::chown(sandbox.path("shared/.git"), Some(0), None).expect("chown");
    assert!(
        check().stderr.contains("belongs to another user"),
        "{}",
        check().stderr
    );
}

#[test]
fn under_sudo_the_hint_says_why_what_was_allowed_does_not_count() {
    let sandbox = cloned(MANIFEST);
    let path = sandbox.path("work/oc-secrets.toml").display().to_string();
    let done = sandbox.oc(["check"]).env("SUDO_USER", "me").done();
    let hint = match nix::unistd::geteuid().is_root() {
        true => format!(
            "under sudo, what you have allowed yourself does not count: name it with --manifest {path}, \
             or put sudo behind: oc-secrets exec -- sudo --preserve-env=NAMES CMD"
        ),
        // The variable alone makes nobody root.
        false => format!("look at it, then: oc-secrets allow; or name it: --manifest {path}"),
    };
    assert!(
        done.stderr.ends_with(&format!("\nhint: {hint}\n")),
        "{}",
        done.stderr
    );
}

/// What was allowed elsewhere would be handed to what runs in a directory of theirs.
#[test]
fn a_link_of_somebody_else_leads_nowhere() {
    assert!(nix::unistd::geteuid().is_root(), "these tests run as root");
    let sandbox = cloned(MANIFEST);
    sandbox.oc(["allow", "--yes"]).done();
    let shared = sandbox.path("shared");
    std::fs::create_dir(&shared).expect("made");
    let link = shared.join("oc-secrets.toml");
    symlink(sandbox.path("work/oc-secrets.toml"), &link).expect("a link");
    let read = || sandbox.oc(["read", "A"]).in_directory(&shared).done();
    assert_eq!(
        read().succeeds(),
        format!("{CANARY}\n"),
        "the control: ours"
    );
    std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).expect("given away");
    let done = read();
    assert_eq!(done.status.code(), Some(2));
    assert!(done.stderr.contains("belongs to"), "{}", done.stderr);
}

#[test]
fn hosts_that_would_ask_are_shown_and_no_letter_is_invisible() {
    let text = format!(
        "{MANIFEST}\n[registries.\"evil.example\"]\nsecret = \"A\"\n[git.\"git.example\"]\nsecret = \"A\"\n"
    );
    let shown = cloned(&text).oc(["allow", "--yes"]).done().text();
    assert!(shown.contains("evil.example asks for A"), "{shown}");
    assert!(shown.contains("git.example asks for A"), "{shown}");
    let hidden = cloned("[vars]\nA = \"x\u{3164}y\u{fe0f}\"\n");
    let shown = hidden.oc(["allow", "--yes"]).done().text();
    assert!(shown.contains("x\\u{3164}y\\u{fe0f}"), "{shown}");
}

#[test]
fn allow_and_deny_act_on_the_manifest_that_is_named() {
    let sandbox = cloned(MANIFEST);
    std::fs::create_dir(sandbox.path("work/sub")).expect("made");
    sandbox.file("work/sub/oc-secrets.toml", MANIFEST);
    let inner = sandbox.path("work/sub/oc-secrets.toml");
    let inner = inner.display().to_string();
    let named = |words: &[&str]| sandbox.oc([&["--manifest", &inner], words].concat()).done();
    let allowed = format!("oc-secrets: {inner} is allowed until it changes\n");
    named(&["allow", "--yes"]).succeeds_saying(&allowed);
    let outer = refusal(&sandbox, "has not been allowed yet");
    sandbox.oc(["read", "A"]).done().fails(2, &outer);
    let same = named(&["allow", "sub/oc-secrets.toml"]);
    same.succeeds_saying(&format!("oc-secrets: {inner} is allowed already\n"));
    let two = "oc-secrets: error: two manifests are named: one as FILE, one by --manifest\n\
               hint: name one of them, and call this again for the other\n";
    named(&["allow", "--yes", "oc-secrets.toml"]).fails(2, two);
    named(&["deny", "oc-secrets.toml"]).fails(2, two);
    let gone = format!("oc-secrets: {inner} is no longer allowed\n");
    named(&["deny"]).succeeds_saying(&gone);
}
