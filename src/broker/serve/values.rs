//! What a client is answered: the values that it may have, kept, fetched now, or old ones.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use super::asker;
use super::moment::Moment;
use super::state::{Client, State};
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Exit, Trouble};
use crate::broker::provider::Outcome;

/// How long `op` is waited for where an old value would do.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an answer consists of.
#[derive(Default)]
pub(super) struct Told {
    pub(super) kept: usize,
    pub(super) asked: usize,
    pub(super) stale: usize,
    pub(super) why: String,
}

/// `client` by the manifest that is in force now, if that has it for the same user.
pub(super) fn still(state: &State, client: &Client) -> Option<Rc<Client>> {
    let now = state.client(&client.spec.name);
    now.filter(|now| now.uid == client.uid)
}

/// An outcome for each of `names`, by the manifest that is in force in the end.
pub(super) async fn find(
    state: &Rc<State>,
    client: &Client,
    names: &[String],
    told: &mut Told,
) -> Result<Vec<Outcome>, Error> {
    let mut got: Vec<(EnvName, Outcome)> = vec![];
    let mut is_again = false;
    // Again where what was kept has gone while `op` was asked for the rest, and where token or manifest
    // have changed meanwhile.
    loop {
        let Some(client) = still(state, client) else {
            return Ok(names.iter().map(|_| Err(ABSENT)).collect());
        };
        let now = state.tidy();
        let missing = missing(state, &client, names, &got, now);
        if missing.is_empty() {
            return Ok(outcomes(state, &client, names, &got, now, told));
        }
        let sessions = state.sessions.get();
        let answer = ask(state, &client, &missing, is_again, told).await;
        is_again = true;
        if sessions != state.sessions.get() || matches!(answer, Err(Error::Cancelled)) {
            got.clear(); // by a token or a manifest from before
            continue;
        }
        let answer = answer?;
        for name in missing {
            let outcome = answer.iter().find(|(asked, _)| *asked == name);
            let outcome = outcome.map_or(Err(ABSENT), |(_, outcome)| outcome.clone());
            got.push((name, outcome));
        }
    }
}

/// The one of the client's own names that reads like this.
fn own<'a>(client: &'a Client, name: &str) -> Option<&'a EnvName> {
    let mut own = client.spec.secrets.iter();
    own.find(|own| own.as_str() == name)
}

/// Which of the client's own names have to be asked for.
fn missing(
    state: &State,
    client: &Client,
    names: &[String],
    got: &[(EnvName, Outcome)],
    now: Moment,
) -> Vec<EnvName> {
    let store = state.store.borrow();
    let mut missing: Vec<EnvName> = vec![];
    for name in names.iter().filter_map(|name| own(client, name)) {
        let is_known = got.iter().any(|(known, _)| known == name)
            || store.fresh(name, client.spec.ttl, now).is_some();
        if !is_known && !missing.contains(name) {
            missing.push(name.clone());
        }
    }
    missing
}

/// What each of `names` is answered with: what was got now, or what is kept.
fn outcomes(
    state: &State,
    client: &Client,
    names: &[String],
    got: &[(EnvName, Outcome)],
    now: Moment,
    told: &mut Told,
) -> Vec<Outcome> {
    let store = state.store.borrow();
    let mut outcome = |name: &EnvName| match got.iter().find(|(known, _)| known == name) {
        Some((_, outcome)) => outcome.clone(),
        None => {
            told.kept += 1;
            let kept = store.fresh(name, client.spec.ttl, now);
            kept.unwrap_or(Err(ABSENT))
        }
    };
    let own = |name: &String| own(client, name).map_or(Err(ABSENT), &mut outcome);
    names.iter().map(own).map(|it| it.map_err(plain)).collect()
}

/// The same for what may not be had and for what does not exist.
const ABSENT: Trouble = Trouble::Missing {
    part: "secret",
    near: None,
};

/// Without the names of other items.
fn plain(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Missing { .. } => ABSENT,
        other => other,
    }
}

/// What `op` says of `missing`, or old values where it cannot be asked. What is asked again for the same
/// question does not count as another call.
///
/// # Errors
/// [`Error::Cancelled`] where token or manifest have changed meanwhile.
async fn ask(
    state: &Rc<State>,
    client: &Client,
    missing: &[EnvName],
    is_again: bool,
    told: &mut Told,
) -> Result<Vec<(EnvName, Outcome)>, Error> {
    let now = Moment::now();
    let held_up = state
        .store
        .borrow()
        .held_up(&client.spec.name, missing, now);
    let failure = match held_up {
        Some(error) => error,
        None if !is_again
            && !asker::is_under_way(state, missing)
            && !client.calls.borrow_mut().take(now) =>
        {
            Error::Relayed {
                text: "too many calls of `op` in a minute".to_owned(),
                hint: None,
                exit: Exit::RateLimited,
            }
        }
        None => {
            let answer = asker::submit(state, &client.spec.name, missing.to_vec());
            // A client with an old value to fall back on waits no longer than that.
            let patience = match old(state, client, missing) {
                Some(_) => PATIENCE,
                None => Duration::from_secs(24 * 60 * 60),
            };
            match timeout(patience, answer).await {
                Ok(Ok(answer)) => match &*answer {
                    Ok(outcomes) => {
                        told.asked += missing.len();
                        let wanted = |(name, _): &&(EnvName, Outcome)| missing.contains(name);
                        return Ok(outcomes.iter().filter(wanted).cloned().collect());
                    }
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(error) => relayed(error),
                },
                Ok(Err(_)) => Error::system("answer", "the broker is ending"),
                Err(_) => Error::OpTimeout { after: PATIENCE },
            }
        }
    };
    match old(state, client, missing) {
        Some(values) => {
            told.stale += values.len();
            told.why = failure.to_string();
            Ok(values)
        }
        None => Err(failure),
    }
}

/// The last values of all of them, where this client may have old ones.
fn old(state: &State, client: &Client, names: &[EnvName]) -> Option<Vec<(EnvName, Outcome)>> {
    // The machine may have slept since they asked.
    let now = state.tidy();
    let store = state.store.borrow();
    let value = |name: &EnvName| Some((name.clone(), store.last(name, client.spec.stale, now)?));
    names.iter().map(value).collect()
}

fn relayed(error: &Error) -> Error {
    Error::Relayed {
        text: error.to_string(),
        hint: error.hint(),
        exit: error.exit(),
    }
}
