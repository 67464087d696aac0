//! Docker, Podman and git: whether they would ask our helpers for what the helpers' manifest serves.

use std::path::{Path, PathBuf};

use super::row::Row;
use crate::base::error::Result;
use crate::base::shell_quote;
use crate::broker::manifest::Origin;
use crate::broker::registry::HostPort;
use crate::broker::session::Session;
use crate::credential_helper::client_config::docker::{Client, Config, SUFFIX};
use crate::credential_helper::client_config::git::{self, Git};
use crate::credential_helper::client_config::{file, location};

/// The rows; `helpers` is a session as the helpers open it.
pub(super) fn rows(helpers: &Session) -> Vec<Row> {
    // Who has no manifest for the helpers has no use for them yet.
    if helpers.manifest.origin == Origin::BuiltIn {
        return vec![];
    }
    let lookup = helpers.lookup();
    let has = |program: &&str| location::on_path(&lookup, program).is_some();
    // A broker's client has no hosts of its own: they matter where somebody would pull.
    if let (Origin::Broker(_), false) = (
        &helpers.manifest.origin,
        ["docker", "podman"].iter().any(has),
    ) {
        return vec![];
    }
    let registries: Vec<HostPort> = helpers
        .manifest
        .registries
        .iter()
        .map(|spec| spec.host.clone())
        .collect();
    let hosts: Vec<HostPort> = helpers
        .manifest
        .git
        .iter()
        .map(|spec| spec.host.clone())
        .collect();
    let mut rows = vec![];
    if !registries.is_empty() {
        rows.push(helper(helpers, "helper", location::HELPER));
        rows.extend(location::docker(&lookup).map(|path| {
            wiring(
                "docker",
                Client::Docker,
                &[path],
                &registries,
                "oc-secrets docker install",
            )
        }));
        if location::on_path(&lookup, "podman").is_some() {
            let install = "oc-secrets docker install --podman";
            rows.push(wiring(
                "podman",
                Client::Podman,
                &location::podman(&lookup),
                &registries,
                install,
            ));
        }
    }
    if let (Some(git), false) = (Git::find(&lookup), hosts.is_empty()) {
        rows.push(helper(helpers, "git helper", git::HELPER));
        rows.push(
            git_row(&git, &hosts).unwrap_or_else(|error| Row::warn("git", error.to_string())),
        );
    }
    rows
}

fn helper(session: &Session, name: &'static str, helper: &str) -> Row {
    let lookup = session.lookup();
    match location::on_path(&lookup, helper) {
        Some(path) => Row::ok(name, path.display().to_string()),
        None => {
            let own = std::env::current_exe().ok();
            let how = location::how_to_find(helper, own.as_deref(), &lookup);
            let row = Row::fail(
                name,
                format!("{helper} is not on PATH, so clients do not find it"),
            );
            row.fix(how.contains("ln -s").then_some(how))
        }
    }
}

fn wiring(
    name: &'static str,
    client: Client,
    paths: &[PathBuf],
    hosts: &[HostPort],
    install: &str,
) -> Row {
    let mut unwired: Vec<&str> = vec![];
    for path in paths {
        let config = match parsed(client, path) {
            Ok(config) => config,
            Err(what) => return broken(name, path, &what),
        };
        let overview = config.overview();
        let asks = |host: &&HostPort| overview.asks(host).as_deref() == Some(SUFFIX);
        unwired.extend(
            hosts
                .iter()
                .filter(|host| !asks(host))
                .map(HostPort::as_str),
        );
    }
    unwired.sort_unstable();
    unwired.dedup();
    match unwired.is_empty() {
        true => Row::ok(name, format!("asks oc-secrets for {}", joined(hosts))),
        false => Row::warn(
            name,
            format!("does not ask oc-secrets for {}", unwired.join(", ")),
        )
        .fix(install.to_owned()),
    }
}

fn parsed(client: Client, path: &Path) -> std::result::Result<Config, String> {
    let text = file::read(path).map_err(|error| error.to_string())?;
    Config::parse(client, text.as_deref().unwrap_or_default())
}

fn broken(name: &'static str, path: &Path, what: &str) -> Row {
    let quoted = shell_quote::word(&path.display().to_string());
    Row::fail(name, format!("{}: {what}", path.display())).fix(format!("${{EDITOR:-vi}} {quoted}"))
}

fn git_row(git: &Git, hosts: &[HostPort]) -> Result<Row> {
    let (mut unwired, mut stored) = (vec![], vec![]);
    for host in hosts {
        let asks = git.asks(host)?;
        if !asks.ours {
            unwired.push(host.as_str());
        }
        if !asks.stores.is_empty() {
            stored.push(host.as_str());
        }
    }
    let install = Some("oc-secrets git install".to_owned());
    Ok(match (&unwired[..], &stored[..]) {
        ([], []) => Row::ok("git", format!("asks oc-secrets for {}", joined(hosts))),
        ([], stored) => {
            let hosts = stored.join(", ");
            let text = format!("the helper `store` writes the passwords for {hosts} into a file");
            Row::warn("git", text).fix(install)
        }
        (unwired, _) => Row::warn(
            "git",
            format!("does not ask oc-secrets for {}", unwired.join(", ")),
        )
        .fix(install),
    })
}

fn joined(hosts: &[HostPort]) -> String {
    hosts
        .iter()
        .map(HostPort::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
