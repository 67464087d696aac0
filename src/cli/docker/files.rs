//! The clients' files, parsed, and the registries that they are about.

use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::broker::registry::HostPort;
use crate::broker::session::Session;
use crate::credential_helper::client_config::docker::{Client, Config};
use crate::credential_helper::client_config::{file, location};

/// A parsed file of one client.
pub(super) struct ClientFile {
    pub(super) client: Client,
    pub(super) path: PathBuf,
    pub(super) absent: bool,
    pub(super) config: Config,
}

/// The hosts that the manifest has a password for.
pub(super) fn registries(session: &Session) -> Vec<HostPort> {
    let registries = session.manifest.registries.iter();
    registries.map(|spec| spec.host.clone()).collect()
}

/// The hosts that were named, or all of the manifest.
pub(super) fn hosts(session: &Session, named: &[String]) -> Result<Vec<HostPort>> {
    let hosts: Vec<HostPort> = match named.is_empty() {
        false => named.iter().map(|text| host(text)).collect::<Result<_>>()?,
        true => registries(session),
    };
    match hosts.is_empty() {
        true => Err(Error::usage(
            "the manifest has no registry",
            "add [registries.\"ghcr.io\"], or use --registry HOST",
        )),
        false => Ok(hosts),
    }
}

pub(super) fn files(session: &Session, podman: bool) -> Result<Vec<ClientFile>> {
    let lookup = session.lookup();
    let docker = location::docker(&lookup)
        .ok_or_else(|| Error::no_home("Docker's config.json", "DOCKER_CONFIG", &lookup))?;
    let podman = if podman {
        location::podman(&lookup)
    } else {
        vec![]
    };
    let podman = podman.into_iter().map(|path| (Client::Podman, path));
    [(Client::Docker, docker)]
        .into_iter()
        .chain(podman)
        .map(|(client, path)| read(client, path))
        .collect()
}

fn read(client: Client, path: PathBuf) -> Result<ClientFile> {
    let text = file::read(&path)?;
    let config = parse(client, &path, text.as_deref())?;
    Ok(ClientFile {
        client,
        path,
        absent: text.is_none(),
        config,
    })
}

pub(super) fn parse(client: Client, path: &Path, text: Option<&str>) -> Result<Config> {
    Config::parse(client, text.unwrap_or_default())
        .map_err(|what| file::unusable(path, what, "fix the file; it is left as it was"))
}

pub(super) fn clients(client: Client) -> &'static str {
    match client {
        Client::Docker => "docker, compose, buildx, crane",
        Client::Podman => "podman, skopeo, buildah",
    }
}

pub(super) fn host(text: &str) -> Result<HostPort> {
    HostPort::parse(text).ok_or_else(|| {
        Error::usage(
            format!("`{text}` is not a registry host"),
            "write it as in an image's name, such as ghcr.io",
        )
    })
}
