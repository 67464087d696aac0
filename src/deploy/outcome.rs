//! What came of a step.

use std::time::Duration;

use crate::deploy::error::Failure;

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepOutcome {
    /// Nothing had to be done.
    Unchanged,
    /// It was done, and verified.
    Changed {
        /// The step's own note.
        note: Option<String>,
    },
    /// It does not apply here, or was not asked for.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It did not work.
    Failed(Failure),
    /// `--dry-run`: it would do these things.
    Planned {
        /// The things it would do.
        what: Vec<String>,
    },
}

impl StepOutcome {
    /// Why it did not work.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// The word in tables and in the journal.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed { .. } => "changed",
            Self::Skipped { .. } => "skipped",
            Self::Failed(_) => "failed",
            Self::Planned { .. } => "planned",
        }
    }
}

/// A step that was run.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// Its number.
    pub number: u8,
    /// How many there are.
    pub of: usize,
    /// Its name.
    pub name: &'static str,
    /// What came of it.
    pub outcome: StepOutcome,
    /// How long it took.
    pub took: Duration,
}
