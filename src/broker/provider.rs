//! What can fetch secrets: `op`, or the vault of the demo.

use std::time::Duration;

use crate::base::error::{Result, Trouble};
use crate::base::secret::Secret;
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

/// Fetches secrets.
pub(crate) trait Provider {
    /// One outcome per request, in their order.
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>>;

    /// Whether a prompt may appear, so that two of these should not run at the same time.
    fn may_prompt(&self) -> bool {
        false
    }

    /// Sets the deadline.
    fn limit(&mut self, _timeout: Duration) {}
}
