//! What may be cached, for how long, and by whom. Pure.
//!
//! No value is cached for uid 0 unless the manifest allows it: a container that runs as root without
//! a user namespace of its own reads the keyring of the host's root.

use std::time::Duration;

use crate::base::duration;
use crate::base::error::{Error, Result, Trouble};
use crate::broker::manifest::CacheSettings;
use crate::broker::provider::Outcome;
use crate::broker::resolve;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A credential helper, which one user action may start many times.
    Helper,
    /// A gateway that asks for its keys, and gives up after five seconds.
    Gateway,
    /// The broker, which keeps values itself.
    Broker,
    /// A command that a person or a script typed.
    Command,
}

/// What may be cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    values: Option<Duration>,
    absences: bool,
    refusals: bool,
    refresh: bool,
}

/// How long a helper caches a secret if the manifest has no `[cache]`.
const HELPER: Duration = Duration::from_secs(5 * 60);

impl Policy {
    /// Nothing is cached.
    pub(crate) const NOTHING: Self = Self {
        values: None,
        absences: false,
        refusals: false,
        refresh: false,
    };

    /// Decides by the manifest's `[cache]`, by `OC_SECRETS_CACHE_TTL`, which stands for its `ttl`,
    /// by the caller, and by whether we are uid 0.
    pub(crate) fn decide(
        settings: Option<CacheSettings>,
        variable: Option<Duration>,
        caller: Caller,
        root: bool,
    ) -> Self {
        let refusals = matches!(caller, Caller::Helper | Caller::Gateway);
        let allowed = !root || settings.is_some_and(|settings| settings.allow_root);
        if !allowed {
            return Self {
                refusals,
                ..Self::NOTHING
            };
        }
        let unsaid = refusals.then_some(HELPER);
        let ttl = variable
            .or(settings.map(|settings| settings.ttl))
            .or(unsaid);
        Self {
            values: ttl.filter(|ttl| !ttl.is_zero()),
            absences: refusals,
            refusals,
            refresh: false,
        }
    }

    /// Why no value is cached, where none is.
    pub(crate) fn why_nothing(
        self,
        settings: Option<CacheSettings>,
        variable: Option<Duration>,
        root: bool,
    ) -> Option<&'static str> {
        Some(match (settings, variable) {
            _ if self.values.is_some() => return None,
            (settings, _) if root && !settings.is_some_and(|settings| settings.allow_root) => {
                "root keeps nothing without `allow_root = true` under [cache] of a named manifest"
            }
            (_, Some(Duration::ZERO)) => "OC_SECRETS_CACHE_TTL is 0",
            (Some(_), _) => "`ttl` under [cache] is 0",
            (None, _) => "the manifest has no [cache]",
        })
    }

    /// The same, but cached values are replaced instead of used.
    pub(crate) fn refreshing(self) -> Self {
        Self {
            refresh: true,
            ..self
        }
    }

    /// How long a value is kept, if at all.
    pub(crate) fn keeps(self) -> Option<Duration> {
        self.values
    }

    /// Whether the keyring is read at all.
    pub(crate) fn reads(self) -> bool {
        !self.refresh && (self.values.is_some() || self.absences)
    }

    /// Whether refusals are remembered: for helpers, and for uid 0 too, since none is a secret.
    pub(crate) fn refusals(self) -> bool {
        self.refusals
    }

    /// Whether a remembered refusal answers.
    pub(crate) fn recalls(self) -> bool {
        self.refusals && !self.refresh
    }

    /// Whether `op` is to be asked whatever is known.
    pub(crate) fn asks_anyway(self) -> bool {
        self.refresh
    }

    /// Whether a cached outcome may be used. A refusal that a helper cached does not count for a
    /// person who runs a command.
    pub(crate) fn accepts(self, outcome: &Outcome) -> bool {
        match outcome {
            Ok(_) => self.values.is_some(),
            Err(_) => self.absences,
        }
    }

    /// How long an outcome is cached; `refusal` is the time for refusals.
    pub(crate) fn time(self, outcome: &Outcome, refusal: Duration) -> Option<Duration> {
        match outcome {
            Ok(value) => self.values.filter(|_| resolve::flaw(value).is_none()),
            Err(Trouble::Missing { .. } | Trouble::Ambiguous { .. }) => {
                self.absences.then_some(refusal)
            }
            Err(Trouble::Unusable { .. }) => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    const MINUTE: Duration = Duration::from_secs(60);

    fn values(
        manifest: Option<(u64, bool)>,
        variable: Option<u64>,
        caller: Caller,
        root: bool,
    ) -> Option<u64> {
        let settings = manifest.map(|(minutes, allow_root)| CacheSettings {
            ttl: MINUTE * u32::try_from(minutes).expect("small"),
            allow_root,
        });
        let policy = Policy::decide(settings, variable.map(Duration::from_secs), caller, root);
        policy.values.map(|ttl| ttl.as_secs())
    }

    #[test]
    fn without_a_word_in_the_manifest_only_helpers_keep_anything() {
        assert_eq!(values(None, None, Caller::Helper, false), Some(300));
        assert_eq!(values(None, None, Caller::Command, false), None);
    }

    #[test]
    fn the_manifest_speaks_for_all_and_the_environment_louder() {
        for caller in [Caller::Helper, Caller::Command] {
            assert_eq!(values(Some((10, false)), None, caller, false), Some(600));
            assert_eq!(values(Some((0, false)), None, caller, false), None);
            assert_eq!(values(Some((10, false)), Some(7), caller, false), Some(7));
            assert_eq!(values(None, Some(7), caller, false), Some(7));
            assert_eq!(values(None, Some(0), caller, false), None);
        }
    }

    #[test]
    fn for_uid_0_nothing_of_the_vault_is_kept_unless_the_manifest_allows_it() {
        for caller in [Caller::Helper, Caller::Command] {
            for manifest in [None, Some((10, false))] {
                assert_eq!(values(manifest, Some(7), caller, true), None);
                let settings = manifest.map(|_| CacheSettings {
                    ttl: MINUTE,
                    allow_root: false,
                });
                let policy = Policy::decide(settings, None, caller, true);
                assert!(!policy.reads());
                assert_eq!(policy.recalls(), caller == Caller::Helper);
            }
            assert_eq!(values(Some((10, true)), None, caller, true), Some(600));
        }
    }

    #[test]
    fn a_value_that_is_refused_anyway_is_not_kept() {
        let policy = Policy::decide(None, None, Caller::Helper, false);
        let time = |value: &[u8]| policy.time(&Ok(Secret::copy_of(value)), MINUTE);
        assert!(time(b"ghp_x").is_some());
        for value in [
            &b""[..],
            b"a\0b",
            b"[use 'op item get aaaaaaaaaaaaaaaaaaaaaaaaaa --reveal' to reveal]",
        ] {
            assert_eq!(time(value), None, "{value:?}");
        }
    }

    #[test]
    fn only_helpers_remember_refusals_and_they_do_so_without_a_cache() {
        let policy = |caller| Policy::decide(None, Some(Duration::ZERO), caller, false);
        let missing = Err(Trouble::Missing {
            part: "item",
            near: None,
        });
        assert_eq!(policy(Caller::Helper).time(&missing, MINUTE), Some(MINUTE));
        assert!(policy(Caller::Helper).reads());
        assert_eq!(policy(Caller::Command).time(&missing, MINUTE), None);
        assert!(!policy(Caller::Command).accepts(&missing));
        assert!(!policy(Caller::Command).reads() && !policy(Caller::Command).recalls());
        let refreshing = policy(Caller::Helper).refreshing();
        assert!(!refreshing.reads() && !refreshing.recalls() && refreshing.refusals());
    }
}
