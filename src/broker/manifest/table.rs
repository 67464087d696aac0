//! TOML tables with positions: every access either gives what was asked for or says, at
//! `file:line:column`, what stands there instead. The content itself is never quoted, only keys.

use toml::de::{DeTable, DeValue};

use super::file::Document;
use crate::base::error::{Error, Result};
use crate::base::suggest;

/// One `key = value`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyValue<'a> {
    /// The key.
    pub key: &'a str,
    /// Where the key stands.
    pub key_at: usize,
    /// Where the value stands.
    pub at: usize,
    /// Where the value ends.
    pub end: usize,
    value: &'a DeValue<'a>,
}

/// The entries of `table` in the order of the file.
pub(super) fn entries<'a>(table: &'a DeTable<'a>) -> Vec<KeyValue<'a>> {
    let mut entries: Vec<KeyValue<'a>> = table
        .iter()
        .map(|(key, value)| KeyValue {
            key: key.get_ref(),
            key_at: key.span().start,
            at: value.span().start,
            end: value.span().end,
            value: value.get_ref(),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}

impl Document<'_> {
    /// A syntax error, in the parser's words for what it expected.
    pub(crate) fn syntax(&self, error: &toml::de::Error) -> Error {
        let span = error.span().unwrap_or_default();
        let at = span.start;
        let key = self.text().get(span).map(shown).unwrap_or_default();
        let duplicate = format!("duplicate key `{key}`");
        let (what, hint) = match error.message() {
            // Only here does the span hold a key, and no value.
            "duplicate key" => (duplicate.as_str(), "keep one of the two"),
            // The parser takes a missing value and one without quotes for the same thing.
            unquoted if unquoted.starts_with("string values must be quoted") => {
                ("no value, or a text without quotes", "write key = \"text\"")
            }
            other => (other, "see https://toml.io for the syntax"),
        };
        self.error(at, what, hint)
    }

    /// A key that is not one of `known`.
    pub(crate) fn unknown(&self, entry: KeyValue<'_>, place: &str, known: &[&str]) -> Error {
        let what = format!("unknown key `{}` {place}", shown(entry.key));
        self.error(
            entry.key_at,
            what,
            suggest::hint(entry.key, known, "known keys"),
        )
    }

    /// A text; it may be empty and hold anything but NUL.
    ///
    /// # Errors
    /// Another type, or a NUL.
    pub(crate) fn any_text<'a>(&self, entry: KeyValue<'a>) -> Result<&'a str> {
        let text = match entry.value {
            DeValue::String(text) => text,
            _ => return Err(self.wrong_type(entry, "text", "put it in quotes")),
        };
        if text.contains('\0') {
            let what = format!("`{}` holds a NUL character", shown(entry.key));
            return Err(self.error(entry.at, what, "no environment can carry it"));
        }
        Ok(text)
    }

    /// A text with a character in it and no control character.
    pub(crate) fn text_of<'a>(&self, entry: KeyValue<'a>) -> Result<&'a str> {
        let text = self.any_text(entry)?;
        let key = shown(entry.key);
        if text.trim().is_empty() {
            let hint = "write something in the quotes, or leave the key out";
            return Err(self.error(entry.at, format!("`{key}` is empty"), hint));
        }
        if text.contains(char::is_control) {
            let what = format!("`{key}` holds a control character");
            return Err(self.error(
                entry.at,
                what,
                "look for line breaks, tabs and escapes in it",
            ));
        }
        Ok(text)
    }

    /// A whole number as it stands, where there is one.
    pub(crate) fn bare_number(&self, entry: KeyValue<'_>) -> Option<u64> {
        match entry.value {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, entry: KeyValue<'_>) -> Result<bool> {
        match entry.value {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong_type(entry, "true or false", "write it without quotes")),
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn number(&self, entry: KeyValue<'_>) -> Result<u32> {
        let DeValue::Integer(number) = entry.value else {
            return Err(self.wrong_type(entry, "a number", "write it without quotes"));
        };
        u32::from_str_radix(number.as_str(), number.radix()).map_err(|_| {
            let what = format!("`{}` is out of range", shown(entry.key));
            self.error(entry.at, what, "write a whole number from 0 to 4294967295")
        })
    }

    /// A table's entries.
    pub(crate) fn table<'a>(&self, entry: KeyValue<'a>) -> Result<Vec<KeyValue<'a>>> {
        match entry.value {
            DeValue::Table(table) => Ok(entries(table)),
            _ => {
                let hint = format!(
                    "write [{}] and its keys on lines of their own",
                    shown(entry.key)
                );
                Err(self.wrong_type(entry, "a table", &hint))
            }
        }
    }

    /// A list of texts, each with its place.
    pub(crate) fn list<'a>(&self, entry: KeyValue<'a>) -> Result<Vec<(&'a str, usize)>> {
        let hint = "write it as [\"ONE\", \"TWO\"]";
        let DeValue::Array(array) = entry.value else {
            return Err(self.wrong_type(entry, "a list of names", hint));
        };
        let text = |value: &'a toml::Spanned<DeValue<'a>>| {
            let at = value.span().start;
            let what = format!("`{}` must be a list of names", shown(entry.key));
            let text = value.get_ref().as_str();
            text.map(|text| (text, at))
                .ok_or_else(|| self.error(at, what, hint))
        };
        array.iter().map(text).collect()
    }

    /// Whether the value of `entry` is a table.
    pub(crate) fn is_table(&self, entry: KeyValue<'_>) -> bool {
        entry.value.is_table()
    }

    fn wrong_type(&self, entry: KeyValue<'_>, expected: &str, hint: &str) -> Error {
        let found = match entry.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let what = format!("`{}` must be {expected}, not {found}", shown(entry.key));
        self.error(entry.at, what, hint)
    }
}

/// A key as it is shown in messages: on one line, and not without end.
pub(super) fn shown(key: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = key.chars().take(LONGEST).collect();
    if short.len() < key.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}

/// A text as TOML has it in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
