//! Step 1: the Docker engine and Compose v2, from packages.
//!
//! The engine is the distribution's, and so is Compose v2 if the distribution has it. Debian 12 does
//! not: there the plugin comes from Docker's own repository ([`crate::deploy::host::apt_repository`]),
//! pinned so that apt installs nothing else from it.

mod packages;

use std::time::{Duration, Instant};

use self::packages::{Offers, PLUGIN};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::apt_repository::{Layout, Repository};
use crate::deploy::host::{apt, systemd};
use crate::deploy::settings::EngineAddress;
use crate::deploy::step::{Reach, Step, StepState};

/// The paths of Docker's own instructions, so that following those later does not conflict.
const REPOSITORY: Layout = Layout {
    key: "gpg",
    keyring: "/etc/apt/keyrings/docker.asc",
    list: "/etc/apt/sources.list.d/docker.list",
    component: "stable",
    pins: Some(("/etc/apt/preferences.d/openclaw-deploy-docker", PINS)),
};
/// Pinned by host name, which a `Release` file cannot forge, and by origin, which a mirror keeps.
/// Compose 5 no longer promises to work with engines as old as Debian 12's.
const PINS: &str = "\
Explanation: Written by openclaw-deploy: Docker's repository is here for Compose v2 alone.
Explanation: Remove this file to install other packages of Docker's.
Package: docker-compose-plugin
Pin: version 2.*
Pin-Priority: 500

Package: *
Pin: release o=Docker
Pin-Priority: -1

Package: *
Pin: origin \"download.docker.com\"
Pin-Priority: -1
";

/// Docker and Compose.
pub(crate) struct Docker;

impl Step for Docker {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let engine = cx.host.wait(Engine::open(&cx.settings.engine));
        let mut what = Vec::new();
        if Reach::ThisHost.applies(&cx.settings) && !has_docker(cx, engine.is_ok()) {
            if !can_install(cx) {
                return Err(Failure::new("Docker is not installed")
                    .hint("install Docker and Compose v2, then run this again: https://docs.docker.com/engine/install/")
                    .exit(Exit::Docker)
                    .cause(Cause::Daemon));
            }
            what.push("install docker.io".to_owned());
        } else if let Err(failure) = engine {
            if failure.cause == Cause::Daemon && local(cx) && !systemd::is_running(&cx.host) {
                return Err(failure
                    .hint("start it, then run this again; there is no systemd here to do that"));
            }
            if failure.cause != Cause::Daemon || !local(cx) {
                return Err(failure);
            }
            what.push("start the Docker engine".to_owned());
        }
        if let Err(failure) = cx
            .host
            .wait(client::compose_version(&cx.host, &cx.settings.engine))
        {
            if !can_install(cx) {
                return Err(failure);
            }
            what.extend(compose_plan(cx)?);
        }
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let answers = cx.host.wait(Engine::open(&cx.settings.engine)).is_ok();
        if !has_docker(cx, answers) {
            install(cx, &Offers::up_to_date(&cx.host)?.docker())?;
        }
        if systemd::is_running(&cx.host) && !systemd::is_active(&cx.host, "docker") {
            systemd::systemctl(&cx.host, &["enable", "--now", "docker"])?;
        }
        let engine = cx.host.wait(engine_is_up(cx))?;
        let mut from = None;
        if cx
            .host
            .wait(client::compose_version(&cx.host, &cx.settings.engine))
            .is_err()
        {
            from = install_compose(cx)?;
        }
        let compose = cx
            .host
            .wait(client::compose_version(&cx.host, &cx.settings.engine))?;
        let from = from.unwrap_or_default();
        Ok(Some(format!(
            "Docker {}, Compose {compose}{from}",
            engine.version
        )))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        cx.host.wait(async {
            Engine::open(&cx.settings.engine).await?;
            client::compose_version(&cx.host, &cx.settings.engine)
                .await
                .map(drop)
        })
    }
}

fn local(cx: &Context) -> bool {
    matches!(&cx.settings.engine, EngineAddress::Socket(path) if path.ends_with("docker.sock"))
}

/// Whether we could install packages for this engine: it is this machine's, and we are root.
fn can_install(cx: &Context) -> bool {
    local(cx)
        && cx.host.is_real_root()
        && apt::is_available(&cx.host)
        && nix::unistd::geteuid().is_root()
}

async fn engine_is_up(cx: &Context) -> Result<Engine> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Engine::open(&cx.settings.engine).await {
            Ok(engine) => return Ok(engine),
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Whether the client is installed, and an engine that answers or could be started. A half-finished
/// installation does not count.
fn has_docker(cx: &Context, answers: bool) -> bool {
    let could_answer = || !local(cx) || apt::is_installed(&cx.host, "dockerd", "docker.io");
    cx.host.find("docker").is_some() && (answers || could_answer())
}

fn install(cx: &Context, packages: &[&str]) -> Result<()> {
    cx.reporter
        .note(format!("installing {}", packages.join(", ")));
    apt::install(&cx.host, packages)
}

fn compose_plan(cx: &Context) -> Result<Vec<String>> {
    let offers = Offers::of(&cx.host)?;
    Ok(match (offers.compose(), docker_repository_of(cx)?) {
        (Some(package), _) => vec![format!("install {package}")],
        (None, Some(repository)) if offers.are_known() => vec![
            format!("add {}, for {PLUGIN} alone", repository.url),
            format!("install {PLUGIN}"),
        ],
        _ => vec!["install Compose v2".to_owned()],
    })
}

/// Returns the repository if one had to be added.
fn install_compose(cx: &Context) -> Result<Option<String>> {
    if let Some(package) = Offers::up_to_date(&cx.host)?.compose() {
        return install(cx, &[package]).map(|()| None);
    }
    let repository = docker_repository_of(cx)?.ok_or_else(|| {
        Failure::new("no package source of this host has Compose v2")
            .hint("install it by hand, then run this again: https://docs.docker.com/compose/install/linux/")
            .exit(Exit::Docker)
            .cause(Cause::Compose)
    })?;
    repository
        .add(&cx.host)
        .map_err(|failure| failure.exit(Exit::Docker))?;
    install(cx, &[PLUGIN])?;
    Ok(Some(format!(" from {}", repository.url)))
}

fn docker_repository_of(cx: &Context) -> Result<Option<Repository>> {
    let settings = &cx.settings.host;
    Repository::for_host(
        &cx.host,
        REPOSITORY,
        &settings.docker_repository,
        &settings.docker_fingerprint,
    )
}
