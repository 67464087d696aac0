//! One JSON object of texts, for programs, for Docker and for Nushell's `from json`.
//!
//! Written here and not by `serde_json`, whose writer is fed through buffers that nobody wipes
//! and whose `to_string` leaves copies as it grows.

use super::push_hex;
use crate::base::locked_memory::Locked;

/// Pushes `pairs`, whose values must be UTF-8 and whose keys need no escape, as one object and a
/// newline.
pub(super) fn object<'a>(text: &mut Locked, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
    text.push(b"{");
    for (at, (key, value)) in pairs.into_iter().enumerate() {
        text.push(if at == 0 { b"\"" } else { b",\"" });
        text.push(key.as_bytes());
        text.push(b"\":\"");
        push_escaped(text, value);
        text.push(b"\"");
    }
    text.push(b"}\n");
}

/// Control characters, DEL included, go as `\u00HH`, so that the text is inert in a terminal.
fn push_escaped(text: &mut Locked, value: &[u8]) {
    let mut plain = 0;
    for (at, &byte) in value.iter().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f) {
            continue;
        }
        text.push(&value[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => text.push(b"\\\""),
            b'\\' => text.push(b"\\\\"),
            control => {
                text.push(b"\\u00");
                push_hex(text, control);
            }
        }
    }
    text.push(&value[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pairs: &[(&str, &[u8])]) -> Locked {
        let mut text = Locked::with_capacity(1);
        object(&mut text, pairs.iter().copied());
        text
    }

    #[test]
    fn what_serde_json_reads_is_what_was_written() {
        let every_ascii: Vec<u8> = (1..=0x7f).collect();
        let hostile: &[(&str, &[u8])] = &[
            ("A", b""),
            ("B", b"\"\\\n\r\t\x1b[31m"),
            ("C", "é \u{2028} \u{10ffff} 🔑".as_bytes()),
            ("D", br#"{"A":"b"}"#),
            ("E", &every_ascii),
        ];
        let text = written(hostile);
        let read: std::collections::BTreeMap<String, String> =
            serde_json::from_slice(&text).expect("JSON");
        assert_eq!(read.len(), hostile.len());
        for (key, value) in hostile {
            assert_eq!(read[*key].as_bytes(), *value, "{key}");
        }
        assert!(text.iter().all(|&byte| byte == b'\n' || byte >= b' '));
    }

    #[test]
    fn no_pairs_are_an_empty_object() {
        assert_eq!(&*written(&[]), b"{}\n");
    }
}
