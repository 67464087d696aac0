//! `oc-secrets docker`: wires our helper into Docker's and Podman's files, and tells who is asked.

use std::ffi::OsString;
use std::path::PathBuf;

use super::arguments::{Docker, DockerCommand, Wiring};
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::{Tone, clean};
use crate::broker::registry::Host;
use crate::broker::session::Session;
use crate::credential_helper::client_config::config::{Config, Owner, SUFFIX, Wish};
use crate::credential_helper::client_config::{disabled_hosts, file, location};

/// Runs the command.
///
/// # Errors
/// When a file cannot be understood or written; it is then as it was.
pub(super) fn run(session: &Session, arguments: &Docker) -> Result<Exit> {
    let desk = Desk { session };
    match &arguments.command {
        DockerCommand::Install {
            wiring,
            remove_plaintext,
        } => desk.install(wiring, *remove_plaintext)?,
        DockerCommand::Uninstall(wiring) => desk.uninstall(wiring)?,
        DockerCommand::Status(wiring) => desk.status(wiring)?,
        DockerCommand::Off { hosts } => desk.switch(hosts, true)?,
        DockerCommand::On { hosts } => desk.switch(hosts, false)?,
    }
    Ok(Exit::Done)
}

struct Desk<'a> {
    session: &'a Session,
}

/// One of the files, read.
struct Found {
    owner: Owner,
    path: PathBuf,
    text: Option<String>,
    config: Config,
}

impl Desk<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.session.variable(name).map(ToOwned::to_owned)
    }

    /// The hosts that the manifest has a password for.
    fn registries(&self) -> Vec<Host> {
        let registries = self.session.manifest.registries.iter();
        registries.map(|spec| spec.host.clone()).collect()
    }

    fn install(&self, wiring: &Wiring, remove_plaintext: bool) -> Result<()> {
        let lookup = |name: &str| self.variable(name);
        let hosts = self.hosts(&wiring.registry)?;
        let wish = Wish {
            hosts: &hosts,
            remove_plaintext,
            default_store: location::default_store(&lookup),
        };
        // All files are understood before the first is changed.
        for mut found in self.files(wiring.podman)? {
            let notes = found.config.install(&wish);
            self.write(&found)?;
            for note in notes {
                self.session
                    .ui
                    .warn(&format!("{}: {note}", found.path.display()));
            }
        }
        self.warn_of_what_is_in_the_way(&hosts)
    }

    fn uninstall(&self, wiring: &Wiring) -> Result<()> {
        let hosts: Vec<Host> = wiring
            .registry
            .iter()
            .map(|text| host(text))
            .collect::<Result<_>>()?;
        for mut found in self.files(wiring.podman)? {
            if found.text.is_some() {
                found.config.uninstall(&hosts);
            }
            self.write(&found)?;
        }
        Ok(())
    }

    fn write(&self, found: &Found) -> Result<()> {
        let text = found.config.render();
        let shown = found.path.display();
        if found
            .text
            .as_deref()
            .is_some_and(|old| same(found.owner, old, &text))
            || found.text.is_none() && text == "{}"
        {
            return say(&format!("{shown}: unchanged\n"));
        }
        file::replace(&found.path, found.text.as_deref(), text.as_bytes())?;
        say(&format!("{shown}: changed\n"))
    }

    fn warn_of_what_is_in_the_way(&self, hosts: &[Host]) -> Result<()> {
        let lookup = |name: &str| self.variable(name);
        let ui = self.session.ui;
        if location::on_path(&lookup, location::HELPER).is_none() {
            let own = std::env::current_exe().ok();
            let how = location::how_to_find_helper(own.as_deref());
            ui.warn(&format!(
                "{} is not on PATH, so clients will not find it: {how}",
                location::HELPER
            ));
        }
        if self.variable("DOCKER_AUTH_CONFIG").is_some() {
            ui.warn("DOCKER_AUTH_CONFIG is set; for the hosts it names, Docker asks nobody else");
        }
        let known = self.registries();
        for host in hosts.iter().filter(|host| !known.contains(host)) {
            ui.warn(&format!("{host} is not in the manifest that docker-credential-oc uses: add [registries.\"{host}\"]"));
        }
        Ok(())
    }

    fn status(&self, wiring: &Wiring) -> Result<()> {
        let lookup = |name: &str| self.variable(name);
        let hosts = self.hosts(&wiring.registry)?;
        let off = disabled_hosts::read(&lookup);
        let mut text = match location::on_path(&lookup, location::HELPER) {
            Some(path) => format!("helper  {}\n", clean(&path.display().to_string())),
            None => {
                let own = std::env::current_exe().ok();
                let missing = self.session.ui.paint(Tone::Bad, "not on PATH");
                format!(
                    "helper  {missing}: {}\n",
                    location::how_to_find_helper(own.as_deref())
                )
            }
        };
        for found in self.files(true)? {
            let absent = if found.text.is_none() {
                " (not there)"
            } else {
                ""
            };
            text.push_str(&format!(
                "\n{}  {}{absent}\n",
                clients(found.owner),
                clean(&found.path.display().to_string())
            ));
            for host in &hosts {
                text.push_str(&self.line(&found, host, off.contains(host)));
            }
        }
        text.push_str(&self.strays(&hosts, &off));
        say(&text)
    }

    /// What is off and nobody would ask about: without these lines a typing error stays for ever.
    fn strays(&self, listed: &[Host], off: &[Host]) -> String {
        let known = self.registries();
        let stray = |host: &&Host| !listed.contains(host) && !known.contains(host);
        let lines: String = off
            .iter()
            .filter(stray)
            .map(|host| format!("  {host}  on again: oc-secrets docker on {host}\n"))
            .collect();
        match lines.is_empty() {
            true => lines,
            false => format!("\noff, but not in the manifest\n{lines}"),
        }
    }

    fn line(&self, found: &Found, host: &Host, off: bool) -> String {
        let paint = |tone, text: &str| self.session.ui.paint(tone, text);
        let asks = match found.config.asks(host).as_deref() {
            Some(SUFFIX) if off => paint(Tone::Notice, "oc-secrets, which is off for it"),
            Some(SUFFIX) => paint(Tone::Good, "oc-secrets"),
            Some(other) => paint(Tone::Notice, &format!("docker-credential-{}", clean(other))),
            None => paint(Tone::Notice, "nobody but this file"),
        };
        let plain = match found.config.plaintext(host).is_empty() {
            true => String::new(),
            false => format!(
                ", {}",
                paint(Tone::Bad, "and a credential lies in it in the clear")
            ),
        };
        let silent = match off && found.config.asks(host).as_deref() != Some(SUFFIX) {
            true => ", and oc-secrets is off for it",
            false => "",
        };
        format!("  {host}  asks {asks}{silent}{plain}\n")
    }

    fn switch(&self, texts: &[String], off: bool) -> Result<()> {
        let lookup = |name: &str| self.variable(name);
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
    fn hosts(&self, named: &[String]) -> Result<Vec<Host>> {
        let hosts: Vec<Host> = match named.is_empty() {
            false => named.iter().map(|text| host(text)).collect::<Result<_>>()?,
            true => self.registries(),
        };
        match hosts.is_empty() {
            true => Err(Error::usage(
                "no registry is in the manifest",
                "add [registries.\"ghcr.io\"], or use --registry HOST",
            )),
            false => Ok(hosts),
        }
    }

    fn files(&self, podman: bool) -> Result<Vec<Found>> {
        let lookup = |name: &str| self.variable(name);
        let docker = location::docker(&lookup)
            .ok_or_else(|| Error::no_home("Docker's config.json", "DOCKER_CONFIG", &lookup))?;
        let podman = if podman {
            location::podman(&lookup)
        } else {
            vec![]
        };
        let podman = podman.into_iter().map(|path| (Owner::Podman, path));
        [(Owner::Docker, docker)]
            .into_iter()
            .chain(podman)
            .map(|(owner, path)| read(owner, path))
            .collect()
    }
}

fn read(owner: Owner, path: PathBuf) -> Result<Found> {
    let text = file::read(&path)?;
    let config = Config::parse(owner, text.as_deref().unwrap_or_default())
        .map_err(|what| file::unusable(&path, what, "fix the file; it is left as it was"))?;
    Ok(Found {
        owner,
        path,
        text,
        config,
    })
}

/// Whether the file already says what it is to say, however it is laid out.
fn same(owner: Owner, old: &str, new: &str) -> bool {
    Config::parse(owner, old).is_ok_and(|old| old.render() == new)
}

fn clients(owner: Owner) -> &'static str {
    match owner {
        Owner::Docker => "docker, compose, buildx, crane",
        Owner::Podman => "podman, skopeo, buildah",
    }
}

fn host(text: &str) -> Result<Host> {
    Host::parse(text).ok_or_else(|| {
        Error::usage(
            format!("`{text}` is no registry's host"),
            "write it as in an image's name, such as ghcr.io",
        )
    })
}

fn say(text: &str) -> Result<()> {
    stdout::print(text.as_bytes())
}
