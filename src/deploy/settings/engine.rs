//! Which Docker engine to talk to: a socket on this machine, or what the Docker client reaches.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::base::{encode, environment};
use crate::deploy::error::{Failure, Result};

/// Which Docker engine to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineAddress {
    /// A socket on this machine.
    Socket(PathBuf),
    /// Whatever the Docker client reaches with these arguments (`--host …`, `--context …`).
    Client(Vec<String>),
}

impl EngineAddress {
    /// The engine of `DOCKER_CONTEXT`, `DOCKER_HOST`, or else this machine's.
    pub(crate) fn of_environment() -> Result<Self> {
        let text = |name: &str| environment::ours(name).and_then(|it| it.into_string().ok());
        let host = text("DOCKER_HOST");
        // As the Docker client does it, a host outdoes a context.
        let context = text("DOCKER_CONTEXT").filter(|_| host.is_none());
        choose(context.as_deref(), host.as_deref())
    }

    /// Whether the engine may be on another machine: steps 2 and 5 to 9 are then skipped.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    /// Whether what is sent to it can be read on the way: `tcp://` to another machine, without
    /// the Docker client's `tls`.
    pub(crate) fn is_in_the_clear(&self, tls: bool) -> bool {
        let Self::Client(args) = self else {
            return false;
        };
        let mut hosts = args.iter().filter_map(|arg| arg.strip_prefix("tcp://"));
        !tls && hosts.any(|host| !is_this_machine(host))
    }
}

/// Whether `host:port` is a loopback address.
fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

/// The engine of a context, or else of a `DOCKER_HOST`, or else this machine's.
pub(super) fn choose(context: Option<&str>, host: Option<&str>) -> Result<EngineAddress> {
    match context {
        // The Docker client's own name for this machine's.
        None | Some("default") => {}
        Some(name) => {
            return Ok(EngineAddress::Client(vec![
                "--context".into(),
                name.to_owned(),
            ]));
        }
    }
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return Ok(EngineAddress::Socket(PathBuf::from("/var/run/docker.sock")));
    };
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => {
            Ok(EngineAddress::Socket(PathBuf::from(path)))
        }
        Some(("ssh" | "tcp", rest)) if !rest.is_empty() => Ok(EngineAddress::Client(vec![
            "--host".into(),
            host.to_owned(),
        ])),
        _ => Err(Failure::usage(format!("not an engine: {host}"))
            .hint("use unix:///path, ssh://user@host or tcp://host:port")),
    }
}

/// The name of a file for what is kept about an engine. No two engines share one.
pub(super) fn file_name(engine: &str) -> String {
    encode::percent(engine, b".-_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_beyond_this_machine_without_tls_is_in_the_clear() {
        let engine = |host: &str| EngineAddress::Client(vec!["--host".into(), host.into()]);
        assert!(!engine("tcp://10.0.0.7:2376").is_in_the_clear(true));
        for host in ["tcp://10.0.0.7:2375", "tcp://127.evil.example:1"] {
            assert!(engine(host).is_in_the_clear(false), "{host}");
        }
        for host in [
            "tcp://127.0.0.1:1",
            "tcp://[::1]:1",
            "tcp://localhost:1",
            "ssh://root@vps",
        ] {
            assert!(!engine(host).is_in_the_clear(false), "{host}");
        }
        assert!(!EngineAddress::Socket("/x".into()).is_in_the_clear(false));
    }

    #[test]
    fn an_engine_is_a_socket_or_what_the_client_reaches() {
        let of = |host| choose(None, Some(host));
        let here = || Ok(EngineAddress::Socket("/var/run/docker.sock".into()));
        assert_eq!(
            of("unix:///x").ok(),
            Some(EngineAddress::Socket("/x".into()))
        );
        assert!(of("ssh://root@vps").is_ok_and(|engine| engine.is_remote()));
        assert!(of("file:///x").is_err());
        assert!(of("-x").is_err());
        assert_eq!(choose(None, None), here());
        assert_eq!(choose(Some("default"), None), here());
        assert!(choose(Some("vps"), None).is_ok_and(|engine| engine.is_remote()));
    }

    #[test]
    fn no_two_engines_share_a_file() {
        let names = ["ssh://root@vps", "ssh://root-vps", "ssh:--root@vps"].map(file_name);
        assert_eq!(names[0], "ssh%3A%2F%2Froot%40vps");
        assert_eq!(names[1..].iter().filter(|it| **it == names[0]).count(), 0);
        assert_ne!(names[1], names[2]);
    }
}
