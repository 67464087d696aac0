//! What `openclaw-deploy` says to people: one line for each step, progress, warnings, errors.
//!
//! Step lines go to stdout, unless `--json` wants stdout for itself; everything else goes to
//! stderr. Foreign text is escaped. Without a terminal there is no cursor movement.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::error::{Failure, Result};
use super::live_line::{LiveLine, stderr};
use super::outcome::{Ran, StepOutcome};
use crate::base::ui::{self, Color, Level, Tone, Ui, clean};

/// How it calls itself.
pub(crate) const PROGRAM: &str = "openclaw-deploy";

/// Prints for people, and data where `--json` asks for it.
pub(crate) struct Reporter {
    ui: Ui,
    json: bool,
    quiet: bool,
    verbose: bool,
    dry_run: bool,
    live: LiveLine,
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
            verbose: false,
            dry_run,
            live: LiveLine::new(!quiet, ui::can_redraw()),
            warnings: RefCell::new(Vec::new()),
            write_error: RefCell::default(),
        }
    }

    /// The same, which says more.
    pub(crate) fn verbose(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// Foreign words of which we say the gist, for those who want to read them.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Something that did not stop us but should be known: not with `--quiet`, but always in `--json`.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        self.live.over(|| self.ui.warn(text));
        self.warnings.borrow_mut().push(text.to_owned());
    }

    /// All warnings so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// A line of what is going on.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let line = format!("    {}\n", clean(text.as_ref()));
            self.live.over(|| stderr(&line));
        }
    }

    /// What the step is at, for its live line.
    pub(crate) fn progress(&self, text: impl FnOnce() -> String) {
        self.live.show(text, None);
    }

    /// The gateway is asked whether it is there; so far `seen`.
    pub(crate) fn waits_for_gateway(&self, seen: &str, limit: Duration) {
        self.live.show(|| format!("waiting: {seen}"), Some(limit));
    }

    /// A step is about to run.
    pub(crate) fn step_begins(&self, number: u8, of: usize, name: &str) {
        self.live.begin(format!("{number}/{of} {name}"));
    }

    /// A step is over.
    pub(crate) fn step_ended(&self, ran: &Ran) {
        self.live.end();
        let tone = match ran.outcome {
            StepOutcome::Unchanged | StepOutcome::Changed { .. } => Tone::Good,
            StepOutcome::Planned { .. } => Tone::Notice,
            StepOutcome::Skipped { .. } => Tone::Dim,
            StepOutcome::Failed(_) => Tone::Bad,
        };
        let word = self.ui.paint(tone, &format!("{:9}", ran.outcome.word()));
        let mut text = format!(
            "{}/{}  {:10}  {word}  {:6.1} s",
            ran.number,
            ran.of,
            ran.name,
            ran.took.as_secs_f64()
        );
        match &ran.outcome {
            StepOutcome::Changed { note: Some(note) } => {
                text.push_str(&format!("  {}", clean(note)));
            }
            StepOutcome::Skipped { reason } => text.push_str(&format!("  {}", clean(reason))),
            StepOutcome::Planned { what } => {
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

    /// Puts a question, unless nobody is there who could answer.
    pub(crate) fn asks(&self, question: &str) -> bool {
        let somebody = !self.json && std::io::stdin().is_terminal();
        if somebody {
            stderr(&format!("{} [y/N] ", clean(question)));
        }
        somebody
    }
}
