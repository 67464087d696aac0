//! Bytes as text: hexadecimal, base64, percent signs, JSON strings.
//!
//! What may be a secret is pushed into locked memory, a few digits at a time, and never held in a
//! text of its own.

use data_encoding::{BASE64, BASE64URL, Encoding, HEXLOWER};

use crate::base::locked_memory::Locked;

/// Lower-case hexadecimal digits, for what is no secret.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Pushes `bytes` as lower-case hexadecimal digits.
pub(crate) fn push_hex(text: &mut Locked, bytes: &[u8]) {
    push_chunks(text, bytes, &HEXLOWER, 1);
}

/// Pushes `bytes` as base64 with padding.
pub(crate) fn push_base64(text: &mut Locked, bytes: &[u8]) {
    push_chunks(text, bytes, &BASE64, 3);
}

/// Pushes `bytes` as base64url with padding.
pub(crate) fn push_base64url(text: &mut Locked, bytes: &[u8]) {
    push_chunks(text, bytes, &BASE64URL, 3);
}

/// No more than four digits are ever outside of locked memory.
fn push_chunks(text: &mut Locked, bytes: &[u8], encoding: &Encoding, length: usize) {
    let mut digits = [0; 4];
    for chunk in bytes.chunks(length) {
        let digits = &mut digits[..encoding.encode_len(chunk.len())];
        encoding.encode_mut(chunk, digits);
        text.push(digits);
    }
}

/// The bytes of base64 with its padding, for what is no secret.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// `text` in the query of a URL.
pub(crate) fn query(text: &str) -> String {
    percent(text, b"-._~")
}

/// `text` with everything but letters, digits and `plain` as `%HH`.
pub(crate) fn percent(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Pushes `value` as the inside of a JSON string. Control characters, DEL included, go as `\\u00HH`,
/// so that the text is inert in a terminal.
pub(crate) fn push_json(text: &mut Locked, value: &[u8]) {
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
                push_hex(text, &[control]);
            }
        }
    }
    text.push(&value[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(push: fn(&mut Locked, &[u8]), bytes: &[u8]) -> String {
        let mut text = Locked::with_capacity(1);
        push(&mut text, bytes);
        String::from_utf8(text.to_vec()).expect("text")
    }

    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
        assert_eq!(pushed(push_hex, &[0, 0x0a, 0xff]), "000aff");
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, digits) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(pushed(push_base64, bytes.as_bytes()), digits);
            assert_eq!(from_base64(digits).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(pushed(push_base64, b"\xfb\xff"), "+/8=");
        assert_eq!(pushed(push_base64url, b"\xfb\xff"), "-_8=");
        assert_eq!(from_base64("Zg="), None);
    }

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(query("sha256:a/b c"), "sha256%3Aa%2Fb%20c");
    }

    #[test]
    fn a_json_string_is_inert() {
        assert_eq!(
            pushed(push_json, b"a\"\\\n\x7f\xc3\xa9"),
            "a\\\"\\\\\\u000a\\u007f\u{e9}"
        );
    }
}
