//! The broker's log: one line for each question, on stderr, so in the journal. It holds names,
//! outcomes and times; never a value, never a word of `op`.

use std::time::Duration;

use serde_json::json;

use crate::base::ui::Ui;

/// More names than this are only counted, and longer ones cut: a client chooses them.
const SHOWN: usize = 16;
const LONGEST: usize = 64;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// `key=value`, for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes the lines.
#[derive(Clone, Copy)]
pub(super) struct Log {
    pub ui: Ui,
    pub style: Style,
}

/// What happened with one question.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    /// Whose socket it came to.
    pub client: String,
    /// Who asked.
    pub uid: u32,
    /// Its process, as the host sees it; 0 where that is not known.
    pub pid: i32,
    /// What was asked for.
    pub names: Vec<String>,
    /// `ok`, `partial`, `not found`, `failed`, `refused`.
    pub outcome: &'static str,
    /// How many values were kept ones, fresh ones, and old ones.
    pub kept: usize,
    pub asked: usize,
    pub stale: usize,
    /// Why, where something went wrong: our words.
    pub why: String,
    /// How long it took.
    pub took: Duration,
}

impl Log {
    /// A question and its outcome.
    pub(super) fn event(&self, event: &Event) {
        let mut names: Vec<String> = event
            .names
            .iter()
            .take(SHOWN)
            .map(|name| cut(name))
            .collect();
        if let Some(more @ 1..) = event.names.len().checked_sub(SHOWN) {
            names.push(format!("+{more}"));
        }
        let milliseconds = (event.took.as_secs_f64() * 10_000.0).round() / 10.0;
        match self.style {
            Style::Text => {
                let why = match event.why.is_empty() {
                    true => String::new(),
                    false => format!(" why={:?}", event.why),
                };
                self.ui.note(&format!(
                    "client={} uid={} pid={} names={} outcome={:?} kept={} asked={} stale={} ms={milliseconds}{why}",
                    event.client,
                    event.uid,
                    event.pid,
                    names.join(","),
                    event.outcome,
                    event.kept,
                    event.asked,
                    event.stale,
                ));
            }
            Style::Json => self.ui.record(
                &json!({
                    "client": event.client, "uid": event.uid, "pid": event.pid, "names": names,
                    "outcome": event.outcome, "kept": event.kept, "asked": event.asked,
                    "stale": event.stale, "milliseconds": milliseconds, "why": event.why,
                })
                .to_string(),
            ),
        }
    }

    /// What the broker itself does.
    pub(super) fn note(&self, text: &str) {
        match self.style {
            Style::Text => self.ui.note(text),
            Style::Json => self.ui.record(&json!({ "message": text }).to_string()),
        }
    }

    /// What the broker itself cannot do.
    pub(super) fn warn(&self, text: &str) {
        match self.style {
            Style::Text => self.ui.warn(text),
            Style::Json => {
                let line = json!({ "message": text, "level": "warning" });
                self.ui.record(&line.to_string());
            }
        }
    }
}

/// The name, cut to length, and with nothing in it that looks like another field of the line.
fn cut(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let letters = name.chars().take(LONGEST);
    let mut shown: String = letters.map(|c| if plain(c) { c } else { '?' }).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pose_as_another_field() {
        assert_eq!(cut("GOOD_name-1"), "GOOD_name-1");
        assert_eq!(cut("x outcome=\"ok\"\u{1b},y"), "x?outcome??ok???y");
        assert_eq!(cut(&"x".repeat(100)).chars().count(), 65);
    }
}
