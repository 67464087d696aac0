//! The one who asks `op`: one call at a time, for all who wait.
//!
//! Whoever asks for what is being asked already joins. Whoever comes later waits for the next call,
//! together with all who come meanwhile.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::moment::Moment;
use super::state::{Flight, SharedAnswer, State, Waiter};
use super::store::concerns_all;
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Result};
use crate::broker::provider::Outcome;
use crate::broker::session::Session;

/// How long the first of many waits for the others.
const GATHER: Duration = Duration::from_millis(3);

/// Asks for `names`, for `client`; the answer arrives at the receiver that is returned.
pub(super) fn submit(
    state: &State,
    client: &str,
    mut names: Vec<EnvName>,
) -> oneshot::Receiver<SharedAnswer> {
    names.sort();
    let (reply, answer) = oneshot::channel();
    let waiter = Waiter {
        client: client.to_owned(),
        names,
        reply,
        alone: false,
    };
    let mut flight = state.flight.borrow_mut();
    let joins = |flight: &&mut Flight| {
        let asked = |name| is_asked(state, flight, name);
        waiter.names.iter().all(asked)
    };
    match flight.as_mut().filter(joins) {
        Some(flight) => flight.waiting.push(waiter),
        None => wait(state, [waiter]),
    }
    answer
}

/// Puts them into the queue.
fn wait(state: &State, waiters: impl IntoIterator<Item = Waiter>) {
    state.queue.borrow_mut().extend(waiters);
    state.asked.notify_one();
}

/// Whether `names` come with a call that somebody waits for already.
pub(super) fn is_under_way(state: &State, names: &[EnvName]) -> bool {
    let (flight, queue) = (state.flight.borrow(), state.queue.borrow());
    names.iter().all(|name| {
        let asked = flight.as_ref();
        asked.is_some_and(|flight| is_asked(state, flight, name))
            || queue
                .iter()
                .any(|waiter| !waiter.alone && waiter.names.contains(name))
    })
}

/// Whether `flight` will bring the current value of `name`: what was asked before `lock` may be just
/// the value that `lock` was to forget.
fn is_asked(state: &State, flight: &Flight, name: &EnvName) -> bool {
    flight.generation == state.generation.get() && flight.names.contains(name)
}

/// Asks as long as there is somebody who waits: in turn for all at once, and for one set of names
/// whose call with others has failed. So nobody waits for more than one such set of each other client.
pub(super) async fn run(state: Rc<State>) {
    let mut turns = Turns::default();
    loop {
        state.asked.notified().await;
        tokio::time::sleep(GATHER).await;
        while !state.queue.borrow().is_empty() {
            let together = take(&state, |waiter| !waiter.alone);
            call(&state, together).await;
            alone(&state, &mut turns).await;
            tokio::task::yield_now().await;
        }
    }
}

/// Takes those out of the queue that are `wanted`, and have not gone meanwhile: they cost nothing.
fn take(state: &State, wanted: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
    let mut queue = state.queue.borrow_mut();
    let (taken, left) = std::mem::take(&mut *queue)
        .into_iter()
        .filter(|waiter| !waiter.reply.is_closed())
        .partition(wanted);
    *queue = left;
    taken
}

/// When each client was last asked for alone.
#[derive(Default)]
struct Turns {
    last: HashMap<String, u64>,
    now: u64,
}

impl Turns {
    /// Whose turn it is, and with which names.
    fn next(&mut self, queue: &[Waiter]) -> Option<Vec<EnvName>> {
        let alone = queue.iter().filter(|waiter| waiter.alone);
        let next = alone.min_by_key(|waiter| self.last.get(&waiter.client))?;
        self.now += 1;
        self.last.insert(next.client.clone(), self.now);
        Some(next.names.clone())
    }
}

/// One call for those who ask for just the names of the one whose turn it is, but for whom an earlier
/// call has told that one of them fails.
async fn alone(state: &State, turns: &mut Turns) {
    let next = turns.next(&state.queue.borrow());
    let Some(names) = next else { return };
    let mut asking = vec![];
    for waiter in take(state, |waiter| waiter.alone && waiter.names == names) {
        let now = Moment::now();
        let known = state.store.borrow().held_up(&waiter.client, &names, now);
        match known {
            Some(error) => deliver(&Rc::new(Err(error)), vec![waiter]),
            None => asking.push(waiter),
        }
    }
    call(state, asking).await;
}

/// Asks `op` for what all in `batch` want, and answers them. Who has asked for other names than those
/// of a call that fails waits for one without the others, unless it would fail in the same way. Where
/// token or manifest have changed meanwhile all are told so, to ask anew.
async fn call(state: &State, batch: Vec<Waiter>) {
    let mut names: Vec<EnvName> = batch.iter().flat_map(|one| one.names.clone()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    let (generation, sessions) = (state.generation.get(), state.sessions.get());
    let cancel = Arc::<Notify>::default();
    *state.flight.borrow_mut() = Some(Flight {
        names: names.clone(),
        waiting: batch,
        generation,
        cancel: Arc::clone(&cancel),
    });
    let session = state.session().cancelled_by(cancel);
    let answer = ask(session, names.clone()).await;
    let waiting = state.flight.borrow_mut().take().unwrap_or_default().waiting;
    if let Err(Error::Interrupted { signal }) = answer {
        let _ = state.signals.send(signal);
        if signal == libc::SIGHUP {
            state.is_past(generation).await;
            deliver(&Rc::new(Err(Error::Cancelled)), waiting);
        }
        return;
    }
    if sessions != state.sessions.get() {
        deliver(&Rc::new(Err(Error::Cancelled)), waiting);
        return;
    }
    let (told, others): (Vec<_>, Vec<_>) = match &answer {
        Err(error) if !concerns_all(error) => {
            waiting.into_iter().partition(|one| one.names == names)
        }
        _ => (waiting, vec![]),
    };
    if generation == state.generation.get() {
        learn(state, &told, &names, &answer);
    }
    deliver(&Rc::new(answer), told);
    if !others.is_empty() {
        let alone = |one| Waiter { alone: true, ..one };
        wait(state, others.into_iter().map(alone));
    }
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

fn learn(
    state: &State,
    told: &[Waiter],
    names: &[EnvName],
    answer: &Result<Vec<(EnvName, Outcome)>>,
) {
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
            let clients: Vec<&str> = told.iter().map(|one| one.client.as_str()).collect();
            store.fail(&clients, names, error, now);
            state.log.warn(&format!("`op` was asked in vain: {error}"));
        }
    }
}

fn deliver(answer: &SharedAnswer, waiting: Vec<Waiter>) {
    for one in waiting {
        let _ = one.reply.send(Rc::clone(answer));
    }
}
