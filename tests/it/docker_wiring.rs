//! `oc-secrets docker`: Docker's and Podman's own files, changed with care.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::docker_world::World;
use crate::sandbox::Done;

/// `oc-secrets docker WORDS`, with no store that Docker could find by itself.
fn docker(world: &World, words: &[&str]) -> Done {
    let words: Vec<&str> = ["docker"].iter().chain(words).copied().collect();
    let run = world
        .program("oc-secrets", &words)
        .env("PATH", world.path("bin"));
    run.env("XDG_RUNTIME_DIR", world.path("home/run")).done()
}

fn config(world: &World) -> String {
    fs::read_to_string(world.path("home/.docker/config.json")).expect("a file")
}

fn put(world: &World, text: &str) {
    fs::create_dir_all(world.path("home/.docker")).expect("made");
    fs::write(world.path("home/.docker/config.json"), text).expect("written");
}

#[test]
fn install_names_us_for_the_hosts_of_the_manifest_and_uninstall_undoes_it() {
    let world = World::new();
    let before = "{\n\t\"psFormat\": \"{{.ID}}\",\n\t\"credsStore\": \"pass\",\n\t\"aliases\": {\"b\": \"c\"}\n}";
    put(&world, before);
    let path = world.path("home/.docker/config.json");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("its mode");
    let said = format!("{}: changed\n", path.display());
    let answers = format!(
        "\nanswered from {}\n  ghcr.io  GHCR_TOKEN\n  docker.io  GHCR_TOKEN\n  localhost:5000  GHCR_TOKEN\n",
        world.path("work/oc-secrets.toml").display()
    );
    let installed = format!("{said}{answers}");
    assert_eq!(docker(&world, &["install"]).succeeds(), installed);
    let helpers = "\t\"credHelpers\": {\n\t\t\"ghcr.io\": \"oc\",\n\t\t\"https://index.docker.io/v1/\": \"oc\",\n\t\t\"localhost:5000\": \"oc\"\n\t}";
    assert_eq!(
        config(&world),
        before.replace("\n}", &format!(",\n{helpers}\n}}"))
    );
    assert_eq!(path.metadata().expect("metadata").mode() & 0o7777, 0o640);
    let inode = path.metadata().expect("metadata").ino();
    assert_eq!(
        docker(&world, &["install"]).succeeds(),
        installed.replace("changed", "unchanged")
    );
    assert_eq!(
        path.metadata().expect("metadata").ino(),
        inode,
        "an unchanged file is not written"
    );
    assert_eq!(docker(&world, &["uninstall"]).succeeds(), said);
    assert_eq!(config(&world), before);
}

#[test]
fn install_makes_a_file_for_us_alone_where_there_is_none() {
    let world = World::new();
    let done = docker(&world, &["install", "--registry", "ghcr.io"]);
    assert!(done.status.success());
    assert_eq!(
        config(&world),
        "{\n\t\"credHelpers\": {\n\t\t\"ghcr.io\": \"oc\"\n\t}\n}"
    );
    let mode = |path: &str| world.path(path).metadata().expect("metadata").mode() & 0o7777;
    assert_eq!(
        (mode("home/.docker"), mode("home/.docker/config.json")),
        (0o700, 0o600)
    );
    let warned = done.stderr.contains("warning: ")
        && done
            .stderr
            .contains("unencrypted in this file: set `credsStore`");
    assert!(warned, "{}", done.stderr);
}

#[test]
fn install_names_the_store_that_docker_would_find_by_itself() {
    let world = World::new();
    for program in ["pass", "docker-credential-pass"] {
        world
            .sandbox
            .place(Path::new("/bin/true"), &format!("bin/{program}"));
    }
    assert!(
        docker(&world, &["install", "--registry", "ghcr.io"])
            .succeeds()
            .ends_with("\n  ghcr.io  GHCR_TOKEN\n")
    );
    assert!(config(&world).contains("\"credsStore\": \"pass\""));
}

#[test]
fn a_store_that_does_not_work_is_not_named() {
    let world = World::new();
    for (program, does) in [
        ("pass", "/bin/true"),
        ("docker-credential-pass", "/bin/false"),
    ] {
        world
            .sandbox
            .place(Path::new(does), &format!("bin/{program}"));
    }
    assert!(
        docker(&world, &["install", "--registry", "ghcr.io"])
            .stderr
            .contains("set `credsStore`")
    );
    assert!(!config(&world).contains("credsStore"));
}

#[test]
fn no_store_of_the_working_directory_is_asked() {
    let world = World::new();
    let marker = world.path("work/marker");
    let store = format!("#!/bin/sh\n: >{}\n", marker.display());
    let put = |path: &str| {
        world.sandbox.file(path, &store);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.path(path), mode).expect("its mode");
    };
    let install = |path: String| {
        let words = ["docker", "install", "--registry", "ghcr.io"];
        let run = world.program("oc-secrets", &words).env("PATH", path);
        let run = run.env("XDG_RUNTIME_DIR", world.path("home/run"));
        assert!(run.done().status.success());
        let named = config(&world).contains("credsStore");
        fs::remove_file(world.path("home/.docker/config.json")).expect("removed");
        (marker.exists(), named)
    };
    let bin = world.path("bin").display().to_string();
    put("work/docker-credential-secretservice");
    for path in [
        format!("{bin}:"),
        format!(":{bin}"),
        format!(".:{bin}"),
        ":".into(),
    ] {
        assert_eq!(install(path.clone()), (false, false), "{path:?}");
    }
    put("bin/docker-credential-secretservice");
    assert_eq!(install(format!("{bin}:")), (true, true), "the control");
}

#[test]
fn install_podman_names_us_in_the_file_it_writes_and_in_the_one_that_lasts() {
    let world = World::new();
    put(&world, "{\"credsStore\": \"pass\"}");
    docker(&world, &["install", "--podman"]).succeeds();
    for file in [
        "home/run/containers/auth.json",
        "home/.config/containers/auth.json",
    ] {
        let text = fs::read_to_string(world.path(file)).expect("a file");
        assert!(
            text.contains("\"docker.io\": \"oc\"") && text.contains("\"ghcr.io\": \"oc\""),
            "{file}: {text}"
        );
    }
    docker(&world, &["uninstall", "--podman"]).succeeds();
    for file in [
        "home/run/containers/auth.json",
        "home/.config/containers/auth.json",
    ] {
        assert!(!world.path(file).exists(), "{file} was not there before");
    }
}

#[test]
fn uninstall_leaves_the_file_as_it_was_before_install() {
    let world = World::new();
    for program in ["pass", "docker-credential-pass"] {
        world
            .sandbox
            .place(Path::new("/bin/true"), &format!("bin/{program}"));
    }
    for before in [
        "{\n\t\"auths\": {}\n}\n",
        "{\n  \"credHelpers\": {\n    \"ghcr.io\": \"gh\",\n    \"quay.io\": \"q\"\n  },\n  \"credsStore\": \"desktop\"\n}",
        "{\n\t\"credsStore\": \"\",\n\t\"psFormat\": \"x\"\n}",
    ] {
        put(&world, before);
        assert!(docker(&world, &["install"]).status.success());
        assert_ne!(config(&world), before, "the control");
        assert!(docker(&world, &["install"]).status.success());
        docker(&world, &["uninstall"]).succeeds();
        assert_eq!(config(&world), before);
    }
    fs::remove_file(world.path("home/.docker/config.json")).expect("removed");
    docker(&world, &["install"]).succeeds();
    assert!(config(&world).contains("\"credsStore\": \"pass\""));
    docker(&world, &["uninstall", "--registry", "ghcr.io"]).succeeds();
    assert!(config(&world).contains("pass"), "two hosts still ask us");
    docker(&world, &["uninstall"]).succeeds();
    assert!(!world.path("home/.docker/config.json").exists());
    let kept = world.path("home/.local/state/oc-secrets/docker-before.json");
    assert_eq!(fs::read_to_string(kept).expect("a record"), "{}");
}

#[test]
fn a_host_that_the_manifest_does_not_have_is_wired_by_force_alone() {
    let world = World::new();
    put(&world, "{\"credsStore\":\"pass\"}");
    let manifest = world.path("work/oc-secrets.toml");
    let manifest = manifest.display();
    docker(&world, &["install", "--registry", "quay.io"]).fails(2, &format!(
        "oc-secrets: error: quay.io is not in the manifest of docker-credential-oc ({manifest})\n\
         hint: add [registries.\"quay.io\"] with its secret, or use --force\n"
    ));
    assert_eq!(config(&world), "{\"credsStore\":\"pass\"}");
    let both = ["install", "--registry", "quay.io", "--registry", "ghcr.io"];
    let done = docker(&world, &both);
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(
        done.stderr,
        format!(
            "oc-secrets: warning: quay.io is left out: it is not in the manifest of docker-credential-oc ({manifest}); add [registries.\"quay.io\"], or use --force\n"
        )
    );
    assert!(config(&world).contains("ghcr.io") && !config(&world).contains("quay.io"));
    let done = docker(&world, &["install", "--registry", "quay.io", "--force"]);
    assert!(
        done.stderr.contains("quay.io is not in the manifest"),
        "{}",
        done.stderr
    );
    assert!(config(&world).contains("quay.io"));
}

#[test]
fn what_podman_s_remote_client_refuses_is_said() {
    let world = World::new();
    put(&world, "{\"credsStore\":\"pass\"}");
    let said =
        "`podman --remote` refuses to pull anything while it does; give that one DOCKER_CONFIG=DIR";
    assert!(
        !docker(&world, &["install"]).stderr.contains(said),
        "without Podman"
    );
    world.sandbox.place(Path::new("/bin/true"), "bin/podman");
    assert!(docker(&world, &["install"]).stderr.contains(said));
    assert!(docker(&world, &["status"]).stderr.contains(said));
    docker(&world, &["uninstall"]).succeeds();
    assert_eq!(
        docker(&world, &["install", "--registry", "ghcr.io"]).stderr,
        ""
    );
    assert_eq!(docker(&world, &["status"]).stderr, "");
}

#[test]
fn a_file_that_cannot_be_understood_is_refused_and_left_as_it_was() {
    for text in [
        "{",
        "[]",
        "{\"credHelpers\": 1}",
        "{\"a\":1,\"a\":2}",
        "{\"auths\": []}",
        "hunter2",
    ] {
        let world = World::new();
        put(&world, text);
        for words in [&["install"][..], &["uninstall"], &["status"]] {
            let done = docker(&world, words);
            assert_eq!(done.status.code(), Some(2), "{words:?} {text}");
            assert!(
                done.stderr
                    .ends_with("hint: fix the file; it is left as it was\n"),
                "{}",
                done.stderr
            );
            assert!(!done.stderr.contains("hunter2"));
            assert_eq!(config(&world), text);
        }
    }
}

#[test]
fn nothing_is_changed_when_one_of_the_files_cannot_be_understood() {
    let world = World::new();
    put(&world, "{}");
    fs::create_dir_all(world.path("home/run/containers")).expect("made");
    fs::write(world.path("home/run/containers/auth.json"), "{").expect("written");
    assert_eq!(
        docker(&world, &["install", "--podman"]).status.code(),
        Some(2)
    );
    assert_eq!(config(&world), "{}");
}

#[test]
fn a_dangling_link_is_refused_and_a_good_one_is_followed() {
    let world = World::new();
    fs::create_dir_all(world.path("home/.docker")).expect("made");
    symlink("../dotfiles.json", world.path("home/.docker/config.json")).expect("a link");
    let done = docker(&world, &["install"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(
        done.stderr
            .contains("is a link to nothing\nhint: fix or remove the link\n"),
        "{}",
        done.stderr
    );
    fs::write(
        world.path("home/dotfiles.json"),
        "{\"credsStore\":\"pass\"}",
    )
    .expect("written");
    docker(&world, &["install"]).succeeds();
    assert!(world.path("home/.docker/config.json").is_symlink());
    assert!(
        fs::read_to_string(world.path("home/dotfiles.json"))
            .expect("a file")
            .contains("ghcr.io")
    );
}

#[test]
fn an_unwritable_directory_is_an_error_and_leaves_the_file() {
    let world = World::of_user(4246, "");
    put(&world, "{\"credsStore\":\"pass\"}");
    fs::set_permissions(world.path("home/.docker"), PermissionsExt::from_mode(0o555))
        .expect("its mode");
    std::os::unix::fs::chown(world.path("home/.docker"), Some(4246), None).expect("root");
    let run = world.program("oc-secrets", &["docker", "install"]);
    let done = run
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", world.path("bin").display()),
        )
        .done();
    assert_eq!(done.status.code(), Some(2));
    assert!(
        done.stderr.contains("cannot be written: permission denied"),
        "{}",
        done.stderr
    );
    assert_eq!(config(&world), "{\"credsStore\":\"pass\"}");
    fs::set_permissions(world.path("home/.docker"), PermissionsExt::from_mode(0o755))
        .expect("its mode");
}

#[test]
fn plaintext_is_named_and_taken_out_on_request() {
    let world = World::new();
    put(
        &world,
        "{\"auths\":{\"ghcr.io\":{\"auth\":\"eDpnaHA=\"},\"quay.io\":{\"auth\":\"eTp6\"}},\"credsStore\":\"pass\"}",
    );
    let done = docker(&world, &["install"]);
    assert!(
        done.stderr
            .contains("a plaintext credential for ghcr.io stays in this file"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("eDpnaHA=") && config(&world).contains("eDpnaHA="));
    assert!(
        docker(&world, &["status"])
            .text()
            .contains("plaintext credential in this file")
    );
    docker(&world, &["install", "--remove-plaintext"]).succeeds();
    assert!(!config(&world).contains("eDpnaHA=") && config(&world).contains("eTp6"));
}

#[test]
fn status_says_which_client_asks_whom() {
    let world = World::new();
    put(
        &world,
        "{\"credHelpers\":{\"ghcr.io\":\"oc\"},\"credsStore\":\"desktop\"}",
    );
    docker(&world, &["off", "localhost:5000", "ghrc.io"]).succeeds();
    let expected = format!(
        "helper  {bin}/docker-credential-oc\n\n\
         docker, compose, buildx, crane  {home}/.docker/config.json\n  ghcr.io  asks oc-secrets\n  docker.io  asks docker-credential-desktop\n  localhost:5000  asks docker-credential-desktop, and oc-secrets is off for it\n\n\
         podman, skopeo, buildah  {home}/run/containers/auth.json (not found)\n  ghcr.io  not wired\n  docker.io  not wired\n  localhost:5000  not wired, and oc-secrets is off for it\n\n\
         podman, skopeo, buildah  {home}/.config/containers/auth.json (not found)\n  ghcr.io  not wired\n  docker.io  not wired\n  localhost:5000  not wired, and oc-secrets is off for it\n\n\
         off, but not in the manifest\n  ghrc.io  on again: oc-secrets docker on ghrc.io\n",
        bin = world.path("bin").display(),
        home = world.path("home").display(),
    );
    assert_eq!(docker(&world, &["status"]).succeeds(), expected);
    docker(&world, &["on", "ghrc.io"]).succeeds();
    let (without, _) = expected.split_once("\noff, but").expect("the stray host");
    assert_eq!(docker(&world, &["status"]).succeeds(), without);
}

#[test]
fn a_helper_that_is_not_on_path_is_named_with_the_command_that_mends_it() {
    let world = World::new();
    put(&world, "{\"credsStore\":\"pass\"}");
    let run = world
        .program(
            "oc-secrets",
            &["docker", "install", "--registry", "ghcr.io"],
        )
        .env("PATH", "/usr/bin:/bin");
    let done = run.done();
    let own = world.path("bin/docker-credential-oc");
    let expected = format!(
        "oc-secrets: warning: docker-credential-oc is not on PATH, so clients will not find it: sudo ln -s {} /usr/local/bin/docker-credential-oc\n",
        own.display()
    );
    assert_eq!(
        (done.status.code(), done.stderr.as_str()),
        (Some(0), expected.as_str())
    );
}

#[test]
fn without_a_home_it_says_so() {
    let world = World::new();
    let done = world
        .program("oc-secrets", &["docker", "status"])
        .without("HOME")
        .done();
    done.fails(2, "oc-secrets: error: no directory for Docker's config.json: HOME is not set\nhint: set HOME or DOCKER_CONFIG\n");
    let relative = |words: &[&str]| {
        let run = world.program("oc-secrets", words);
        run.env("HOME", "relative").done()
    };
    relative(&["docker", "status"]).fails(2, "oc-secrets: error: no directory for Docker's config.json: HOME is not an absolute path\nhint: set HOME or DOCKER_CONFIG\n");
    relative(&["docker", "off", "ghcr.io"]).fails(2, "oc-secrets: error: no directory for the list of disabled hosts: HOME is not an absolute path\nhint: set HOME or XDG_CONFIG_HOME\n");
}

#[test]
fn another_helper_is_not_given_the_key_to_the_vault() {
    let world = World::new();
    world.sandbox.place(Path::new("/bin/true"), "bin/pass");
    let seen = world.path("seen");
    let helper = world.path("bin/docker-credential-pass");
    let script = format!("#!/bin/sh\n/usr/bin/env >{}\n", seen.display());
    std::fs::write(&helper, script).expect("written");
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("its mode");
    let run = world
        .sandbox
        .oc(["docker", "install", "--registry", "ghcr.io"]);
    run.env("GHCR_TOKEN", "ghp_made_up").done().succeeds();
    let seen = std::fs::read_to_string(seen).expect("the helper was asked");
    assert!(seen.contains("HOME="), "the control: {seen}");
    for secret in ["OP_SERVICE_ACCOUNT_TOKEN", "GHCR_TOKEN"] {
        assert!(!seen.contains(secret), "{seen}");
    }
}
