//! What a step is: check → apply → verify.
//!
//! `check` changes nothing, so `--dry-run` calls nothing else. `apply` does what `check` found
//! necessary. `verify` looks again from the beginning. [`super::run`] calls them, prints the outcome
//! and decides whether the run continues.

use super::context::Context;
use super::error::Result;
use super::settings::Settings;

/// What `check` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepState {
    /// Everything is as it should be.
    Done,
    /// Something has to be done: one line for each thing, as `--dry-run` prints them
    /// (`install docker.io`, `create /home/deploy/openclaw`).
    Needed {
        /// The things to do.
        what: Vec<String>,
    },
    /// The step does not apply to this host.
    Skip {
        /// Why.
        reason: String,
    },
}

impl StepState {
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

impl Reach {
    /// Whether a step of this reach has anything to do. Whatever is done only on the gateway's own host
    /// asks this: from the engine itself nobody learns which host it runs on.
    pub(crate) fn applies(self, settings: &Settings) -> bool {
        self == Self::AnyEngine || !settings.engine.is_remote()
    }
}

/// A step, and what the runner knows of it.
pub(crate) struct NumberedStep {
    /// 1, 2, 3 …
    pub number: u8,
    /// The word for `--only` and `--skip`, and in the journal.
    pub name: &'static str,
    /// What it works on.
    pub reach: Reach,
    /// Whether the steps after it have to wait until it worked.
    pub is_needed: bool,
    /// What it does.
    pub step: Box<dyn Step>,
}

/// What one of the nine steps does.
pub(crate) trait Step {
    /// Finds what is missing, and changes nothing.
    fn check(&self, cx: &Context) -> Result<StepState>;
    /// Does what `check` found necessary. Returns a note for the step's line.
    fn apply(&self, cx: &Context) -> Result<Option<String>>;
    /// Fails unless it worked; called only after `apply`.
    fn verify(&self, cx: &Context) -> Result<()>;
}
