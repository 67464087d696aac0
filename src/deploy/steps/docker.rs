//! Step 1: the Docker engine and Compose v2, from the distribution's packages.
//!
//! Nothing is downloaded and run. Where the distribution has no Compose v2 (Debian 12), that is
//! said, with the way out.

use std::time::{Duration, Instant};

use super::{apt, systemd};
use crate::deploy::engine::Engine;
use crate::deploy::exit::{Exit, Failure, Result};
use crate::deploy::gateway::compose;
use crate::deploy::host::Program;
use crate::deploy::run::Context;
use crate::deploy::settings::Engine as Choice;
use crate::deploy::step::{State, Step};

/// Names of the package with Compose v2, in the order of preference.
const COMPOSE: [&str; 3] = [
    "docker-compose-v2",
    "docker-compose-plugin",
    "docker-compose",
];

/// Docker and Compose.
pub struct Docker;

impl Step for Docker {
    fn check(&self, cx: &Context) -> Result<State> {
        let mut what = Vec::new();
        if cx.host.find("docker").is_none() && !cx.settings.engine.is_remote() {
            what.push("install docker.io".to_owned());
        }
        if let Err(failure) = cx.host.wait(Engine::open(&cx.settings.engine)) {
            let can_start = failure.cause == "daemon" && systemd::runs(&cx.host);
            match () {
                () if !what.is_empty() => {}
                () if can_start && local(cx) => what.push("start the Docker engine".to_owned()),
                () => return Err(failure),
            }
        }
        if what.is_empty()
            && let Err(failure) = cx.host.wait(compose::version(cx))
        {
            what.push(format!("install Compose v2 ({failure})"));
            if !can_install(cx) {
                return Err(failure);
            }
        }
        if !what.is_empty() && !can_install(cx) {
            return Err(Failure::new("Docker is not installed")
                .hint("install Docker and Compose v2, then run this again: https://docs.docker.com/engine/install/")
                .exit(Exit::Docker)
                .cause("daemon"));
        }
        Ok(State::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<String> {
        if cx.host.find("docker").is_none() {
            apt::install(&cx.host, &docker_packages(cx)?)?;
        }
        if systemd::runs(&cx.host) && !systemd::active(&cx.host, "docker") {
            systemd::tell(&cx.host, &["enable", "--now", "docker"])?;
        }
        cx.host.wait(engine_is_up(cx))?;
        if cx.host.wait(compose::version(cx)).is_err() {
            apt::install(&cx.host, &[compose_package(cx)?])?;
        }
        Ok(String::new())
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        cx.host.wait(async {
            Engine::open(&cx.settings.engine).await?;
            compose::version(cx).await.map(drop)
        })
    }
}

fn local(cx: &Context) -> bool {
    matches!(&cx.settings.engine, Choice::Socket(path) if path.ends_with("docker.sock"))
}

/// Whether packages installed here would be what the engine needs.
fn can_install(cx: &Context) -> bool {
    local(cx) && cx.host.is_real_root() && apt::here(&cx.host) && nix::unistd::geteuid().is_root()
}

async fn engine_is_up(cx: &Context) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Engine::open(&cx.settings.engine).await {
            Ok(_) => return Ok(()),
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Debian 13 and later have the client in a package of its own.
fn docker_packages(cx: &Context) -> Result<Vec<&'static str>> {
    let mut packages = vec!["docker.io"];
    if candidate(cx, "docker-cli")?.is_some() {
        packages.push("docker-cli");
    }
    Ok(packages)
}

fn compose_package(cx: &Context) -> Result<&'static str> {
    for name in COMPOSE {
        if candidate(cx, name)?.is_some_and(|version| is_v2(&version)) {
            return Ok(name);
        }
    }
    Err(Failure::new("no package source of this host has Compose v2")
        .hint("add Docker's own apt repository (https://docs.docker.com/engine/install/debian/), then: apt-get install docker-compose-plugin")
        .exit(Exit::Docker)
        .cause("compose"))
}

/// The version of a package that apt would install.
fn candidate(cx: &Context, package: &str) -> Result<Option<String>> {
    let ask = || {
        cx.host
            .must(&Program::new("apt-cache").args(["policy", package]))
    };
    let mut text = ask()?;
    if text.is_empty() {
        // A fresh machine has no package lists yet.
        let update = Program::new("apt-get").args(["-q", "update"]);
        cx.host.run(&update.deadline(Duration::from_secs(300)))?;
        text = ask()?;
    }
    Ok(candidate_of(&text).map(str::to_owned))
}

fn candidate_of(policy: &str) -> Option<&str> {
    let found = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (found != "(none)").then_some(found)
}

/// `2.26.1-4`, `5:2.29`; not `1.29.2-3`.
fn is_v2(version: &str) -> bool {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let major = version.split(['.', '-', '+']).next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_compose_is_told_from_the_new() {
        assert!(is_v2("2.26.1-4") && is_v2("2.24.6+ds1-0ubuntu1~24.04.1") && is_v2("5:2.29.7-1"));
        assert!(!is_v2("1.29.2-3") && !is_v2("") && !is_v2("x"));
    }

    #[test]
    fn the_candidate_is_read_from_aptitudes_words() {
        let text =
            "docker-compose:\n  Installed: (none)\n  Candidate: 1.29.2-3\n  Version table:\n";
        assert_eq!(candidate_of(text), Some("1.29.2-3"));
        assert_eq!(candidate_of("x:\n  Candidate: (none)\n"), None);
    }
}
