//! Where an answer comes from: our own environment, the cache, `op`; and which manifest counts.

use crate::docker_world::{ANSWER, NOT_FOUND, TOKEN, World};

#[test]
fn our_own_environment_comes_first_and_costs_no_op() {
    let world = World::new();
    let from = |value: &str| {
        world
            .helper(&["get"])
            .env("GHCR_TOKEN", value)
            .input("ghcr.io")
            .done()
    };
    assert_eq!(
        from("ghp_mine").succeeds(),
        ANSWER.replace(TOKEN, "ghp_mine")
    );
    assert_eq!(world.asked(), 0);
    world.gets(ANSWER);
    assert_eq!(
        from("ghp_mine").succeeds(),
        ANSWER.replace(TOKEN, "ghp_mine"),
        "before the cache too"
    );
    assert_eq!(from("").succeeds(), ANSWER, "an empty variable is none");
    assert_eq!(world.asked(), 1);
}

#[test]
fn a_helper_below_exec_costs_no_further_op() {
    let world = World::with("");
    let helper = world.path("bin/docker-credential-oc").display().to_string();
    let script = format!("for i in 1 2 3; do printf ghcr.io | {helper} get; done");
    let done = world
        .program("oc-secrets", &["exec", "--", "sh", "-c", &script])
        .done();
    assert_eq!(done.succeeds(), ANSWER.repeat(3));
    assert_eq!(world.asked(), 1);
}

#[test]
fn a_useless_variable_is_an_error_and_not_silently_passed_over() {
    let world = World::new();
    let done = world
        .helper(&["get"])
        .env("GHCR_TOKEN", "ghp_mine\n")
        .input("ghcr.io")
        .done();
    assert_eq!(done.status.code(), Some(1));
    assert!(
        done.text()
            .ends_with("it holds white space or control characters\n")
    );
    assert!(!done.text().contains("ghp_mine") && !done.stderr.contains("ghp_mine"));
}

#[test]
fn the_manifest_is_never_the_working_directory_s() {
    let world = World::new();
    // The sandbox works in the directory that holds the manifest.
    let ask = || world.helper(&["get"]).without("OC_SECRETS_MANIFEST");
    let done = ask().input("localhost:5000").done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(1), NOT_FOUND),
        "a host of that manifest alone"
    );
    assert_eq!(world.asked(), 0);
    let relative = world
        .helper(&["get"])
        .env("OC_SECRETS_MANIFEST", "oc-secrets.toml")
        .input("localhost:5000")
        .done();
    assert_eq!(relative.status.code(), Some(1));
    assert_eq!(
        relative.text(),
        "the manifest's path must be absolute here, not `oc-secrets.toml`\n"
    );
}

#[test]
fn the_user_s_manifest_is_found_in_the_home() {
    let world = World::new();
    std::fs::create_dir_all(world.path("home/.config/oc-secrets")).expect("made");
    std::fs::copy(
        world.path("work/oc-secrets.toml"),
        world.path("home/.config/oc-secrets/oc-secrets.toml"),
    )
    .expect("copied");
    let done = world
        .helper(&["get"])
        .without("OC_SECRETS_MANIFEST")
        .input("ghcr.io")
        .done();
    assert_eq!(done.succeeds(), ANSWER);
}

#[test]
fn a_manifest_that_others_can_write_is_an_error() {
    let world = World::new();
    let path = world.path("work/oc-secrets.toml");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .expect("its mode");
    let done = world.ask("get", "ghcr.io");
    assert_eq!(done.status.code(), Some(1));
    assert!(
        done.text()
            .ends_with("can be written by others (mode 666)\n"),
        "{}",
        done.text()
    );
    assert_eq!(world.asked(), 0);
}

#[test]
fn d1_the_environment_may_make_a_locked_vault_mean_anonymous() {
    let world = World::with("");
    world.sandbox.mode("deleted-token");
    let locked = world.ask("get", "ghcr.io");
    assert!(
        locked.status.code() == Some(1) && locked.text() != NOT_FOUND,
        "{}",
        locked.text()
    );
    let done = world
        .helper(&["get"])
        .env("OC_DOCKER_ON_LOCKED", "notfound")
        .input("ghcr.io")
        .done();
    assert_eq!(
        (done.status.code(), done.text().as_str()),
        (Some(1), NOT_FOUND)
    );
    assert!(
        done.stderr
            .starts_with("docker-credential-oc: error: the service-account token "),
        "{}",
        done.stderr
    );
}
