//! Accounts as `/etc/passwd` has them, and whether sshd would let them in by key.

use std::os::unix::fs::MetadataExt;

use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Host;

use super::keys;

/// One line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
    /// Its login shell.
    pub shell: String,
}

impl Account {
    /// The account of this name on `host`.
    pub(crate) fn find(host: &Host, name: &str) -> Result<Option<Self>> {
        Ok(Self::all(host)?
            .into_iter()
            .find(|account| account.name == name))
    }

    /// The account of this name, which must be there.
    pub(crate) fn need(host: &Host, name: &str) -> Result<Self> {
        Self::find(host, name)?.ok_or_else(|| {
            Failure::new(format!("user {name} not found"))
                .hint("openclaw-deploy bootstrap --only user")
        })
    }

    /// All accounts of `/etc/passwd`.
    pub(crate) fn all(host: &Host) -> Result<Vec<Self>> {
        let text = host.read("/etc/passwd")?.unwrap_or_default();
        Ok(text.lines().filter_map(parse).collect())
    }

    /// Where its keys lie.
    pub(crate) fn keys(&self) -> String {
        format!("{}/.ssh/authorized_keys", self.home)
    }

    /// Whether its shell refuses logins.
    pub(crate) fn has_no_login_shell(&self) -> bool {
        self.shell.ends_with("/nologin") || self.shell.ends_with("/false")
    }

    /// Whether it belongs to a person rather than a service.
    pub(crate) fn is_person(&self) -> bool {
        (1000..60000).contains(&self.uid) && !self.has_no_login_shell()
    }
}

/// Whether somebody can log in with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyLogin {
    /// There is a usable key.
    Usable,
    /// There is no usable key.
    Keyless,
    /// Others can write to the keys, so sshd (with `StrictModes`) ignores them.
    Unsafe,
}

impl KeyLogin {
    /// Looks at the keys of `account`, and at who could change them.
    pub(crate) fn of(host: &Host, account: &Account) -> Self {
        let file = account.keys();
        let text = host
            .read_of(account.uid, &file)
            .ok()
            .flatten()
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let directory = format!("{}/.ssh", account.home);
        let exposed = [account.home.as_str(), &directory, &file]
            .into_iter()
            .filter_map(|path| std::fs::metadata(host.path(path)).ok())
            .any(|meta| meta.mode() & 0o022 != 0 || ![0, account.uid].contains(&meta.uid()));
        match keys::keys(&text).any(|key| key.usable()) {
            _ if exposed => Self::Unsafe,
            true => Self::Usable,
            false => Self::Keyless,
        }
    }
}

fn parse(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else {
        return None;
    };
    Some(Account {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: (*home).to_owned(),
        shell: if shell.is_empty() { "/bin/sh" } else { shell }.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_as_the_system_reads_them() {
        let deploy = parse("deploy:x:1001:1002:,,,:/home/deploy:/bin/bash").expect("valid");
        assert_eq!((deploy.uid, deploy.gid), (1001, 1002));
        assert_eq!(deploy.keys(), "/home/deploy/.ssh/authorized_keys");
        assert!(deploy.is_person());
        let nobody = parse("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin");
        assert!(nobody.is_some_and(|nobody| nobody.has_no_login_shell() && !nobody.is_person()));
        assert_eq!(parse("broken:x:1"), None);
        assert_eq!(parse("+::::::"), None);
    }
}
