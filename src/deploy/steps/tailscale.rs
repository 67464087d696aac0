//! Step 5: into the tailnet, from a repository whose key we know.
//!
//! The vendor's repository is added only when the key that it serves is the one key whose fingerprint
//! is pinned here (a second key in the same file would be trusted as much, so it is refused). The
//! auth key goes to `tailscale up` through a pipe: `--auth-key=file:` reads any path, so
//! `/dev/stdin` will do, and the key is in no argument, file or environment.

use std::time::Duration;

use crate::deploy::exit::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};
use crate::deploy::token::Token;

use super::{apt, systemd};

const KEYRING: &str = "/usr/share/keyrings/tailscale-archive-keyring.gpg";
const LIST: &str = "/etc/apt/sources.list.d/tailscale.list";
const FETCHED: &str = "/run/openclaw-deploy/tailscale.gpg";
const WORK: &str = "/run/openclaw-deploy";
const HOME: &str = "/run/openclaw-deploy/gnupg";
const PRIVATE: Access = Access {
    mode: 0o700,
    owner: Some((0, 0)),
};
const HELPER: &str = "/usr/lib/apt/apt-helper";
const UNIT: &str = "tailscaled.service";
const ACCESS: Access = Access {
    mode: 0o644,
    owner: Some((0, 0)),
};

/// Tailscale.
#[derive(Clone, Copy, Debug)]
pub struct Tailscale;

impl Step for Tailscale {
    fn check(&self, cx: &Context) -> Result<State> {
        let host = &cx.host;
        let installed = apt::ready(host, "tailscale", "tailscale");
        if installed && systemd::runs(host) && backend(host).as_deref() == Some("Running") {
            return Ok(State::Done);
        }
        if let Some(reason) = obstacle(cx, installed)? {
            return Ok(State::Skip { reason });
        }
        let mut what = Vec::new();
        if !installed {
            what.push(format!(
                "add {}",
                Source::of(cx)?.map_or(String::new(), |source| source.url)
            ));
            what.push("install tailscale".to_owned());
        }
        what.push("join the tailnet".to_owned());
        Ok(State::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<String> {
        let host = &cx.host;
        if !apt::ready(host, "tailscale", "tailscale") {
            if let Some(source) = Source::of(cx)? {
                source.add(host)?;
            }
            apt::install(host, &["tailscale"])?;
        }
        systemd::tell(host, &["enable", "--now", UNIT])?;
        if let Some(key) = &cx.tailscale_key {
            join(cx, key)?;
        }
        Ok(String::new())
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        match backend(&cx.host).as_deref() {
            Some("Running") => Ok(()),
            saw => Err(
                Failure::wanted("Tailscale running", saw.unwrap_or("no answer"))
                    .hint("tailscale status"),
            ),
        }
    }
}

/// Why this host does not join.
fn obstacle(cx: &Context, installed: bool) -> Result<Option<String>> {
    let host = &cx.host;
    if cx.tailscale_key.is_none() {
        return Ok(Some("TAILSCALE_AUTH_KEY is not set".to_owned()));
    }
    if !systemd::runs(host) {
        return Ok(Some(systemd::ABSENT.to_owned()));
    }
    if installed {
        return Ok(None);
    }
    if !apt::here(host) {
        return Ok(Some(apt::absent("tailscale")));
    }
    let unknown = Source::of(cx)?.is_none();
    Ok(unknown.then(|| "Tailscale's packages are added for Debian and Ubuntu only".to_owned()))
}

/// What the daemon says of itself, such as `Running` or `NeedsLogin`.
fn backend(host: &Host) -> Option<String> {
    let status = Program::new("tailscale").args(["status", "--json"]);
    let answer = host.run(&status).ok()?;
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).ok()?;
    Some(json.get("BackendState")?.as_str()?.to_owned())
}

/// Joins. What it says on failure may quote the key, so the key is taken out.
fn join(cx: &Context, key: &Token) -> Result<()> {
    let key = key.secret().expose();
    let up = Program::new("tailscale")
        .args(["up", "--auth-key=file:/dev/stdin", "--timeout=60s"])
        .args(&cx.settings.host.tailscale_args)
        .input(key)
        .deadline(Duration::from_secs(90));
    let answer = cx.host.run(&up)?;
    if answer.ok() {
        return Ok(());
    }
    let said = answer.last_line().replace(
        String::from_utf8_lossy(key).as_ref(),
        "<concealed by openclaw-deploy>",
    );
    Err(Failure::new(format!("tailscale up failed: {said}"))
        .cause("auth")
        .hint("make a new auth key and put it into the 1Password item of TAILSCALE_AUTH_KEY"))
}

/// The vendor's repository for this distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    url: String,
    codename: String,
    fingerprint: String,
}

impl Source {
    /// `None` for a distribution that has none.
    fn of(cx: &Context) -> Result<Option<Self>> {
        let release = cx.host.read("/etc/os-release")?.unwrap_or_default();
        let settings = &cx.settings.host;
        Ok(distribution(&release).map(|(name, codename)| Self {
            url: format!(
                "{}/{name}",
                settings.tailscale_repository.trim_end_matches('/')
            ),
            codename,
            fingerprint: settings.tailscale_fingerprint.to_ascii_uppercase(),
        }))
    }

    /// Fetches the key, looks at it, and only then tells apt.
    fn add(&self, host: &Host) -> Result<()> {
        apt::install(host, &["gpg", "ca-certificates"])?;
        host.directory(WORK, PRIVATE)?;
        host.remove(FETCHED)?;
        let url = format!("{}/{}.noarmor.gpg", self.url, self.codename);
        let fetch = Program::new(HELPER).args(["download-file", &url, FETCHED]);
        host.must(&fetch)
            .map_err(|failure| failure.cause("network"))?;
        let seen = fetched(host)?;
        if seen == [self.fingerprint.as_str()] {
            return self.write(host);
        }
        host.remove(FETCHED)?;
        let wanted = format!("the one key {}", self.fingerprint);
        let hint = format!("do not install from {}: it is not its vendor's", self.url);
        Err(Failure::wanted(wanted, seen.join(", "))
            .cause("integrity")
            .hint(hint))
    }

    fn write(&self, host: &Host) -> Result<()> {
        let key = std::fs::read(host.path(FETCHED))
            .map_err(|why| Failure::system("read the fetched key", why))?;
        host.remove(FETCHED)?;
        host.write(KEYRING, &key, ACCESS)?;
        let line = format!(
            "deb [signed-by={KEYRING}] {} {} main\n",
            self.url, self.codename
        );
        host.write(LIST, line.as_bytes(), ACCESS)?;
        apt::update_only(host, LIST).map_err(|failure| failure.cause("network"))
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
