//! The credential helpers: small programs that Docker, git and their relatives start, each with
//! one question on stdin.
//!
//! A protocol is a pure-looking `handle(words, input, answers)`: it reads nothing and prints
//! nothing by itself, so nothing can be on stdout before the whole answer is ready. Whoever
//! starts us matches stdout and exit codes to the byte; people read stderr.

pub(crate) mod client_config;
mod broker;
pub(crate) mod docker;
pub(crate) mod git;
mod input;
mod login;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::base::error::{Error, Result};
use crate::base::harden;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::base::ui::{self, Color, Level, Ui};
use crate::broker::registry::Asked;
use crate::broker::sink;
use input::Need;

/// What a helper answers, whole.
pub(crate) struct Reply {
    /// Exit code 0, or else 1: clients know no other.
    pub success: bool,
    /// For the client.
    pub stdout: Locked,
    /// For people.
    pub talk: Vec<Talk>,
}

/// Something that is said on stderr.
#[derive(Debug)]
pub(crate) enum Talk {
    /// What went wrong, with its hint.
    Error(Error),
    /// What should be known.
    Warning(String),
}

/// A user name and its secret.
pub(crate) struct Credential {
    /// The user name.
    pub username: String,
    /// Whether the manifest gives that user name, so that no other will do.
    pub chosen: bool,
    /// The password.
    pub secret: Secret,
    /// Whether it was asked for just now, so that a warning about it is not said again and again.
    pub fresh: bool,
}

/// Where a helper's answers come from.
pub(crate) trait Answers {
    /// The credential for `asked`; `None` where we have nothing to say about it.
    ///
    /// # Errors
    /// When we should answer but cannot.
    fn credential(&self, asked: &Asked) -> Result<Option<Credential>>;

    /// Forgets what is kept for `asked`; tells whether we answer for it at all.
    fn forget(&self, asked: &Asked) -> bool;

    /// Host and user name of all that we answer for.
    fn entries(&self) -> Vec<(String, String)>;

    /// Whether a client is to go on without credentials when nobody is signed in.
    fn anonymous_when_locked(&self) -> bool;
}

impl Reply {
    fn success() -> Self {
        Self {
            success: true,
            stdout: Locked::with_capacity(1),
            talk: vec![],
        }
    }

    fn answer(stdout: Locked) -> Self {
        Self {
            stdout,
            ..Self::success()
        }
    }

    /// Fails with one line for the client.
    fn refusal(line: &str) -> Self {
        Self {
            success: false,
            ..Self::answer(Locked::copy_of(format!("{line}\n").as_bytes()))
        }
    }

    fn saying(mut self, talk: Talk) -> Self {
        self.talk.push(talk);
        self
    }
}

/// The body of a helper's `main`: hardened, and unwound before it ends. `handle` answers the
/// arguments and what came on stdin; `unreadable` puts into words that nothing could be read.
fn run(
    program: &'static str,
    handle: impl FnOnce(&[&str], &[u8], Ui) -> Reply,
    unreadable: impl FnOnce(Error) -> Reply,
) -> ExitCode {
    // Kept: what the caller passed down stays closed to `op`.
    let _hardened = harden::harden();
    let ui = Ui::new(program, Level::Normal, Color::Auto);
    ui::hide_panics(program);
    let done = catch_unwind(AssertUnwindSafe(|| {
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let need = match words[..] {
            ["get" | "store" | "erase"] => Need::Question,
            _ => Need::Nothing,
        };
        let reply = match input::read(need) {
            Ok(input) => handle(&words, &input, ui),
            Err(error) => unreadable(error),
        };
        speak(ui, &reply)
    }));
    ExitCode::from(u8::from(!matches!(done, Ok(true))))
}

/// Says and prints a reply; tells whether all of it went well.
fn speak(ui: Ui, reply: &Reply) -> bool {
    for talk in &reply.talk {
        match talk {
            Talk::Error(error) => ui.error(error),
            Talk::Warning(text) => ui.warn(text),
        }
    }
    match sink::emit(std::io::stdout().as_fd(), &reply.stdout) {
        Ok(()) => reply.success,
        Err(error) => {
            ui.error(&error);
            false
        }
    }
}

/// An error in one line, for a client that shows it within a line of its own.
fn one_line(error: &Error) -> String {
    const LONGEST: usize = 300;
    let words: Vec<String> = error
        .to_string()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let text = ui::clean(&words.join(" ")).into_owned();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
