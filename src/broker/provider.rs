//! What can fetch secrets: `op`, or the vault of the demo.

use std::time::Duration;

use crate::base::error::{Error, Result, Trouble};
use crate::base::secret::Secret;
use crate::broker::id::EnvironmentId;
use crate::broker::reference::Reference;

/// A secret to fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Where it is kept.
    pub reference: &'a Reference,
    /// Whether it must be fetched by a way that preserves every byte.
    pub exact: bool,
}

/// The answer to one [`Request`].
pub(crate) type Outcome = std::result::Result<Secret, Trouble>;

/// A variable of a 1Password Environment, as it arrived.
#[derive(Debug)]
pub(crate) struct ArrivedVariable {
    /// Its name, which may be any text.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// The answers to some requests, and all variables of some Environments.
pub(crate) type Fetched = (Vec<Outcome>, Vec<ArrivedVariable>);

/// Fetches secrets.
pub(crate) trait Provider {
    /// One outcome per request, in their order.
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>>;

    /// The same, and all variables of `environments`, which is not empty.
    ///
    /// # Errors
    /// Also where there are no such things, as behind a broker.
    fn fetch_with(
        &self,
        _requests: &[Request<'_>],
        _environments: &[EnvironmentId],
    ) -> Result<Fetched> {
        Err(Error::usage(
            "1Password Environments come from `op` alone, not from a broker",
            "write their variables into the broker's manifest, or unset OC_SECRETS_SOCKET",
        ))
    }

    /// Whether a prompt may appear, so that two of these should not run at the same time.
    fn may_prompt(&self) -> bool {
        false
    }

    /// Sets the deadline.
    fn limit(&mut self, _timeout: Duration) {}
}
