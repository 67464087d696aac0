//! Whether an engine is one that the gateway can run on: its API's version, and whose it is.

use serde_json::Value;

use crate::deploy::error::{Cause, Exit, Failure, Result};

/// The newest API that we know.
const NEWEST: (u32, u32) = (1, 47);
/// The oldest that has what we need (Docker 19.03).
const OLDEST: (u32, u32) = (1, 40);
/// A rootless engine cannot hold the gateway: its containers' uid 1000 is another one on the host, so
/// the state would be out of their reach, and it ends when its user logs out.
pub(super) fn refuse_rootless(info: &Value) -> Result<()> {
    let options = info["SecurityOptions"].as_array().into_iter().flatten();
    let is_rootless = |option: &Value| {
        option
            .as_str()
            .is_some_and(|it| it.split(',').any(|it| it == "name=rootless"))
    };
    if !options.into_iter().any(is_rootless) {
        return Ok(());
    }
    Err(Failure::new("the Docker engine is rootless: its containers cannot use the gateway's state, which belongs to uid 1000")
        .hint("use the system's engine: openclaw-deploy bootstrap --docker-host unix:///var/run/docker.sock")
        .exit(Exit::Docker)
        .cause(Cause::Rootless))
}

/// The path prefix of the newest version that both sides know.
pub(super) fn negotiate(least: Option<&str>, most: Option<&str>) -> Result<String> {
    let parse = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let refuse = |what: String, hint: &str| {
        Failure::new(what)
            .hint(hint)
            .exit(Exit::Docker)
            .cause(Cause::Version)
    };
    let Some(most) = most.and_then(parse) else {
        return Err(refuse(
            "what answers at the Docker socket does not speak the Docker API".to_owned(),
            "check DOCKER_HOST",
        ));
    };
    let least = least.and_then(parse).unwrap_or((1, 12));
    if most < OLDEST {
        return Err(refuse(
            format!(
                "the Docker engine speaks API {}.{}, at least 1.40 is needed",
                most.0, most.1
            ),
            "upgrade Docker: apt-get install docker.io",
        ));
    }
    if least > NEWEST {
        return Err(refuse(
            format!(
                "the Docker engine asks for API {}.{} or newer, we know 1.47",
                least.0, least.1
            ),
            "upgrade openclaw-deploy",
        ));
    }
    let chosen = most.min(NEWEST);
    Ok(format!("/v{}.{}", chosen.0, chosen.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_know_is_chosen() {
        assert_eq!(negotiate(Some("1.12"), Some("1.41")), Ok("/v1.41".into()));
        assert_eq!(negotiate(Some("1.44"), Some("1.52")), Ok("/v1.47".into()));
        assert!(negotiate(Some("1.12"), Some("1.25")).is_err());
        assert!(negotiate(Some("1.99"), Some("1.99")).is_err());
        assert!(negotiate(None, None).is_err());
    }

    #[test]
    fn a_rootless_engine_is_told_by_its_security_options() {
        let info = |options: &[&str]| serde_json::json!({ "SecurityOptions": options });
        assert!(
            refuse_rootless(&info(&["name=seccomp,profile=default", "name=rootless"])).is_err()
        );
        assert!(refuse_rootless(&info(&["name=seccomp,profile=rootless"])).is_ok());
        assert!(refuse_rootless(&Value::Null).is_ok());
    }
}
