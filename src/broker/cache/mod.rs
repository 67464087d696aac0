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
mod policy;
mod single_flight;

use std::time::{Duration, Instant};

use crate::base::duration;
use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::broker::provider::{Outcome, Provider, Request};
use entry::Entry;
use keyring::Keyring;
use single_flight::{Leader, Role};

pub(crate) use name::Identity;
pub(crate) use policy::{Caller, Policy};

/// How long a refused prompt or a missing secret is cached: one user action may ask thirteen times.
const REFUSAL: Duration = Duration::from_secs(20);

/// A process that waits for another's `op` waits this much longer than `op` may take.
const GRACE: Duration = Duration::from_secs(1);

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
}

/// Deletes every entry of this user; returns how many there were.
pub(crate) fn forget_all() -> usize {
    Keyring::open().map_or(0, Keyring::forget_all)
}

/// Deletes the entry for `request`.
pub(crate) fn forget(identity: &Identity, request: &Request<'_>) {
    if let Some(ring) = Keyring::open() {
        ring.forget(&identity.name(request));
    }
}

impl Provider for Cached<'_> {
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let deadline = Instant::now() + self.timeout + GRACE;
        let names: Vec<String> = requests.iter().map(|one| self.identity.name(one)).collect();
        let mut outcomes = self.kept(&names)?;
        while outcomes.iter().any(Option::is_none) {
            let missing: Vec<usize> = (0..names.len())
                .filter(|&at| outcomes[at].is_none())
                .collect();
            let part = single_flight::join(&self.identity.flight(&missing, &names), deadline);
            let answers = match part {
                // Another process may have fetched and cached it since we looked.
                Role::Leader(leader) => match self.found_meanwhile(&names, &missing)? {
                    Some(found) => found,
                    None => self.lead(Some(leader), requests, &names, &missing)?,
                },
                Role::Alone => self.lead(None, requests, &names, &missing)?,
                Role::Answered(answer) => match relayed(&answer, missing.len())? {
                    Some(answers) => answers,
                    None => continue,
                },
                Role::Again if Instant::now() < deadline => {
                    outcomes = self.kept(&names)?;
                    continue;
                }
                Role::Again | Role::TooLate => {
                    return Err(Error::OpTimeout {
                        after: self.timeout,
                    });
                }
            };
            for (at, answer) in missing.into_iter().zip(answers) {
                outcomes[at] = Some(answer);
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }
}

impl Cached<'_> {
    /// The cached outcome for each name.
    fn kept(&self, names: &[String]) -> Result<Vec<Option<Outcome>>> {
        let ring = self.policy.reads().then(Keyring::open).flatten();
        let Some(ring) = ring else {
            return Ok(names.iter().map(|_| None).collect());
        };
        let look = |name: &String| {
            let bytes = entry::unsealed(ring.read(name)?, keyring::LONGEST)?;
            Entry::parse(&bytes)
        };
        let outcome = |name: &String| match look(name) {
            Some(Entry::One(outcome)) if self.policy.accepts(&outcome) => Ok(Some(outcome)),
            Some(Entry::Fatal(error)) if self.policy.refusals() => Err(remembered(error)),
            _ => Ok(None),
        };
        names.iter().map(outcome).collect()
    }

    fn found_meanwhile(&self, names: &[String], missing: &[usize]) -> Result<Option<Vec<Outcome>>> {
        let names: Vec<String> = missing.iter().map(|&at| names[at].clone()).collect();
        Ok(self.kept(&names)?.into_iter().collect())
    }

    /// Fetches, caches what may be cached, and hands the answer to all processes that wait for it.
    fn lead(
        &self,
        leader: Option<Leader>,
        requests: &[Request<'_>],
        names: &[String],
        missing: &[usize],
    ) -> Result<Vec<Outcome>> {
        let wanted: Vec<Request<'_>> = missing.iter().map(|&at| requests[at]).collect();
        let answers = self.ask(&wanted);
        let names: Vec<&String> = missing.iter().map(|&at| &names[at]).collect();
        self.keep(&names, &answers);
        if let Some(leader) = leader
            && !matches!(answers, Err(Error::Interrupted { .. }))
        {
            leader.hand_out(&relay(&answers));
        }
        answers
    }

    /// Fetches. If a prompt may appear, only one process at a time does, and waiting counts towards
    /// the deadline.
    fn ask(&self, wanted: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let mut provider = (self.inner)()?;
        if !provider.may_prompt() {
            return provider.fetch(wanted);
        }
        let deadline = Instant::now() + self.timeout;
        let _held = single_flight::lock(&self.identity.prompt(), deadline);
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Error::OpTimeout {
                after: self.timeout,
            }),
            left => {
                provider.limit(left);
                provider.fetch(wanted)
            }
        }
    }

    fn keep(&self, names: &[&String], answers: &Result<Vec<Outcome>>) {
        let keep = |name: &str, time: Duration, push: &dyn Fn(&mut Locked)| {
            if let Some(ring) = Keyring::open() {
                let _ = ring.keep(name, &entry::sealed(time, push), time);
            }
        };
        match answers {
            Ok(outcomes) => {
                for (name, outcome) in names.iter().zip(outcomes) {
                    if let Some(time) = self.policy.time(outcome, REFUSAL) {
                        keep(name, time, &|bytes| Entry::push_outcome(bytes, outcome));
                    }
                }
            }
            Err(error) if self.policy.refusals() && costs_again(error) => {
                for name in names {
                    keep(name, REFUSAL, &|bytes| Entry::push_fatal(bytes, error));
                }
            }
            Err(_) => {}
        }
    }
}

/// Whether asking again at once would open another prompt, or burn the account's quota.
fn costs_again(error: &Error) -> bool {
    matches!(
        error,
        Error::PromptRefused { .. }
            | Error::OpTimeout { .. }
            | Error::RateLimited { .. }
            | Error::TokenInvalid { .. }
            | Error::Forbidden { .. }
    )
}

fn remembered(error: Error) -> Error {
    Error::Relayed {
        text: format!("{error} (a moment ago; not asked again)"),
        exit: error.exit(),
        hint: Some("retry in 20 s, or at once after `oc-secrets lock`".to_owned()),
    }
}

/// Every outcome, each preceded by its length, or the one failure.
fn relay(answers: &Result<Vec<Outcome>>) -> Locked {
    let mut bytes = Locked::with_capacity(4096);
    match answers {
        Err(error) => Entry::push_fatal(&mut bytes, error),
        Ok(outcomes) => {
            bytes.push(b"*");
            for outcome in outcomes {
                let mut one = Locked::with_capacity(4096);
                Entry::push_outcome(&mut one, outcome);
                bytes.push(&(one.len() as u64).to_le_bytes());
                bytes.push(&one);
            }
        }
    }
    bytes
}

/// Parses what [`relay`] wrote in another process; `None` for anything else.
fn relayed(answer: &Secret, count: usize) -> Result<Option<Vec<Outcome>>> {
    if answer.expose().first() != Some(&b'*') {
        return match Entry::parse(answer) {
            Some(Entry::Fatal(error)) => Err(error),
            _ => Ok(None),
        };
    }
    let mut outcomes = vec![];
    let mut at = 1;
    while let Some(length) = answer.expose().get(at..at + 8) {
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        let start = at + 8;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| start.checked_add(length));
        match end
            .filter(|&end| end <= answer.len())
            .map(|end| (end, answer.slice(start..end)))
        {
            Some((end, one)) => {
                let Some(Entry::One(outcome)) = Entry::parse(&one) else {
                    return Ok(None);
                };
                outcomes.push(outcome);
                at = end;
            }
            None => return Ok(None),
        }
    }
    Ok((outcomes.len() == count && at == answer.len()).then_some(outcomes))
}

/// What `OC_SECRETS_CACHE_TTL` says, if it is set.
///
/// # Errors
/// [`Error::Usage`] for what is not a duration, or more than 12 hours.
pub(crate) fn ttl_variable(text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let usage =
        |what: &str, hint: String| Error::usage(format!("OC_SECRETS_CACHE_TTL: {what}"), hint);
    match duration::parse(text) {
        None => Err(usage(duration::NO_DURATION, duration::how_to_write(text))),
        Some(ttl) if ttl > LONGEST => Err(usage(
            "more than 12h",
            "write 12h or less; 0 turns the cache off".to_owned(),
        )),
        ttl => Ok(ttl),
    }
}

/// The longest `ttl` that can be set.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
