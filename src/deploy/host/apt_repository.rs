//! A vendor's apt repository, trusted by the one key that we know.
//!
//! It is added only if it serves exactly the one key whose fingerprint is pinned: a second key in the same
//! file would be trusted as well. The key is trusted for this repository only (`signed-by`).

use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::{Access, Host, Program};

use super::apt;

const FETCHED: &str = "/run/openclaw-deploy/vendor-key";
const WORK: &str = "/run/openclaw-deploy";
const HOME: &str = "/run/openclaw-deploy/gnupg";
const PRIVATE: Access = Access::root(0o700);
const HELPER: &str = "/usr/lib/apt/apt-helper";
const ACCESS: Access = Access::root(0o644);

/// Where a vendor keeps what, and where it goes on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The key's name below the distribution; `{codename}` stands for the release.
    pub key: &'static str,
    /// Where the key goes: apt tells armoured keys by the ending `.asc`.
    pub keyring: &'static str,
    /// The sources file.
    pub list: &'static str,
    /// The component that has the packages.
    pub component: &'static str,
    /// A file of apt's preferences and its text: which packages may be taken, and which not.
    pub pins: Option<(&'static str, &'static str)>,
}

/// A vendor's repository for this host's distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    /// The repository itself.
    pub url: String,
    codename: String,
    fingerprint: String,
    layout: Layout,
}

impl Repository {
    /// The repository for this host's distribution; `None` if the vendor has none for it.
    pub(crate) fn for_host(
        host: &Host,
        layout: Layout,
        repository: &str,
        fingerprint: &str,
    ) -> Result<Option<Self>> {
        let release = host.read("/etc/os-release")?.unwrap_or_default();
        Ok(distribution(&release).map(|(name, codename)| Self {
            url: format!("{}/{name}", repository.trim_end_matches('/')),
            codename,
            fingerprint: fingerprint.to_ascii_uppercase(),
            layout,
        }))
    }

    /// Fetches the key, looks at it, and only then tells apt.
    pub(crate) fn add(&self, host: &Host) -> Result<()> {
        apt::install(host, &["gpg", "ca-certificates"])?;
        host.directory(WORK, PRIVATE)?;
        host.remove(FETCHED)?;
        let key = self.layout.key.replace("{codename}", &self.codename);
        let url = format!("{}/{key}", self.url);
        let fetch = Program::new(HELPER).args(["download-file", &url, FETCHED]);
        host.must(&fetch).map_err(|failure| {
            let hint = format!("check that this host reaches {}", self.url);
            failure.cause(Cause::Network).hint(hint)
        })?;
        let seen = fetched(host)?;
        if seen == [self.fingerprint.as_str()] {
            return self.write(host);
        }
        host.remove(FETCHED)?;
        let wanted = format!("the one key {}", self.fingerprint);
        let hint = format!("do not install from {}: it is not its vendor's", self.url);
        Err(Failure::expected(wanted, seen.join(", "))
            .cause(Cause::Integrity)
            .hint(hint))
    }

    fn write(&self, host: &Host) -> Result<()> {
        let Layout {
            keyring,
            list,
            component,
            ..
        } = self.layout;
        let key = std::fs::read(host.path(FETCHED))
            .map_err(|why| Failure::file("read", std::path::Path::new(FETCHED), why))?;
        host.remove(FETCHED)?;
        host.write(keyring, &key, ACCESS)?;
        if let Some((path, text)) = self.layout.pins {
            host.write(path, text.as_bytes(), ACCESS)?;
        }
        let line = format!(
            "deb [signed-by={keyring}] {} {} {component}\n",
            self.url, self.codename
        );
        host.write(list, line.as_bytes(), ACCESS)?;
        apt::update_only(host, list).map_err(|failure| {
            // A source that cannot be read would break every later update of this host.
            let _ = host.remove(list);
            failure.cause(Cause::Network)
        })
    }
}

/// The fingerprints of the keys in the fetched file.
fn fetched(host: &Host) -> Result<Vec<String>> {
    host.directory(HOME, PRIVATE)?;
    let show = Program::new("gpg")
        .args(["--homedir", HOME, "--batch", "--with-colons"])
        .args(["--show-keys", FETCHED]);
    let colons = host.must(&show);
    let _ = std::fs::remove_dir_all(host.path(HOME));
    colons.map(|colons| fingerprints(&colons))
}

/// Name and codename of a distribution that the vendor packages for.
fn distribution(os_release: &str) -> Option<(&'static str, String)> {
    let field = |key: &str| {
        let value = os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.map(|value| value.trim_matches(['"', '\'']))
    };
    let name = match field("ID")? {
        "debian" => "debian",
        "ubuntu" => "ubuntu",
        _ => return None,
    };
    let codename = field("VERSION_CODENAME")?;
    let plain = !codename.is_empty() && codename.bytes().all(|byte| byte.is_ascii_lowercase());
    plain.then(|| (name, codename.to_owned()))
}

/// The primary keys' fingerprints in `gpg --with-colons`.
fn fingerprints(colons: &str) -> Vec<String> {
    let mut primary = false;
    let mut found = Vec::new();
    for line in colons.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.first() {
            Some(&"pub") => primary = true,
            Some(&"fpr") if primary => {
                found.extend(fields.get(9).map(|print| (*print).to_owned()));
                primary = false;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_distributions_that_the_vendor_knows_count() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(
            distribution(debian),
            Some(("debian", "bookworm".to_owned()))
        );
        let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=\"noble\"\n";
        assert_eq!(distribution(ubuntu), Some(("ubuntu", "noble".to_owned())));
        assert_eq!(distribution("ID=alpine\nVERSION_CODENAME=x\n"), None);
        assert_eq!(
            distribution("ID=debian\nVERSION_CODENAME=../../etc\n"),
            None
        );
    }

    #[test]
    fn every_primary_key_counts_and_no_subkey() {
        let colons = "pub:-:4096:1:45:1:::-:::scSC::::::23::0:\nfpr:::::::::AAAA:\nuid:-::::1::::x:\n\
            sub:-:4096:1:99:1::::::e::::::23:\nfpr:::::::::BBBB:\npub:-:2048:1:9:1:::-:::sc:\nfpr:::::::::CCCC:\n";
        assert_eq!(fingerprints(colons), ["AAAA", "CCCC"]);
    }
}
