//! Files of other programs, written by two at the same time, and by one that is killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::docker_world::World;
use crate::sandbox::Run;

const ROUNDS: u32 = 200;

const CONFIG: &str = "home/.docker/config.json";

/// `oc-secrets docker WORDS`, with no store that Docker could find by itself.
fn docker(world: &World, words: &[&str]) -> Run {
    let words: Vec<&str> = ["docker"].iter().chain(words).copied().collect();
    let run = world.program("oc-secrets", &words);
    run.env("PATH", world.path("bin"))
}

fn start(mut run: Run) -> Child {
    let command = run.command();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

fn succeeds(mut child: Child) {
    assert!(child.wait().expect("it ends").success());
}

fn parsed(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("whole"))
}

/// What `docker login` does with its file: it reads it, writes a new one beside it, and renames
/// that. Returns what it had read.
fn log_in(path: &Path) -> Value {
    let read = parsed(path).unwrap_or(json!({}));
    let mut changed = read.clone();
    changed["auths"]["other.example"] = json!({ "auth": "dTpw" });
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    let temporary = path.with_file_name("config.json4711");
    fs::write(&temporary, changed.to_string()).expect("written");
    fs::rename(&temporary, path).expect("renamed");
    read
}

/// Logs in at another moment of `install` in each round; returns in how many the login was lost.
fn logins_lost(before: Option<&str>) -> u32 {
    let world = World::new();
    let path = world.path(CONFIG);
    let prepare = || {
        let _ = fs::remove_dir_all(world.path("home/.docker"));
        if let Some(text) = before {
            fs::create_dir(world.path("home/.docker")).expect("made");
            fs::write(&path, text).expect("written");
        }
    };
    prepare();
    let begun = Instant::now();
    succeeds(start(docker(&world, &["install"])));
    let took = begun.elapsed();
    let mut lost = 0;
    for round in 0..ROUNDS {
        prepare();
        let install = start(docker(&world, &["install"]));
        std::thread::sleep(took * (round % 50) / 50);
        let read = log_in(&path);
        succeeds(install);
        let after = parsed(&path).expect("a file");
        lost += u32::from(after["auths"]["other.example"].is_null());
        // Docker itself undoes what was written after it had read the file.
        let ours = |config: &Value| !config["credHelpers"]["ghcr.io"].is_null();
        assert!(ours(&after) || !ours(&read), "{read} became {after}");
    }
    lost
}

#[test]
fn no_login_is_lost_beside_an_install_that_makes_the_file() {
    assert_eq!(logins_lost(None), 0, "of {ROUNDS}");
}

#[test]
fn no_login_is_lost_beside_an_install_that_changes_the_file() {
    let before = r#"{"auths":{"quay.io":{"auth":"eDp5"}},"credsStore":"pass"}"#;
    assert_eq!(logins_lost(Some(before)), 0, "of {ROUNDS}");
}

#[test]
fn two_commands_side_by_side_lose_nothing_of_each_other() {
    let world = World::new();
    let both = |word: &str, option: &[&str]| {
        let one = |host| start(docker(&world, &[&[word], option, &[host]].concat()));
        let started = [one("ghcr.io"), one("quay.io")];
        started.into_iter().for_each(succeeds);
    };
    let config = || fs::read_to_string(world.path(CONFIG)).unwrap_or_default();
    let list = world.path("home/.config/oc-secrets/docker-off");
    let off = || fs::read_to_string(&list).expect("a list").lines().count();
    let mut kept = [0; 4];
    for _ in 0..ROUNDS / 2 {
        let _ = fs::remove_dir_all(world.path("home/.docker"));
        both("install", &["--force", "--registry"]);
        kept[0] += u32::from(config().contains("ghcr.io") && config().contains("quay.io"));
        both("uninstall", &["--registry"]);
        kept[1] += u32::from(!config().contains("ghcr.io") && !config().contains("quay.io"));
        let _ = fs::remove_file(&list);
        both("off", &[]);
        kept[2] += u32::from(off() == 2);
        both("on", &[]);
        kept[3] += u32::from(off() == 0);
    }
    assert_eq!(kept, [ROUNDS / 2; 4], "install, uninstall, off, on");
}

/// The names in Docker's directory.
fn names(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.path("home/.docker")).expect("readable");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.flatten().map(name).collect()
}

#[test]
fn what_a_killed_install_left_is_gone_after_the_next_one() {
    for call in ["fsync", "renameat2", "unlink"] {
        let world = World::new();
        fs::create_dir(world.path("home/.docker")).expect("made");
        let before = r#"{"auths":{"quay.io":{"auth":"eDp5"}},"credsStore":"pass"}"#;
        fs::write(world.path(CONFIG), before).expect("written");
        // What it remembers of the file is written by then.
        docker(&world, &["install"]).done().succeeds();
        fs::write(world.path(CONFIG), before).expect("written");
        let inject = format!("inject={call}:signal=KILL");
        let program = world.path("bin/oc-secrets");
        let program = program.to_str().expect("text");
        let words = [
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &inject,
            program,
            "docker",
            "install",
        ];
        let killed = world.sandbox.run(Path::new("/usr/bin/strace"), words);
        assert!(!killed.done().status.success(), "the control: {call}");
        parsed(&world.path(CONFIG)).expect("whole");
        assert_eq!(
            names(&world).len(),
            2,
            "the control: {call}: {:?}",
            names(&world)
        );
        docker(&world, &["install"]).done().succeeds();
        assert_eq!(names(&world), ["config.json"], "{call}");
        let after = fs::read_to_string(world.path(CONFIG)).expect("a file");
        assert!(
            after.contains("eDp5") && after.contains("ghcr.io"),
            "{after}"
        );
    }
}
