//! What is kept, for how long, for whom; and one `op` for all who come together.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;

use crate::docker_world::{ANSWER, CACHE, TOKEN, World, keys};

/// Users of these tests, who need no account; each test that counts or drops keys has its own.
const ALICE: u32 = 4242;
const BOB: u32 = 4243;
const CAROL: u32 = 4244;
const DAVE: u32 = 4245;
const OSCAR: u32 = 4246;
const PEGGY: u32 = 4247;
const QUENTIN: u32 = 4248;

#[test]
fn a_second_question_costs_no_op() {
    let world = World::new();
    world.gets(ANSWER);
    world.gets(ANSWER);
    assert_eq!(world.asked(), 1);
}

#[test]
fn control_without_a_cache_a_second_question_costs_an_op() {
    let world = World::with("[cache]\nttl = \"0\"\nallow_root = true\n");
    world.gets(ANSWER);
    world.gets(ANSWER);
    assert_eq!(world.asked(), 2);
}

#[test]
fn without_a_word_in_the_manifest_the_helper_keeps_it_and_exec_does_not() {
    let world = World::of_user(ALICE, "");
    world.gets(ANSWER);
    world.gets(ANSWER);
    assert_eq!(world.asked(), 1);
    let exec = || {
        world
            .program("oc-secrets", &["exec", "--", "true"])
            .done()
            .succeeds()
    };
    exec();
    exec();
    assert_eq!(world.asked(), 3, "exec neither uses nor keeps anything");
}

#[test]
fn with_a_word_in_the_manifest_all_commands_share_what_is_kept() {
    let world = World::new();
    let read = |extra: &[&str]| {
        let words: Vec<&str> = extra
            .iter()
            .chain(&["read", "GHCR_TOKEN"])
            .copied()
            .collect();
        world.program("oc-secrets", &words).done().succeeds()
    };
    assert_eq!(read(&[]), format!("{TOKEN}\n"));
    world.gets(ANSWER);
    world
        .program("oc-secrets", &["exec", "--", "true"])
        .done()
        .succeeds();
    world.program("oc-secrets", &["env"]).done().succeeds();
    assert_eq!(world.asked(), 1);
    world.token("ghp_new");
    assert_eq!(read(&[]), format!("{TOKEN}\n"), "still the old one");
    assert_eq!(read(&["--no-cache"]), "ghp_new\n", "not used");
    assert_eq!(read(&[]), format!("{TOKEN}\n"), "nor replaced");
    assert_eq!(read(&["--refresh"]), "ghp_new\n", "asked again");
    world.gets(&ANSWER.replace(TOKEN, "ghp_new"));
    assert_eq!(world.asked(), 3);
}

#[test]
fn for_uid_0_nothing_is_kept_unless_the_manifest_allows_it() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test must run as root: sudo -E tests/run"
    );
    for rest in ["", "[cache]\nttl = \"1m\"\n"] {
        let world = World::with(rest);
        world.gets(ANSWER);
        world.gets(ANSWER);
        assert_eq!(world.asked(), 2, "{rest:?}");
    }
}

#[test]
fn what_is_kept_ends_by_itself() {
    let world = World::with("[cache]\nttl = \"2s\"\nallow_root = true\n");
    world.gets(ANSWER);
    world.gets(ANSWER);
    assert_eq!(world.asked(), 1);
    std::thread::sleep(Duration::from_millis(3100));
    world.gets(ANSWER);
    assert_eq!(world.asked(), 2, "not prolonged by its use");
}

#[test]
fn the_environment_decides_how_long() {
    let world = World::new();
    let gets = |ttl: &str| {
        world
            .helper(&["get"])
            .input("ghcr.io")
            .env("OC_SECRETS_CACHE_TTL", ttl)
            .done()
    };
    gets("0").succeeds();
    gets("0").succeeds();
    assert_eq!(world.asked(), 2);
    for (ttl, line) in [
        ("13h", "OC_SECRETS_CACHE_TTL: more than 12h\n"),
        ("soon", "OC_SECRETS_CACHE_TTL: this is not a duration\n"),
    ] {
        assert_eq!(
            (gets(ttl).status.code(), gets(ttl).text().as_str()),
            (Some(1), line)
        );
    }
}

#[test]
fn a_key_has_a_timeout_and_no_clear_name() {
    let world = World::new();
    world.gets(ANSWER);
    let keys = keys();
    assert!(!keys.is_empty());
    for (line, timeout) in &keys {
        assert_ne!(timeout, "perm", "{line}");
        for word in ["ghcr", "GHCR", "Token", "Vault", "op://", TOKEN, "ops_"] {
            assert!(!line.contains(word), "{word}: {line}");
        }
    }
}

#[test]
fn another_account_s_value_is_a_miss() {
    let world = World::new();
    world.gets(ANSWER);
    let other = || {
        world
            .helper(&["get"])
            .input("ghcr.io")
            .env("OP_SERVICE_ACCOUNT_TOKEN", "ops_other")
    };
    other().done().succeeds();
    assert_eq!(world.asked(), 2);
}

#[test]
fn two_users_do_not_share_and_cannot_read_what_the_other_keeps() {
    let mut world = World::of_user(BOB, "");
    world.gets(ANSWER);
    world.gets(ANSWER);
    assert_eq!(world.asked(), 1, "control: the same user shares");
    // The manifest and the stand-in belong to the first one; root's are everybody's.
    for path in ["work/oc-secrets.toml", "bin/op", "bin", "", "double"] {
        chown(world.path(path), Some(0), Some(0)).expect("root");
    }
    std::fs::set_permissions(world.path("double"), PermissionsExt::from_mode(0o777))
        .expect("its mode");
    for file in std::fs::read_dir(world.path("double"))
        .expect("a directory")
        .flatten()
    {
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o666)).expect("its mode");
    }
    world.seen_by(CAROL).gets(ANSWER);
    assert_eq!(world.asked(), 2, "the other user asked by itself");
    let script = format!(
        "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n\
        r = c.syscall({}, 22, ctypes.c_uint({BOB}), ctypes.c_int(-2), 0, 0)\n\
        print(r, ctypes.get_errno())",
        libc::SYS_keyctl
    );
    let words = [
        "--reuid=4244",
        "--regid=4244",
        "--clear-groups",
        "python3",
        "-c",
        &script,
    ];
    let done = world.sandbox.run("setpriv".as_ref(), words).done();
    let refused = format!("-1 {}\n", Errno::EPERM as i32);
    assert_eq!(
        done.succeeds(),
        refused,
        "the kernel refuses the other's keyring"
    );
    world.seen_by(BOB);
}

#[test]
fn lock_forgets_everything() {
    let world = World::of_user(DAVE, "");
    let lock = || world.program("oc-secrets", &["lock"]).done().succeeds();
    assert_eq!(lock(), "the cache is empty\n");
    world.gets(ANSWER);
    assert_eq!(lock(), "1 entry forgotten\n");
    world.gets(ANSWER);
    assert_eq!(world.asked(), 2);
}

#[test]
fn lock_in_a_client_forgets_what_its_user_keeps_and_says_that_the_broker_forgets_nothing() {
    let world = World::of_user(PEGGY, "");
    world.gets(ANSWER);
    let lock = || world.program("oc-secrets", &["lock"]);
    let socket = "/run/oc-secrets/socket";
    let done = lock().env("OC_SECRETS_SOCKET", socket).done();
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(done.text(), "1 entry forgotten\n");
    assert_eq!(
        done.stderr,
        "oc-secrets: error: a client cannot have the broker of /run/oc-secrets/socket forget\n\
         hint: on the broker's host, as whoever runs it: oc-secrets lock\n"
    );
    assert_eq!(lock().done().succeeds(), "the cache is empty\n"); // the control
}

#[test]
fn lock_fails_where_the_broker_that_runs_does_not_forget() {
    let world = World::of_user(QUENTIN, "");
    let runtime = world.path("home/run");
    let lock = || {
        let run = world.program("oc-secrets", &["lock"]);
        run.env("XDG_RUNTIME_DIR", &runtime).done()
    };
    std::fs::create_dir_all(runtime.join("oc-secrets")).expect("a folder");
    assert_eq!(lock().succeeds(), "the cache is empty\n"); // the control
    let control = runtime.join("oc-secrets/control");
    let silent = std::os::unix::net::UnixListener::bind(&control).expect("bound");
    std::fs::set_permissions(&control, PermissionsExt::from_mode(0o666)).expect("a mode");
    let done = lock();
    assert_eq!(done.status.code(), Some(5));
    assert_eq!(done.text(), "the cache is empty\n");
    assert!(
        done.stderr.contains("did not answer within 5 s"),
        "{}",
        done.stderr
    );
    // One that has ended has forgotten everything.
    drop(silent);
    assert_eq!(lock().succeeds(), "the cache is empty\n");
}

#[test]
fn thirty_together_cost_one_op_and_no_more_time_than_one() {
    for rest in [CACHE, "[cache]\nttl = \"0\"\n"] {
        let world = World::with(rest);
        world.sandbox.mode("latency=2000");
        let done = world.together(30);
        assert!(done.iter().all(|done| done.text() == ANSWER), "{rest:?}");
        assert_eq!(world.asked(), 1, "{rest:?}: cached or not");
    }
}

#[test]
fn fifty_together_cost_one_op_when_it_fails_too() {
    let world = World::with("");
    world.sandbox.mode("latency=2000\nnetwork");
    let done = world.together(50);
    assert!(
        done.iter()
            .all(|done| done.text() == "1Password cannot be reached\n")
    );
    assert_eq!(world.asked(), 1);
}

#[test]
fn one_whose_leader_was_killed_asks_by_itself() {
    let world = World::with("");
    world.sandbox.mode("latency=1500");
    let mut first = world.helper(&["get"]).input("ghcr.io");
    let mut leader = first
        .command()
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    leader
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"ghcr.io")
        .expect("written");
    std::thread::sleep(Duration::from_millis(500));
    let follower = world.helper(&["get"]).input("ghcr.io");
    let follower = std::thread::spawn(move || follower.done());
    std::thread::sleep(Duration::from_millis(300));
    leader.kill().expect("killed");
    leader.wait().expect("reaped");
    assert_eq!(follower.join().expect("joined").succeeds(), ANSWER);
    assert_eq!(world.asked(), 2);
}

#[test]
fn a_dismissed_prompt_is_remembered_so_that_nobody_is_asked_thirteen_times() {
    let world = World::new();
    world.sandbox.mode("dismissed");
    let ask = || {
        let mut run = world
            .helper(&["get"])
            .without("OP_SERVICE_ACCOUNT_TOKEN")
            .input("ghcr.io");
        // As a desktop user: no token, and a session of its own.
        run = run.env("OP_BIOMETRIC_UNLOCK_ENABLED", "true");
        run.done()
    };
    let first = ask();
    assert_eq!(
        (first.status.code(), first.text().as_str()),
        (Some(1), "the 1Password prompt was dismissed\n")
    );
    for _ in 0..12 {
        let next = ask();
        let line = "the 1Password prompt was dismissed (a moment ago; not asked again)\n";
        assert_eq!((next.status.code(), next.text().as_str()), (Some(1), line));
        assert!(
            next.stderr
                .contains("hint: retry in 20 s, or at once after `oc-secrets lock`")
        );
    }
    assert_eq!(world.asked(), 1);
    let erase = world
        .helper(&["erase"])
        .without("OP_SERVICE_ACCOUNT_TOKEN")
        .env("OP_BIOMETRIC_UNLOCK_ENABLED", "true");
    erase.input("ghcr.io").done();
    world.sandbox.mode("");
    assert_eq!(ask().succeeds(), ANSWER, "asked again after erase");
}

#[test]
fn a_missing_item_is_remembered_and_a_lost_network_is_not() {
    let world = World::new();
    world.sandbox.vault(serde_json::json!([]));
    for _ in 0..3 {
        assert_eq!(world.ask("get", "ghcr.io").status.code(), Some(1));
    }
    assert_eq!(world.asked(), 1);
    let world = World::new();
    world.sandbox.mode("network");
    for _ in 0..3 {
        assert_eq!(
            world.ask("get", "ghcr.io").text(),
            "1Password cannot be reached\n"
        );
    }
    assert_eq!(world.asked(), 3);
}

#[test]
fn a_keyring_that_the_kernel_refuses_is_a_miss_and_no_error() {
    let world = World::new();
    for errno in [Errno::EPERM, Errno::EDQUOT, Errno::ENOSYS] {
        let before = world.asked();
        for _ in 0..2 {
            let mut run = world.helper(&["get"]).input("ghcr.io");
            // SAFETY: only async-signal-safe system calls between fork and exec.
            unsafe {
                run.command()
                    .pre_exec(move || crate::seccomp::refuse_keyrings(errno as u32))
            };
            assert_eq!(run.done().succeeds(), ANSWER, "{errno}");
        }
        assert_eq!(world.asked() - before, 2, "{errno}: nothing was kept");
    }
    // Of a user for whom nothing is remembered either.
    let world = World::of_user(OSCAR, "");
    let mut lock = world.program("oc-secrets", &["lock"]);
    // SAFETY: as above.
    unsafe {
        lock.command()
            .pre_exec(|| crate::seccomp::refuse_keyrings(Errno::EPERM as u32))
    };
    assert_eq!(lock.done().succeeds(), "the cache is empty\n");
}

#[test]
fn a_value_over_4_kib_is_answered_and_not_kept() {
    let world = World::new();
    let long = "x".repeat(5000);
    world.token(&long);
    for _ in 0..2 {
        assert_eq!(
            world.ask("get", "ghcr.io").succeeds(),
            ANSWER.replace(TOKEN, &long)
        );
    }
    assert_eq!(world.asked(), 2);
}

#[test]
fn different_secrets_that_are_wanted_together_never_open_two_prompts() {
    let world = World::with("");
    world.sandbox.vault(serde_json::json!([crate::sandbox::item(
        "Token",
        &[("credential", "ghp_one"), ("other", "ghp_two")]
    )]));
    world.sandbox.manifest(
        "[secrets]\nA = \"op://Vault/Token/credential\"\nB = \"op://Vault/Token/other\"\n\
         [registries.\"a.example\"]\nsecret = \"A\"\n[registries.\"b.example\"]\nsecret = \"B\"\n",
    );
    world.sandbox.mode("latency=400");
    let start = |host: &'static str| {
        let run = world
            .helper(&["get"])
            .without("OP_SERVICE_ACCOUNT_TOKEN")
            .input(host);
        std::thread::spawn(move || run.done())
    };
    let threads: Vec<_> = ["a.example", "b.example"]
        .repeat(5)
        .into_iter()
        .map(start)
        .collect();
    for thread in threads {
        assert!(thread.join().expect("joined").succeeds().contains("ghp_"));
    }
    assert_eq!(world.asked(), 2, "one for each secret");
    let noted =
        |file: &str| std::fs::read_to_string(world.path("double").join(file)).unwrap_or_default();
    assert_eq!(
        noted("prompts").trim(),
        "1",
        "the second found the session open"
    );
    assert_eq!(noted("overlaps").trim().parse().unwrap_or(0), 0);
}

#[test]
fn control_two_op_by_hand_do_open_two_prompts() {
    let world = World::with("");
    world.sandbox.mode("latency=400");
    let read = "op read op://Vault/Token/credential";
    let done = world
        .sandbox
        .run("sh".as_ref(), ["-c", &format!("{read} & {read}; wait")])
        .done();
    assert!(done.status.success(), "{}", done.stderr);
    let overlaps = std::fs::read_to_string(world.path("double/overlaps")).expect("noted");
    assert_eq!(overlaps.trim(), "1");
}

#[test]
fn root_of_another_container_is_not_let_in_although_it_shares_the_network() {
    let world = World::with("");
    world.sandbox.mode("latency=1500");
    let leader = world.helper(&["get"]).input("ghcr.io");
    let leader = std::thread::spawn(move || leader.done());
    std::thread::sleep(Duration::from_millis(500));
    let helper = world.path("bin/docker-credential-oc").display().to_string();
    let stranger = world
        .sandbox
        .run("unshare".as_ref(), ["--mount", &helper, "get"]);
    let manifest = world.path("work/oc-secrets.toml");
    let stranger = stranger
        .env("OC_SECRETS_MANIFEST", manifest)
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token());
    assert_eq!(stranger.input("ghcr.io").done().succeeds(), ANSWER);
    assert_eq!(leader.join().expect("joined").succeeds(), ANSWER);
    assert_eq!(world.asked(), 2, "each asked for itself");
}

#[test]
fn a_value_that_is_no_token_is_not_kept_so_that_mending_it_helps_at_once() {
    let world = World::new();
    for bad in [
        "ghp_A\n",
        "[use 'op item get aaaaaaaaaaaaaaaaaaaaaaaaaa --reveal' to reveal]",
    ] {
        world.token(bad);
        assert_eq!(world.ask("get", "ghcr.io").status.code(), Some(1));
        world.token(TOKEN);
        world.gets(ANSWER);
        world.ask("erase", "ghcr.io");
    }
    assert_eq!(world.asked(), 4);
}

#[test]
fn one_who_waits_behind_another_s_prompt_gives_up_in_time_too() {
    let world = World::with("[op]\ntimeout = \"1500ms\"\n");
    world.sandbox.manifest(
        "[secrets]\nA = \"op://Vault/Token/credential\"\nB = \"op://Vault/Token/other\"\n\
         [registries.\"a.example\"]\nsecret = \"A\"\n[registries.\"b.example\"]\nsecret = \"B\"\n\
         [op]\ntimeout = \"1500ms\"\n",
    );
    world.sandbox.mode("hang");
    let ask = |host: &'static str| {
        let run = world
            .helper(&["get"])
            .without("OP_SERVICE_ACCOUNT_TOKEN")
            .input(host);
        std::thread::spawn(move || run.done())
    };
    let (first, second) = (ask("a.example"), ask("b.example"));
    for thread in [first, second] {
        let done = thread.join().expect("joined");
        assert!(
            done.text().starts_with("`op` did not answer within "),
            "{}",
            done.text()
        );
        assert!(done.took < Duration::from_secs(3), "{:?}", done.took);
    }
}
