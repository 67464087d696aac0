//! After the first answer: `/readyz`, which knows of databases and channels.
//!
//! A database that this version refuses is its failure, for the version before can still read the
//! one that was kept. A channel that is down is a warning: it may be Telegram that is. Versions
//! without the endpoint are taken as they are. Details go to whoever has the gateway's own token.

use std::time::{Duration, Instant};

use super::env;
use super::health::{Page, page};
use crate::deploy::env_file::EnvFile;
use crate::deploy::exit::Result;
use crate::deploy::run::Context;
use crate::secret::Secret;

/// A gateway that has just started may load plugins, or still hold its databases.
const PATIENCE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(250);

/// How ready it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Altogether, or it cannot say.
    Whole,
    /// It works but for these.
    Partly(String),
    /// It refuses these databases.
    Refused(String),
}

/// Looks until it is altogether ready, for a few seconds.
///
/// # Errors
/// When `.env` cannot be read.
pub async fn look(cx: &Context, port: u16) -> Result<Ready> {
    let text = env::read(cx, env::owner(cx)?)?;
    let file = EnvFile::parse(&text);
    let token = file.value(env::TOKEN).unwrap_or_default();
    let token = Secret::copy_of(token.as_bytes());
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = judge(page(port, "/readyz", Some(&token)).await.as_ref());
        if seen == Ready::Whole || Instant::now() >= end {
            return Ok(seen);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Decides from the answer. Pure.
fn judge(page: Option<&Page>) -> Ready {
    let Some(Page {
        status: 503,
        json: Some(json),
    }) = page
    else {
        return Ready::Whole;
    };
    let failing = json["failing"].as_array().into_iter().flatten();
    let failing: Vec<&str> = failing.filter_map(|it| it.as_str()).collect();
    let is_database =
        |name: &&str| name.starts_with("agent-database:") || *name == "state-database";
    let databases: Vec<&str> = failing.iter().copied().filter(is_database).collect();
    match (databases.as_slice(), failing.as_slice()) {
        ([], []) => Ready::Partly("it does not say what".to_owned()),
        ([], failing) => Ready::Partly(failing.join(", ")),
        (databases, _) => Ready::Refused(databases.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_database_is_a_failure_and_a_channel_a_warning() {
        let said = |status, json: serde_json::Value| {
            let json = Some(json);
            judge(Some(&Page { status, json }))
        };
        assert_eq!(said(200, json!({"ready": true})), Ready::Whole);
        assert_eq!(
            said(503, json!({"failing": ["telegram", "slack"]})),
            Ready::Partly("telegram, slack".to_owned())
        );
        assert_eq!(
            said(503, json!({"failing": ["telegram", "agent-database:main"]})),
            Ready::Refused("agent-database:main".to_owned())
        );
        assert_eq!(
            said(503, json!({"failing": ["state-database"]})),
            Ready::Refused("state-database".to_owned())
        );
        assert_eq!(
            said(503, json!({"ready": false})),
            Ready::Partly("it does not say what".to_owned())
        );
    }

    #[test]
    fn a_version_that_cannot_say_is_taken_as_it_is() {
        assert_eq!(judge(None), Ready::Whole);
        let page = |status, json| judge(Some(&Page { status, json }));
        assert_eq!(page(404, None), Ready::Whole);
        assert_eq!(page(200, None), Ready::Whole, "the web page");
        assert_eq!(page(503, None), Ready::Whole, "a proxy's page");
    }
}
