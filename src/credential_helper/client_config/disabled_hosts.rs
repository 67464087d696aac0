//! Hosts that Docker's helper does not answer for: `oc-secrets docker off HOST`.
//!
//! With an expired token a registry denies public images too, and `docker logout` does not help,
//! since Docker does not store the token. One host per line, in a file beside the user's manifest.

use std::path::PathBuf;

use crate::base::environment::{self, Lookup};
use crate::base::error::{Error, Result};
use crate::broker::registry::HostPort;
use crate::credential_helper::client_config::file;

/// The hosts that are off; none where the list cannot be read.
pub(crate) fn read(lookup: Lookup<'_>) -> Vec<HostPort> {
    let text = path(lookup).and_then(|path| std::fs::read_to_string(path).ok());
    parse(text.as_deref())
}

fn parse(text: Option<&str>) -> Vec<HostPort> {
    let lines = text.unwrap_or_default().lines();
    lines.filter_map(HostPort::parse).collect()
}

/// Switches `hosts` off, or on again; returns which of them changed.
pub(crate) fn switch(lookup: Lookup<'_>, hosts: &[HostPort], off: bool) -> Result<Vec<HostPort>> {
    let path = path(lookup)
        .ok_or_else(|| Error::no_home("the list of disabled hosts", "XDG_CONFIG_HOME", lookup))?;
    let mut first = None;
    file::edit(&path, |text| {
        let mut disabled = parse(text);
        let differs = |host: &&HostPort| disabled.contains(host) != off;
        let changed: Vec<HostPort> = hosts.iter().filter(differs).cloned().collect();
        let nothing = changed.is_empty();
        disabled.retain(|host| !changed.contains(host));
        if off {
            disabled.extend(changed.iter().cloned());
        }
        first.get_or_insert(changed);
        let text = || disabled.iter().map(|host| format!("{host}\n")).collect();
        Ok((!nothing).then(text))
    })?;
    Ok(first.unwrap_or_default())
}

fn path(lookup: Lookup<'_>) -> Option<PathBuf> {
    Some(environment::config_home(lookup)?.join("oc-secrets/docker-off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_stays_off_until_it_is_on() {
        let home = tempfile::tempdir().expect("a directory");
        let environment = |name: &str| (name == "HOME").then(|| home.path().into());
        let host = |text: &str| HostPort::parse(text).expect("a host");
        let all = [host("ghcr.io"), host("docker.io")];
        assert_eq!(read(&environment), []);
        assert_eq!(switch(&environment, &all, true).expect("off"), all);
        assert_eq!(switch(&environment, &all[..1], true).expect("off"), []);
        assert_eq!(read(&environment), all);
        assert_eq!(
            switch(&environment, &all[..1], false).expect("on"),
            [host("ghcr.io")]
        );
        assert_eq!(read(&environment), [host("docker.io")]);
        assert!(switch(&|_| None, &all, true).is_err());
    }
}
