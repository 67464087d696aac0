//! The cache, and one `op` for all processes that ask for the same secrets at the same time.
//!
//! [`Cached`] wraps any [`Provider`]. Values live in the kernel's [`keyring`] for a short time, if
//! the [`Policy`] allows it; every failure of the keyring is a miss. Concurrent callers share one
//! [`single_flight`], whether or not anything is cached.

mod entry;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod keyring;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "no_keyring.rs"]
mod keyring;
mod name;
mod peer;
mod policy;
mod refusal;
mod relay;
mod single_flight;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;
use crate::base::runtime_directory::{Place, RuntimeDirectory};
use crate::broker::id::EnvironmentId;
use crate::broker::op::rate_limit;
use crate::broker::provider::{Fetched, Outcome, Provider, Request};
use entry::Entry;
use keyring::Keyring;
use single_flight::{Follower, Heard, Leader, Role};

pub(crate) use name::Identity;
pub(crate) use policy::{Caller, Policy, ttl_variable};
pub(crate) use relay::{relay, relayed};

/// How much longer than `op`'s own timeout a process waits for the `op` of another process.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// How many leaders that say nothing are waited for, each for half of the time that is left.
const ROUNDS: u8 = 2;

/// How many leaders may end without an answer before somebody asks for itself.
const LOST: u8 = 3;

/// Makes the provider for a cache miss.
pub(crate) type Inner<'a> = Box<dyn Fn() -> Result<Box<dyn Provider + 'a>> + 'a>;

/// A provider behind the cache.
pub(crate) struct Cached<'a> {
    /// The provider that is asked on a miss.
    pub inner: Inner<'a>,
    /// What may be cached.
    pub policy: Policy,
    /// Whose entries these are.
    pub identity: Identity,
    /// How long `op` may take.
    pub timeout: Duration,
    /// How much longer than that a process waits for the `op` of another process.
    pub grace: Duration,
}

/// Whether the kernel has a keyring for us.
pub(crate) fn is_usable() -> bool {
    Keyring::open().is_some()
}

/// Deletes every entry of this user, and what is remembered; returns how many there were.
pub(crate) fn forget_all(place: &Place) -> usize {
    let kept = Keyring::open().map_or(0, Keyring::forget_all);
    let remembered = place.open().map_or(0, |directory| {
        refusal::forget_all(&directory) + rate_limit::forget_all(&directory)
    });
    kept + remembered
}

/// Deletes the entry for `request`.
pub(crate) fn forget(identity: &Identity, request: &Request<'_>) {
    let name = identity.name(request);
    if let Some(ring) = Keyring::open() {
        ring.forget(&name);
    }
    if let Some(directory) = identity.place().open() {
        refusal::forget(&directory, &name);
    }
}

/// What one call of [`Cached::fetch`] is about.
struct Question<'q> {
    requests: &'q [Request<'q>],
    names: Vec<String>,
    /// Where processes with the same question find each other; without it, each asks by itself.
    directory: Option<RuntimeDirectory>,
    deadline: Instant,
    lost: Cell<u8>,
}

impl Question<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn halfway(&self) -> Instant {
        Instant::now() + self.left() / 2
    }

    fn names(&self, missing: &[usize]) -> Vec<String> {
        missing.iter().map(|&at| self.names[at].clone()).collect()
    }
}

impl Provider for Cached<'_> {
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let mut question = Question {
            names: requests.iter().map(|one| self.identity.name(one)).collect(),
            requests,
            directory: None,
            deadline: Instant::now() + self.timeout + self.grace,
            lost: Cell::new(0),
        };
        let mut outcomes = self.kept(&question.names);
        if outcomes.iter().any(Option::is_none) {
            question.directory = self.identity.place().open();
        }
        while outcomes.iter().any(Option::is_none) {
            let missing: Vec<usize> = (0..outcomes.len())
                .filter(|&at| outcomes[at].is_none())
                .collect();
            match self.answers(&question, &missing)? {
                Some(answers) => {
                    for (at, answer) in missing.into_iter().zip(answers) {
                        outcomes[at] = Some(answer);
                    }
                }
                None => outcomes = self.kept(&question.names),
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// An Environment is asked for each time, and everything else with it in the same process: which
    /// names it has is known only afterwards, so that nothing of it could be kept by name.
    fn fetch_with(
        &self,
        requests: &[Request<'_>],
        environments: &[EnvironmentId],
    ) -> Result<Fetched> {
        let deadline = Instant::now() + self.timeout + self.grace;
        let mut provider = (self.inner)()?;
        let directory = self.identity.place().open();
        let _held = self.alone(provider.as_ref(), directory.as_ref(), deadline);
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Error::OpTimeout {
                after: self.timeout,
            }),
            left => {
                provider.limit(left);
                provider.fetch_with(requests, environments)
            }
        }
    }
}

impl Cached<'_> {
    /// The cached outcome for each name.
    fn kept(&self, names: &[String]) -> Vec<Option<Outcome>> {
        let ring = self.policy.reads().then(Keyring::open).flatten();
        let look = |name: &String| {
            let bytes = entry::unsealed(ring?.read(name)?, keyring::LONGEST)?;
            match Entry::parse(&bytes)? {
                Entry::One(outcome) if self.policy.accepts(&outcome) => Some(outcome),
                _ => None,
            }
        };
        names.iter().map(look).collect()
    }

    fn found_meanwhile(&self, question: &Question<'_>, missing: &[usize]) -> Option<Vec<Outcome>> {
        let kept = self.kept(&question.names(missing));
        kept.into_iter().collect()
    }

    /// The answers to what is missing, whoever asked for them; `None` where the one who asked is
    /// gone, so that it is best to look again.
    fn answers(&self, question: &Question<'_>, missing: &[usize]) -> Result<Option<Vec<Outcome>>> {
        let Some(directory) = &question.directory else {
            return self.lead(None, question, missing).map(Some);
        };
        self.recall(directory, question, missing)?;
        for round in 0..ROUNDS {
            let name = self.identity.flight(missing, &question.names, round);
            let heard = match single_flight::join(directory, &name, question.halfway()) {
                // Another process may have fetched and cached it since we looked.
                Role::Leader(leader) => {
                    return match self.found_meanwhile(question, missing) {
                        Some(found) => Ok(Some(found)),
                        None => self.lead(Some(leader), question, missing).map(Some),
                    };
                }
                Role::Follower(follower) => self.listen(follower, question),
                Role::Again => Heard::Nothing,
                Role::Alone => break,
            };
            match heard {
                Heard::Answer(answer) => match relayed(&answer, missing.len())? {
                    Some(answers) => return Ok(Some(answers)),
                    None => break,
                },
                Heard::Nothing if question.lost.get() < LOST => {
                    question.lost.set(question.lost.get() + 1);
                    return Ok(None);
                }
                Heard::Silence => {}
                Heard::Nothing | Heard::Nonsense => break,
            }
        }
        self.lead(None, question, missing).map(Some)
    }

    /// Waits for half of the time, so that enough is left to ask for oneself; but for all of it
    /// where a person may be asked, who takes as long as a person takes.
    fn listen(&self, mut follower: Follower, question: &Question<'_>) -> Heard {
        match follower.listen(question.halfway()) {
            Heard::Silence if (self.inner)().is_ok_and(|provider| provider.may_prompt()) => {
                follower.listen(question.deadline)
            }
            heard => heard,
        }
    }

    /// Fetches, caches what may be cached, and hands the answer to all processes that wait for it.
    fn lead(
        &self,
        leader: Option<Leader<'_>>,
        question: &Question<'_>,
        missing: &[usize],
    ) -> Result<Vec<Outcome>> {
        let answers = self.ask(question, missing);
        self.keep(question, missing, &answers);
        if let Some(leader) = leader
            && !matches!(answers, Err(Error::Interrupted { .. }))
        {
            leader.hand_out(&relay(&answers));
        }
        answers
    }

    /// Fetches within what is left of the time. If a prompt may appear, only one process at a time
    /// does.
    fn ask(&self, question: &Question<'_>, missing: &[usize]) -> Result<Vec<Outcome>> {
        let mut provider = (self.inner)()?;
        let directory = question.directory.as_ref();
        let _held = self.alone(provider.as_ref(), directory, question.deadline);
        let wanted: Vec<Request<'_>> = missing.iter().map(|&at| question.requests[at]).collect();
        match question.left() {
            Duration::ZERO => Err(Error::OpTimeout {
                after: self.timeout,
            }),
            left => {
                provider.limit(left);
                provider.fetch(&wanted)
            }
        }
    }

    /// Held while a prompt may appear, so that only one process at a time asks.
    fn alone<'d>(
        &self,
        provider: &dyn Provider,
        directory: Option<&'d RuntimeDirectory>,
        deadline: Instant,
    ) -> Option<Leader<'d>> {
        let directory = directory.filter(|_| provider.may_prompt())?;
        let name = self.identity.prompt();
        single_flight::lock(directory, &name, deadline - self.grace)
    }

    /// What was refused a moment ago is refused again, without asking.
    fn recall(
        &self,
        directory: &RuntimeDirectory,
        question: &Question<'_>,
        missing: &[usize],
    ) -> Result<()> {
        if !self.policy.recalls() {
            return Ok(());
        }
        let names = missing.iter().map(|&at| &question.names[at]);
        match names
            .into_iter()
            .find_map(|name| refusal::recall(directory, name))
        {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn keep(&self, question: &Question<'_>, missing: &[usize], answers: &Result<Vec<Outcome>>) {
        let names = missing.iter().map(|&at| &question.names[at]);
        match (answers, &question.directory) {
            (Ok(outcomes), _) => {
                for (name, outcome) in names.zip(outcomes) {
                    if let Some(time) = self.policy.time(outcome, refusal::TIME)
                        && let Some(ring) = Keyring::open()
                    {
                        let push = |bytes: &mut Locked| Entry::push_outcome(bytes, outcome);
                        let _ = ring.keep(name, &entry::sealed(time, push), time);
                    }
                }
            }
            (Err(error), Some(directory)) if self.policy.refusals() => {
                names.for_each(|name| refusal::remember(directory, name, error));
            }
            (Err(_), _) => {}
        }
    }
}
