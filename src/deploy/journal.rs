//! The journal: one JSON line for each thing done, in `/var/lib/openclaw-deploy/journal.jsonl`.
//!
//! It holds names, causes, digests, bytes and seconds, and never a secret. It is what `stats`
//! reads. A journal that cannot be written is a warning, never a reason to stop.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::step::{Outcome, Ran};

/// Where lines go.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    path: Option<PathBuf>,
    run: String,
}

impl Journal {
    /// A journal in `path`; `None` keeps nothing (`--dry-run`).
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        let run = format!("{:x}-{:x}", now(), std::process::id());
        Self { path, run }
    }

    /// A step that was run.
    pub fn step(&self, ran: &Ran) {
        let mut line = json!({
            "event": "step",
            "step": ran.name,
            "outcome": ran.outcome.word(),
            "seconds": round(ran.took.as_secs_f64()),
        });
        match &ran.outcome {
            Outcome::Failed(failure) => {
                line["cause"] = failure.cause.into();
                line["exit"] = (failure.exit as u8).into();
            }
            Outcome::Skipped { reason } => line["cause"] = reason.as_str().into(),
            _ => {}
        }
        self.add(line);
    }

    /// Any other event. `line` is an object with an `event`.
    pub fn add(&self, line: Value) {
        let (Some(path), Value::Object(fields)) = (&self.path, line) else {
            return;
        };
        let mut all = Map::new();
        all.insert("time".into(), now().into());
        all.insert("run".into(), self.run.as_str().into());
        all.extend(fields);
        let text = format!("{}\n", Value::Object(all));
        // One write of one line: appends of two runs do not mix.
        let _ = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
    }

    /// The id of this run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Milliseconds are enough.
#[must_use]
pub fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
