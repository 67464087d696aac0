//! The gateway's keys: which they are, those of `app_secrets` or of the built-in manifest, and how it
//! gets them.

use serde::{Deserialize, Serialize};

use crate::base::env_name::EnvName;
use crate::broker::manifest::builtin;
use crate::deploy::error::{Failure, Result};

/// How the gateway gets its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Deliver {
    /// It asks the broker of this host for them.
    Broker,
    /// As secrets of the swarm.
    Swarm,
    /// The user writes them into `.env`.
    Env,
}

impl Deliver {
    /// The word in the configuration and in the journal.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Swarm => "swarm",
            Self::Env => "env",
        }
    }
}

/// Variables that no gateway gets: they give access to registries, networks and vaults.
const NOT_FOR_THE_GATEWAY: [&str; 4] = [
    "GHCR_TOKEN",
    "TAILSCALE_AUTH_KEY",
    "OP_SERVICE_ACCOUNT_TOKEN",
    "OP_CONNECT_TOKEN",
];

/// Swarm allows 64 bytes; `openclaw_` and a version go around a name.
const LONGEST: usize = 48;

/// The variables that become secrets: those of `app_secrets`, or of the built-in manifest.
pub(crate) fn names(given: Option<Vec<String>>) -> Result<Vec<EnvName>> {
    let Some(given) = given else {
        return Ok(by_default());
    };
    given
        .into_iter()
        .map(|text| {
            parse(&text)
                .map_err(|why| Failure::usage(format!("app_secrets: {text} cannot be one: {why}")))
        })
        .collect()
}

fn parse(text: &str) -> std::result::Result<EnvName, String> {
    if NOT_FOR_THE_GATEWAY.contains(&text) {
        return Err("it is not for the gateway".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("its name is longer than {LONGEST} letters"));
    }
    EnvName::parse(text).map_err(|why| why.to_string())
}

/// The app secrets of the built-in manifest.
pub(crate) fn by_default() -> Vec<EnvName> {
    let names = builtin().secrets.into_iter().map(|it| it.name);
    names
        .filter(|name| !NOT_FOR_THE_GATEWAY.contains(&name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_registries_networks_and_vaults_are_never_app_secrets() {
        let names: Vec<_> = by_default().iter().map(ToString::to_string).collect();
        let app = [
            "OPENCODE_API_KEY",
            "TELEGRAM_BOT_TOKEN",
            "NOTION_API_KEY",
            "TODOIST_API_KEY",
            "EMAIL_APP_PASSWORD",
        ];
        assert_eq!(names, app);
        let refused = |text: &str| parse(text).is_err();
        assert!(NOT_FOR_THE_GATEWAY.into_iter().all(refused));
        assert!(refused("not a name") && refused("LD_PRELOAD") && refused(&"A".repeat(49)));
        assert!(!refused("MY_KEY"));
    }
}
