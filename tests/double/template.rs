//! A template, taken apart into plain text and secret references.
//!
//! The whole text is scanned, comments too. References stand bare or in `{{ }}`; quoted text in
//! `{{ }}` is plain; anything else in them is an error.

use crate::reference::Reference;
use crate::variable::{Environment, at_start};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Plain(String),
    Secret(Reference),
}

impl Segment {
    /// The reference, if it is one.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Secret(reference) => Some(reference),
            Self::Plain(_) => None,
        }
    }
}

/// Parses a template; without an environment, variables stay as they are.
pub fn parse(text: &str, environment: Option<&Environment>) -> Result<Vec<Segment>, String> {
    let mut scanner = Scanner {
        text,
        at: 0,
        environment,
        plain: String::new(),
        segments: Vec::new(),
    };
    scanner.run()?;
    scanner.flush();
    Ok(scanner.segments)
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    environment: Option<&'t Environment>,
    plain: String,
    segments: Vec<Segment>,
}

impl<'t> Scanner<'t> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest().chars().next() {
            let rest = self.rest();
            if rest.starts_with("\\{{") {
                // ASSUMPTION: the backslash that escapes braces is taken away.
                self.push("{{", 3);
            } else if rest.starts_with("{{") {
                self.enclosed()?;
            } else if rest.starts_with("op://") && self.begins_here() {
                self.unenclosed()?;
            } else if rest.starts_with("\\$") {
                // ASSUMPTION: a backslash keeps a variable from being replaced, and stays.
                self.push("\\$", 2);
            } else if let Some((value, length)) = self.variable(rest) {
                // ASSUMPTION: variables are replaced in plain text too.
                self.push(&value, length);
            } else {
                self.push(&rest[..c.len_utf8()], c.len_utf8());
            }
        }
        Ok(())
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, text: &str, length: usize) {
        self.plain.push_str(text);
        self.at += length;
    }

    fn flush(&mut self) {
        if !self.plain.is_empty() {
            let plain = std::mem::take(&mut self.plain);
            self.segments.push(Segment::Plain(plain));
        }
    }

    fn secret(&mut self, text: &str) -> Result<(), String> {
        let reference = Reference::parse(text)?;
        self.flush();
        self.segments.push(Segment::Secret(reference));
        Ok(())
    }

    fn variable(&self, text: &str) -> Option<(String, usize)> {
        at_start(text, self.environment?)
    }

    /// Whether the character before does not make `op://` part of a longer word.
    fn begins_here(&self) -> bool {
        let before = self.text[..self.at].chars().next_back();
        before.is_none_or(|c| !c.is_ascii_alphanumeric() && !"-+\\.".contains(c))
    }

    /// `op://…` up to the first character that a bare reference cannot hold: `=` ends it.
    fn unenclosed(&mut self) -> Result<(), String> {
        let mut reference = "op://".to_owned();
        self.at += reference.len();
        while let Some(c) = self.rest().chars().next() {
            if let Some((value, length)) = self.variable(self.rest()) {
                reference.push_str(&value);
                self.at += length;
            } else if c.is_ascii_alphanumeric() || "-?_./".contains(c) {
                reference.push(c);
                self.at += 1;
            } else {
                break;
            }
        }
        self.secret(&reference)
    }

    /// `{{ op://… }}` or `{{ "…" }}`.
    fn enclosed(&mut self) -> Result<(), String> {
        let inner = &self.rest()[2..];
        let start = inner.len() - inner.trim_start_matches(' ').len();
        let inner = &inner[start..];
        self.at += 2 + start;
        if let Some(text) = inner.strip_prefix('"') {
            return self.quoted(text);
        }
        let mut reference = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with("}}") {
                self.at += 2;
                break;
            }
            let (piece, length) = match (self.variable(rest), rest.chars().next()) {
                (Some(found), _) => found,
                (None, Some(c)) => (c.to_string(), c.len_utf8()),
                (None, None) => return Err(unclear()),
            };
            reference.push_str(&piece);
            self.at += length;
        }
        let reference = reference.trim_matches(' ');
        if reference.starts_with("op://") {
            self.secret(reference)
        } else {
            Err(unclear())
        }
    }

    fn quoted(&mut self, text: &str) -> Result<(), String> {
        let mut literal = String::new();
        let mut rest = text;
        loop {
            let c = rest.chars().next().ok_or_else(unclear)?;
            let (taken, piece) = if rest.starts_with("\\\"") {
                (2, '"')
            } else {
                (c.len_utf8(), c)
            };
            rest = &rest[taken..];
            if c == '"' {
                break;
            }
            literal.push(piece);
        }
        let after = rest
            .trim_start_matches(' ')
            .strip_prefix("}}")
            .ok_or_else(unclear)?;
        self.plain.push_str(&literal);
        self.at = self.text.len() - after.len();
        Ok(())
    }
}

fn unclear() -> String {
    "parsing error: only secret references or quoted strings can be enclosed in unescaped {{ }}s"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain text as it is, references in angle brackets.
    fn shape(text: &str) -> Result<String, String> {
        let environment = vec![("ENV".into(), "prod".into())];
        let segments = parse(text, Some(&environment))?;
        let show = |segment| match segment {
            Segment::Plain(text) => text,
            Segment::Secret(reference) => format!("<{}>", reference.text),
        };
        Ok(segments.into_iter().map(show).collect())
    }

    #[test]
    fn finds_references_wherever_they_stand() {
        for (text, expected) in [
            ("a: op://v/i/f\n", "a: <op://v/i/f>\n"),
            ("\"op://v/i/f\"", "\"<op://v/i/f>\""),
            (
                "{{ op://v/i t/f }}{{op://v/i/f?attribute=otp}}",
                "<op://v/i t/f><op://v/i/f?attribute=otp>",
            ),
            (
                "xop://v/i/f \\op://v/i/f .op://v/i/f",
                "xop://v/i/f \\op://v/i/f .op://v/i/f",
            ),
            ("op://v/i/f?attribute=otp", "<op://v/i/f?attribute>=otp"),
            (
                "op://$ENV/${X:-i}/f, {{ op://${ENV}/i/${env}}}",
                "<op://prod/i/f>, <op://prod/i/prod>",
            ),
            ("{{ \"{{ a \\\"b\\\" }}\" }}!", "{{ a \"b\" }}!"),
            ("# op://v/i/f", "# <op://v/i/f>"),
        ] {
            assert_eq!(shape(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_whole_text_must_be_sound() {
        for text in [
            "{{ .Values.x }}",
            "{{ op://v/i/f",
            "{{ \"x }}",
            "see op:// for more",
            "op://v/i",
            "{{ op://v/(i)/f }}",
        ] {
            assert!(shape(text).is_err(), "{text}");
        }
        assert_eq!(
            shape("op://$none/i/f").expect_err("fails"),
            "invalid secret reference 'op:///i/f': vault can't be empty"
        );
    }
}
