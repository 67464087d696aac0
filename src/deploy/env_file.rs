//! `.env` as data: lines that are kept as they are, and keys that are read or replaced.
//!
//! The file is never sourced, and nothing in it is expanded. Comments, order, other keys and line
//! ends stay byte for byte. Quoting is Compose's: `'…'` is literal, `"…"` may span lines. The values
//! that we write need no quotes.

/// A parsed `.env`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EnvFile {
    entries: Vec<Entry>,
}

/// One entry: a line, or several when a quoted value spans them.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    text: String,
    key: Option<String>,
    value: String,
}

impl EnvFile {
    /// Parses `text`. This cannot fail: lines that are not `KEY=value` are kept as they are.
    pub(crate) fn parse(text: &str) -> Self {
        let mut entries = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = entry_end(rest);
            entries.push(entry(&rest[..end]));
            rest = &rest[end..];
        }
        Self { entries }
    }

    /// The value of `key`, without its quotes. The last one wins.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().rev();
        found
            .filter(|entry| entry.key.as_deref() == Some(key))
            .map(|entry| entry.value.as_str())
            .next()
    }

    /// Keys and values in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pair = |entry: &'_ Entry| entry.key.is_some();
        self.entries
            .iter()
            .filter(move |entry| pair(entry))
            .map(|entry| {
                (
                    entry.key.as_deref().unwrap_or_default(),
                    entry.value.as_str(),
                )
            })
    }

    /// Sets `key` to a plain word, in place where it stands, else at the end.
    ///
    /// # Panics
    /// When `word` is not plain: letters, digits and `@%_+=:,./-`.
    pub(crate) fn set(&mut self, key: &str, word: &str) {
        assert!(is_plain(word), "only plain words are written");
        let ending = if self
            .entries
            .iter()
            .any(|entry| entry.text.ends_with("\r\n"))
        {
            "\r\n"
        } else {
            "\n"
        };
        let fresh = entry(&format!("{key}={word}{ending}"));
        let place = self
            .entries
            .iter()
            .rposition(|entry| entry.key.as_deref() == Some(key));
        match place {
            Some(place) => self.entries[place] = fresh,
            None => {
                if let Some(last) = self.entries.last_mut()
                    && !last.text.ends_with('\n')
                {
                    last.text.push_str(ending);
                }
                self.entries.push(fresh);
            }
        }
    }

    /// Removes every entry of `key`.
    pub(crate) fn remove(&mut self, key: &str) {
        self.entries
            .retain(|entry| entry.key.as_deref() != Some(key));
    }

    /// [`EnvFile::set`] unless the key has a value already. If `word` fails, nothing is set.
    pub(crate) fn set_if_missing<E>(
        &mut self,
        key: &str,
        word: impl FnOnce() -> Result<String, E>,
    ) -> Result<(), E> {
        if self.value(key).is_none_or(str::is_empty) {
            self.set(key, &word()?);
        }
        Ok(())
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        self.entries
            .iter()
            .map(|entry| entry.text.as_str())
            .collect()
    }
}

/// Whether Compose reads `word` as itself.
pub(crate) fn is_plain(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"@%_+=:,./-".contains(&byte))
}

/// Where the entry that begins `text` ends: after its line, or after the line that closes the
/// quote that it opens.
fn entry_end(text: &str) -> usize {
    let line_end = |from: usize| {
        text[from..]
            .find('\n')
            .map_or(text.len(), |at| from + at + 1)
    };
    let first = line_end(0);
    let Some((_, start)) = key_of(&text[..first]) else {
        return first;
    };
    let Some(quote @ ('"' | '\'')) = text[start..first].chars().next() else {
        return first;
    };
    match closing(&text[start + 1..], quote) {
        Some(at) => line_end(start + 1 + at),
        None => first,
    }
}

fn entry(text: &str) -> Entry {
    let Some((key, start)) = key_of(text) else {
        return Entry {
            text: text.to_owned(),
            key: None,
            value: String::new(),
        };
    };
    let raw = &text[start..];
    let value = match raw.chars().next() {
        Some(quote @ ('"' | '\'')) if closing(&raw[1..], quote).is_some() => {
            &raw[1..=closing(&raw[1..], quote).unwrap_or(0)]
        }
        _ => {
            let line = raw.trim_end();
            line.split(" #").next().unwrap_or(line).trim_end()
        }
    };
    Entry {
        text: text.to_owned(),
        key: Some(key.to_owned()),
        value: value.to_owned(),
    }
}

/// The key of a line and where its value begins.
fn key_of(line: &str) -> Option<(&str, usize)> {
    let (left, _) = line.split_once('=')?;
    let key = left.trim();
    let key = key.strip_prefix("export ").map_or(key, str::trim_start);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = key.starts_with(|c: char| word(c) && !c.is_ascii_digit()) && key.chars().all(word);
    let after = &line[left.len() + 1..];
    let blank = after.len() - after.trim_start_matches([' ', '\t']).len();
    good.then_some((key, left.len() + 1 + blank))
}

/// Where `quote` closes in `text`; a backslash guards it within double quotes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut guarded = false;
    for (at, letter) in text.char_indices() {
        if guarded {
            guarded = false;
        } else if letter == '\\' && quote == '"' {
            guarded = true;
        } else if letter == quote {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "# mine\r\nA=$(touch /tmp/x)\r\nB='it''s $HOME `id`'\r\nC=\"two\r\nX=1\r\nlines\"\r\n\r\nexport D = x # c\r\nA=again\r\nnot a line\r\n";

    #[test]
    fn what_is_not_set_stays_byte_for_byte() {
        assert_eq!(EnvFile::parse(HOSTILE).text(), HOSTILE);
        assert_eq!(EnvFile::parse("").text(), "");
        assert_eq!(EnvFile::parse("A=1").text(), "A=1");
    }

    #[test]
    fn values_are_read_and_never_expanded() {
        let file = EnvFile::parse(HOSTILE);
        assert_eq!(file.value("A"), Some("again"), "the last one wins");
        assert_eq!(file.value("C"), Some("two\r\nX=1\r\nlines"));
        assert_eq!(file.value("X"), None, "a line within quotes is no key");
        assert_eq!(file.value("D"), Some("x"));
    }

    #[test]
    fn a_key_is_set_in_place_or_at_the_end() {
        let mut file = EnvFile::parse("A=1\n# c\nB=2");
        file.set("A", "9");
        file.set("Z", "7");
        let none = file.set_if_missing("Q", || Err("no randomness"));
        assert_eq!(none, Err("no randomness"));
        let there = file.set_if_missing("B", || Err("not asked"));
        assert_eq!(there, Ok(()));
        assert_eq!(file.text(), "A=9\n# c\nB=2\nZ=7\n");
        let mut file = EnvFile::parse(HOSTILE);
        file.set("Z", "7");
        assert!(file.text().ends_with("not a line\r\nZ=7\r\n"));
    }

    #[test]
    fn a_key_goes_with_all_its_lines_and_nothing_else() {
        let mut file = EnvFile::parse("# c\nA=1\nB=\"two\nA=3\n\"\nexport A=4\n");
        file.remove("A");
        assert_eq!(file.text(), "# c\nB=\"two\nA=3\n\"\n");
    }

    #[test]
    fn an_unclosed_quote_ends_with_its_line() {
        let file = EnvFile::parse("A=\"open\nB=2\n");
        assert_eq!(file.value("B"), Some("2"));
    }
}
