//! The runner: goes through the steps, times them, and stops at the first that fails, unless nothing
//! after it depends on it.
//!
//! It knows nothing of what a step does. The journal gets one line for each step, and so does the
//! reporter.

use std::time::Instant;

use super::context::Context;
use super::error::{Failure, Result};
use super::host::interrupted;
use super::outcome::{Ran, StepOutcome};
use super::step::{NumberedStep, StepState};

/// The hint of a failure that has none of its own.
const AGAIN: &str =
    "fix that, then run the same command again: what is done already is not done twice";

/// Which steps to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepSelection {
    /// `--only`: nothing but these.
    pub only: Vec<String>,
    /// `--skip`: all but these.
    pub skip: Vec<String>,
    /// `--dry-run`.
    pub dry_run: bool,
}

impl StepSelection {
    /// Fails for the first name that no step has.
    pub(crate) fn refuse_unknown(&self, steps: &[NumberedStep]) -> Result<()> {
        let is_step = |word: &str| steps.iter().any(|step| is_called(step, word));
        match self
            .only
            .iter()
            .chain(&self.skip)
            .find(|word| !is_step(word))
        {
            None => Ok(()),
            Some(word) => {
                let names: Vec<_> = steps.iter().map(|step| step.name).collect();
                Err(Failure::usage(format!("no step is called {word:?}"))
                    .hint(format!("the steps are {}", names.join(", "))))
            }
        }
    }

    fn skip_reason(&self, step: &NumberedStep) -> Option<&'static str> {
        let named = |list: &[String]| list.iter().any(|word| is_called(step, word));
        if named(&self.skip) {
            Some("--skip")
        } else if !self.only.is_empty() && !named(&self.only) {
            Some("not chosen")
        } else {
            None
        }
    }
}

/// A step is known by its name and its number.
fn is_called(step: &NumberedStep, word: &str) -> bool {
    word == step.name || word.parse() == Ok(step.number)
}

/// Runs the steps in order, up to and including the first that fails and that others depend on. A dry
/// run shows them all.
pub(crate) fn run(cx: &Context, steps: &[NumberedStep], selection: &StepSelection) -> Vec<Ran> {
    let mut all = Vec::new();
    for step in steps {
        let start = Instant::now();
        let elsewhere = !step.reach.applies(&cx.settings);
        let reason = selection
            .skip_reason(step)
            .or(elsewhere.then_some("the engine is on another machine"));
        if reason.is_none() {
            cx.reporter.step_begins(step.number, steps.len(), step.name);
        }
        let outcome = match reason {
            Some(reason) => StepOutcome::Skipped {
                reason: reason.to_owned(),
            },
            None => perform(cx, step, selection.dry_run),
        };
        let ran = Ran {
            number: step.number,
            of: steps.len(),
            name: step.name,
            outcome,
            took: start.elapsed(),
        };
        cx.reporter.step_ended(&ran);
        if !selection.dry_run && reason.is_none() {
            cx.journal.step(&ran);
        }
        let failed = matches!(ran.outcome, StepOutcome::Failed(_));
        all.push(ran);
        let goes_on = selection.dry_run || !step.is_needed;
        if failed && (!goes_on || cx.host.is_interrupted()) {
            break;
        }
    }
    all
}

fn perform(cx: &Context, listed: &NumberedStep, dry_run: bool) -> StepOutcome {
    let step = &listed.step;
    if cx.host.is_interrupted() {
        return StepOutcome::Failed(interrupted());
    }
    let result = step.check(cx).and_then(|state| match state {
        StepState::Done => Ok(StepOutcome::Unchanged),
        StepState::Skip { reason } => Ok(StepOutcome::Skipped { reason }),
        StepState::Needed { what } if dry_run => {
            cx.planned.borrow_mut().push(listed.name);
            Ok(StepOutcome::Planned { what })
        }
        StepState::Needed { .. } => {
            let note = step.apply(cx)?;
            step.verify(cx)?;
            Ok(StepOutcome::Changed { note })
        }
    });
    result.unwrap_or_else(|failure| StepOutcome::Failed(failure.or_hint(|| AGAIN.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::deploy::step::{Reach, Step};

    struct Fails(Option<&'static str>);

    impl Step for Fails {
        fn check(&self, _: &Context) -> Result<StepState> {
            let failure = Failure::new("it broke");
            Err(match self.0 {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }

        fn apply(&self, _: &Context) -> Result<Option<String>> {
            unreachable!("check failed")
        }

        fn verify(&self, _: &Context) -> Result<()> {
            unreachable!("check failed")
        }
    }

    fn hint_of(step: Fails) -> Option<String> {
        let root = tempfile::tempdir().expect("a directory");
        let listed = NumberedStep {
            number: 2,
            name: "user",
            reach: Reach::ThisHost,
            is_needed: true,
            step: Box::new(step),
        };
        match perform(&Context::below(root.path()), &listed, false) {
            StepOutcome::Failed(failure) => failure.hint,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_step_that_others_depend_on_ends_the_run() {
        let root = tempfile::tempdir().expect("a directory");
        let list = |needed: [bool; 3]| {
            let numbered = (1..).zip(needed).map(|(number, is_needed)| NumberedStep {
                number,
                name: "it",
                reach: Reach::ThisHost,
                is_needed,
                step: Box::new(Fails(None)) as Box<dyn Step>,
            });
            numbered.collect::<Vec<_>>()
        };
        let runs = |needed, dry_run| {
            let selection = StepSelection {
                dry_run,
                ..StepSelection::default()
            };
            run(&Context::below(root.path()), &list(needed), &selection).len()
        };
        assert_eq!(runs([false, true, true], false), 2);
        assert_eq!(runs([true, false, true], false), 1);
        assert_eq!(runs([true, true, true], true), 3, "a dry run shows all");
    }

    #[test]
    fn a_step_that_fails_always_says_what_to_do_next() {
        assert_eq!(hint_of(Fails(Some("its own"))).as_deref(), Some("its own"));
        assert_eq!(hint_of(Fails(None)).as_deref(), Some(AGAIN));
    }
}
