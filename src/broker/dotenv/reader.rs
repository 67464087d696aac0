//! One definition of an env-file: its name, its quotes, escapes and variables, and whether it is a
//! secret. Errors hold a position and names, never a value.

use super::definition::{Definition, Value};
use super::differences::{self, Difference};
use super::known::KnownDefinitions;
use super::syntax;
use crate::base::env_name::{EnvName, NameError};
use crate::base::environment::Lookup;
use crate::base::error::{Error, Result};
use crate::base::token_kind;
use crate::broker::manifest::file::Document;
use crate::broker::reference::Reference;

/// Longer than any environment carries. Values can double with every line: `B=$A$A`, `C=$B$B`.
const LONGEST: usize = 1024 * 1024;

/// Marks what a value takes in and nobody is to copy, before the variable's name; no text has it.
pub(crate) const BORROWED: char = '\u{f8ff}';

/// Reads definitions where they stand.
pub(super) struct Reader<'a> {
    pub document: &'a Document<'a>,
    pub known: &'a KnownDefinitions,
    pub environment: Lookup<'a>,
    /// What comes from our environment or may be a secret is [`BORROWED`], whatever it holds.
    pub marks: bool,
    /// Variables that are referred to and not set.
    pub missing: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// The definition that starts at `start`, and where it ends.
    pub(super) fn definition(&mut self, start: usize) -> Result<(Definition, usize)> {
        let text = self.document.text();
        let line = &text[start..syntax::line_end(text, start)];
        let Some(equals) = line.find('=') else {
            return Err(self.error(
                start,
                "no `=` in this line",
                "write NAME=VALUE, or # before a comment",
            ));
        };
        let name = self.name(start, start + equals)?;
        let blank = |c| c == ' ' || c == '\t';
        let value_at = text.len() - text[start + equals + 1..].trim_start_matches(blank).len();
        let (raw, end) = self.raw(value_at)?;
        let value = match text[value_at..].chars().next() {
            Some('\'') => raw.to_owned(),
            Some('"') => self.expand(value_at + 1, raw, true)?,
            _ => self.expand(value_at, raw, false)?,
        };
        let value = self.value(value_at, value)?;
        Ok((Definition { name, value }, end))
    }

    fn name(&self, start: usize, end: usize) -> Result<EnvName> {
        let whole = self.document.text()[start..end].trim_end();
        self.refuse(start, differences::in_name(whole))?;
        let name = match whole.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
            _ => whole,
        };
        EnvName::parse(name).map_err(|error| {
            let what = match error {
                // What is no name may be a part of a value.
                NameError::Form => error.to_string(),
                NameError::Dangerous(_) | NameError::Family(_) => format!("`{name}`: {error}"),
            };
            let at = start + whole.len() - name.len();
            self.error(at, what, "write NAME=VALUE with a name such as API_KEY")
        })
    }

    /// The text of the value at `at` without its quotes, and the end of its last line.
    fn raw(&self, at: usize) -> Result<(&'a str, usize)> {
        let text = self.document.text();
        let Some(quote @ ('"' | '\'')) = text[at..].chars().next() else {
            let end = syntax::line_end(text, at);
            let value = syntax::without_comment(text, at, end);
            self.refuse(at, differences::in_unquoted(value))?;
            return Ok((value, end));
        };
        let inner = &text[at + 1..];
        let Some(length) = syntax::closing(inner, quote) else {
            return Err(self.error(
                at,
                "this quote is never closed",
                "close it, or put quotes of the other kind around it",
            ));
        };
        let after = at + 1 + length + 1;
        let end = syntax::line_end(text, after);
        let rest = text[after..end].trim_start();
        if !rest.is_empty() && !rest.starts_with('#') {
            let hint = "put the whole value in quotes, of the other kind if it has some";
            return Err(self.error(
                end - text[after..end].trim_start().len(),
                "text after the closing quote",
                hint,
            ));
        }
        Ok((&inner[..length], end))
    }

    /// Replaces variables in `raw`, which stands at `at`; escapes too, if it is `quoted`.
    fn expand(&mut self, at: usize, raw: &'a str, quoted: bool) -> Result<String> {
        let mut value = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(next) = rest.find(['\\', '$']) {
            value.push_str(&rest[..next]);
            rest = &rest[next..];
            let here = at + raw.len() - rest.len();
            rest = if rest.starts_with('$') {
                self.variable(here, rest, &mut value)?
            } else if quoted {
                self.refuse(here, differences::in_escape(rest))?;
                syntax::escaped(rest, &mut value)
            } else {
                value.push('\\');
                &rest[1..]
            };
            if value.len() > LONGEST {
                let hint = "look for variables that repeat each other";
                return Err(self.error(here, "the value grows beyond 1 MiB", hint));
            }
        }
        value.push_str(rest);
        Ok(value)
    }

    /// Replaces the variable at the start of `text`, which stands at `at`; gives what follows it.
    fn variable(&mut self, at: usize, text: &'a str, value: &mut String) -> Result<&'a str> {
        let behind = &text[1..];
        let Some(braced) = behind.strip_prefix('{') else {
            let name = &behind[..syntax::name_length(behind)];
            match name {
                "" => value.push('$'),
                name => self.replace(at, name, None, value)?,
            }
            return Ok(&behind[name.len()..]);
        };
        let Some((inner, rest)) = braced.split_once('}') else {
            return Err(self.error(
                at,
                "this `${` is never closed",
                "write ${NAME}, or single quotes around a value with a plain `$`",
            ));
        };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name.trim(), Some(default)),
            None => (inner.trim(), None),
        };
        if name.is_empty() || syntax::name_length(name) != name.len() {
            let hint = "write ${NAME} or ${NAME:-default}, or single quotes around a value with a plain `$`";
            return Err(self.error(at, "no variable's name between these braces", hint));
        }
        self.replace(at, name, default, value)?;
        Ok(rest)
    }

    fn replace(
        &mut self,
        at: usize,
        name: &'a str,
        default: Option<&str>,
        value: &mut String,
    ) -> Result<()> {
        let earlier = self.known.get(name);
        let text = earlier.map(|value| match value {
            Value::Plain(text) => text.clone(),
            Value::Secret(reference) => reference.to_string(),
        });
        let ours = (self.environment)(name).and_then(|text| text.into_string().ok());
        // What a marked value will be, and whether it is what we have, is not known here.
        let marked = self.marks && text.as_deref().is_some_and(|it| it.contains(BORROWED));
        if !marked {
            self.refuse(at, self.dispute(name, text.as_deref(), ours.as_deref()))?;
        }
        let found = match earlier {
            Some(Value::Plain(text)) if self.marks && token_kind::may_be_secret(name, text) => {
                Some(format!("{BORROWED}{name}"))
            }
            None if self.marks => Some(format!("{BORROWED}{name}")),
            _ => text.or(ours),
        };
        match (found, default) {
            (Some(found), None) => value.push_str(&found),
            (Some(found), Some(_)) if !found.is_empty() => value.push_str(&found),
            (_, Some(default)) => value.push_str(default),
            (None, None) => self.missing.push(name),
        }
        Ok(())
    }

    /// Whether `op run` would put something else in the place of the variable `name`.
    fn dispute(&self, name: &str, earlier: Option<&str>, ours: Option<&str>) -> Option<Difference> {
        if earlier.is_some() && ours.is_some() && earlier != ours {
            return Some(differences::TWICE);
        }
        let set =
            |name: String| self.known.get(&name).is_some() || (self.environment)(&name).is_some();
        let elsewhere = set(name.to_ascii_uppercase()) || set(name.to_ascii_lowercase());
        (earlier.is_none() && ours.is_none() && elsewhere).then_some(differences::CASE)
    }

    /// Tells secrets from plain values.
    fn value(&self, at: usize, text: String) -> Result<Value> {
        let whole = syntax::enclosed(&text).unwrap_or(&text);
        if whole.starts_with("op://") {
            return self.reference(at, whole).map(Value::Secret);
        }
        if syntax::mentions_reference(&text) {
            let hint = "define the secret as NAME=op://… and put the parts together in the program";
            return Err(self.error(at, "a secret needs a variable of its own", hint));
        }
        self.refuse(at, differences::in_template(&text))?;
        Ok(Value::Plain(text))
    }

    fn reference(&self, at: usize, text: &str) -> Result<Reference> {
        Reference::parse(text).map_err(|error| {
            let hint = match self.missing.first() {
                Some(name) => format!("`{name}` is not set; set it, or write ${{{name}:-default}}"),
                None => "write op://vault/item/field".to_owned(),
            };
            self.error(at, error.to_string(), hint)
        })
    }

    /// Fails if there is a `difference` behind `at`.
    fn refuse(&self, at: usize, difference: Option<Difference>) -> Result<()> {
        match difference {
            Some((behind, what, hint)) => Err(self.error(at + behind, what, hint)),
            None => Ok(()),
        }
    }

    fn error(&self, at: usize, what: impl Into<String>, hint: impl Into<String>) -> Error {
        self.document.error(at, what, hint)
    }
}
