//! Many secrets in one answer of `op run`, each clearly delimited.
//!
//! `op run` puts each value, unaltered, into the environment of a child, and that child is `env
//! -0`, which prints it. No value can end its entry, since an environment cannot hold the NUL that
//! ends one, and no value can forge another entry: every name holds a fresh 128-bit nonce, which
//! did not exist when the value was stored.

use std::ffi::{CStr, CString};
use std::ops::Range;

use memchr::memchr;

use crate::base::error::{Error, Result};
use crate::broker::reference::Reference;

/// What `op run` is given besides the environment that [`Frame::variables`] adds to.
pub(crate) const COMMAND: &[&str] = &["run", "--no-masking", "--", "/usr/bin/env", "-0"];

/// Variables that ask `op run` for values, and how to read the answer.
pub(crate) struct Frame {
    prefix: String,
    references: Vec<String>,
    /// Other variables are wanted too, those of Environments. How many there should be nobody knows,
    /// so one of ours tells that `env` has answered at all.
    others: bool,
}

/// What a wrapper of `op` that is a shell script sets by itself, or macOS does.
const STRAY: &[&str] = &["_", "PWD", "OLDPWD", "SHLVL", "__CF_USER_TEXT_ENCODING"];

/// Where the values lie, and the other variables with where theirs lie.
pub(super) type Parsed = (Vec<Range<usize>>, Vec<(String, Range<usize>)>);

impl Frame {
    /// Asks for `references`, each of which must [fit the syntax](Reference::fits_syntax).
    ///
    /// # Errors
    /// [`Error::System`] when the system has no random numbers.
    pub(crate) fn new<'a>(references: impl IntoIterator<Item = &'a Reference>) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|why| Error::system("draw random numbers", why))?;
        let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self::with_nonce(&nonce, references))
    }

    pub(super) fn with_nonce<'a>(
        nonce: &str,
        references: impl IntoIterator<Item = &'a Reference>,
    ) -> Self {
        Self {
            prefix: format!("OC_{nonce}_"),
            references: references.into_iter().map(Reference::to_string).collect(),
            others: false,
        }
    }

    /// The same for an answer in which the variables of Environments are wanted too.
    pub(super) fn with_others(self) -> Self {
        Self {
            others: true,
            ..self
        }
    }

    /// Whether it is that.
    pub(super) fn has_others(&self) -> bool {
        self.others
    }

    /// One variable for each reference. Holds no secret.
    pub(crate) fn variables(&self) -> Result<Vec<CString>> {
        let numbered = self.references.iter().enumerate();
        let entry = |(index, reference)| format!("{}{index}={reference}", self.prefix);
        let whole = self.others.then(|| self.whole());
        numbered
            .map(entry)
            .chain(whole)
            .map(CString::new)
            .collect::<std::result::Result<_, _>>()
            // Unreachable: a reference that fits the syntax holds no control character.
            .map_err(|_| Error::usage("a reference holds a NUL byte", "remove it"))
    }

    /// Where each value lies in `answer`, in the order of the references. Other variables in the
    /// environment of `op` are skipped.
    ///
    /// # Errors
    /// [`Error::OpNonsense`] unless the answer is whole and has every variable exactly once, and
    /// in none of them the reference itself, as when nothing fetched it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn parse(&self, answer: &[u8]) -> Result<Vec<Range<usize>>> {
        self.parse_by(answer, |_| Ok(()))
    }

    /// The same, and the variables that came beside ours. What `op` was given itself, `given`, is
    /// not among them, unless it has another value now.
    ///
    /// # Errors
    /// As [`Self::parse`], and where such a variable comes twice.
    pub(super) fn parse_all(&self, answer: &[u8], given: &[&CStr]) -> Result<Parsed> {
        let mut others: Vec<(String, Range<usize>)> = vec![];
        let values = self.parse_by(answer, |entry| {
            let bytes = &answer[entry.clone()];
            let inherited = given.iter().any(|own| own.to_bytes() == bytes);
            let Some(length) = memchr(b'=', bytes).filter(|_| self.others && !inherited) else {
                return Ok(());
            };
            let name = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if STRAY.contains(&name.as_str()) {
                return Ok(());
            }
            if others.iter().any(|(known, _)| *known == name) {
                return Err(nonsense("a variable of an Environment is repeated"));
            }
            others.push((name, entry.start + length + 1..entry.end));
            Ok(())
        })?;
        Ok((values, others))
    }

    fn parse_by(
        &self,
        answer: &[u8],
        mut other: impl FnMut(Range<usize>) -> Result<()>,
    ) -> Result<Vec<Range<usize>>> {
        let mut values = vec![None; self.references.len()];
        let mut whole = !self.others;
        let mut start = 0;
        while start < answer.len() {
            let length = memchr(0, &answer[start..]).ok_or_else(|| nonsense("it is cut short"))?;
            let end = start + length;
            if self.others && answer[start..end] == *self.whole().as_bytes() {
                whole = true;
            } else if let Some((index, value)) = self.own(&answer[start..end]) {
                let place = values
                    .get_mut(index)
                    .ok_or_else(|| nonsense("it holds a part that was not asked for"))?;
                if place.replace(start + value..end).is_some() {
                    return Err(nonsense("a part of it is repeated"));
                }
            } else {
                other(start..end)?;
            }
            start = end + 1;
        }
        let all: Option<Vec<Range<usize>>> = values.into_iter().collect();
        let all = all.filter(|_| whole);
        let values = all.ok_or_else(|| nonsense("a part of it is missing"))?;
        let mut pairs = values.iter().zip(&self.references);
        if pairs.any(|(value, reference)| answer[value.clone()] == *reference.as_bytes()) {
            return Err(nonsense("it holds a reference in the place of a value"));
        }
        Ok(values)
    }

    /// The variable that says that there is an answer.
    fn whole(&self) -> String {
        format!("{}whole=1", self.prefix)
    }

    /// The number of the variable that `entry` sets, if it is one of ours, and where its value
    /// begins. What is not a number counts as one beyond every variable.
    fn own(&self, entry: &[u8]) -> Option<(usize, usize)> {
        let rest = entry.strip_prefix(self.prefix.as_bytes())?;
        let digits = memchr(b'=', rest)?;
        let number = std::str::from_utf8(&rest[..digits]).ok()?;
        let index = number.parse().unwrap_or(usize::MAX);
        Some((index, self.prefix.len() + digits + 1))
    }
}

fn nonsense(what: &'static str) -> Error {
    Error::OpNonsense { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: &str = "00112233445566778899aabbccddeeff";

    fn frame(count: usize) -> Frame {
        let reference = Reference::parse("op://v/a b/f").expect("parses");
        Frame::with_nonce(N, std::iter::repeat_n(&reference, count))
    }

    fn values(count: usize, answer: &str) -> std::result::Result<Vec<&str>, String> {
        let ranges = frame(count)
            .parse(answer.as_bytes())
            .map_err(|e| e.to_string())?;
        Ok(ranges.into_iter().map(|range| &answer[range]).collect())
    }

    #[test]
    fn the_variables_hold_references_alone() {
        let entries = frame(2).variables().expect("no NUL");
        let entry = |index| CString::new(format!("OC_{N}_{index}=op://v/a b/f")).expect("no NUL");
        assert_eq!(entries, [entry(0), entry(1)]);
    }

    #[test]
    fn every_value_comes_back_byte_for_byte_whatever_stands_around_it() {
        for value in [
            "",
            "\n",
            " a ",
            "\u{1}\u{7}\u{1b}[31m\u{7f}",
            "{{ op://v/i/f }}",
            "a\r\nb\n\n",
            "x\nOC_00112233445566778899aabbccddeeff_1=forged",
        ] {
            let answer = format!("HOME=/h\0OC_{N}_1=last\0EMPTY=\0OC_{N}_0={value}\0X=y\0");
            assert_eq!(values(2, &answer), Ok(vec![value, "last"]));
        }
    }

    #[test]
    fn a_forged_or_damaged_answer_is_an_error() {
        let good = format!("OC_{N}_0=a\0OC_{N}_1=b\0");
        assert!(values(2, &good).is_ok());
        for cut in 0..good.len() {
            assert!(values(2, &good[..cut]).is_err(), "cut at {cut}");
        }
        for bad in [
            format!("OC_{N}_0=a\0OC_{N}_1=b\0OC_{N}_1=b\0"),
            format!("OC_{N}_0=a\0OC_{N}_2=b\0"),
            format!("OC_{N}_0=a\0OC_{N}_x=b\0OC_{N}_1=b\0"),
            format!("OC_{N}_0=a\0OC_{N}_1=b\0OC_{N}_2=c\0"),
            format!("OC_{N}_0=a\0\0OC_{N}_1b\0"),
            format!("OC_{N}_0=a\0OC_{N}_1=b\0rest"),
            format!("OC_{N}_0=a\0OC_{N}_1=op://v/a b/f\0"),
        ] {
            assert!(values(2, &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_frames_never_share_a_nonce() {
        let [a, b] = [0, 1].map(|_| Frame::new([]).expect("random numbers"));
        assert_ne!(a.prefix, b.prefix);
    }
}
