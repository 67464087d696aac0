//! Many secrets in one answer of `op inject`, each recognisable beyond doubt.
//!
//! The template is nothing but references and separators, and every separator holds a fresh
//! 128-bit nonce. No value can contain it, since it did not exist when the value was stored, so
//! no value can pose as another, and a truncated, repeated or reordered answer is an error.

use std::ops::Range;

use memchr::memmem;

use crate::error::{Error, Result};
use crate::reference::Reference;

/// A template for `op inject`, and how to read the answer.
pub struct Frame {
    nonce: String,
    count: usize,
    template: String,
}

impl Frame {
    /// A template that asks for `references`, each of which must be
    /// [`inject_safe`](Reference::inject_safe).
    ///
    /// # Errors
    /// [`Error::System`] when the system has no random numbers.
    pub fn new<'a>(references: impl IntoIterator<Item = &'a Reference>) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|why| Error::system("draw random numbers", why))?;
        let nonce = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self::with_nonce(nonce, references))
    }

    fn with_nonce<'a>(nonce: String, references: impl IntoIterator<Item = &'a Reference>) -> Self {
        let mut template = String::new();
        let mut count = 0;
        for reference in references {
            template.push_str(&separator(&nonce, count));
            template.push_str(&format!("{{{{ {reference} }}}}"));
            count += 1;
        }
        template.push_str(&separator(&nonce, count));
        Self {
            nonce,
            count,
            template,
        }
    }

    /// What `op inject` reads on its stdin. Holds no secret.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Where each value lies in `answer`, in the order of the references.
    ///
    /// # Errors
    /// [`Error::OpNonsense`] unless every separator is there exactly once, in order, and
    /// nothing surrounds them but the one line feed that `op inject` adds at the end.
    pub fn parse(&self, answer: &[u8]) -> Result<Vec<Range<usize>>> {
        let separators = (0..=self.count).map(|index| separator(&self.nonce, index));
        let mut found = memmem::find_iter(answer, &self.nonce).map(|at| at.saturating_sub(1));
        let mut values = Vec::with_capacity(self.count);
        let mut end = None;
        for separator in separators {
            let at = found.next().ok_or_else(|| nonsense("it is cut short"))?;
            if !answer[at..].starts_with(separator.as_bytes()) {
                return Err(nonsense("its parts are not in order"));
            }
            match end {
                Some(start) => values.push(start..at),
                None if at > 0 => return Err(nonsense("something stands before its first part")),
                None => {}
            }
            end = Some(at + separator.len());
        }
        if found.next().is_some() {
            return Err(nonsense("a part of it is repeated"));
        }
        match &answer[end.unwrap_or(0)..] {
            b"" | b"\n" => Ok(values),
            _ => Err(nonsense("something stands behind its last part")),
        }
    }
}

fn separator(nonce: &str, index: usize) -> String {
    format!("[{nonce}:{index}]")
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
        Frame::with_nonce(N.to_owned(), std::iter::repeat_n(&reference, count))
    }

    fn values(count: usize, answer: &str) -> std::result::Result<Vec<&str>, String> {
        let ranges = frame(count)
            .parse(answer.as_bytes())
            .map_err(|e| e.to_string())?;
        Ok(ranges.into_iter().map(|range| &answer[range]).collect())
    }

    #[test]
    fn the_template_holds_references_and_separators_alone() {
        assert_eq!(
            frame(2).template(),
            format!("[{N}:0]{{{{ op://v/a b/f }}}}[{N}:1]{{{{ op://v/a b/f }}}}[{N}:2]")
        );
    }

    #[test]
    fn every_value_comes_back_byte_for_byte() {
        for value in [
            "",
            "\n",
            " a ",
            "[x:1]",
            "{{ op://v/i/f }}",
            "a\r\nb\n\n",
            "OTHER=1",
        ] {
            let answer = format!("[{N}:0]{value}[{N}:1]last[{N}:2]\n");
            assert_eq!(values(2, &answer), Ok(vec![value, "last"]));
        }
    }

    #[test]
    fn a_forged_or_damaged_answer_is_an_error() {
        let good = format!("[{N}:0]a[{N}:1]b[{N}:2]\n");
        assert!(values(2, &good).is_ok());
        for cut in 0..good.len() - 1 {
            assert!(values(2, &good[..cut]).is_err(), "cut at {cut}");
        }
        for bad in [
            format!("[{N}:1]b[{N}:0]a[{N}:2]\n"),
            format!("[{N}:0]a[{N}:1]b[{N}:1]b[{N}:2]\n"),
            format!("[{N}:0]a[{N}:1]b[{N}:2][{N}:2]\n"),
            format!("[{N}:0]a[{N}:2]\n"),
            format!("x[{N}:0]a[{N}:1]b[{N}:2]\n"),
            format!("[{N}:0]a[{N}:1]b[{N}:2]\n\n"),
            format!("{N}[{N}:0]a[{N}:1]b[{N}:2]\n"),
            format!("[{N}:0]a[{N}:10]b[{N}:2]\n"),
        ] {
            assert!(values(2, &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_frames_never_share_a_nonce() {
        let [a, b] = [0, 1].map(|_| Frame::new([]).expect("random numbers"));
        assert_ne!(a.nonce, b.nonce);
    }
}
