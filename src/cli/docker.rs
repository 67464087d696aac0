//! `oc-secrets docker`: adds our helper to Docker's and Podman's files, and shows which helper each
//! client uses.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::arguments::{Docker, DockerCommand, Wiring};
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::{Tone, clean};
use crate::broker::registry::Host;
use crate::broker::session::Session;
use crate::credential_helper::client_config::config::{Client, Config, Install, Overview, SUFFIX};
use crate::credential_helper::client_config::{disabled_hosts, file, location};

/// Runs the command.
///
/// # Errors
/// When a file cannot be parsed or written; it is then unchanged.
pub(super) fn run(session: &Session, arguments: &Docker) -> Result<Exit> {
    match &arguments.command {
        DockerCommand::Install {
            wiring,
            remove_plaintext,
        } => install(session, wiring, *remove_plaintext)?,
        DockerCommand::Uninstall(wiring) => uninstall(session, wiring)?,
        DockerCommand::Status(wiring) => status(session, wiring)?,
        DockerCommand::Off { hosts } => switch(session, hosts, true)?,
        DockerCommand::On { hosts } => switch(session, hosts, false)?,
    }
    Ok(Exit::Done)
}

/// A parsed file of one client.
struct ClientFile {
    client: Client,
    path: PathBuf,
    absent: bool,
    config: Config,
}

/// The hosts that the manifest has a password for.
fn registries(session: &Session) -> Vec<Host> {
    let registries = session.manifest.registries.iter();
    registries.map(|spec| spec.host.clone()).collect()
}

fn install(session: &Session, wiring: &Wiring, remove_plaintext: bool) -> Result<()> {
    let lookup = session.lookup();
    let hosts = hosts(session, &wiring.registry)?;
    let install = Install {
        hosts: &hosts,
        remove_plaintext,
        default_store: location::default_store(&lookup),
    };
    // All files are parsed before the first is changed.
    for found in files(session, wiring.podman)? {
        for note in edit(&found, |config| config.install(&install))? {
            session
                .ui
                .warn(&format!("{}: {note}", found.path.display()));
        }
    }
    warn_of_obstacles(session, &hosts)
}

fn uninstall(session: &Session, wiring: &Wiring) -> Result<()> {
    let hosts: Vec<Host> = wiring
        .registry
        .iter()
        .map(|text| host(text))
        .collect::<Result<_>>()?;
    for found in files(session, wiring.podman)? {
        edit(&found, |config| {
            config.uninstall(&hosts);
            vec![]
        })?;
    }
    Ok(())
}

/// Changes the file, and says whether; returns the notes of the last change.
fn edit(found: &ClientFile, change: impl Fn(&mut Config) -> Vec<String>) -> Result<Vec<String>> {
    let mut notes = None;
    let changed = file::edit(&found.path, |old| {
        let mut config = parse(found.client, &found.path, old)?;
        let said = change(&mut config);
        let text = config.render();
        let unchanged = match old {
            Some(old) => same(found.client, old, &text),
            None => text == "{}",
        };
        if !unchanged || notes.is_none() {
            notes = Some(said);
        }
        Ok((!unchanged).then_some(text))
    })?;
    let word = if changed { "changed" } else { "unchanged" };
    say(&format!("{}: {word}\n", found.path.display()))?;
    Ok(notes.unwrap_or_default())
}

fn warn_of_obstacles(session: &Session, hosts: &[Host]) -> Result<()> {
    let lookup = session.lookup();
    let ui = session.ui;
    if location::on_path(&lookup, location::HELPER).is_none() {
        let own = std::env::current_exe().ok();
        let how = location::how_to_find(location::HELPER, own.as_deref(), &lookup);
        ui.warn(&format!(
            "{} is not on PATH, so clients will not find it: {how}",
            location::HELPER
        ));
    }
    if session.variable("DOCKER_AUTH_CONFIG").is_some() {
        ui.warn("DOCKER_AUTH_CONFIG is set; for the hosts it names, Docker uses nothing else");
    }
    let known: HashSet<Host> = registries(session).into_iter().collect();
    for host in hosts.iter().filter(|host| !known.contains(host)) {
        ui.warn(&format!("{host} is not in the manifest that docker-credential-oc uses: add [registries.\"{host}\"]"));
    }
    Ok(())
}

fn status(session: &Session, wiring: &Wiring) -> Result<()> {
    let lookup = session.lookup();
    let hosts = hosts(session, &wiring.registry)?;
    let disabled = disabled_hosts::read(&lookup);
    let off: HashSet<&Host> = disabled.iter().collect();
    let mut text = match location::on_path(&lookup, location::HELPER) {
        Some(path) => format!("helper  {}\n", clean(&path.display().to_string())),
        None => {
            let own = std::env::current_exe().ok();
            let missing = session.ui.paint(Tone::Bad, "not on PATH");
            format!(
                "helper  {missing}: {}\n",
                location::how_to_find(location::HELPER, own.as_deref(), &lookup)
            )
        }
    };
    for found in files(session, true)? {
        let absent = if found.absent { " (not found)" } else { "" };
        text.push_str(&format!(
            "\n{}  {}{absent}\n",
            clients(found.client),
            clean(&found.path.display().to_string())
        ));
        let overview = found.config.overview();
        for host in &hosts {
            text.push_str(&line(session, &overview, host, off.contains(host)));
        }
    }
    text.push_str(&disabled_elsewhere(session, &hosts, disabled));
    say(&text)
}

/// Disabled hosts that no other line shows, such as a mistyped one.
fn disabled_elsewhere(session: &Session, listed: &[Host], mut off: Vec<Host>) -> String {
    let known = registries(session);
    let shown: HashSet<&Host> = listed.iter().chain(&known).collect();
    off.retain(|host| !shown.contains(host));
    let lines: String = off
        .iter()
        .map(|host| format!("  {host}  on again: oc-secrets docker on {host}\n"))
        .collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\noff, but not in the manifest\n{lines}"),
    }
}

fn line(session: &Session, overview: &Overview<'_>, host: &Host, off: bool) -> String {
    let paint = |tone, text: &str| session.ui.paint(tone, text);
    let asks = match overview.asks(host).as_deref() {
        Some(SUFFIX) if off => paint(Tone::Notice, "asks oc-secrets, which is off for it"),
        Some(SUFFIX) => paint(Tone::Good, "asks oc-secrets"),
        Some(other) => {
            let other = format!("asks docker-credential-{}", clean(other));
            paint(Tone::Notice, &other)
        }
        None => paint(Tone::Notice, "not wired"),
    };
    let plain = match overview.has_plaintext(host) {
        false => String::new(),
        true => format!(
            ", {}",
            paint(Tone::Bad, "plaintext credential in this file")
        ),
    };
    let silent = match off && overview.asks(host).as_deref() != Some(SUFFIX) {
        true => ", and oc-secrets is off for it",
        false => "",
    };
    format!("  {host}  {asks}{silent}{plain}\n")
}

fn switch(session: &Session, texts: &[String], off: bool) -> Result<()> {
    let lookup = session.lookup();
    let hosts: Vec<Host> = texts.iter().map(|text| host(text)).collect::<Result<_>>()?;
    let changed = disabled_hosts::switch(&lookup, &hosts, off)?;
    for host in &hosts {
        let already = if changed.contains(host) {
            ""
        } else {
            "already "
        };
        let word = if off {
            "off, so clients go on without credentials"
        } else {
            "on"
        };
        say(&format!("{host}: {already}{word}\n"))?;
    }
    Ok(())
}

/// The hosts that were named, or all of the manifest.
fn hosts(session: &Session, named: &[String]) -> Result<Vec<Host>> {
    let hosts: Vec<Host> = match named.is_empty() {
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

fn files(session: &Session, podman: bool) -> Result<Vec<ClientFile>> {
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

fn parse(client: Client, path: &Path, text: Option<&str>) -> Result<Config> {
    Config::parse(client, text.unwrap_or_default())
        .map_err(|what| file::unusable(path, what, "fix the file; it is left as it was"))
}

/// Whether both texts say the same, whatever their layout.
fn same(client: Client, old: &str, new: &str) -> bool {
    Config::parse(client, old).is_ok_and(|old| old.render() == new)
}

fn clients(client: Client) -> &'static str {
    match client {
        Client::Docker => "docker, compose, buildx, crane",
        Client::Podman => "podman, skopeo, buildah",
    }
}

fn host(text: &str) -> Result<Host> {
    Host::parse(text).ok_or_else(|| {
        Error::usage(
            format!("`{text}` is not a registry host"),
            "write it as in an image's name, such as ghcr.io",
        )
    })
}

fn say(text: &str) -> Result<()> {
    stdout::print(text.as_bytes())
}
