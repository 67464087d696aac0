//! What OpenClaw's exec provider answers: one JSON object, within the gateway's limit.
//!
//! `values` is always there, since without it the gateway drops the whole answer, and holds texts
//! of at least one character: it exits on an empty text or a number. Where all values together are
//! more than it reads, the longest are left out, so that the others arrive.

use crate::base::encode::push_json;
use crate::base::error::Trouble;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::broker::provider::Outcome;

/// Why there is no value, in the gateway's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such secret, or none that may be asked for.
    NotFound,
    /// More than one answers to the name.
    Ambiguous,
    /// Anything else.
    Unavailable,
    /// It does not fit into the answer.
    TooLong,
}

impl Refusal {
    fn code(self) -> &'static [u8] {
        match self {
            Self::NotFound => b"NOT_FOUND",
            Self::Ambiguous => b"AMBIGUOUS_DUPLICATE_KEY",
            Self::Unavailable | Self::TooLong => b"UNAVAILABLE",
        }
    }
}

/// The gateway's limit for stdout and stderr together is 1 MiB; a line on stderr has room beside.
pub(crate) const LONGEST: usize = 1024 * 1024 - 4096;

/// An id as it was asked for, and its outcome.
pub(crate) type Answer = (String, Result<Secret, Refusal>);

/// Refuses a value that JSON cannot carry.
pub(crate) fn carried(value: Secret) -> Outcome {
    match std::str::from_utf8(value.expose()) {
        Ok(_) => Ok(value),
        Err(_) => Err(Trouble::Unusable {
            why: "it is not UTF-8",
        }),
    }
}

/// Replaces values by [`Refusal::TooLong`] until all fit, the longest first.
pub(crate) fn fit(answers: &mut [Answer]) {
    while length(answers) > LONGEST {
        let longest = answers
            .iter_mut()
            .filter(|(_, outcome)| outcome.is_ok())
            .max_by_key(|(_, outcome)| outcome.as_ref().map_or(0, Secret::len));
        match longest {
            Some((_, outcome)) => *outcome = Err(Refusal::TooLong),
            None => return,
        }
    }
}

/// The answer, with a line feed at its end.
pub(crate) fn render(answers: &[Answer]) -> Locked {
    let mut text = Locked::with_capacity(length(answers));
    text.push(b"{\"protocolVersion\":1,\"values\":{");
    let values = answers
        .iter()
        .filter_map(|(id, outcome)| Some((id, outcome.as_ref().ok()?)));
    for (at, (id, value)) in values.enumerate() {
        push_key(&mut text, at, id);
        text.push(b"\"");
        push_json(&mut text, value.expose());
        text.push(b"\"");
    }
    text.push(b"}");
    let errors: Vec<(&String, Refusal)> = answers
        .iter()
        .filter_map(|(id, outcome)| Some((id, *outcome.as_ref().err()?)))
        .collect();
    if !errors.is_empty() {
        text.push(b",\"errors\":{");
        for (at, (id, refusal)) in errors.into_iter().enumerate() {
            push_key(&mut text, at, id);
            text.push(b"{\"code\":\"");
            text.push(refusal.code());
            text.push(b"\"}");
        }
        text.push(b"}");
    }
    text.push(b"}\n");
    text
}

fn push_key(text: &mut Locked, at: usize, id: &str) {
    text.push(if at == 0 { b"\"" } else { b",\"" });
    push_json(text, id.as_bytes());
    text.push(b"\":");
}

/// At least how long [`render`]'s text is; a little more where nothing needs a comma.
fn length(answers: &[Answer]) -> usize {
    const FRAME: usize = 64;
    const REFUSED: usize = r#","":{"code":""}"#.len();
    const GIVEN: usize = r#","":"""#.len();
    let one = |(id, outcome): &Answer| {
        escaped(id.as_bytes())
            + match outcome {
                Ok(value) => GIVEN + escaped(value.expose()),
                Err(refusal) => REFUSED + refusal.code().len(),
            }
    };
    FRAME + answers.iter().map(one).sum::<usize>()
}

/// How long [`push_json`] makes it.
fn escaped(bytes: &[u8]) -> usize {
    let length = |byte: &u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f | 0x7f => 6,
        _ => 1,
    };
    bytes.iter().map(length).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(id: &str, value: &[u8]) -> Answer {
        (id.to_owned(), Ok(Secret::copy_of(value)))
    }

    fn text(answers: &[Answer]) -> String {
        String::from_utf8(render(answers).to_vec()).expect("text")
    }

    #[test]
    fn answers_to_the_byte() {
        assert_eq!(text(&[]), "{\"protocolVersion\":1,\"values\":{}}\n");
        assert_eq!(
            text(&[
                value("A", b"a\"\\\nb"),
                ("B".to_owned(), Err(Refusal::NotFound)),
                value("op://v/i/f", b"x"),
                ("C\"".to_owned(), Err(Refusal::Ambiguous)),
                ("D".to_owned(), Err(Refusal::Unavailable)),
            ]),
            "{\"protocolVersion\":1,\"values\":{\"A\":\"a\\\"\\\\\\u000ab\",\"op://v/i/f\":\"x\"},\
             \"errors\":{\"B\":{\"code\":\"NOT_FOUND\"},\"C\\\"\":{\"code\":\"AMBIGUOUS_DUPLICATE_KEY\"},\
             \"D\":{\"code\":\"UNAVAILABLE\"}}}\n"
        );
    }

    #[test]
    fn the_longest_are_left_out_until_all_fit() {
        let mut answers = vec![
            value("SMALL", b"x"),
            value("NEWLINES", &[b'\n'; 100_000]),
            value("LONG", &[b'x'; 500_000]),
            value("SHORTER", &[b'x'; 400_000]),
        ];
        assert!(length(&answers) > LONGEST);
        fit(&mut answers);
        let left: Vec<_> = answers.iter().map(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(left, [true, true, false, true]);
        let rendered = render(&answers).len();
        assert!(
            rendered <= length(&answers) && rendered <= LONGEST,
            "{rendered}"
        );
        let mut fits = vec![value("A", &vec![b'x'; LONGEST - 200])];
        fit(&mut fits);
        assert!(fits[0].1.is_ok(), "control: what fits stays");
    }
}
