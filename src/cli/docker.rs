//! `oc-secrets docker`: adds our helper to Docker's and Podman's files, and shows which helper each
//! client uses.

mod files;
mod status;

use std::collections::HashSet;

use self::files::{ClientFile, files, host, hosts, parse, registries};
use self::status::{REMOTE_PODMAN, has_podman, status};
use super::arguments::{Docker, DockerCommand, Wiring};
use super::stdout;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::clean;
use crate::broker::registry::{DOCKER_HUB, HostPort};
use crate::broker::session::Session;
use crate::credential_helper::client_config::before::{self, Before};
use crate::credential_helper::client_config::docker::{Client, Config, Install};
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

/// The hosts to wire: without `force` those alone that the helper has an answer for.
fn wanted(session: &Session, named: &[String], force: bool) -> Result<Vec<HostPort>> {
    let mut hosts = hosts(session, named)?;
    if force {
        return Ok(hosts);
    }
    let known: HashSet<HostPort> = registries(session).into_iter().collect();
    let strangers: Vec<HostPort> = hosts.extract_if(.., |host| !known.contains(host)).collect();
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

fn install(
    session: &Session,
    hosts: &[HostPort],
    podman: bool,
    remove_plaintext: bool,
) -> Result<()> {
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
fn answers(session: &Session, hosts: &[HostPort]) -> String {
    let hosts: HashSet<&HostPort> = hosts.iter().collect();
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
    let hosts: Vec<HostPort> = wiring
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

fn warn_of_obstacles(session: &Session, hosts: &[HostPort]) -> Result<()> {
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
    let known: HashSet<HostPort> = registries(session).into_iter().collect();
    for host in hosts.iter().filter(|host| !known.contains(host)) {
        ui.warn(&format!("{host} is not in the manifest that docker-credential-oc uses: add [registries.\"{host}\"]"));
    }
    if hosts.iter().any(|host| host.docker_key() == DOCKER_HUB) && has_podman(session) {
        ui.warn(REMOTE_PODMAN);
    }
    Ok(())
}

fn switch(session: &Session, texts: &[String], off: bool) -> Result<()> {
    let lookup = session.lookup();
    let hosts: Vec<HostPort> = texts.iter().map(|text| host(text)).collect::<Result<_>>()?;
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

/// Whether both texts say the same, whatever their layout.
fn same(client: Client, old: &str, new: &str) -> bool {
    Config::parse(client, old).is_ok_and(|old| old.render() == new)
}

fn say(text: &str) -> Result<()> {
    stdout::print(text.as_bytes())
}
