//! Words of the commands in our hints, written so that a shell reads them as they are.

/// `word` as a POSIX shell takes it for one word: bare where nothing in it has a meaning.
pub(crate) fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command whose words are `words`.
pub(crate) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_change_is_quoted() {
        assert_eq!(
            command(["op", "read", "op://V/I/f", "a b", "it's", "$(id)", "~", ""]),
            "op read op://V/I/f 'a b' 'it'\\''s' '$(id)' '~' ''"
        );
    }
}
