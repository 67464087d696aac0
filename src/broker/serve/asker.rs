//! The one who asks `op`: one call at a time, for all who wait.
//!
//! Whoever asks for what is being asked already joins. Whoever comes later waits for the next call,
//! together with all who come meanwhile.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::moment::Moment;
use super::state::{Flight, SharedAnswer, State, Waiter};
use super::store::concerns_all;
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Result};
use crate::broker::provider::Outcome;
use crate::broker::session::Session;

/// How long the first of many waits for the others.
const GATHER: Duration = Duration::from_millis(3);

/// Asks for `names`; the answer arrives at the receiver that is returned.
pub(super) fn submit(state: &State, names: Vec<EnvName>) -> oneshot::Receiver<SharedAnswer> {
    let (reply, answer) = oneshot::channel();
    let mut flight = state.flight.borrow_mut();
    let waiting = Waiter { names, reply };
    let joins = |flight: &&mut Flight| {
        let asked = |name| is_asked(state, flight, name);
        waiting.names.iter().all(asked)
    };
    match flight.as_mut().filter(joins) {
        Some(flight) => flight.waiting.push(waiting),
        None => {
            state.queue.borrow_mut().push(waiting);
            state.asked.notify_one();
        }
    }
    answer
}

/// Whether `names` come with a call that somebody waits for already.
pub(super) fn is_under_way(state: &State, names: &[EnvName]) -> bool {
    let (flight, queue) = (state.flight.borrow(), state.queue.borrow());
    names.iter().all(|name| {
        let asked = flight.as_ref();
        asked.is_some_and(|flight| is_asked(state, flight, name))
            || queue.iter().any(|waiting| waiting.names.contains(name))
    })
}

/// Whether `flight` will bring the current value of `name`: what was asked before `lock` may be just
/// the value that `lock` was to forget.
fn is_asked(state: &State, flight: &Flight, name: &EnvName) -> bool {
    flight.generation == state.generation.get() && flight.names.contains(name)
}

/// Asks as long as there is somebody who waits.
pub(super) async fn run(state: Rc<State>) {
    loop {
        state.asked.notified().await;
        tokio::time::sleep(GATHER).await;
        loop {
            let batch = std::mem::take(&mut *state.queue.borrow_mut());
            if batch.is_empty() {
                break;
            }
            together(&state, batch).await;
            tokio::task::yield_now().await;
        }
    }
}

/// One call for all; if it fails for a reason that may concern only one of them, one call for each
/// set of names.
async fn together(state: &State, batch: Vec<Waiter>) {
    // Those who have gone meanwhile cost nothing.
    let batch: Vec<Waiter> = batch
        .into_iter()
        .filter(|one| !one.reply.is_closed())
        .collect();
    let Some((first, others)) = batch.split_first() else {
        return;
    };
    let mixed = others.iter().any(|one| one.names != first.names);
    let Some((answer, waiting)) = call(state, batch).await else {
        return;
    };
    match &*answer {
        Err(error) if mixed && !concerns_all(error) => one_by_one(state, waiting).await,
        _ => deliver(&answer, waiting),
    }
}

/// One call for each set of names, whose answer is for all who wait for the same. None for a set that
/// nobody waits for any more, or that holds a name of which an earlier call has learned a failure.
async fn one_by_one(state: &State, mut waiting: Vec<Waiter>) {
    while let Some(first) = waiting.first() {
        let names = first.names.clone();
        let (same, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|one| one.names == names);
        waiting = others;
        let same: Vec<Waiter> = same
            .into_iter()
            .filter(|one| !one.reply.is_closed())
            .collect();
        let known = state.store.borrow().held_up(&names, Moment::now());
        match known {
            _ if same.is_empty() => {}
            Some(error) => deliver(&Rc::new(Err(error)), same),
            None => {
                if let Some((answer, waiting)) = call(state, same).await {
                    deliver(&answer, waiting);
                }
            }
        }
    }
}

/// Asks `op`; gives its answer and all who wait for it by then. `None` where a signal ended it.
async fn call(state: &State, batch: Vec<Waiter>) -> Option<(SharedAnswer, Vec<Waiter>)> {
    let mut names: Vec<EnvName> = vec![];
    for name in batch.iter().flat_map(|one| &one.names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let generation = state.generation.get();
    *state.flight.borrow_mut() = Some(Flight {
        names: names.clone(),
        waiting: batch,
        generation,
    });
    let session = state.session();
    let answer = ask(session, names.clone()).await;
    let flight = state.flight.borrow_mut().take().unwrap_or_default();
    if let Err(Error::Interrupted { signal }) = answer {
        let _ = state.signals.send(signal);
        if signal == libc::SIGHUP {
            // They are asked for again, by the manifest as it is then.
            state.is_past(generation).await;
            state.queue.borrow_mut().extend(flight.waiting);
            state.asked.notify_one();
        }
        return None;
    }
    if generation == state.generation.get() {
        learn(state, &names, &answer);
    }
    Some((Rc::new(answer), flight.waiting))
}

/// In a thread of its own, which ends when it has not been needed for a while.
async fn ask(session: Session, names: Vec<EnvName>) -> Result<Vec<(EnvName, Outcome)>> {
    let asked = tokio::task::spawn_blocking(move || session.fetch(&names));
    asked.await.unwrap_or_else(|_| {
        Err(Error::Bug {
            place: "the broker's call of `op`".to_owned(),
        })
    })
}

fn learn(state: &State, names: &[EnvName], answer: &Result<Vec<(EnvName, Outcome)>>) {
    let now = Moment::now();
    let mut store = state.store.borrow_mut();
    match answer {
        Ok(outcomes) => {
            for (name, outcome) in outcomes {
                store.learn(name, outcome, now);
            }
            state.kept.notify_one();
        }
        Err(error) => {
            store.fail(names, error, now);
            state.log.warn(&format!("`op` was asked in vain: {error}"));
        }
    }
}

fn deliver(answer: &SharedAnswer, waiting: Vec<Waiter>) {
    for one in waiting {
        let _ = one.reply.send(Rc::clone(answer));
    }
}
