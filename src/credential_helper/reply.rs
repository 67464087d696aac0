//! The reply of a helper: stdout for the client, stderr for people.

use crate::base::error::Error;
use crate::base::locked_memory::Locked;
use crate::base::ui;

/// A complete reply.
pub(crate) struct Reply {
    /// Exit code 0, or else 1: clients know no other.
    pub success: bool,
    /// For the client.
    pub stdout: Locked,
    /// For people.
    pub messages: Vec<Message>,
}

/// A message on stderr.
#[derive(Debug)]
pub(crate) enum Message {
    /// What went wrong, with its hint.
    Error(Error),
    /// A warning.
    Warning(String),
}

impl Reply {
    pub(super) fn success() -> Self {
        Self {
            success: true,
            stdout: Locked::with_capacity(1),
            messages: vec![],
        }
    }

    pub(super) fn answer(stdout: Locked) -> Self {
        Self {
            stdout,
            ..Self::success()
        }
    }

    /// Fails with one line for the client.
    pub(super) fn refusal(line: &str) -> Self {
        Self {
            success: false,
            ..Self::answer(Locked::copy_of(format!("{line}\n").as_bytes()))
        }
    }

    pub(super) fn with(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }
}

/// An error on one line, since clients show it within a line of their own.
pub(super) fn one_line(error: &Error) -> String {
    in_one_line(&error.to_string())
}

/// `text` on one line, and not without end.
pub(super) fn in_one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let text = ui::clean(&words.join(" ")).into_owned();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
