//! Files of 1 MiB, the most that is read: their time grows with their size, not with its square.

use std::fmt::Display;
use std::path::Path;

use crate::docker_world::World;
use crate::sandbox::{Run, Sandbox};

const SIZE: usize = 1024 * 1024 - 256;

/// Seconds of processor time: generous for unoptimised code, where the square took minutes. The
/// kernel ends what takes longer, however busy the machine is.
const LONG: u32 = 15;

/// As many of `line(0)`, `line(1)`, … as the size allows.
fn lines<T: Display>(size: usize, line: impl Fn(usize) -> T) -> String {
    let mut text = String::with_capacity(size);
    for index in 0.. {
        let next = line(index).to_string();
        if text.len() + next.len() > size {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// `oc-secrets WORDS`, with no more time than that.
fn limited(sandbox: &Sandbox, words: &[&str]) -> Run {
    let script = format!("ulimit -t {LONG}; exec \"$0\" \"$@\"");
    let program = env!("CARGO_BIN_EXE_oc-secrets");
    let words = [&["-c", &script, program], words].concat();
    sandbox.run(Path::new("/bin/sh"), words)
}

/// Runs `oc-secrets WORDS`.
#[track_caller]
fn in_time(what: &str, sandbox: &Sandbox, words: &[&str]) -> String {
    let done = limited(sandbox, words).done();
    assert!(
        done.status.success(),
        "{what}: {} {:.300}",
        done.status,
        done.stderr
    );
    done.text()
}

/// Manifests of one shape each.
fn manifests() -> [(&'static str, String); 5] {
    let half = SIZE / 2;
    let secrets = |size| lines(size, |at| format!("S{at}='op://v/i/f'\n"));
    let vars = lines(half, |at| format!("V{at}='x'\n"));
    let hosts = lines(half, |at| {
        format!("[registries.'h{at}.example']\nsecret='S{at}'\n")
    });
    let names = lines(half / 4, |at| format!("'S{at}',"));
    let vaults = lines(SIZE, |at| format!("S{at}='op://v{at}/i/f'\n"));
    [
        ("secrets", format!("[secrets]\n{}", secrets(SIZE))),
        (
            "plain values",
            format!("[secrets]\n{}[vars]\n{vars}", secrets(half)),
        ),
        ("registries", format!("[secrets]\n{}{hosts}", secrets(half))),
        (
            "profiles",
            format!(
                "[profiles.p]\nsecrets=[{names}]\n[secrets]\n{}",
                secrets(half)
            ),
        ),
        ("vaults", format!("[secrets]\n{vaults}")),
    ]
}

#[test]
fn a_large_manifest_is_read_in_time() {
    for (what, text) in manifests() {
        let sandbox = Sandbox::new();
        sandbox.file("work/m.toml", &text);
        in_time(what, &sandbox, &["--manifest", "m.toml", "ls"]);
        sandbox.file("work/oc-secrets.toml", &text);
        in_time(what, &sandbox, &["allow", "--yes"]);
        sandbox.file("work/oc-secrets.toml", "vault = 'all of it is gone'\n");
        let said = in_time(what, &sandbox, &["allow", "--yes"]);
        assert!(said.len() > SIZE / 8, "the control: what is gone is named");
    }
}

#[test]
fn a_large_env_file_is_read_in_time() {
    let long = "x".repeat(1000);
    for (what, text) in [
        ("names", lines(SIZE, |at| format!("V{at}=x\n"))),
        ("one name", lines(SIZE, |_| "V=x\n")),
        (
            "variables",
            format!("A=x\n{}", lines(SIZE, |at| format!("V{at}=$A\n"))),
        ),
        (
            "the last variable",
            lines(SIZE, |at| format!("V{}=$V{at}\n", at + 1)),
        ),
        (
            "references",
            lines(SIZE, |at| format!("S{at}=op://v/i/f\n")),
        ),
        ("quotes", format!("A='{}'\n", "\n".repeat(SIZE - 8))),
        ("escapes", format!("A=\"{}\"\n", "\\n".repeat(SIZE / 2 - 8))),
        ("hashes", format!("A='{}'\n", "#".repeat(SIZE - 8))),
    ] {
        let sandbox = Sandbox::new();
        sandbox.file("work/env", &text);
        in_time(what, &sandbox, &["--env-file", "env", "ls"]);
    }
    let sandbox = Sandbox::new();
    sandbox.file(
        "work/env",
        &format!("A={long}\n{}", lines(SIZE / 2, |at| format!("V{at}=$A\n"))),
    );
    let done = limited(&sandbox, &["--env-file", "env", "ls"]).done();
    assert!(
        done.stderr.contains("all values together grow beyond"),
        "{:.300}",
        done.stderr
    );
}

#[test]
fn a_large_file_of_docker_is_changed_in_time() {
    let hosts = lines(SIZE / 2, |at| {
        format!("[registries.'h{at}.example']\nsecret='T'\n")
    });
    let manifest = format!("[secrets]\nT='op://Vault/Token/credential'\n{hosts}");
    let auths = lines(SIZE, |at| {
        format!("\"h{at}.example\":{{\"auth\":\"eDp5\"}},")
    });
    let helpers = lines(SIZE, |at| format!("\"h{at}.example\":\"oc\","));
    for (what, text) in [
        (
            "auths",
            format!("{{\"auths\":{{{auths}\"x\":{{}}}},\"credsStore\":\"pass\"}}"),
        ),
        (
            "helpers",
            format!("{{\"credHelpers\":{{{helpers}\"x\":\"y\"}},\"credsStore\":\"pass\"}}"),
        ),
        ("keys", format!("{{{helpers}\"credsStore\":\"pass\"}}")),
    ] {
        let world = World::new();
        world.sandbox.file("home/m.toml", &manifest);
        std::fs::create_dir(world.path("home/.docker")).expect("made");
        world.sandbox.file("home/.docker/config.json", &text);
        for words in [
            &["install", "--remove-plaintext"][..],
            &["status"],
            &["install"],
            &["uninstall"],
        ] {
            let manifest = world.path("home/m.toml").display().to_string();
            let words = [&["--manifest", &manifest, "docker"], words].concat();
            let run = limited(&world.sandbox, &words).in_directory(&world.path("home"));
            let done = run.env("PATH", world.path("bin")).done();
            assert!(
                done.status.success(),
                "{what} {words:?}: {} {:.300}",
                done.status,
                done.stderr
            );
        }
        let after = std::fs::read_to_string(world.path("home/.docker/config.json"));
        let first = "\"h0.example\": {\"auth\"";
        assert!(!after.expect("a file").contains(first), "{what}");
    }
}
