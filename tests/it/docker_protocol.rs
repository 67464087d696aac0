//! The protocol, to the byte, from the outside: what a client writes, reads and waits for.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::docker_world::{ANSWER, NOT_FOUND, World};

const USAGE: &str = "Usage: docker-credential-oc <store|get|erase|list|version>\n";

/// Exit code and stdout; stderr must be empty.
#[track_caller]
fn plain(world: &World, words: &[&str], input: &str, code: i32, stdout: &str) {
    let done = world.helper(words).input(input).done();
    let seen = (done.status.code(), done.text(), done.stderr.as_str());
    assert_eq!(
        seen,
        (Some(code), stdout.to_owned(), ""),
        "{words:?} {input:?}"
    );
}

#[test]
fn rows_of_the_reference_table_that_need_no_secret() {
    let world = World::new();
    let version = concat!(
        "docker-credential-oc (oc-secrets) v",
        env!("CARGO_PKG_VERSION"),
        "\n"
    );
    for word in ["version", "--version", "-v"] {
        plain(&world, &[word], "", 0, version);
    }
    for word in ["--help", "-h"] {
        plain(&world, &[word], "", 0, USAGE);
    }
    plain(&world, &[], "", 1, USAGE);
    plain(&world, &["get", "ghcr.io"], "", 1, USAGE);
    for action in ["foo", "GET", ""] {
        let line = format!("docker-credential-oc: unknown action: {action}\n");
        plain(&world, &[action], "", 1, &line);
    }
    for action in ["get", "erase"] {
        plain(&world, &[action], "", 1, "no credentials server URL\n");
        plain(
            &world,
            &[action],
            " \n\t\n",
            1,
            "no credentials server URL\n",
        );
        plain(
            &world,
            &[action],
            &"x".repeat(70_000),
            1,
            "bufio.Scanner: token too long\n",
        );
    }
    plain(&world, &["get"], &"x".repeat(65_535), 1, NOT_FOUND);
    plain(&world, &["erase"], "unknown.example", 0, "");
    for (input, line) in [
        ("", "EOF\n"),
        (
            "hello",
            "invalid character 'h' looking for beginning of value\n",
        ),
        ("{}", "no credentials server URL\n"),
        ("null", "no credentials server URL\n"),
        ("{\"ServerURL\":\"h\"}", "no credentials username\n"),
    ] {
        plain(&world, &["store"], input, 1, line);
    }
    assert_eq!(world.asked(), 0, "none of this needs `op`");
}

#[test]
fn get_of_every_spelling_is_answered_with_that_spelling() {
    let world = World::new();
    for (input, server) in [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io\n", "ghcr.io"),
        ("  ghcr.io \r\n\n", "ghcr.io"),
        ("ghcr\n.io", "ghcr.io"),
        ("https://ghcr.io/", "https://ghcr.io/"),
        ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
        ("docker.io", "docker.io"),
        ("http://localhost:5000", "http://localhost:5000"),
    ] {
        let answer = ANSWER.replace("\"ghcr.io\"", &format!("\"{server}\""));
        plain(&world, &["get"], input, 0, &answer);
    }
    assert_eq!(world.asked(), 1, "one secret, one `op`");
}

#[test]
fn every_other_host_is_not_found_and_costs_nothing() {
    let world = World::new();
    for server in [
        "nosuch.example",
        "ghcr.io.evil.example",
        "evil-ghcr.io",
        "evil/ghcr.io",
        "http://ghcr.io",
        "ghcr.io:8443",
        "ghcr.io.",
        "ghcr.io@evil.example",
        "https://ghcr.io@evil.example/",
        "https://evil.example/ghcr.io",
        "https://index.docker.io/v1/refresh-token",
        "https://index.docker.io/v1/access-token",
        "localhost:5001",
    ] {
        plain(&world, &["get"], server, 1, NOT_FOUND);
    }
    assert_eq!(world.asked(), 0);
}

#[test]
fn list_shows_the_manifest_and_asks_nothing() {
    let world = World::new();
    let map = "{\"ghcr.io\":\"x-access-token\",\"https://index.docker.io/v1/\":\"x-access-token\",\"localhost:5000\":\"x-access-token\"}\n";
    for input in ["", "unused"] {
        plain(&world, &["list"], input, 0, map);
    }
    assert_eq!(world.asked(), 0);
}

#[test]
fn store_of_what_we_would_answer_succeeds_and_of_anything_else_is_refused() {
    let world = World::new();
    plain(
        &world,
        &["store"],
        &ANSWER.replace("\"ghcr.io\"", "\"https://ghcr.io\""),
        0,
        "",
    );
    let other = world.ask("store", &ANSWER.replace("cAnArY", "another"));
    let line = "nothing can be stored here: 1Password holds another secret for this registry";
    assert_eq!(
        (other.status.code(), other.text()),
        (Some(1), format!("{line}\n"))
    );
    let hint = "put the secret into 1Password and the registry into oc-secrets.toml, then run `oc-secrets lock`";
    assert_eq!(
        other.stderr,
        format!("docker-credential-oc: error: {line}\nhint: {hint}\n")
    );
    assert!(!other.stderr.contains("another51") && !other.stderr.contains("ghp_"));
}

#[test]
fn erase_succeeds_forgets_and_says_so() {
    let world = World::new();
    world.gets(ANSWER);
    let done = world.ask("erase", "ghcr.io\n");
    let said = "docker-credential-oc: warning: nothing was deleted in 1Password; the cached copy is forgotten\n";
    assert_eq!(done.succeeds_saying(said), "");
    world.gets(ANSWER);
    assert_eq!(world.asked(), 2, "asked again after erase");
}

#[test]
fn stdin_is_read_to_its_end_whatever_was_asked() {
    let world = World::new();
    let megabyte = vec![b'x'; 1 << 20];
    for words in [
        &["get"][..],
        &["store"],
        &["erase"],
        &["list"],
        &["version"],
        &["foo"],
        &["-h"],
        &[],
    ] {
        for attempt in 0..3 {
            let mut run = world.helper(words);
            let mut child = run
                .command()
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            assert!(
                stdin.write_all(&megabyte).is_ok(),
                "{words:?} attempt {attempt}: a broken pipe"
            );
            drop(stdin);
            assert!(
                matches!(child.wait().expect("ends").code(), Some(0 | 1)),
                "{words:?}"
            );
        }
    }
}

#[test]
fn control_a_helper_that_does_not_read_stdin_is_caught_by_that_test() {
    let mut child = std::process::Command::new("true")
        .stdin(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    assert!(stdin.write_all(&vec![b'x'; 1 << 20]).is_err());
    child.wait().expect("ends");
}

#[test]
fn huge_and_binary_input_is_met_with_a_line() {
    let world = World::new();
    let binary: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for action in ["get", "store", "erase"] {
        for input in [
            binary.clone(),
            vec![0; 100],
            b"\xff\xfe\xfd".to_vec(),
            b"ghcr.io\0".to_vec(),
        ] {
            let done = world.helper(&[action]).input(input).done();
            let text = done.text();
            assert!(matches!(done.status.code(), Some(0 | 1)), "{action}");
            assert!(
                text.lines().count() <= 1 && !done.stderr.contains("panicked"),
                "{action}: {text}"
            );
        }
    }
    assert_eq!(world.asked(), 0);
}

#[test]
fn a_silent_or_endless_stdin_does_not_hold_us_for_ever() {
    let world = World::new();
    let mut run = world.helper(&["version"]);
    let begun = Instant::now();
    let mut child = run
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let silent = child.stdin.take();
    assert!(child.wait().expect("ends").success());
    drop(silent);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );

    let mut run = world.helper(&["get"]);
    let zeros = std::fs::File::open("/dev/zero").expect("opened");
    run.command().stdin(zeros);
    let done = run.done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(1), "standard input does not end\n")
    );
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
}

#[test]
fn closed_descriptors_are_no_trouble() {
    let world = World::new();
    let script = format!(
        "exec {} get <&-",
        world.path("bin/docker-credential-oc").display()
    );
    let done = world.sandbox.run("sh".as_ref(), ["-c", &script]).done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(1), "no credentials server URL\n")
    );
    let script = format!(
        "printf ghcr.io | {} get >&- 2>&-",
        world.path("bin/docker-credential-oc").display()
    );
    assert!(
        world
            .sandbox
            .run("sh".as_ref(), ["-c", &script])
            .done()
            .status
            .code()
            .is_some()
    );
}

#[test]
fn without_a_home_the_manifest_that_was_named_still_counts() {
    let world = World::new();
    let done = world
        .helper(&["get"])
        .without("HOME")
        .input("ghcr.io")
        .done();
    assert_eq!(done.succeeds(), ANSWER);
    let done = world
        .helper(&["get"])
        .without("HOME")
        .without("OC_SECRETS_MANIFEST")
        .input("nosuch.example")
        .done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(1), NOT_FOUND)
    );
}

#[test]
fn a_token_that_cannot_work_is_warned_of_once_and_never_shown() {
    let world = World::new();
    world.token("github_pat_cAnArY");
    let first = world.ask("get", "ghcr.io");
    assert!(first.status.success());
    assert!(
        first
            .stderr
            .starts_with("docker-credential-oc: warning: ghcr.io takes no fine-grained token"),
        "{}",
        first.stderr
    );
    assert!(!first.stderr.contains("cAnArY"));
    assert_eq!(
        world.ask("get", "ghcr.io").stderr,
        "",
        "said once, not for every image"
    );
    assert_eq!(world.ask("get", "docker.io").stderr, "");
}

#[test]
fn a_value_that_is_no_token_is_an_error() {
    for (value, why) in [
        ("ghp_A\n", "it holds white space or control characters"),
        (
            "[use 'op item get aaaaaaaaaaaaaaaaaaaaaaaaaa --reveal' to reveal]",
            "`op` answered with its placeholder for a concealed value",
        ),
    ] {
        let world = World::new();
        world.token(value);
        let done = world.ask("get", "ghcr.io");
        assert_eq!(done.status.code(), Some(1));
        assert!(
            done.text()
                .starts_with("the password for ghcr.io cannot be used: ")
                && done.text().ends_with(&format!(": {why}\n")),
            "{}",
            done.text()
        );
        assert!(done.stderr.contains("hint: "));
    }
}

#[test]
fn docker_off_makes_us_say_not_found_and_docker_on_undoes_it() {
    let world = World::new();
    let oc = |words: &[&str]| world.program("oc-secrets", words).done();
    assert_eq!(
        oc(&["docker", "off", "ghcr.io"]).succeeds(),
        "ghcr.io: off, so clients go on without credentials\n"
    );
    plain(&world, &["get"], "ghcr.io", 1, NOT_FOUND);
    assert!(!world.ask("list", "").succeeds().contains("ghcr.io"));
    assert_eq!(
        world.ask("get", "docker.io").succeeds(),
        ANSWER.replace("ghcr.io", "docker.io")
    );
    assert_eq!(oc(&["docker", "on", "ghcr.io"]).succeeds(), "ghcr.io: on\n");
    world.gets(ANSWER);
}

#[test]
fn the_answer_is_exactly_one_object_and_a_line_feed() {
    let world = World::new();
    let text = world.ask("get", "ghcr.io").succeeds();
    let object: serde_json::Value =
        serde_json::from_str(text.strip_suffix('\n').expect("a line feed")).expect("one object");
    let keys: Vec<&String> = object.as_object().expect("an object").keys().collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(
        (&object["ServerURL"], &object["Username"]),
        (&"ghcr.io".into(), &"x-access-token".into())
    );
}

#[test]
fn the_user_name_is_never_empty_nor_that_of_an_identity_token() {
    for username in ["", "<token>", "a b", "a:b"] {
        let world = World::new();
        world.manifest(&format!(
            "[registries.\"r.example\"]\nsecret = \"GHCR_TOKEN\"\nusername = \"{username}\"\n"
        ));
        let done = world.ask("get", "r.example");
        assert_eq!(done.status.code(), Some(1), "{username:?}");
        assert!(done.text().contains("`username`"), "{}", done.text());
    }
    let world = World::new();
    world.manifest("[registries.\"r.example\"]\nsecret = \"GHCR_TOKEN\"\nusername = \"me\"\n");
    assert!(
        world
            .ask("get", "r.example")
            .succeeds()
            .contains("\"Username\":\"me\"")
    );
}
