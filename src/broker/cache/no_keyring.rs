//! Systems without a kernel keyring cache nothing.

use std::time::Duration;

use crate::base::locked_memory::Locked;

/// No entry lives longer.
pub(super) const LONGEST: Duration = Duration::ZERO;

/// The prefix of our entries.
pub(super) const PREFIX: &str = "oc-secrets:v1:";

/// There is no value of this type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keyring {}

impl Keyring {
    /// There is none.
    pub(super) fn open() -> Option<Self> {
        None
    }

    /// Never called.
    pub(super) fn read(self, _name: &str) -> Option<Locked> {
        match self {}
    }

    /// Never called.
    pub(super) fn keep(self, _name: &str, _payload: &[u8], _time: Duration) -> Option<()> {
        match self {}
    }

    /// Never called.
    pub(super) fn forget(self, _name: &str) {
        match self {}
    }

    /// Never called.
    pub(super) fn forget_all(self) -> usize {
        match self {}
    }
}
