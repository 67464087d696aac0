//! Who can answer: `op`, or the vault of the demo.

use std::time::Duration;

use crate::base::error::{Result, Trouble};
use crate::base::secret::Secret;
use crate::broker::reference::Reference;

/// One secret that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Where it is kept.
    pub reference: &'a Reference,
    /// Whether it must come by a way that alters no byte.
    pub exact: bool,
}

/// The answer to one [`Request`].
pub(crate) type Outcome = std::result::Result<Secret, Trouble>;

/// Something that answers requests.
pub(crate) trait Provider {
    /// One outcome per request, in their order.
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>>;

    /// Whether a person may be asked before there is an answer, so that two of these should not
    /// be at it at the same time.
    fn may_prompt(&self) -> bool {
        false
    }

    /// Gives it no more time than this.
    fn limit(&mut self, _timeout: Duration) {}
}
