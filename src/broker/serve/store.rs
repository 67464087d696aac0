//! What the broker knows for a moment: values in locked memory, what is not there, and that `op`
//! cannot be asked for a while. Nothing here waits or asks.

use std::collections::HashMap;
use std::time::Duration;

use super::moment::Moment;
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Exit};
use crate::broker::provider::Outcome;

/// How long it is remembered that something is not there.
const ABSENCE: Duration = Duration::from_secs(20);

/// How long `op` is not asked again after a failure that names no time: where the token or the
/// program is at fault, and otherwise.
const DEAD: Duration = Duration::from_secs(30);
const FAILED: Duration = Duration::from_secs(5);

/// How long a rate limit holds where `op` names no time.
const LIMITED: Duration = Duration::from_secs(60);

/// Values, and why there are none.
#[derive(Default)]
pub(super) struct Store {
    entries: HashMap<EnvName, KeptOutcome>,
    /// How long any client may still be given the value of each name.
    longest: HashMap<EnvName, Duration>,
    /// What failed for a client: one client's question is not to decide what another may ask.
    failures: HashMap<(String, EnvName), KnownFailure>,
    breaker: Option<KnownFailure>,
    looked: Moment,
}

struct KeptOutcome {
    outcome: Outcome,
    at: Moment,
}

/// A failure of `op`, and how long it answers instead of `op`.
struct KnownFailure {
    until: Moment,
    limited: bool,
    text: String,
    hint: Option<String>,
    exit: Exit,
}

impl KnownFailure {
    fn error(&self, now: Moment) -> Error {
        if self.limited {
            return Error::RateLimited {
                left: Some(self.until.since(now)),
                remembered: true,
            };
        }
        Error::Relayed {
            text: self.text.clone(),
            hint: self.hint.clone(),
            exit: self.exit,
        }
    }
}

impl Store {
    /// Drops everything, and is from now on told how long names are kept.
    pub(super) fn reset(&mut self, longest: HashMap<EnvName, Duration>) {
        self.forget();
        self.longest = longest;
    }

    /// Drops everything; tells how many values that were.
    pub(super) fn forget(&mut self) -> usize {
        let values = self.entries.values().filter(|entry| entry.outcome.is_ok());
        let values = values.count();
        self.entries.clear();
        self.failures.clear();
        self.breaker = None;
        values
    }

    /// Drops all values if the machine has slept, and whatever is too old for anybody.
    pub(super) fn tidy(&mut self, now: Moment) {
        if now.slept_since(self.looked) {
            self.entries.clear();
        }
        self.looked = now;
        let longest = &self.longest;
        self.entries.retain(|name, entry| {
            let kept = match entry.outcome {
                Ok(_) => longest.get(name).copied().unwrap_or_default(),
                Err(_) => ABSENCE,
            };
            now.since(entry.at) < kept
        });
        self.failures.retain(|_, failure| failure.until > now);
        if self
            .breaker
            .as_ref()
            .is_some_and(|failure| failure.until <= now)
        {
            self.breaker = None;
        }
    }

    /// How long until something is to be dropped.
    pub(super) fn next(&self, now: Moment) -> Option<Duration> {
        let left = self.entries.iter().map(|(name, entry)| {
            let kept = match entry.outcome {
                Ok(_) => self.longest.get(name).copied().unwrap_or_default(),
                Err(_) => ABSENCE,
            };
            kept.saturating_sub(now.since(entry.at))
        });
        left.min()
    }

    /// What is known of `name` and not older than `ttl`.
    pub(super) fn fresh(&self, name: &EnvName, ttl: Duration, now: Moment) -> Option<Outcome> {
        let entry = self.entries.get(name)?;
        let age = now.since(entry.at);
        let young = match entry.outcome {
            Ok(_) => age < ttl,
            Err(_) => age < ABSENCE,
        };
        young.then(|| entry.outcome.clone())
    }

    /// The last value of `name`, if it is not older than `stale`.
    pub(super) fn last(&self, name: &EnvName, stale: Duration, now: Moment) -> Option<Outcome> {
        let entry = self.entries.get(name)?;
        let young = entry.outcome.is_ok() && now.since(entry.at) < stale;
        young.then(|| entry.outcome.clone())
    }

    /// Why `op` is not to be asked for any of `names` now, where `client` asks.
    pub(super) fn held_up(&self, client: &str, names: &[EnvName], now: Moment) -> Option<Error> {
        let own = names.iter().filter_map(|name| {
            let key = (client.to_owned(), name.clone());
            self.failures.get(&key)
        });
        let mut failures = self.breaker.iter().chain(own);
        let failure = failures.find(|failure| failure.until > now)?;
        Some(failure.error(now))
    }

    /// Remembers what `op` said of `name`.
    pub(super) fn learn(&mut self, name: &EnvName, outcome: &Outcome, now: Moment) {
        self.failures.retain(|(_, failed), _| failed != name);
        let kept = self.longest.get(name).copied().unwrap_or_default();
        if outcome.is_ok() && kept.is_zero() {
            self.entries.remove(name);
            return;
        }
        let outcome = outcome.clone();
        self.entries
            .insert(name.clone(), KeptOutcome { outcome, at: now });
    }

    /// Remembers that `op` failed for `names`, of which `clients` had asked for just these: for
    /// everybody, where it would fail for anybody.
    pub(super) fn fail(&mut self, clients: &[&str], names: &[EnvName], error: &Error, now: Moment) {
        let Some(time) = time(error) else { return };
        let failure = || KnownFailure {
            until: Moment {
                since_boot: now.since_boot + time,
                ..now
            },
            limited: matches!(error, Error::RateLimited { .. }),
            text: error.to_string(),
            hint: error.hint(),
            exit: error.exit(),
        };
        match concerns_all(error) {
            true => self.breaker = Some(failure()),
            false => {
                for client in clients {
                    let key = |name: &EnvName| ((*client).to_owned(), name.clone());
                    let all = names.iter().map(|name| (key(name), failure()));
                    self.failures.extend(all);
                }
            }
        }
    }
}

/// Whether `op` would fail in the same way whatever it is asked.
pub(super) fn concerns_all(error: &Error) -> bool {
    matches!(
        error,
        Error::RateLimited { .. }
            | Error::TokenInvalid { .. }
            | Error::TokenFile { .. }
            | Error::Keyring { .. }
            | Error::SignedOut { .. }
            | Error::NoAccount
            | Error::WhichAccount { .. }
            | Error::AppUnreachable { .. }
            | Error::PromptRefused { .. }
            | Error::OpMissing { .. }
            | Error::OpUntrusted { .. }
            | Error::OpConfigDirectory
            | Error::OpTimeout { .. }
            | Error::Network
    )
}

/// How long nobody asks again after `error`.
fn time(error: &Error) -> Option<Duration> {
    Some(match error {
        Error::Interrupted { .. } | Error::Cancelled => return None,
        Error::RateLimited { left, .. } => left.unwrap_or(LIMITED),
        Error::TokenInvalid { .. } | Error::Forbidden { .. } | Error::PromptRefused { .. } => DEAD,
        _ => FAILED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Trouble;
    use crate::base::secret::Secret;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Moment {
        Moment {
            since_boot: Duration::from_secs(1000 + seconds),
            asleep: Duration::ZERO,
        }
    }

    fn name(text: &str) -> EnvName {
        EnvName::parse(text).expect("a name")
    }

    fn store() -> Store {
        let mut store = Store::default();
        store.reset(HashMap::from([(name("A"), MINUTE * 60)]));
        store.tidy(at(0));
        store
    }

    fn good() -> Outcome {
        Ok(Secret::copy_of(b"v"))
    }

    fn missing() -> Outcome {
        Err(Trouble::Missing {
            part: "item",
            near: None,
        })
    }

    #[test]
    fn a_value_is_fresh_for_its_time_and_then_the_last_one() {
        let mut store = store();
        store.learn(&name("A"), &good(), at(0));
        assert!(store.fresh(&name("A"), MINUTE, at(59)).is_some());
        assert!(store.fresh(&name("A"), MINUTE, at(60)).is_none());
        assert!(store.last(&name("A"), MINUTE * 2, at(119)).is_some());
        assert!(store.last(&name("A"), MINUTE * 2, at(120)).is_none());
        assert_eq!(
            store.next(at(10)),
            Some(MINUTE * 60 - Duration::from_secs(10))
        );
        store.tidy(at(3600));
        assert!(store.entries.is_empty());
        store.learn(&name("B"), &good(), at(0));
        assert!(store.entries.is_empty(), "nobody is to have B kept");
    }

    #[test]
    fn what_is_missing_is_remembered_shortly_and_replaces_a_value() {
        let mut store = store();
        store.learn(&name("A"), &good(), at(0));
        store.learn(&name("A"), &missing(), at(1));
        assert!(matches!(
            store.fresh(&name("A"), MINUTE, at(20)),
            Some(Err(_))
        ));
        assert!(store.fresh(&name("A"), MINUTE, at(21)).is_none());
        assert!(store.last(&name("A"), MINUTE * 9, at(2)).is_none());
    }

    #[test]
    fn values_are_dropped_by_lock_and_by_sleep() {
        let mut store = store();
        store.learn(&name("A"), &good(), at(0));
        assert_eq!((store.forget(), store.forget()), (1, 0));
        store.learn(&name("A"), &good(), at(0));
        let woken = Moment {
            asleep: Duration::from_secs(5),
            ..at(5)
        };
        store.tidy(at(4));
        assert!(store.fresh(&name("A"), MINUTE, at(4)).is_some(), "control");
        store.tidy(woken);
        assert!(store.fresh(&name("A"), MINUTE, woken).is_none());
    }

    #[test]
    fn a_limit_holds_everybody_up_until_the_time_that_op_named() {
        let mut store = store();
        let limit = Error::RateLimited {
            left: Some(MINUTE),
            remembered: false,
        };
        store.fail(&["me"], &[name("A")], &limit, at(0));
        let error = store.held_up("me", &[name("B")], at(30)).expect("held up");
        assert_eq!(error.exit(), Exit::RateLimited);
        assert!(error.to_string().contains("retry in 30 seconds"), "{error}");
        assert!(store.held_up("me", &[name("B")], at(60)).is_none());
        store.fail(&["me"], &[name("A")], &limit, at(0));
        store.forget();
        assert!(store.held_up("me", &[name("A")], at(1)).is_none());
    }

    #[test]
    fn what_fails_for_one_name_holds_nobody_else_up() {
        let mut store = store();
        store.fail(&["me"], &[name("A")], &Error::Forbidden { why: "x" }, at(0));
        assert!(store.held_up("me", &[name("A")], at(29)).is_some());
        assert!(store.held_up("me", &[name("A")], at(30)).is_none());
        assert!(store.held_up("me", &[name("B")], at(1)).is_none());
        assert!(store.held_up("you", &[name("A")], at(1)).is_none());
        store.fail(&["me"], &[name("A")], &Error::Network, at(0));
        assert!(store.held_up("me", &[name("B")], at(4)).is_some());
        assert!(store.held_up("me", &[name("B")], at(5)).is_none());
    }
}
