//! What `openclaw-deploy` says to people: one line for each step, progress, warnings, errors.
//!
//! Step lines go to stdout, unless `--json` wants stdout for itself; everything else goes to
//! stderr. Foreign text is escaped. Without a terminal there is no cursor movement, and
//! progress is a plain line every ten seconds.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::{Duration, Instant};

use super::error::{Failure, Result};
use super::outcome::{Outcome, Ran};
use crate::base::ui::{self, Color, Level, Tone, Ui, clean};

/// How many steps there are.
pub(crate) const STEPS: u8 = 9;
/// How it calls itself.
pub(crate) const PROGRAM: &str = "openclaw-deploy";
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Prints for people, and data where `--json` asks for it.
pub(crate) struct Reporter {
    ui: Ui,
    json: bool,
    quiet: bool,
    dry_run: bool,
    live: bool,
    dirty: Cell<bool>,
    last: Cell<Option<Instant>>,
    warnings: RefCell<Vec<String>>,
    write_error: RefCell<Option<std::io::Error>>,
}

impl Reporter {
    /// `json`: stdout belongs to data.
    pub(crate) fn new(color: Color, json: bool, quiet: bool, dry_run: bool) -> Self {
        let level = if quiet { Level::Quiet } else { Level::Normal };
        Self {
            ui: Ui::new(PROGRAM, level, color),
            json,
            quiet,
            dry_run,
            live: ui::can_redraw(),
            dirty: Cell::new(false),
            last: Cell::new(None),
            warnings: RefCell::new(Vec::new()),
            write_error: RefCell::default(),
        }
    }

    /// Something that did not stop us but should be known: not with `--quiet`, but always in `--json`.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        self.clear();
        self.ui.warn(text);
        self.warnings.borrow_mut().push(text.to_owned());
    }

    /// All warnings so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// A line of what is going on.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.clear();
            stderr(&format!("    {}\n", clean(text.as_ref())));
        }
    }

    /// Progress: redrawn on a terminal, a plain line every ten seconds elsewhere.
    pub(crate) fn progress(&self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        let wait = if self.live {
            Duration::from_millis(100)
        } else {
            PLAIN_EVERY
        };
        let last = self.last.get();
        if self.quiet || last.is_some_and(|last| now - last < wait) {
            return;
        }
        self.last.set(Some(now));
        if self.live {
            stderr(&format!("\r\x1b[K    {}", clean(&text())));
            self.dirty.set(true);
        } else if last.is_some() {
            stderr(&format!("    {}\n", clean(&text())));
        }
    }

    /// A step is about to run.
    pub(crate) fn step_begins(&self, number: u8, name: &str) {
        self.last.set(None);
        if self.live && !self.quiet {
            stderr(&format!("\r\x1b[K{number}/{STEPS} {name} …"));
            self.dirty.set(true);
        }
    }

    /// A step is over.
    pub(crate) fn step_ended(&self, ran: &Ran) {
        self.clear();
        let tone = match ran.outcome {
            Outcome::Unchanged | Outcome::Changed { .. } => Tone::Good,
            Outcome::Planned { .. } => Tone::Notice,
            Outcome::Skipped { .. } => Tone::Dim,
            Outcome::Failed(_) => Tone::Bad,
        };
        let word = self.ui.paint(tone, &format!("{:9}", ran.outcome.word()));
        let mut text = format!(
            "{}/{STEPS}  {:10}  {word}  {:6.1} s",
            ran.number,
            ran.name,
            ran.took.as_secs_f64()
        );
        match &ran.outcome {
            Outcome::Changed { note: Some(note) } => {
                text.push_str(&format!("  {}", clean(note)));
            }
            Outcome::Skipped { reason } => text.push_str(&format!("  {}", clean(reason))),
            Outcome::Planned { what } => {
                for line in what {
                    text.push_str(&format!("\n     - {}", clean(line)));
                }
            }
            _ => {}
        }
        self.line(&text);
    }

    /// An error, the end of a log and a hint.
    pub(crate) fn error(&self, failure: &Failure) {
        self.clear();
        for line in &failure.log {
            stderr(&format!("    | {}\n", clean(line)));
        }
        self.ui.failure(&failure.what, failure.hint.as_deref());
    }

    /// Whether nothing may be touched.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The result of a run, for `--json` only.
    pub(crate) fn result(&self, value: &serde_json::Value) {
        if self.json {
            self.data(&value.to_string());
        }
    }

    /// A line for people: stdout, or stderr when stdout is for data.
    pub(crate) fn line(&self, text: &str) {
        match (self.quiet, self.json) {
            (true, _) => {}
            (false, true) => stderr(&format!("{text}\n")),
            (false, false) => self.data(text),
        }
    }

    /// A line of data on stdout.
    pub(crate) fn data(&self, text: &str) {
        let written = std::io::stdout().write_all(format!("{text}\n").as_bytes());
        if let Err(why) = written {
            self.write_error.borrow_mut().get_or_insert(why);
        }
    }

    /// Fails if data could not be written, to a full disk for instance. A closed pipe is no failure.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.write_error.take() {
            Some(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::system("write to standard output", why)
                    .hint("what was done is done; see: openclaw-deploy status"))
            }
            _ => Ok(()),
        }
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        self.ui.paint(tone, text)
    }

    fn clear(&self) {
        if self.dirty.replace(false) {
            stderr("\r\x1b[K");
        }
    }
}

fn stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
