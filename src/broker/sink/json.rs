//! One JSON object of texts, for programs, for Docker and for Nushell's `from json`.
//!
//! Written here and not by `serde_json`, whose writer is fed through buffers that nobody wipes
//! and whose `to_string` leaves copies as it grows.

use crate::base::encode::push_json;
use crate::base::locked_memory::Locked;

/// Pushes `pairs`, whose values must be UTF-8 and whose keys need no escape, as one object and a
/// newline.
pub(super) fn object<'a>(text: &mut Locked, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
    text.push(b"{");
    for (at, (key, value)) in pairs.into_iter().enumerate() {
        text.push(if at == 0 { b"\"" } else { b",\"" });
        text.push(key.as_bytes());
        text.push(b"\":\"");
        push_json(text, value);
        text.push(b"\"");
    }
    text.push(b"}\n");
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
