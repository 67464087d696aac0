//! The small rules of the dotenv form: comments, quotes, escapes, and what counts as a reference.

/// The first byte that is neither blank nor in a comment.
pub(super) fn next_definition(text: &str, mut at: usize) -> Option<usize> {
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace())?;
        if !text[at..].starts_with('#') {
            return Some(at);
        }
        at = line_end(text, at);
    }
}

/// Where the line of `at` ends.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..]
        .find('\n')
        .map_or(text.len(), |length| at + length)
}

/// The unquoted value between `at` and `end`: trimmed, and up to a `#` behind a blank.
pub(super) fn without_comment(text: &str, at: usize, end: usize) -> &str {
    let value = &text[at..end];
    let behind_blank = |&(hash, _): &(usize, &str)| text[..at + hash].ends_with([' ', '\t']);
    let comment = value.match_indices('#').find(behind_blank);
    value[..comment.map_or(value.len(), |(hash, _)| hash)].trim()
}

/// The length of `inner` up to the quote that closes it; in double quotes `\` protects one.
pub(super) fn closing(inner: &str, quote: char) -> Option<usize> {
    let mut protected = false;
    inner
        .char_indices()
        .find(|&(_, c)| {
            let closes = c == quote && !protected;
            protected = quote == '"' && c == '\\' && !protected;
            closes
        })
        .map(|(at, _)| at)
}

/// Resolves the escape at the start of `text`, within double quotes; gives what follows it.
pub(super) fn escaped<'a>(text: &'a str, value: &mut String) -> &'a str {
    let Some(c) = text[1..].chars().next() else {
        value.push('\\');
        return "";
    };
    value.push(if c == 'n' { '\n' } else { c });
    &text[1 + c.len_utf8()..]
}

/// How many bytes at the start of `text` are a variable's name.
pub(super) fn name_length(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// The inside of a value that is one `{{ op://… }}` and nothing else.
pub(super) fn enclosed(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    (!inner.contains("{{") && !inner.contains("}}")).then_some(inner)
}

/// Whether `op run` would see a reference in `text`: `op://` that no word runs into.
pub(super) fn mentions_reference(text: &str) -> bool {
    text.match_indices("op://").any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || "-+\\.".contains(c))
    })
}
