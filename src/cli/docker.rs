//! `oc-secrets docker`: adds our helper to Docker's and Podman's files, and shows which helper each
//! client uses.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::arguments::{Docker, DockerCommand, Wiring};
use super::stdout;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::{Tone, clean};
use crate::broker::registry::{DOCKER_HUB, Host};
use crate::broker::session::Session;
use crate::credential_helper::client_config::before::{self, Before};
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
            force,
        } => {
            let hosts = wanted(session, &wiring.registry, *force)?;
            install(session, &hosts, wiring.podman, *remove_plaintext)?;
        }
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

/// The hosts to wire: without `force` those alone that the helper has an answer for.
fn wanted(session: &Session, named: &[String], force: bool) -> Result<Vec<Host>> {
    let mut hosts = hosts(session, named)?;
    if force {
        return Ok(hosts);
    }
    let known: HashSet<Host> = registries(session).into_iter().collect();
    let strangers: Vec<Host> = hosts.extract_if(.., |host| !known.contains(host)).collect();
    let source = session.source();
    if hosts.is_empty() {
        let host = &strangers[0];
        return Err(Error::usage(
            format!("{host} is not in the manifest of docker-credential-oc ({source})"),
            format!("add [registries.\"{host}\"] with its secret, or use --force"),
        ));
    }
    for host in strangers {
        session.ui.warn(&format!(
            "{host} is left out: it is not in the manifest of docker-credential-oc ({source}); add [registries.\"{host}\"], or use --force"
        ));
    }
    Ok(hosts)
}

fn install(session: &Session, hosts: &[Host], podman: bool, remove_plaintext: bool) -> Result<()> {
    let lookup = session.lookup();
    let install = Install {
        hosts,
        remove_plaintext,
        default_store: location::default_store(&lookup),
    };
    // All files are parsed before the first is changed.
    for found in files(session, podman)? {
        let notes = edit(&found, |config, absent| {
            let old = config.clone();
            let notes = config.install(&install);
            let before = old.before(config, absent, before::recall(&lookup, &found.path));
            before::keep(&lookup, &found.path, Some(&before))?;
            Ok(notes)
        })?;
        for note in notes {
            session
                .ui
                .warn(&format!("{}: {note}", found.path.display()));
        }
    }
    say(&answers(session, hosts))?;
    warn_of_obstacles(session, hosts)
}

/// What the helper answers each host with.
fn answers(session: &Session, hosts: &[Host]) -> String {
    let hosts: HashSet<&Host> = hosts.iter().collect();
    let specs = session.manifest.registries.iter();
    let specs = specs.filter(|spec| hosts.contains(&spec.host));
    let lines: String = specs
        .map(|spec| format!("  {}  {}\n", spec.host, spec.secret))
        .collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\nanswered from {}\n{lines}", clean(&session.source())),
    }
}

fn uninstall(session: &Session, wiring: &Wiring) -> Result<()> {
    let lookup = session.lookup();
    let hosts: Vec<Host> = wiring
        .registry
        .iter()
        .map(|text| host(text))
        .collect::<Result<_>>()?;
    for found in files(session, wiring.podman)? {
        let known = before::recall(&lookup, &found.path).unwrap_or_default();
        let mut none_left = false;
        edit(&found, |config, _| {
            none_left = config.uninstall(&hosts, &known);
            Ok(vec![])
        })?;
        if none_left {
            forget(&found, &known, &lookup)?;
        }
    }
    Ok(())
}

/// Nothing of ours is left in the file: one that we made goes, and so does what is known of it.
fn forget(found: &ClientFile, known: &Before, lookup: Lookup<'_>) -> Result<()> {
    if known.absent {
        file::remove_empty(&found.path)?;
    }
    if *known != Before::default() {
        before::keep(lookup, &found.path, None)?;
    }
    Ok(())
}

/// Changes the file, and says whether; returns the notes of the last change. `change` is told whether
/// there was no file.
fn edit(
    found: &ClientFile,
    mut change: impl FnMut(&mut Config, bool) -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    let mut notes = None;
    let changed = file::edit(&found.path, |old| {
        let mut config = parse(found.client, &found.path, old)?;
        let said = change(&mut config, old.is_none())?;
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
    if hosts.iter().any(|host| host.docker_key() == DOCKER_HUB) && has_podman(session) {
        ui.warn(REMOTE_PODMAN);
    }
    Ok(())
}

/// Docker Hub has one key for Docker alone, and Podman's remote client asks for all keys of Docker's
/// file, whichever image is pulled.
const REMOTE_PODMAN: &str = "Docker's file names Docker Hub as https://index.docker.io/v1/, its only key there, and \
    `podman --remote` refuses to pull anything while it does; give that one DOCKER_CONFIG=DIR, where DIR/config.json \
    holds {}. Podman without --remote is not concerned";

fn has_podman(session: &Session) -> bool {
    let lookup = session.lookup();
    let on_path = |name: &&str| location::on_path(&lookup, name).is_some();
    ["podman", "podman-remote"].iter().any(on_path)
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
    let mut hub = false;
    for found in files(session, true)? {
        hub |= found.client == Client::Docker && found.config.names(DOCKER_HUB);
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
    say(&text)?;
    if hub && has_podman(session) {
        session.ui.warn(REMOTE_PODMAN);
    }
    Ok(())
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
