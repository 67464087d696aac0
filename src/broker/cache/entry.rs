//! How an outcome is encoded in the cache, and for processes that wait for it.
//!
//! `tag, content`, where the content of a value is the value itself, and that of a failure is the
//! text of an [`Error`] or [`Trouble`], which holds no secret and no output of `op`.

use std::time::Duration;

use crate::base::error::{Error, Exit, Trouble};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::base::units::now;
use crate::broker::provider::Outcome;

const VALUE: u8 = b'v';
const MISSING: u8 = b'm';
const AMBIGUOUS: u8 = b'a';
const UNUSABLE: u8 = b'u';
const FATAL: u8 = b'f';

/// The version of this format; an entry of another version is a miss.
const VERSION: u8 = 1;

/// The outcome of one request, or the failure of all.
#[derive(Debug)]
pub(super) enum Entry {
    /// The outcome of this request.
    One(Outcome),
    /// All requests failed.
    Fatal(Error),
}

impl Entry {
    /// Pushes an outcome.
    pub(super) fn push_outcome(bytes: &mut Locked, outcome: &Outcome) {
        match outcome {
            Ok(value) => push(bytes, VALUE, [value.expose()]),
            Err(Trouble::Missing { part, near }) => {
                push(
                    bytes,
                    MISSING,
                    [
                        part.as_bytes(),
                        near.as_deref().unwrap_or_default().as_bytes(),
                    ],
                );
            }
            Err(Trouble::Ambiguous { part, which }) => {
                let which = which.as_deref().unwrap_or_default();
                push(bytes, AMBIGUOUS, [part.as_bytes(), which.as_bytes()]);
            }
            Err(Trouble::Unusable { why }) => push(bytes, UNUSABLE, [why.as_bytes()]),
        }
    }

    /// Pushes a failure that concerns everything.
    pub(super) fn push_fatal(bytes: &mut Locked, error: &Error) {
        let exit = (error.exit() as u8).to_string();
        let hint = error.hint().unwrap_or_default();
        push(
            bytes,
            FATAL,
            [
                exit.as_bytes(),
                error.to_string().as_bytes(),
                hint.as_bytes(),
            ],
        );
    }

    /// Reads what was pushed; `None` for anything else.
    pub(super) fn parse(bytes: &Secret) -> Option<Self> {
        let (&tag, content) = bytes.expose().split_first()?;
        if tag == VALUE {
            return Some(Self::One(Ok(bytes.slice(1..bytes.len()))));
        }
        let mut parts = content.split(|&byte| byte == 0).map(std::str::from_utf8);
        let mut part = || parts.next().and_then(Result::ok);
        Some(match tag {
            MISSING => {
                let (kind, near) = (part()?, part()?);
                let near = (!near.is_empty()).then(|| near.to_owned());
                Self::One(Err(Trouble::Missing {
                    part: forever(kind),
                    near,
                }))
            }
            AMBIGUOUS => Self::One(Err(Trouble::Ambiguous {
                part: forever(part()?),
                which: part().filter(|it| !it.is_empty()).map(str::to_owned),
            })),
            UNUSABLE => Self::One(Err(Trouble::Unusable {
                why: forever(part()?),
            })),
            FATAL => {
                let exit = Exit::from_code(part()?.parse().ok()?)?;
                let (text, hint) = (part()?.to_owned(), part()?.to_owned());
                let hint = (!hint.is_empty()).then_some(hint);
                Self::Fatal(Error::Relayed { text, hint, exit })
            }
            _ => return None,
        })
    }
}

/// An entry with its header: version and expiry.
pub(super) fn sealed(time: Duration, push: impl FnOnce(&mut Locked)) -> Locked {
    let mut bytes = Locked::with_capacity(4096);
    bytes.push(&[VERSION]);
    bytes.push(&(now() + time.as_secs()).to_le_bytes());
    push(&mut bytes);
    bytes
}

/// The entry without its header, unless it has expired.
pub(super) fn unsealed(bytes: Locked, longest: Duration) -> Option<Secret> {
    let bytes = Secret::new(bytes);
    let (head, _) = bytes.expose().split_at_checked(9)?;
    let end = u64::from_le_bytes(head[1..].try_into().ok()?);
    let left = end.checked_sub(now())?;
    (head[0] == VERSION && left > 0 && left <= longest.as_secs())
        .then(|| bytes.slice(9..bytes.len()))
}

fn push<const N: usize>(bytes: &mut Locked, tag: u8, parts: [&[u8]; N]) {
    bytes.push(&[tag]);
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            bytes.push(&[0]);
        }
        bytes.push(part);
    }
}

/// The texts of a [`Trouble`] are constants; one that was decoded must be leaked to be one.
fn forever(text: &str) -> &'static str {
    text.to_owned().leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(outcome: Outcome) -> String {
        let mut bytes = Locked::with_capacity(1);
        Entry::push_outcome(&mut bytes, &outcome);
        match Entry::parse(&Secret::new(bytes)).expect("parses") {
            Entry::One(Ok(value)) => format!("{:?}", value.expose()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_outcome_comes_back() {
        assert_eq!(round(Ok(Secret::copy_of(b"a\0b\n"))), "[97, 0, 98, 10]");
        assert_eq!(round(Ok(Secret::copy_of(b""))), "[]");
        for trouble in [
            Trouble::Missing {
                part: "item",
                near: None,
            },
            Trouble::Missing {
                part: "field",
                near: Some("näher".to_owned()),
            },
            Trouble::Ambiguous {
                part: "item",
                which: None,
            },
            Trouble::Ambiguous {
                part: "vault",
                which: Some("a, b".to_owned()),
            },
            Trouble::Unusable { why: "it is empty" },
        ] {
            assert_eq!(
                round(Err(trouble.clone())),
                format!("One(Err({trouble:?}))")
            );
        }
    }

    #[test]
    fn a_failure_comes_back_with_its_exit_and_hint() {
        let error = Error::PromptRefused { ignored: false };
        let mut bytes = Locked::with_capacity(1);
        Entry::push_fatal(&mut bytes, &error);
        let Some(Entry::Fatal(relayed)) = Entry::parse(&Secret::new(bytes)) else {
            panic!("no failure")
        };
        assert_eq!(relayed.to_string(), error.to_string());
        assert_eq!(
            (relayed.exit(), relayed.hint()),
            (error.exit(), error.hint())
        );
    }

    #[test]
    fn what_is_over_or_strange_is_a_miss() {
        let hour = Duration::from_secs(3600);
        let seal = |time| sealed(time, |bytes| bytes.push(b"vx"));
        assert_eq!(unsealed(seal(hour), hour).expect("valid").expose(), b"vx");
        assert!(unsealed(seal(Duration::ZERO), hour).is_none(), "over");
        assert!(
            unsealed(seal(2 * hour), hour).is_none(),
            "longer than anything is kept"
        );
        let mut other = seal(hour).to_vec();
        other[0] = 2;
        for bytes in [&other[..], b"", b"\x01", &other[..8]] {
            assert!(unsealed(Locked::copy_of(bytes), hour).is_none());
        }
        for bytes in [&b""[..], b"x", b"f", b"f3", b"f99\0a\0b", b"m", b"m\xff\0"] {
            assert!(Entry::parse(&Secret::copy_of(bytes)).is_none(), "{bytes:?}");
        }
    }
}
