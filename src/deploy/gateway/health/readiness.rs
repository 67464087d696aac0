//! After the first answer: `/readyz`, which knows of databases and channels.
//!
//! A database that this version refuses and the version before did not is a failure: the version before
//! can still read the snapshot. One that was refused before is a warning, and so is a channel that is
//! down, for it may be Telegram that is down. A version without the endpoint counts as ready. The gateway
//! tells details only to those who have its own token.

use std::time::{Duration, Instant};

use crate::base::secret::Secret;
use crate::deploy::context::Context;
use crate::deploy::env_file::EnvFile;
use crate::deploy::gateway::env;
use crate::deploy::gateway::health::liveness::{Page, page};

/// A gateway that has just started may load plugins, or still hold its databases.
const PATIENCE: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_millis(250);

/// How ready it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is ready, or cannot say.
    Ready,
    /// It works but for these.
    Degraded(String),
    /// It refuses these databases.
    DatabasesRefused(Vec<String>),
}

impl Readiness {
    /// The same, but databases that were refused before are no reason to go back; nor is any where no
    /// version ran before (`None`).
    pub(crate) fn given(self, known: Option<&[String]>) -> Self {
        let Self::DatabasesRefused(databases) = self else {
            return self;
        };
        let is_new = |name: &String| known.is_some_and(|known| !known.contains(name));
        if databases.iter().any(is_new) {
            return Self::DatabasesRefused(databases.into_iter().filter(is_new).collect());
        }
        Self::Degraded(databases.join(", "))
    }
}

/// The databases that what runs now refuses.
pub(crate) async fn refused_databases(cx: &Context, port: u16) -> Vec<String> {
    let token = token(cx);
    let page = page(port, "/readyz", Some(&token)).await;
    match judge(page.as_ref()) {
        Readiness::DatabasesRefused(databases) => databases,
        _ => Vec::new(),
    }
}

/// Waits until it is ready, for a few seconds.
pub(crate) async fn wait(cx: &Context, port: u16) -> Readiness {
    let token = token(cx);
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = judge(page(port, "/readyz", Some(&token)).await.as_ref());
        if seen == Readiness::Ready || Instant::now() >= end {
            return seen;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The gateway's own token. Without it there are no details.
fn token(cx: &Context) -> Secret {
    let text = env::owner(cx).and_then(|owner| env::read(cx, owner));
    let file = EnvFile::parse(&text.unwrap_or_default());
    let token = file.value(env::TOKEN).unwrap_or_default();
    Secret::copy_of(token.as_bytes())
}

/// Decides from the answer. Pure.
fn judge(page: Option<&Page>) -> Readiness {
    let Some(Page {
        status: 503,
        json: Some(json),
    }) = page
    else {
        return Readiness::Ready;
    };
    let failing = json["failing"].as_array().into_iter().flatten();
    let failing: Vec<&str> = failing.filter_map(|it| it.as_str()).collect();
    let is_database =
        |name: &&str| name.starts_with("agent-database:") || *name == "state-database";
    let databases: Vec<&str> = failing.iter().copied().filter(is_database).collect();
    match (databases.as_slice(), failing.as_slice()) {
        ([], []) => Readiness::Degraded("it does not say what".to_owned()),
        ([], failing) => Readiness::Degraded(failing.join(", ")),
        (databases, _) => {
            Readiness::DatabasesRefused(databases.iter().map(|&it| it.to_owned()).collect())
        }
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
        assert_eq!(said(200, json!({"ready": true})), Readiness::Ready);
        assert_eq!(
            said(503, json!({"failing": ["telegram", "slack"]})),
            Readiness::Degraded("telegram, slack".to_owned())
        );
        assert_eq!(
            said(503, json!({"failing": ["telegram", "agent-database:main"]})),
            Readiness::DatabasesRefused(vec!["agent-database:main".to_owned()])
        );
        assert_eq!(
            said(503, json!({"failing": ["state-database"]})),
            Readiness::DatabasesRefused(vec!["state-database".to_owned()])
        );
        assert_eq!(
            said(503, json!({"ready": false})),
            Readiness::Degraded("it does not say what".to_owned())
        );
    }

    #[test]
    fn what_was_refused_before_is_not_the_fault_of_this_version() {
        let all = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let seen = || Readiness::DatabasesRefused(all(&["agent-database:a", "agent-database:b"]));
        let (none, one, both) = (
            all(&[]),
            all(&["agent-database:a"]),
            all(&["agent-database:b", "agent-database:a"]),
        );
        assert_eq!(seen().given(Some(&none)), seen());
        let new = Readiness::DatabasesRefused(all(&["agent-database:b"]));
        assert_eq!(seen().given(Some(&one)), new);
        let warning = Readiness::Degraded("agent-database:a, agent-database:b".to_owned());
        assert_eq!(seen().given(Some(&both)), warning);
        assert_eq!(seen().given(None), warning, "nothing to go back to");
        assert_eq!(Readiness::Ready.given(None), Readiness::Ready);
    }

    #[test]
    fn a_version_that_cannot_say_is_taken_as_it_is() {
        assert_eq!(judge(None), Readiness::Ready);
        let page = |status, json| judge(Some(&Page { status, json }));
        assert_eq!(page(404, None), Readiness::Ready);
        assert_eq!(page(200, None), Readiness::Ready, "the web page");
        assert_eq!(page(503, None), Readiness::Ready, "a proxy's page");
    }
}
