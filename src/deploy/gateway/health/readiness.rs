//! After the first answer: `/readyz`, which knows of databases and channels.
//!
//! A database that this version refuses, and the one before it did not, is its failure: that one
//! can still read what was kept. One that was refused before is a warning, and so is a channel that
//! is down: it may be Telegram that is. Versions without the endpoint are taken as they are. Details
//! go to whoever has the gateway's own token.

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
pub(crate) enum Ready {
    /// Altogether, or it cannot say.
    Whole,
    /// It works but for these.
    Partly(String),
    /// It refuses these databases.
    Refused(Vec<String>),
}

impl Ready {
    /// This, where these databases were refused before; `None` where no version ran before, so
    /// that there is nothing to go back to.
    pub(crate) fn after(self, known: Option<&[String]>) -> Self {
        let Self::Refused(databases) = self else {
            return self;
        };
        let is_new = |name: &String| known.is_some_and(|known| !known.contains(name));
        if databases.iter().any(is_new) {
            return Self::Refused(databases.into_iter().filter(is_new).collect());
        }
        Self::Partly(databases.join(", "))
    }
}

/// The databases that what runs now refuses.
pub(crate) async fn refused(cx: &Context, port: u16) -> Vec<String> {
    let token = token(cx);
    let page = page(port, "/readyz", Some(&token)).await;
    match judge(page.as_ref()) {
        Ready::Refused(databases) => databases,
        _ => Vec::new(),
    }
}

/// Looks until it is altogether ready, for a few seconds.
pub(crate) async fn look(cx: &Context, port: u16) -> Ready {
    let token = token(cx);
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = judge(page(port, "/readyz", Some(&token)).await.as_ref());
        if seen == Ready::Whole || Instant::now() >= end {
            return seen;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The gateway's own; without it there are no details, and that is all.
fn token(cx: &Context) -> Secret {
    let text = env::owner(cx).and_then(|owner| env::read(cx, owner));
    let file = EnvFile::parse(&text.unwrap_or_default());
    let token = file.value(env::TOKEN).unwrap_or_default();
    Secret::copy_of(token.as_bytes())
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
        (databases, _) => Ready::Refused(databases.iter().map(|&it| it.to_owned()).collect()),
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
            Ready::Refused(vec!["agent-database:main".to_owned()])
        );
        assert_eq!(
            said(503, json!({"failing": ["state-database"]})),
            Ready::Refused(vec!["state-database".to_owned()])
        );
        assert_eq!(
            said(503, json!({"ready": false})),
            Ready::Partly("it does not say what".to_owned())
        );
    }

    #[test]
    fn what_was_refused_before_is_not_the_fault_of_this_version() {
        let all = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let seen = || Ready::Refused(all(&["agent-database:a", "agent-database:b"]));
        let (none, one, both) = (
            all(&[]),
            all(&["agent-database:a"]),
            all(&["agent-database:b", "agent-database:a"]),
        );
        assert_eq!(seen().after(Some(&none)), seen());
        let new = Ready::Refused(all(&["agent-database:b"]));
        assert_eq!(seen().after(Some(&one)), new);
        let warning = Ready::Partly("agent-database:a, agent-database:b".to_owned());
        assert_eq!(seen().after(Some(&both)), warning);
        assert_eq!(seen().after(None), warning, "nothing to go back to");
        assert_eq!(Ready::Whole.after(None), Ready::Whole);
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
