//! The promise, proved for the helpers: the token goes into pipes, a socket and the kernel's
//! keyring, and nowhere else. Each proof has a control.

use std::path::PathBuf;

use crate::docker_world::{TOKEN, World};

/// Runs `script` in the world under strace and gives the trace of each process.
fn traced(world: &World, script: &str) -> Vec<(PathBuf, String)> {
    let prefix = format!("-o{}", world.path("work/trace").display());
    let options = [
        "-ff", "-qq", "-yy", "-v", "-s262144", &prefix, "sh", "-c", script,
    ];
    let run = world.sandbox.run("strace".as_ref(), options);
    run.env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token())
        .done();
    let files = std::fs::read_dir(world.path("work"))
        .expect("a directory")
        .flatten();
    let traces = files
        .map(|file| file.path())
        .filter(|path| path.to_string_lossy().contains("/trace."));
    traces
        .map(|path| {
            (
                path.clone(),
                std::fs::read_to_string(path).expect("a trace"),
            )
        })
        .collect()
}

/// The system calls by which the token goes where it must not, or one of ours opens a file to write.
fn offences(trace: &str) -> Vec<&str> {
    let own = trace
        .lines()
        .next()
        .is_some_and(|line| line.contains("-credential-oc\""));
    let harmless = [
        "<pipe:",
        "<socket:",
        "<UNIX",
        "\"/dev/null\"",
        "</dev/null<",
    ];
    let offends = |line: &&str| {
        let call = line.split('(').next().unwrap_or_default();
        let holds = line.contains(TOKEN);
        let allowed = harmless.iter().any(|word| line.contains(word));
        match call {
            "write" | "writev" | "pwrite64" | "sendto" | "sendmsg" => holds && !allowed,
            "execve" => {
                holds
                    && line
                        .split("], [")
                        .next()
                        .unwrap_or_default()
                        .contains(TOKEN)
            }
            "open" | "openat" | "creat" | "rename" | "link" | "mkdir" => {
                own && !allowed
                    && ["O_WRONLY", "O_RDWR", "O_CREAT", "rename", "link(", "mkdir"]
                        .iter()
                        .any(|word| line.contains(word))
            }
            "memfd_create" => own,
            _ => false,
        }
    };
    trace.lines().filter(offends).collect()
}

#[test]
fn the_token_goes_into_pipes_a_socket_and_the_keyring_alone() {
    let get = "printf ghcr.io | docker-credential-oc get";
    let store = format!(
        "printf '{{\"ServerURL\":\"ghcr.io\",\"Username\":\"x-access-token\",\"Secret\":\"{TOKEN}\"}}' | docker-credential-oc store"
    );
    let git = "printf 'protocol=https\\nhost=github.com\\n' | git-credential-oc get";
    let together = format!("{get} & {get} & {get} & wait");
    for script in [get, &format!("{get} && {get}"), &store, git, &together] {
        let world = World::new();
        world.sandbox.mode("latency=300");
        // A pipe on stdout, as every client gives us.
        let traces = traced(&world, &format!("{{ {script}; }} | cat >/dev/null"));
        let kept = traces
            .iter()
            .any(|(_, trace)| trace.contains("add_key(\"user\", \"oc-secrets:v1:"));
        assert!(kept, "{script}: nothing was kept, so nothing was proved");
        for (path, trace) in &traces {
            // The shell that begins with the token on its argv is the test's own.
            let found = offences(trace)
                .into_iter()
                .filter(|line| !line.contains("[\"sh\", \"-c\""));
            assert_eq!(
                found.collect::<Vec<_>>(),
                Vec::<&str>::new(),
                "{script} {}",
                path.display()
            );
        }
    }
}

#[test]
fn control_a_file_and_an_argument_are_caught() {
    for script in [
        format!("echo {TOKEN} > leaked"),
        format!("/bin/echo {TOKEN}"),
    ] {
        let world = World::new();
        let traces = traced(&world, &script);
        let caught = traces.iter().flat_map(|(_, trace)| offences(trace));
        assert!(
            caught
                .filter(|line| !line.contains("[\"sh\", \"-c\""))
                .count()
                > 0,
            "{script}"
        );
    }
}

#[test]
fn a_key_is_given_its_end_before_anyone_else_can_reach_it() {
    let world = World::new();
    let traces = traced(
        &world,
        "printf ghcr.io | docker-credential-oc get | cat >/dev/null",
    );
    let calls: Vec<String> = traces
        .iter()
        .flat_map(|(_, trace)| trace.lines())
        .filter_map(|line| {
            let word = [
                "add_key(",
                "KEYCTL_SET_TIMEOUT",
                "KEYCTL_LINK",
                "KEYCTL_UPDATE",
            ];
            word.iter()
                .find(|word| line.contains(**word))
                .map(|word| (*word).to_owned())
        })
        .collect();
    assert_eq!(calls, ["add_key(", "KEYCTL_SET_TIMEOUT", "KEYCTL_LINK"]);
}
