//! The journal: one JSON line for each thing done, in `/var/lib/openclaw-deploy/journal.jsonl`.
//!
//! It holds names, causes, digests, bytes and seconds, and never a secret. It is what `stats`
//! reads. A journal that cannot be written is a warning, never a reason to stop.

pub(crate) mod stats;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::base::units::{now, round};
use crate::deploy::host::Host;
use crate::deploy::outcome::{Ran, StepOutcome};

/// The journal of this run.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    file: Option<(Host, PathBuf)>,
    run: String,
    write_error: RefCell<Option<io::Error>>,
}

impl Journal {
    /// A journal in a file of this host; `None` keeps nothing (`--dry-run`).
    pub(crate) fn new(file: Option<(Host, PathBuf)>) -> Self {
        let run = format!("{:x}-{:x}", now(), std::process::id());
        let write_error = RefCell::default();
        Self {
            file,
            run,
            write_error,
        }
    }

    /// A step that was run.
    pub(crate) fn step(&self, ran: &Ran) {
        let mut line = json!({
            "event": "step",
            "step": ran.name,
            "outcome": ran.outcome.word(),
            "seconds": round(ran.took.as_secs_f64()),
        });
        match &ran.outcome {
            StepOutcome::Failed(failure) => {
                line["cause"] = failure.cause.word().into();
                line["exit"] = (failure.exit as u8).into();
            }
            StepOutcome::Skipped { reason } => line["cause"] = reason.as_str().into(),
            _ => {}
        }
        self.add(line);
    }

    /// Any other event. `line` is an object with an `event`.
    pub(crate) fn add(&self, line: Value) {
        let (Some((host, path)), Value::Object(fields)) = (&self.file, line) else {
            return;
        };
        let mut all = Map::new();
        all.insert("time".into(), now().into());
        all.insert("run".into(), self.run.as_str().into());
        all.extend(fields);
        let text = format!("{}\n", Value::Object(all));
        let written = host.append(path, &text);
        if let Err(why) = written {
            self.write_error.borrow_mut().get_or_insert(why);
        }
    }

    /// That a line could not be written, and why; returned once.
    pub(crate) fn take_warning(&self) -> Option<String> {
        let ((_, path), why) = (self.file.as_ref()?, self.write_error.take()?);
        Some(format!(
            "the journal {} is incomplete, and so is `stats`: {why}",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_takes_no_other_with_it() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("journal.jsonl");
        let host = Host::new(root.path()).expect("a host");
        let journal = Journal::new(Some((host, PathBuf::from("/journal.jsonl"))));
        let pulled = json!({"event": "pull", "outcome": "pulled", "bytes": 5});
        journal.add(pulled.clone());
        let text = std::fs::read_to_string(&path).expect("written");
        std::fs::write(&path, format!("{text}{{\"event\":\"pu")).expect("cut off");
        journal.add(pulled.clone());
        journal.add(pulled);
        let text = std::fs::read_to_string(&path).expect("written");
        assert_eq!(stats::Stats::of(&text).pulled, 3, "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_one_warning_and_no_failure() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("journal.jsonl");
        let host = Host::new(root.path()).expect("a host");
        let journal = Journal::new(Some((host, PathBuf::from("/journal.jsonl"))));
        journal.add(json!({"event": "pull"}));
        assert_eq!(journal.take_warning(), None, "control");
        std::fs::remove_file(&path).expect("it was written");
        std::fs::create_dir(&path).expect("made");
        journal.add(json!({"event": "pull"}));
        journal.add(json!({"event": "pull"}));
        let warning = journal.take_warning().expect("one");
        assert!(warning.contains("journal.jsonl is incomplete"), "{warning}");
        assert_eq!(journal.take_warning(), None);
    }
}
