//! `op`'s diagnostic without its frame: the message itself, where it begins on a line of its own.
//!
//! Three frames have been recorded: `[ERROR] YYYY/MM/DD hh:mm:ss `, `[ERROR] ` and `Error: [ERROR] `.
//! Words without a frame may stand before it. Around the message are wrappers that are known word
//! for word.

/// The message within `stderr`, or nothing where there is none.
pub(super) fn message(stderr: &[u8]) -> &str {
    let text = readable(stderr);
    let framed = starts(text).find_map(|at| unframed(&text[at..]));
    unwrapped(framed.unwrap_or_default())
}

/// Whether a line before any frame begins with one of `starts`.
pub(super) fn preamble_has(stderr: &[u8], starts_of: &[&str]) -> bool {
    let text = readable(stderr);
    let preamble = starts(text).take_while(|&at| unframed(&text[at..]).is_none());
    let begins = |at: usize| starts_of.iter().any(|start| text[at..].starts_with(start));
    preamble.into_iter().any(begins)
}

/// Whether `stderr` holds more than notices of what is no failure.
pub(super) fn complains(stderr: &[u8]) -> bool {
    const NOTICES: &[&[u8]] = &[
        b"Using configuration at non-standard location",
        b"couldn't start daemon: ",
    ];
    let mut lines = stderr.split(|&byte| byte == b'\n');
    lines.any(|line| {
        !line.trim_ascii().is_empty() && !NOTICES.iter().any(|start| line.starts_with(start))
    })
}

/// The part of `stderr` that is UTF-8 from its beginning, in place.
fn readable(stderr: &[u8]) -> &str {
    match std::str::from_utf8(stderr) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&stderr[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// Where the lines of `text` begin.
fn starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

/// What follows the frame, if `text` begins with one.
fn unframed(text: &str) -> Option<&str> {
    let bare = text
        .strip_prefix("Error: ")
        .unwrap_or(text)
        .strip_prefix("[ERROR] ")?;
    const FORM: &[u8] = b"0000/00/00 00:00:00 ";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == form,
    };
    match bare.as_bytes().get(..FORM.len()) {
        Some(stamp) if stamp.iter().zip(FORM).all(fits) => bare.get(FORM.len()..),
        _ => Some(bare),
    }
}

/// Takes off the wrappers that `op` puts around a client error.
fn unwrapped(message: &str) -> &str {
    let read = message
        .strip_prefix("could not read secret '")
        .and_then(|rest| rest.split_once("': "))
        .map_or(message, |(_, rest)| rest);
    [
        "error initializing client: ",
        "connecting to desktop app: ",
        // Not recorded of `op`: the words of its ancestor's `run`, SecretHub.
        "error while starting process: ",
    ]
    .iter()
    .fold(read, |text, wrapper| {
        text.strip_prefix(wrapper).unwrap_or(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_taken_off_and_no_more_than_it() {
        for (text, expected) in [
            ("[ERROR] 2026/08/14 04:07:09 why\n", "why\n"),
            ("[ERROR] why\n", "why\n"),
            ("Error: [ERROR] why\n", "why\n"),
            ("Error: [ERROR] 2026/08/14 04:07:09 why", "why"),
            ("[ERROR] 2026/08/14 why", "2026/08/14 why"),
            ("[ERROR] 2026/08/14 04:07:09", "2026/08/14 04:07:09"),
            ("[ERROR] é", "é"),
            ("couldn't start daemon: x\n[ERROR] why", "why"),
            ("[ERROR] one\n[ERROR] two", "one\n[ERROR] two"),
            ("x [ERROR] why", ""),
            ("[ERROR]", ""),
            ("Error: why", ""),
            ("", ""),
        ] {
            assert_eq!(message(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(message(b"\xff\n[ERROR] why"), "");
    }

    #[test]
    fn a_preamble_ends_at_the_frame() {
        let has = |text: &str| preamble_has(text.as_bytes(), &["panic: "]);
        assert!(has("panic: x") && has("one\npanic: x\n[ERROR] y"));
        assert!(!has("[ERROR] y\npanic: x") && !has("no panic: x") && !has(""));
    }
}
