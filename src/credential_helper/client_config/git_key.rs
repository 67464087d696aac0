//! For which hosts git takes a key of its settings: its rules, so that no helper is overlooked.

use crate::broker::registry::{HostPort, HostQuery};

/// The key of helpers for every host.
pub(super) const EVERYWHERE: &str = "credential.helper";

/// For which URLs of a host a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// For all of them.
    All,
    /// For those of one user or below one path.
    Part,
}

/// The key of helpers for `host` alone.
pub(super) fn own(host: &HostPort) -> String {
    format!("credential.https://{host}.helper")
}

/// The host of a key such as `credential.https://github.com.helper`.
pub(super) fn host_of(key: &str) -> Option<HostPort> {
    let url = url(key)?;
    let asked = HostQuery::parse(url).filter(|_| url.contains("://"))?;
    (!asked.plain).then_some(asked.host)
}

/// For which URLs of `host` git takes the helpers of `key`; `None` for a key of other hosts.
pub(super) fn reach(key: &str, host: &HostPort) -> Option<Reach> {
    if key == EVERYWHERE || host_of(key).as_ref() == Some(host) {
        return Some(Reach::All);
    }
    let (scheme, rest) = match url(key)?.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url(key)?),
    };
    if scheme.is_some_and(|scheme| !scheme.is_empty() && !scheme.eq_ignore_ascii_case("https")) {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, pattern) = match authority.rsplit_once('@') {
        Some((user, pattern)) => (Some(user), pattern),
        None => (None, authority),
    };
    // git takes a `*` only in a whole URL, and a host that is left out for any.
    let globs = scheme.is_some();
    if !pattern.is_empty() && !matches(pattern, host.as_str(), globs) {
        return None;
    }
    match user.is_none() && ["", "/"].contains(&path) {
        true => Some(Reach::All),
        false => Some(Reach::Part),
    }
}

fn url(key: &str) -> Option<&str> {
    key.strip_prefix("credential.")?.strip_suffix(".helper")
}

/// Whether `pattern` is `host`, where a `*` may stand for one label of its name.
fn matches(pattern: &str, host: &str, globs: bool) -> bool {
    let ((pattern, of_pattern), (host, of_host)) = (port(pattern), port(host));
    let same = |(pattern, label): (&str, &str)| {
        pattern.eq_ignore_ascii_case(label) || globs && pattern == "*"
    };
    of_pattern == of_host
        && pattern.split('.').count() == host.split('.').count()
        && pattern.split('.').zip(host.split('.')).all(same)
}

/// The name and its port, which is 443 where none is written.
fn port(host: &str) -> (&str, &str) {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if digits(port) && name.starts_with('[') == name.ends_with(']') => {
            match port.trim_start_matches('0') {
                "" => (name, "443"),
                port => (name, port),
            }
        }
        _ => (host, "443"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(url: &str, host: &str) -> Option<Reach> {
        let host = HostPort::parse(host).expect("a host");
        reach(&format!("credential.{url}.helper"), &host)
    }

    #[test]
    fn a_key_counts_for_the_hosts_that_git_takes_it_for() {
        let all = [
            "https://a.example.com",
            "https://a.example.com/",
            "HTTPS://A.Example.com:443",
            "https://*.example.com",
            "https://a.*.com:443/",
            "https://*.*.*",
            "https://",
            "a.example.com",
        ];
        for url in all {
            assert_eq!(reached(url, "a.example.com"), Some(Reach::All), "{url}");
        }
        for url in [
            "https://me@a.example.com",
            "https://me@*.example.com",
            "https://a.example.com/owner",
            "https://*.example.com/owner/x.git",
            "me@a.example.com",
        ] {
            assert_eq!(reached(url, "a.example.com"), Some(Reach::Part), "{url}");
        }
        let everywhere = HostPort::parse("a.example.com").expect("a host");
        assert_eq!(reach(EVERYWHERE, &everywhere), Some(Reach::All));
        assert_eq!(
            reached("https://*.example.com:8443", "a.example.com:8443"),
            Some(Reach::All)
        );
        assert_eq!(
            reached("https://[::1]:8443", "[::1]:8443"),
            Some(Reach::All)
        );
    }

    #[test]
    fn control_a_key_of_another_host_does_not_count() {
        for url in [
            "https://*.com",
            "https://*",
            "https://*.a.example.com",
            "https://a*.example.com",
            "https://*.example.com:8443",
            "http://*.example.com",
            "http://a.example.com",
            "*.example.com",
            "https://example.com",
            "https://a.example.com@b.example.com",
            "https://b.example.com/a.example.com",
        ] {
            assert_eq!(reached(url, "a.example.com"), None, "{url}");
        }
        assert_eq!(reached("https://[::1]", "[::1]:8443"), None);
    }
}
