//! What the broker and its clients say to each other, on one connection for each question.
//!
//! A question is lines of text and an empty one: `oc-secrets/1 get`, then a name a line. An answer
//! begins with one line: `oc-secrets/1 ok LENGTH`, and so many bytes follow, or `oc-secrets/1
//! refused EXIT TEXT`. That first line stays as it is in every version, so that both ends can tell
//! people which one is older.

use crate::base::error::{Error, Exit};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// The only version so far.
pub(crate) const VERSION: u32 = 1;

/// The longest question, in bytes; 512 names of 120 letters are less.
pub(crate) const LONGEST_QUESTION: usize = 64 * 1024;

/// The longest body of an answer: a little more than `op` may print.
pub(crate) const LONGEST_ANSWER: usize = 9 * 1024 * 1024;

/// The longest first line of an answer.
pub(crate) const LONGEST_HEAD: usize = 1024;

const PROGRAM: &str = "oc-secrets/";

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The secrets of these names.
    Get(Vec<String>),
    /// Which names this client has.
    Names,
    /// To the control socket: forget every value.
    Lock,
    /// To the control socket: who asked for what.
    Clients,
}

/// Why bytes are no question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misunderstood {
    /// They are of another version.
    Version,
    /// They are of no version.
    Nonsense,
}

impl Question {
    /// The question as it is sent.
    pub(crate) fn written(&self) -> Vec<u8> {
        let (word, names) = match self {
            Self::Get(names) => ("get", &names[..]),
            Self::Names => ("names", &[][..]),
            Self::Lock => ("lock", &[][..]),
            Self::Clients => ("clients", &[][..]),
        };
        let mut text = format!("{PROGRAM}{VERSION} {word}\n");
        for name in names {
            text.push_str(name);
            text.push('\n');
        }
        text.push('\n');
        text.into_bytes()
    }

    /// Parses what was sent; `None` while there is more to come.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Misunderstood> {
        let start = &bytes[..bytes.len().min(PROGRAM.len())];
        if start != &PROGRAM.as_bytes()[..start.len()] {
            return Err(Misunderstood::Nonsense);
        }
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") else {
            // An older or newer one may end its question in another way.
            return match bytes.iter().position(|&byte| byte == b'\n') {
                Some(line) if version(&bytes[..line]) != Some(VERSION) => {
                    Err(Misunderstood::Version)
                }
                _ => Ok(None),
            };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| Misunderstood::Nonsense)?;
        let mut lines = text.split('\n');
        let first = lines.next().unwrap_or_default();
        if version(first.as_bytes()) != Some(VERSION) {
            return Err(Misunderstood::Version);
        }
        let word = first.split_once(' ').map(|(_, word)| word);
        let names: Vec<String> = lines.map(str::to_owned).collect();
        match (word, names.is_empty()) {
            (Some("get"), _) => Ok(Some(Self::Get(names))),
            (Some("names"), true) => Ok(Some(Self::Names)),
            (Some("lock"), true) => Ok(Some(Self::Lock)),
            (Some("clients"), true) => Ok(Some(Self::Clients)),
            _ => Err(Misunderstood::Nonsense),
        }
    }
}

/// The one message that holds a secret, and so is no [`Question`]: to the control socket, a token to
/// sign in with from now on.
const SIGN_IN: &[u8] = b"oc-secrets/1 token\n";

/// A token as it is handed to a broker.
pub(crate) fn sign_in(token: &Secret) -> Locked {
    let mut text = Locked::with_capacity(SIGN_IN.len() + token.len() + 2);
    text.push(SIGN_IN);
    text.push(token.expose());
    text.push(b"\n\n");
    text
}

/// The token that was handed over, once all of it has come.
pub(crate) fn signed_in(bytes: &[u8]) -> Option<&[u8]> {
    let token = bytes.strip_prefix(SIGN_IN)?.strip_suffix(b"\n\n")?;
    let is_one = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    is_one.then_some(token)
}

fn version(line: &[u8]) -> Option<u32> {
    let line = std::str::from_utf8(line).ok()?;
    let number = line.strip_prefix(PROGRAM)?.split(' ').next()?;
    // As we write it: no sign, no zero before it.
    let version: u32 = number.parse().ok()?;
    (version.to_string() == number).then_some(version)
}

/// An answer with `body`.
pub(crate) fn ok(body: &[u8]) -> Locked {
    let head = format!("{PROGRAM}{VERSION} ok {}\n", body.len());
    let mut text = Locked::with_capacity(head.len() + body.len());
    text.push(head.as_bytes());
    text.push(body);
    text
}

/// An answer that is none; `text` is our own and on one line.
pub(crate) fn refused(exit: Exit, text: &str) -> Locked {
    let text = text.replace('\n', " ");
    Locked::copy_of(format!("{PROGRAM}{VERSION} refused {} {text}\n", exit as u8).as_bytes())
}

/// The first line of an answer.
#[derive(Debug)]
pub(crate) enum Head {
    /// So many bytes follow the line, which ends before `start`.
    Ok {
        /// Where the body starts.
        start: usize,
        /// Its length.
        length: usize,
    },
    /// The broker says no.
    Refused(Error),
}

/// Parses the beginning of an answer; `None` while there is more to come.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    const NONSENSE: &str = "its answer makes no sense";
    let Some(end) = bytes
        .iter()
        .take(LONGEST_HEAD)
        .position(|&byte| byte == b'\n')
    else {
        return match bytes.len() < LONGEST_HEAD {
            true => Ok(None),
            false => Err(NONSENSE),
        };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| NONSENSE)?;
    let mut words = line.splitn(4, ' ');
    let theirs = words.next().and_then(|word| version(word.as_bytes()));
    let (word, number, rest) = (words.next(), words.next(), words.next());
    match (theirs, word, number) {
        (Some(VERSION), Some("ok"), Some(length)) => match length.parse() {
            Ok(length) if length <= LONGEST_ANSWER => Ok(Some(Head::Ok {
                start: end + 1,
                length,
            })),
            _ => Err(NONSENSE),
        },
        (Some(_), Some("refused"), Some(exit)) => {
            let exit = exit.parse().ok().and_then(Exit::from_code);
            Ok(Some(Head::Refused(Error::Relayed {
                text: rest.unwrap_or_default().to_owned(),
                hint: None,
                exit: exit.unwrap_or(Exit::Failed),
            })))
        }
        (Some(_), ..) => Err("it speaks another version of the protocol"),
        (None, ..) => Err(NONSENSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood() {
        let names = |names: &[&str]| Question::Get(names.iter().map(|&name| name.into()).collect());
        for question in [
            names(&["A", "B_2"]),
            Question::Names,
            Question::Lock,
            Question::Clients,
        ] {
            let bytes = question.written();
            assert_eq!(Question::parse(&bytes), Ok(Some(question)));
            for end in 0..bytes.len() {
                assert_eq!(Question::parse(&bytes[..end]), Ok(None), "{end}");
            }
        }
        // As an older client would have written it, to the byte.
        assert_eq!(names(&["A"]).written(), b"oc-secrets/1 get\nA\n\n");
    }

    #[test]
    fn a_token_is_handed_over_whole_or_not_at_all() {
        let text = sign_in(&Secret::copy_of(b"ops_x"));
        assert_eq!(signed_in(&text), Some(&b"ops_x"[..]));
        for end in 0..text.len() {
            assert_eq!(signed_in(&text[..end]), None, "{end}");
            assert_eq!(Question::parse(&text[..end]), Ok(None), "{end}");
        }
        assert!(Question::parse(&text).is_err(), "no client's question");
        for wrong in ["", "a b", "a\nb"] {
            let text = sign_in(&Secret::copy_of(wrong.as_bytes()));
            assert_eq!(signed_in(&text), None, "{wrong:?}");
        }
    }

    #[test]
    fn another_version_is_told_from_nonsense() {
        for other in [
            &b"oc-secrets/2 fetch A B\n"[..],
            b"oc-secrets/0 get\nA\n\n",
            b"oc-secrets/x get\n",
            b"oc-secrets/01 get\nA\n\n",
            b"oc-secrets/+1 get\nA\n\n",
        ] {
            assert_eq!(Question::parse(other), Err(Misunderstood::Version));
        }
        for nonsense in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\0\0",
            b"oc-secrets/1 lock\nA\n\n",
            b"oc-secrets/1 drop\n\n",
            b"oc-secrets/1\n\n",
            b"oc-secrets/1 get\n\xff\n\n",
        ] {
            assert_eq!(
                Question::parse(nonsense),
                Err(Misunderstood::Nonsense),
                "{nonsense:?}"
            );
        }
    }

    #[test]
    fn an_answer_says_how_long_it_is_or_why_there_is_none() {
        let answer = ok(b"body");
        assert_eq!(&*answer, b"oc-secrets/1 ok 4\nbody");
        assert!(matches!(
            head(&answer),
            Ok(Some(Head::Ok {
                start: 18,
                length: 4
            }))
        ));
        assert!(matches!(head(&answer[..10]), Ok(None)));
        let no = refused(Exit::RateLimited, "too many questions\nin a minute");
        match head(&no) {
            Ok(Some(Head::Refused(error))) => {
                assert_eq!(error.exit(), Exit::RateLimited);
                assert_eq!(error.to_string(), "too many questions in a minute");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            head(b"oc-secrets/9 refused 1 sorry\n"),
            Ok(Some(Head::Refused(_)))
        ));
        for bad in [
            &b"oc-secrets/2 ok 4\n"[..],
            b"oc-secrets/1 ok -1\n",
            b"oc-secrets/1 ok 99999999\n",
            b"HTTP/1.1 400\n",
            &[b'x'; 2000],
        ] {
            assert!(head(bad).is_err(), "{bad:?}");
        }
    }
}
