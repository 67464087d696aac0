//! The client of testcontainers and of many Rust programs: the crate `docker_credential`.
//!
//! It reads the configuration from this process's own environment, so it runs in a child of ours:
//! this very test program, started again for one test of its own.

use std::path::Path;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::docker_world::{TOKEN, World};

/// Set in the child alone: the registry to ask for.
const ASK: &str = "TEST_ASK_FOR";

/// Asks as the crate does, in an environment of its own.
fn ask(world: &World, server: &str, mode: &str) -> String {
    world.sandbox.mode(mode);
    let own = std::env::current_exe().expect("our own path");
    let done = world
        .sandbox
        .run(
            Path::new(&own),
            ["docker_crate::in_the_child", "--exact", "--nocapture"],
        )
        .env(ASK, server)
        .env("DOCKER_CONFIG", world.path("home/.docker"))
        .env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token())
        .done();
    assert!(done.status.success(), "{}", done.stderr);
    let text = done.text();
    let answer = text.lines().find_map(|line| line.split_once("answer: "));
    answer.expect("an answer").1.to_owned()
}

#[test]
fn in_the_child() {
    use std::io::Write;
    let Ok(server) = std::env::var(ASK) else {
        return;
    };
    let answer = match docker_credential::get_credential(&server) {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            format!("{username} {password}")
        }
        Ok(DockerCredential::IdentityToken(_)) => "an identity token".to_owned(),
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) => {
            format!("failure: {}", stdout.trim())
        }
        Err(error) => format!("error: {error:?}"),
    };
    writeln!(std::io::stdout(), "answer: {answer}").expect("written");
}

#[test]
fn the_crate_gets_the_token_not_found_or_the_reason() {
    let world = World::with("[cache]\nttl = \"0\"\n");
    let wired = "{\"credHelpers\":{\"ghcr.io\":\"oc\",\"quay.io\":\"oc\"}}";
    std::fs::create_dir_all(world.path("home/.docker")).expect("made");
    std::fs::write(world.path("home/.docker/config.json"), wired).expect("written");
    assert_eq!(
        ask(&world, "ghcr.io", ""),
        format!("x-access-token {TOKEN}")
    );
    assert_eq!(
        ask(&world, "quay.io", ""),
        "failure: credentials not found in native keychain"
    );
    assert_eq!(
        ask(&world, "ghcr.io", "network"),
        "failure: 1Password cannot be reached"
    );
    // It waits for the end of stdout and of stderr, which a daemon of `op` would hold for 30 s.
    let begun = std::time::Instant::now();
    assert_eq!(
        ask(&world, "ghcr.io", "daemon"),
        format!("x-access-token {TOKEN}")
    );
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn the_crate_never_meets_a_broken_pipe() {
    let world = World::with("");
    std::fs::create_dir_all(world.path("home/.docker")).expect("made");
    std::fs::write(
        world.path("home/.docker/config.json"),
        "{\"credHelpers\":{\"quay.io\":\"oc\"}}",
    )
    .expect("written");
    for _ in 0..100 {
        assert_eq!(
            ask(&world, "quay.io", ""),
            "failure: credentials not found in native keychain"
        );
    }
}
