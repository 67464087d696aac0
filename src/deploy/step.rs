//! A step: check → apply → verify, and what came of it.
//!
//! `check` only looks, and so is all that `--dry-run` calls. `apply` does what `check` found to
//! be needed. `verify` looks again, with fresh eyes. The runner is in [`super::run`]; a step
//! neither prints its own outcome nor decides whether the run goes on.

use super::context::Context;
use super::error::Result;

/// What `check` saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything is as it should be.
    Done,
    /// Something has to be done: one line for each thing, as `--dry-run` prints them
    /// (`install docker.io`, `create /home/deploy/openclaw`).
    Needed {
        /// The things to do.
        what: Vec<String>,
    },
    /// This host cannot or need not have it.
    Skip {
        /// Why.
        reason: String,
    },
}

impl State {
    /// `Done` when there is nothing to do, else `Needed`.
    pub(crate) fn of(what: Vec<String>) -> Self {
        if what.is_empty() {
            Self::Done
        } else {
            Self::Needed { what }
        }
    }
}

/// What a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The engine, be it this machine's or another's.
    AnyEngine,
    /// This very host; skipped when the engine, and so the gateway, is on another machine.
    ThisHost,
}

/// A step, and what the runner knows of it.
pub(crate) struct NumberedStep {
    /// 1 to 9.
    pub number: u8,
    /// The word for `--only` and `--skip`, and in the journal.
    pub name: &'static str,
    /// What it works on.
    pub reach: Reach,
    /// What it does.
    pub step: Box<dyn Step>,
}

/// What one of the nine steps does.
pub(crate) trait Step {
    /// What is there and what is missing. Changes nothing.
    fn check(&self, cx: &Context) -> Result<State>;
    /// Does what `check` found to be needed. Returns a short note for the step's line.
    fn apply(&self, cx: &Context) -> Result<Option<String>>;
    /// Whether it worked; called after `apply` only.
    fn verify(&self, cx: &Context) -> Result<()>;
}
