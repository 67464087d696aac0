//! What one check came to, and how it is shown.

use crate::base::severity::Severity;
use crate::base::ui::{Tone, Ui, clean};

/// One check.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What was looked at.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub text: String,
    /// The command that mends it, to be typed as it is.
    pub fix: Option<String>,
}

impl Row {
    pub(super) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Severity::Ok, text)
    }

    pub(super) fn warn(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Severity::Warn, text)
    }

    pub(super) fn fail(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Severity::Fail, text)
    }

    fn new(name: &'static str, severity: Severity, text: impl Into<String>) -> Self {
        Self {
            name,
            severity,
            text: text.into(),
            fix: None,
        }
    }

    /// The same with the command that mends it.
    pub(super) fn fix(mut self, command: impl Into<Option<String>>) -> Self {
        self.fix = command.into();
        self
    }
}

/// How far a text stands behind its severity and name.
const INDENT: usize = 18;

/// All rows, in lines of at most 80 characters but for paths and commands.
pub(super) fn render(ui: Ui, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let severity = ui.paint(row.severity.tone(), &format!("{:4}", row.severity.word()));
        let body = wrapped(&clean(&row.text), 80 - INDENT);
        let body = body.join(&format!("\n{}", " ".repeat(INDENT)));
        text.push_str(&format!("{severity}  {:10}  {body}\n", row.name));
        if let Some(fix) = &row.fix {
            let fix = clean(fix);
            text.push_str(&format!(
                "{}{} {fix}\n",
                " ".repeat(INDENT),
                ui.paint(Tone::Dim, "fix:")
            ));
        }
    }
    text
}

/// `text` in lines that end between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ui::{Color, Level};

    #[test]
    fn lines_end_between_words_and_commands_are_whole() {
        let ui = Ui::new("oc-secrets", Level::Normal, Color::Never);
        let long = "word ".repeat(20);
        let command = "x".repeat(90);
        let rows = [
            Row::warn("name", long).fix(command.clone()),
            Row::ok("op", "y"),
        ];
        let text = render(ui, &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("warn  name        word word") && lines[0].len() <= 80);
        assert!(lines[1].starts_with("                  word"), "{text}");
        assert_eq!(lines[2], format!("                  fix: {command}"));
        assert_eq!(lines[3], "ok    op          y");
    }
}
