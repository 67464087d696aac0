//! Messages for people, and their rules.
//!
//! Messages go to stderr, data to stdout. A line is calm and complete: `oc-secrets: warning: …`.
//! Errors are followed by one `hint:` line. Colour repeats what the words say, never replaces them;
//! `NO_COLOR` and `--color` decide. Foreign text is escaped, so that a name cannot move the cursor.
//! A reader that went away is not an error.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::environment;
use crate::base::error::Error;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which messages are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    /// Warnings too.
    #[default]
    Normal,
    /// What was done, and how long it took.
    Verbose,
}

/// What a word in a table means, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth noticing.
    Notice,
    /// Wrong.
    Bad,
    /// Less important than the rest.
    Dim,
}

/// Prints messages to stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    program: &'static str,
    level: Level,
    color: Color,
}

impl Ui {
    /// A `Ui` whose messages begin with `program`.
    pub(crate) fn new(program: &'static str, level: Level, color: Color) -> Self {
        Self {
            program,
            level,
            color,
        }
    }

    /// The same, but errors only.
    pub(crate) fn quiet(self) -> Self {
        Self {
            level: Level::Quiet,
            ..self
        }
    }

    /// An error and its hint.
    pub(crate) fn error(&self, error: &Error) {
        self.failure(&error.to_string(), error.hint().as_deref());
    }

    /// What happened, and on a line of its own what to do.
    pub(crate) fn failure(&self, what: &str, hint: Option<&str>) {
        self.say("error", Tone::Bad, what);
        if let Some(hint) = hint {
            self.line(&format!(
                "{} {}",
                self.stderr_paint(Tone::Dim, "hint:"),
                clean(hint)
            ));
        }
    }

    /// A warning.
    pub(crate) fn warn(&self, text: &str) {
        if self.level >= Level::Normal {
            self.say("warning", Tone::Notice, text);
        }
    }

    /// What was done, or what is used, in a line of its own.
    pub(crate) fn note(&self, text: &str) {
        if self.level >= Level::Normal {
            self.line(&format!("{}: {}", self.program, clean(text)));
        }
    }

    /// A line as it is, for programs that read a log.
    pub(crate) fn record(&self, text: &str) {
        self.line(&clean(text));
    }

    /// What `-v` adds.
    pub(crate) fn detail(&self, text: &str) {
        if self.level >= Level::Verbose {
            self.line(&format!("{}: {}", self.program, clean(text)));
        }
    }

    /// A line that the next one, or [`take_away`], replaces; it never wraps. Where
    /// [`can_redraw`] only.
    pub(crate) fn pass(&self, text: &str) {
        if self.level >= Level::Normal {
            let line = format!("{}: {}", self.program, clean(text));
            let line: String = line
                .chars()
                .take(columns(&std::io::stderr()).saturating_sub(1))
                .collect();
            PASSING.store(true, Ordering::Relaxed);
            let _ = std::io::stderr().write_all(format!("\r{line}\x1b[K").as_bytes());
        }
    }

    /// `text` in the colour of `tone`, for stdout.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colored(std::io::stdout().is_terminal()), tone, text)
    }

    fn stderr_paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colored(std::io::stderr().is_terminal()), tone, text)
    }

    fn colored(&self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && environment::ours("NO_COLOR").is_none() && !is_dumb(),
        }
    }

    fn say(&self, kind: &str, tone: Tone, text: &str) {
        let kind = self.stderr_paint(tone, &format!("{kind}:"));
        self.line(&format!("{}: {kind} {}", self.program, clean(text)));
    }

    fn line(&self, text: &str) {
        take_away();
        let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
    }
}

/// Whether the cursor stands in a line that passes.
static PASSING: AtomicBool = AtomicBool::new(false);

/// Removes the line of [`Ui::pass`], if one is there.
pub(crate) fn take_away() {
    if PASSING.swap(false, Ordering::Relaxed) {
        let _ = std::io::stderr().write_all(b"\r\x1b[K");
    }
}

/// Whether a line on stderr can be drawn over.
pub(crate) fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// How many characters fit into a line of standard output; `None` where it is no terminal.
pub(crate) fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    stdout.is_terminal().then(|| columns(&stdout))
}

/// The width of this terminal; 80 where it does not say.
fn columns(terminal: &impl AsRawFd) -> usize {
    let mut size = std::mem::MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the call writes a `winsize`, and all zeroes are one where it fails.
    let columns = unsafe {
        libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr());
        size.assume_init().ws_col
    };
    if columns == 0 { 80 } else { columns.into() }
}

fn is_dumb() -> bool {
    environment::ours("TERM").is_some_and(|term| term == "dumb")
}

/// A panic's message can quote a value, so only its place is told.
pub(crate) fn hide_panics(program: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let error = Error::Bug { place };
        Ui::new(program, Level::Normal, Color::Auto).error(&error);
    }));
}

fn paint(colored: bool, tone: Tone, text: &str) -> String {
    if !colored {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Notice => "33",
        Tone::Bad => "1;31",
        Tone::Dim => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The same for what stands within a sentence of ours, and is not to begin a line of its own.
pub(crate) fn in_a_line(text: &str) -> String {
    clean(text).replace('\n', "\\n")
}

/// `text` without anything that could act on a terminal; line feeds stay.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if acts(letter) {
            safe.extend(letter.escape_unicode());
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

/// Control characters, and the marks that turn the direction of writing.
fn acts(letter: char) -> bool {
    letter != '\n' && letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_act_on_a_terminal() {
        assert_eq!(clean("plain é\nnext"), "plain é\nnext");
        assert_eq!(
            clean("a\x1b[2Jb\r\u{202e}c"),
            "a\\u{1b}[2Jb\\u{d}\\u{202e}c"
        );
    }

    /// Runs itself as a child that panics: the hook is the whole process's.
    #[test]
    fn a_panic_names_its_place_and_quotes_nothing() {
        const CHILD: &str = "OC_SECRETS_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            hide_panics("oc-secrets");
            panic!("{}", "hunter2");
        }
        let name = "base::ui::tests::a_panic_names_its_place_and_quotes_nothing";
        let child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(!child.status.success(), "{said}");
        assert!(
            said.contains("oc-secrets: error: ")
                && said.contains("internal error at src/base/ui.rs:"),
            "{said}"
        );
        let all = [child.stdout, child.stderr].concat();
        assert!(!String::from_utf8_lossy(&all).contains("hunter2"));
    }

    #[test]
    fn colour_only_wraps_the_words() {
        assert_eq!(paint(false, Tone::Good, "found"), "found");
        assert_eq!(paint(true, Tone::Good, "found"), "\x1b[32mfound\x1b[0m");
    }
}
