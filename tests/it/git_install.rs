//! `oc-secrets git`: the real git, asked by `git credential fill`, and its own files.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use crate::sandbox::{CANARY, Done, Run, Sandbox, item};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.vault(json!([item("Item", &[("TOKEN", "ghp_x")])]));
    std::fs::create_dir_all(sandbox.path("home/.config/oc-secrets")).expect("a folder");
    sandbox.file(
        "home/.config/oc-secrets/oc-secrets.toml",
        "[secrets]\nTOKEN = 'op://Vault/Item/TOKEN'\n\
         [git.\"github.com\"]\nsecret = 'TOKEN'\n[git.\"gitlab.com\"]\nsecret = 'TOKEN'\n",
    );
    let built = Path::new(env!("CARGO_BIN_EXE_oc-secrets")).with_file_name("git-credential-oc");
    symlink(built, sandbox.path("bin/git-credential-oc")).expect("a link");
    sandbox
}

fn git(sandbox: &Sandbox, words: &[&str]) -> Run {
    let run = sandbox.run(Path::new("git"), words);
    run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .env("GIT_TERMINAL_PROMPT", "0")
}

/// What git finds out for `host`.
fn fill(sandbox: &Sandbox, host: &str) -> Done {
    let question = format!("protocol=https\nhost={host}\n\n");
    git(sandbox, &["credential", "fill"]).input(question).done()
}

fn helpers(sandbox: &Sandbox, key: &str) -> String {
    git(sandbox, &["config", "--global", "--get-all", key])
        .done()
        .text()
}

const GITHUB: &str = "credential.https://github.com.helper";

#[test]
fn git_asks_for_the_hosts_of_the_manifest_and_no_longer_after_uninstall() {
    let sandbox = sandbox();
    let none = sandbox.oc(["git", "status"]).done().succeeds();
    assert!(
        none.ends_with("git\n  github.com  not wired\n  gitlab.com  not wired\n"),
        "{none}"
    );
    let installed = sandbox.oc(["git", "install"]).done().succeeds();
    assert_eq!(installed, "github.com: changed\ngitlab.com: changed\n");
    for host in ["github.com", "gitlab.com"] {
        let text = fill(&sandbox, host).text();
        assert!(text.contains("password=ghp_x\n"), "{text}");
    }
    assert!(!fill(&sandbox, "example.org").status.success());
    let again = sandbox.oc(["git", "install"]).done().succeeds();
    assert_eq!(again, "github.com: unchanged\ngitlab.com: unchanged\n");
    let status = sandbox.oc(["git", "status"]).done().succeeds();
    assert!(
        status.contains("  github.com  asks oc-secrets\n"),
        "{status}"
    );
    let gone = sandbox.oc(["git", "uninstall"]).done().succeeds();
    assert_eq!(gone, "github.com: changed\ngitlab.com: changed\n");
    assert!(!fill(&sandbox, "github.com").status.success());
    assert_eq!(
        sandbox.oc(["git", "uninstall"]).done().succeeds(),
        "git: unchanged\n"
    );
}

#[test]
fn the_helpers_that_are_there_stay() {
    let sandbox = sandbox();
    git(
        &sandbox,
        &[
            "config",
            "--global",
            "credential.helper",
            "cache --timeout 9",
        ],
    )
    .done()
    .succeeds();
    git(&sandbox, &["config", "--global", "--add", GITHUB, ""])
        .done()
        .succeeds();
    git(&sandbox, &["config", "--global", "--add", GITHUB, "!true"])
        .done()
        .succeeds();
    git(&sandbox, &["config", "--global", "user.name", "Me"])
        .done()
        .succeeds();
    let before = std::fs::read_to_string(sandbox.path("home/.gitconfig")).expect("a file");
    let done = sandbox
        .oc(["git", "install", "--host", "github.com"])
        .done();
    done.succeeds_saying("oc-secrets: github.com: git asks `!true` first\n");
    assert_eq!(helpers(&sandbox, GITHUB), "\n!true\noc\n");
    assert_eq!(
        helpers(&sandbox, "credential.helper"),
        "cache --timeout 9\n"
    );
    let status = sandbox
        .oc(["git", "status", "--host", "github.com"])
        .done()
        .succeeds();
    assert!(status.contains("asks `!true`, then oc-secrets"), "{status}");
    let other = sandbox
        .oc(["git", "status", "--host", "gitlab.com"])
        .done()
        .succeeds();
    assert!(
        other.contains("not wired: asks `cache --timeout 9`"),
        "{other}"
    );
    sandbox.oc(["git", "uninstall"]).done().succeeds();
    let after = std::fs::read_to_string(sandbox.path("home/.gitconfig")).expect("a file");
    assert_eq!(after, before);
}

#[test]
fn the_helper_that_writes_passwords_into_a_file_does_not_get_this_one() {
    let sandbox = sandbox();
    git(
        &sandbox,
        &["config", "--global", "credential.helper", "store"],
    )
    .done()
    .succeeds();
    let before = std::fs::read_to_string(sandbox.path("home/.gitconfig")).expect("a file");
    let approve = || {
        let worked = "protocol=https\nhost=github.com\nusername=x-access-token\npassword=ghp_x\n\n";
        git(&sandbox, &["credential", "approve"])
            .input(worked)
            .done()
            .succeeds();
        std::fs::read_to_string(sandbox.path("home/.git-credentials")).unwrap_or_default()
    };
    let done = sandbox
        .oc(["git", "install", "--host", "github.com"])
        .done();
    done.succeeds_saying(
        "oc-secrets: github.com: the helper `store` is left out, since it would write the password \
         into a file\n",
    );
    assert!(
        fill(&sandbox, "github.com")
            .text()
            .contains("password=ghp_x\n")
    );
    assert_eq!(approve(), "");
    sandbox.oc(["git", "uninstall"]).done().succeeds();
    let after = std::fs::read_to_string(sandbox.path("home/.gitconfig")).expect("a file");
    assert_eq!(after, before);
    // The control: without us it would have been written.
    assert!(approve().contains("ghp_x"));
}

/// What `store` has after git was told that a password of `user` worked at github.com.
fn stored(sandbox: &Sandbox, user: &str) -> String {
    let file = sandbox.path("home/.git-credentials");
    let _ = std::fs::remove_file(&file);
    let worked = format!(
        "protocol=https\nhost=github.com\npath=owner/x\nusername={user}\npassword=ghp_x\n\n"
    );
    git(sandbox, &["credential", "approve"])
        .input(worked)
        .done()
        .succeeds();
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Keys of git that are not the host's own, and are taken for it all the same.
const WIDER_OR_NARROWER: [&str; 4] = [
    "credential.https://*.com.helper",
    "credential.https://me@github.com.helper",
    "credential.https://github.com/owner.helper",
    "credential.github.com.helper",
];

#[test]
fn store_by_a_pattern_a_user_or_a_path_does_not_get_the_password() {
    for key in WIDER_OR_NARROWER {
        let sandbox = sandbox();
        git(&sandbox, &["config", "--global", key, "store"])
            .done()
            .succeeds();
        assert!(stored(&sandbox, "me").contains("ghp_x"), "control: {key}");
        let before = std::fs::read_to_string(sandbox.path("home/.gitconfig")).expect("a file");
        let install = || {
            sandbox
                .oc(["git", "install", "--host", "github.com"])
                .done()
        };
        install().succeeds_saying(
            "oc-secrets: github.com: the helper `store` is left out, since it would write the \
             password into a file\n",
        );
        assert_eq!(stored(&sandbox, "me"), "", "{key}");
        assert_eq!(helpers(&sandbox, key), "store\n");
        assert_eq!(install().succeeds(), "github.com: unchanged\n");
        sandbox.oc(["git", "uninstall"]).done().succeeds();
        let after = std::fs::read_to_string(sandbox.path("home/.gitconfig")).expect("a file");
        assert_eq!(after, before, "{key}");
        // One that came after ours: ours goes behind it.
        install();
        git(&sandbox, &["config", "--global", "--unset-all", key])
            .done()
            .succeeds();
        git(&sandbox, &["config", "--global", key, "store"])
            .done()
            .succeeds();
        assert!(stored(&sandbox, "me").contains("ghp_x"), "control: {key}");
        install();
        assert_eq!(stored(&sandbox, "me"), "", "{key}");
    }
}

#[test]
fn store_that_cannot_be_left_out_is_told_with_the_command_that_mends_it() {
    for key in WIDER_OR_NARROWER {
        let sandbox = sandbox();
        let file = sandbox.path("home/.gitconfig").display().to_string();
        for (key, value) in [
            ("credential.https://github.com.username", "me"),
            (GITHUB, "!true"),
            (key, "store"),
        ] {
            git(&sandbox, &["config", "--global", key, value])
                .done()
                .succeeds();
        }
        let install = || {
            sandbox
                .oc(["git", "install", "--host", "github.com"])
                .done()
        };
        let done = install();
        let (warning, command) = done.stderr.split_once("unencrypted: ").expect("a warning");
        let expected = format!("github.com: the helper `store` of {key} still writes");
        assert!(warning.contains(&expected), "{warning}");
        assert!(stored(&sandbox, "me").contains("ghp_x"), "control: {key}");
        let status = || {
            let status = sandbox.oc(["git", "status", "--host", "github.com"]);
            status.done().succeeds()
        };
        let told = "asks oc-secrets, and `store` writes the password into a file";
        assert!(status().contains(told), "{}", status());
        assert_eq!(install().text(), "github.com: unchanged\n");
        let command = command.lines().next().expect("a line");
        assert!(command.contains(&file), "{command}");
        sandbox
            .run(Path::new("sh"), ["-c", command])
            .done()
            .succeeds();
        assert_eq!(stored(&sandbox, "me"), "", "{key}");
        assert!(
            status().contains("asks `!true`, then oc-secrets"),
            "{}",
            status()
        );
    }
}

#[test]
fn a_helper_for_a_part_of_the_host_that_is_left_out_with_store_is_told() {
    let sandbox = sandbox();
    let part = "credential.https://me@github.com.helper";
    for (key, value) in [
        ("credential.https://*.com.helper", "store"),
        (part, "!true"),
    ] {
        git(&sandbox, &["config", "--global", key, value])
            .done()
            .succeeds();
    }
    let install = || {
        sandbox
            .oc(["git", "install", "--host", "github.com"])
            .done()
    };
    let told = format!("github.com: git no longer asks `!true` of {part}");
    let first = install().stderr;
    assert!(first.contains(&told), "{first}");
    install().succeeds_saying("");
}

#[test]
fn our_helper_is_removed_in_whatever_way_it_stands_there() {
    let sandbox = sandbox();
    let of_system = sandbox.path("system");
    for value in [
        "/usr/bin/git-credential-oc",
        "/opt/a+b (c)/git-credential-oc",
        "oc",
    ] {
        let file = sandbox.path("home/.gitconfig");
        let keys = [
            GITHUB,
            "credential.https://GitHub.com/.helper",
            "credential.helper",
        ];
        for key in keys {
            for value in [value, "/usr/bin/git-credential-ocx", value] {
                git(&sandbox, &["config", "--global", "--add", key, value])
                    .done()
                    .succeeds();
            }
        }
        let gone = sandbox.oc(["git", "uninstall"]).done().succeeds();
        assert_eq!(
            gone, "github.com: changed\nevery host: changed\n",
            "{value}"
        );
        for key in keys {
            assert_eq!(helpers(&sandbox, key), "/usr/bin/git-credential-ocx\n");
        }
        std::fs::remove_file(file).expect("removed");
    }
    // The system's file is not the user's to change.
    std::fs::write(
        &of_system,
        "[credential \"https://github.com\"]\nhelper = oc\n",
    )
    .expect("written");
    let uninstall = sandbox.oc(["git", "uninstall"]);
    let done = uninstall
        .env("GIT_CONFIG_SYSTEM", &of_system)
        .env("GIT_CONFIG_NOSYSTEM", "0");
    assert_eq!(done.done().succeeds(), "github.com: unchanged\n");
    // But what the user's own file says is behind it.
    git(
        &sandbox,
        &["config", "--global", "credential.helper", "store"],
    )
    .done()
    .succeeds();
    let install = sandbox.oc(["git", "install", "--host", "github.com"]);
    let install = install
        .env("GIT_CONFIG_SYSTEM", &of_system)
        .env("GIT_CONFIG_NOSYSTEM", "0");
    install.done().succeeds_saying(
        "oc-secrets: github.com: the helper `store` is left out, since it would write the password \
         into a file\n",
    );
}

#[test]
fn what_is_in_the_way_is_told() {
    let sandbox = sandbox();
    let done = sandbox
        .oc(["git", "install", "--host", "example.org"])
        .done();
    assert!(
        done.stderr.contains("warning: example.org is not in the manifest that git-credential-oc uses: add [git.\"example.org\"]"),
        "{}",
        done.stderr
    );
    let bad = sandbox
        .oc(["git", "install", "--host", "https://a/b"])
        .done();
    assert_eq!(bad.status.code(), Some(2));
    std::fs::remove_file(sandbox.path("bin/git-credential-oc")).expect("removed");
    let done = sandbox.oc(["git", "install"]).done();
    assert!(
        done.stderr
            .contains("warning: git-credential-oc is not on PATH"),
        "{}",
        done.stderr
    );
    sandbox.file("home/.gitconfig", "[broken\n");
    let broken = sandbox.oc(["git", "install"]).done();
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        broken.stderr.contains("cannot run `git config`"),
        "{}",
        broken.stderr
    );
    let nowhere = sandbox
        .oc(["git", "status"])
        .env("PATH", "/nonexistent")
        .done();
    assert!(
        nowhere.stderr.contains("error: git was not found"),
        "{}",
        nowhere.stderr
    );
    assert!(!nowhere.stderr.contains(CANARY));
}
