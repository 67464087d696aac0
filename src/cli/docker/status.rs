//! `oc-secrets docker status`: which helper each client asks, registry by registry.

use std::collections::HashSet;

use super::files::{clients, files, hosts, registries};
use crate::base::error::Result;
use crate::base::ui::{Tone, clean};
use crate::broker::registry::{DOCKER_HUB, HostPort};
use crate::broker::session::Session;
use crate::cli::arguments::Wiring;
use crate::cli::stdout;
use crate::credential_helper::client_config::docker::{Client, Overview, SUFFIX};
use crate::credential_helper::client_config::{disabled_hosts, location};

/// Docker Hub has one key for Docker alone, and Podman's remote client asks for all keys of Docker's
/// file, whichever image is pulled.
pub(super) const REMOTE_PODMAN: &str = "Docker's file names Docker Hub as https://index.docker.io/v1/, its only key there, and \
    `podman --remote` refuses to pull anything while it does; give that one DOCKER_CONFIG=DIR, where DIR/config.json \
    holds {}. Podman without --remote is not concerned";

pub(super) fn has_podman(session: &Session) -> bool {
    let lookup = session.lookup();
    let on_path = |name: &&str| location::on_path(&lookup, name).is_some();
    ["podman", "podman-remote"].iter().any(on_path)
}

pub(super) fn status(session: &Session, wiring: &Wiring) -> Result<()> {
    let lookup = session.lookup();
    let hosts = hosts(session, &wiring.registry)?;
    let disabled = disabled_hosts::read(&lookup);
    let off: HashSet<&HostPort> = disabled.iter().collect();
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
    stdout::print(text.as_bytes())?;
    if hub && has_podman(session) {
        session.ui.warn(REMOTE_PODMAN);
    }
    Ok(())
}

/// Disabled hosts that no other line shows, such as a mistyped one.
fn disabled_elsewhere(session: &Session, listed: &[HostPort], mut off: Vec<HostPort>) -> String {
    let known = registries(session);
    let shown: HashSet<&HostPort> = listed.iter().chain(&known).collect();
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

fn line(session: &Session, overview: &Overview<'_>, host: &HostPort, off: bool) -> String {
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
