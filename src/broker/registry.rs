//! Registry and git hosts: what the manifest names, and what a client asks for.
//!
//! A host is matched as a whole: never a prefix, a suffix or a substring, since
//! `ghcr.io.evil.example` must not get the token. Docker Hub has two names, the address of its old
//! API and `docker.io`. Anything else, such as a path or a user name, is not a host.

use std::fmt;

/// The key under which Docker and its relatives keep the credentials of Docker Hub.
pub(crate) const DOCKER_HUB: &str = "https://index.docker.io/v1/";

const HUB_HOST: &str = "docker.io";

/// A host with its port, such as `ghcr.io` or `localhost:5000`, in lower case; `docker.io` is
/// Docker Hub by all its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostPort(String);

/// A client's question: a host, and whether it is asked about with `http://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostQuery {
    /// Which host.
    pub host: HostPort,
    /// It was named with `http://`.
    pub plain: bool,
}

impl HostPort {
    /// Parses a host as a manifest writes it; a scheme of `https://` and one final slash may be
    /// there.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        HostQuery::parse(text)
            .filter(|asked| !asked.plain)
            .map(|asked| asked.host)
    }

    /// The host itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The key in Docker's `config.json`.
    pub(crate) fn docker_key(&self) -> &str {
        if self.0 == HUB_HOST {
            DOCKER_HUB
        } else {
            &self.0
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HostQuery {
    /// What `text` asks for; `None` for everything that cannot be a host.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (plain, rest) = scheme(text)?;
        let host = rest.to_ascii_lowercase();
        if !plain && ["index.docker.io/v1", "index.docker.io/v1/"].contains(&host.as_str()) {
            return Some(Self {
                host: HostPort(HUB_HOST.to_owned()),
                plain,
            });
        }
        let host = host.strip_suffix('/').unwrap_or(&host);
        // With its port: what is left without one must not be taken for a host with another.
        if !well_formed(host) {
            return None;
        }
        let host = host
            .strip_suffix(if plain { ":80" } else { ":443" })
            .unwrap_or(host);
        let host = match host {
            "index.docker.io" => HUB_HOST,
            host => host,
        };
        Some(Self {
            host: HostPort(host.to_owned()),
            plain,
        })
    }
}

/// Splits off `https://` or `http://`; any other scheme is refused.
fn scheme(text: &str) -> Option<(bool, &str)> {
    match text.split_once("://") {
        None => Some((false, text)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Some((false, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Some((true, rest)),
        Some(_) => None,
    }
}

/// `name`, `name:port`, `[v6]` or `[v6]:port`, all of it ASCII.
fn well_formed(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address, port),
            None => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let letters: &[u8] = if host.starts_with('[') {
        b"abcdef:."
    } else {
        b"-._abcdefghijklmnopqrstuvwxyz"
    };
    let known = |byte: &u8| byte.is_ascii_digit() || letters.contains(byte);
    !name.is_empty()
        && name.bytes().all(|byte| known(&byte))
        && !name.starts_with(['-', '.'])
        && !name.ends_with('.')
        && !name.contains("..")
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<(String, bool)> {
        HostQuery::parse(text).map(|asked| (asked.host.to_string(), asked.plain))
    }

    #[test]
    fn every_spelling_of_a_host_is_that_host() {
        for text in [
            "ghcr.io",
            "https://ghcr.io",
            "ghcr.io/",
            "https://ghcr.io/",
            "ghcr.io:443",
            "https://ghcr.io:443",
            "https://ghcr.io:443/",
            "GHCR.IO",
            "HTTPS://Ghcr.io",
        ] {
            assert_eq!(asked(text), Some(("ghcr.io".to_owned(), false)), "{text}");
        }
        for text in ["http://ghcr.io", "http://ghcr.io/", "http://ghcr.io:80"] {
            assert_eq!(asked(text), Some(("ghcr.io".to_owned(), true)), "{text}");
        }
    }

    #[test]
    fn a_host_that_only_looks_like_it_is_another_or_none() {
        for text in [
            "ghcr.io:8443",
            "http://ghcr.io:443",
            "ghcr.io.evil.example",
            "evil-ghcr.io",
            "evil.ghcr.io",
            "ghcr.iо",
            "ghcr.io.",
            "ghcr.io@evil.example",
            "https://ghcr.io@evil.example/",
            "user@ghcr.io",
            "https://evil.example/ghcr.io",
            "evil/ghcr.io",
            "ghcr.io/owner/image",
            "ghcr.io//",
            "ghcr.io?x",
            "ghcr.io#x",
            "ghcr.io%00",
            "ghcr.io\0",
            "ghcr.io\nevil",
            "ftp://ghcr.io",
            "https://https://ghcr.io",
            "://ghcr.io",
            "ghcr.io:",
            "ghcr.io:0",
            "ghcr.io:443:443",
            "ghcr.io:+443",
            "",
            "/",
            "https://",
            ".",
            "..",
            "[::1",
            "[]",
            "ghcr..io",
            ".ghcr.io",
            "-",
            "*",
            "*.io",
        ] {
            assert_ne!(asked(text), Some(("ghcr.io".to_owned(), false)), "{text:?}");
            assert_ne!(asked(text), Some(("ghcr.io".to_owned(), true)), "{text:?}");
        }
    }

    #[test]
    fn docker_hub_is_one_registry_and_its_token_addresses_are_none() {
        for text in [
            DOCKER_HUB,
            "https://index.docker.io/v1",
            "index.docker.io/v1/",
            "docker.io",
            "index.docker.io",
        ] {
            assert_eq!(asked(text), Some(("docker.io".to_owned(), false)), "{text}");
        }
        for text in ["refresh-token", "access-token"] {
            assert_eq!(asked(&format!("{DOCKER_HUB}{text}")), None);
        }
        assert_eq!(
            HostPort::parse("docker.io").expect("a host").docker_key(),
            DOCKER_HUB
        );
        assert_eq!(
            HostPort::parse("ghcr.io").expect("a host").docker_key(),
            "ghcr.io"
        );
    }

    #[test]
    fn addresses_with_ports_are_hosts() {
        for text in [
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "[::1]",
            "my_registry.local:65535",
        ] {
            assert_eq!(asked(text), Some((text.to_owned(), false)), "{text}");
        }
        for text in [
            "localhost:65536",
            "ghcr.io:443:443",
            "ghcr.io:5000:443",
            "http://ghcr.io:80:80",
            "[::1]:443:443",
            "https://ghcr.io:443:443/",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
        assert_eq!(HostPort::parse("http://ghcr.io"), None);
    }
}
