//! The forms in which a secret may come out of a program: as it is, by line, in base64, in a URL, in
//! JSON, in hexadecimal. All of them are built in locked memory.

use std::ops::Range;

use super::matcher::{Patterns, SHORTEST};
use crate::base::encode::{push_base64, push_base64url, push_hex};
use crate::base::locked_memory::Locked;

/// Where common programs break lines of base64.
const BASE64_LINES: [usize; 2] = [76, 64];

/// All patterns, one after another.
struct Forms {
    bytes: Locked,
    patterns: Vec<Range<usize>>,
}

/// All forms of these values.
pub(super) fn patterns<'a>(values: impl Iterator<Item = &'a [u8]>) -> Patterns {
    let mut forms = Forms {
        bytes: Locked::with_capacity(16 * 1024),
        patterns: vec![],
    };
    for value in values.filter(|value| value.len() >= SHORTEST) {
        forms.plain(value);
        forms.base64(value);
        forms.url(value);
        forms.json(value);
        forms.add(|text| push_hex(text, value));
        forms.add(|text| upper_hex(text, value));
    }
    Patterns::new(forms.bytes, forms.patterns)
}

impl Forms {
    /// Adds what `push` pushes, unless it is there already.
    fn add(&mut self, push: impl FnOnce(&mut Locked)) {
        let start = self.bytes.len();
        push(&mut self.bytes);
        let new = start..self.bytes.len();
        let bytes = &*self.bytes;
        let known = |old: &Range<usize>| bytes[old.clone()] == bytes[new.clone()];
        if !self.patterns.iter().any(known) {
            self.patterns.push(new);
        }
    }

    /// The value, as a terminal shows its ends of lines, and each of its lines.
    fn plain(&mut self, value: &[u8]) {
        self.add(|text| text.push(value));
        if value.contains(&b'\n') {
            self.add(|text| {
                for &byte in value {
                    text.push(if byte == b'\n' {
                        b"\r\n"
                    } else {
                        std::slice::from_ref(&byte)
                    });
                }
            });
        }
        for line in value.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.add(|text| text.push(line));
        }
    }

    /// In base64 by itself, broken into lines, and in the middle of something longer, such as
    /// `user:password`: there the digits that also hold bits of a neighbour are not ours.
    fn base64(&mut self, value: &[u8]) {
        for push in [push_base64, push_base64url] {
            self.add(|text| push(text, value));
            let mut whole = Locked::with_capacity(value.len() * 2);
            push(&mut whole, value);
            for length in BASE64_LINES
                .into_iter()
                .filter(|&length| whole.len() > length)
            {
                for line in whole.chunks(length) {
                    self.add(|text| text.push(line));
                }
            }
            for before in 0..3 {
                let mut padded = Locked::with_capacity(value.len() + before);
                padded.push(&[0; 3][..before]);
                padded.push(value);
                let mut digits = Locked::with_capacity(value.len() * 2);
                push(&mut digits, &padded);
                let ours = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
                self.add(|text| text.push(&digits[ours]));
            }
        }
    }

    /// As a part of a URL: with capital digits and small ones, as JavaScript does it, and as forms do.
    fn url(&mut self, value: &[u8]) {
        let styles: [(&[u8], bool, bool); 4] = [
            (b"-._~", true, false),
            (b"-._~", false, false),
            (b"-._~!'()*", true, false),
            (b"-._*", true, true),
        ];
        for (plain, capital, plus) in styles {
            self.add(|text| {
                for &byte in value {
                    if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
                        text.push(&[byte]);
                    } else if plus && byte == b' ' {
                        text.push(b"+");
                    } else {
                        text.push(b"%");
                        let push = if capital { upper_hex } else { push_hex };
                        push(text, &[byte]);
                    }
                }
            });
        }
    }

    /// Inside of a JSON string: as most write it, in ASCII alone, with `/` escaped, and safe for HTML.
    fn json(&mut self, value: &[u8]) {
        for (ascii, slash, html) in [
            (false, false, false),
            (true, false, false),
            (true, true, false),
            (false, true, false),
            (false, false, true),
        ] {
            self.add(|text| {
                let Ok(value) = std::str::from_utf8(value) else {
                    return;
                };
                for letter in value.chars() {
                    push_json(text, letter, ascii, slash, html);
                }
            });
        }
    }
}

fn push_json(text: &mut Locked, letter: char, ascii: bool, slash: bool, html: bool) {
    let escape: &[u8] = match letter {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '\u{8}' => b"\\b",
        '\u{c}' => b"\\f",
        '/' if slash => b"\\/",
        _ => {
            let coded = letter.is_control() && letter.is_ascii() && letter != '\u{7f}'
                || ascii && !letter.is_ascii()
                || html && matches!(letter, '<' | '>' | '&');
            if coded {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    text.push(b"\\u");
                    push_hex(text, &unit.to_be_bytes());
                }
            } else {
                text.push(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return;
        }
    };
    text.push(escape);
}

/// Two capital digits for each byte.
fn upper_hex(text: &mut Locked, bytes: &[u8]) {
    for byte in bytes {
        let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
        text.push(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::matcher::{MASK, Matcher};
    use super::*;

    fn masked(value: &str, text: &str) -> String {
        let mut matcher = Matcher::new(Rc::new(patterns([value.as_bytes()].into_iter())));
        let mut out = Vec::new();
        matcher.room()[..text.len()].copy_from_slice(text.as_bytes());
        matcher.pass(text.len(), &mut out);
        matcher.end(&mut out);
        let mask = String::from_utf8_lossy(MASK).into_owned();
        String::from_utf8_lossy(&out).replace(&mask, "*")
    }

    #[test]
    fn each_form_is_found() {
        let value = "pä ss/wörd\"<1>";
        for text in [
            value,
            "cMOkIHNzL3fDtnJkIjwxPg==",
            "p%C3%A4%20ss%2Fw%C3%B6rd%22%3C1%3E",
            "p%c3%a4%20ss%2fw%c3%b6rd%22%3c1%3e",
            "p%C3%A4+ss%2Fw%C3%B6rd%22%3C1%3E",
            "pä ss/wörd\\\"<1>",
            "p\\u00e4 ss/w\\u00f6rd\\\"<1>",
            "p\\u00e4 ss\\/w\\u00f6rd\\\"<1>",
            "pä ss/wörd\\\"\\u003c1\\u003e",
            "70c3a42073732f77c3b67264223c313e",
            "70C3A42073732F77C3B67264223C313E",
        ] {
            assert_eq!(masked(value, &format!("[{text}]")), "[*]", "{text}");
        }
    }

    /// `printf 'user:hunter2-hunter2' | base64`, and with one letter more before it.
    #[test]
    fn in_the_middle_of_base64_all_but_the_borders_is_found() {
        let value = "hunter2-hunter2";
        for (text, expected) in [
            ("dXNlcjpodW50ZXIyLWh1bnRlcjI=", "dXNlcjp*="),
            ("dXNlcnM6aHVudGVyMi1odW50ZXIy", "dXNlcnM6*"),
            ("dXNlcjE6Omh1bnRlcjItaHVudGVyMg==", "dXNlcjE6Om*=="),
        ] {
            let seen = masked(value, text);
            let star = seen.split('*').collect::<Vec<_>>();
            assert_eq!(star.len(), 2, "{text}: {seen}");
            assert!(
                star[0].len() <= expected.find('*').unwrap_or(0) + 2,
                "{seen}"
            );
            assert!(star[1].len() <= 3, "{seen}");
        }
    }

    #[test]
    fn lines_are_found_alone_and_short_ones_only_with_the_others() {
        let value = "first line\nab\nlast line\n";
        assert_eq!(masked(value, "x first line\r\nab\r\n"), "x *\r\nab\r\n");
        assert_eq!(masked(value, "x first line\nab\nlast line\n."), "x *.");
        assert_eq!(
            masked(value, "x first line\r\nab\r\nlast line\r\n."),
            "x *."
        );
    }

    #[test]
    fn base64_that_is_broken_into_lines_is_found() {
        let value = "0123456789".repeat(9);
        let mut digits = Locked::with_capacity(1);
        push_base64(&mut digits, value.as_bytes());
        let lines: Vec<_> = digits.chunks(76).map(String::from_utf8_lossy).collect();
        assert_eq!(masked(&value, &lines.join("\n")), "*\n*");
    }
}
