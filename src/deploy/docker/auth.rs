//! The one header that carries the registry token: `X-Registry-Auth`.
//!
//! It is base64url of a small JSON object, built in locked memory. The HTTP client keeps one
//! copy while it sends; that copy is marked sensitive, and freed heap is wiped.

use hyper::header::HeaderValue;

use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Credentials for one registry, in the engine's form.
#[derive(Clone, Debug)]
pub(crate) struct Auth(Secret);

impl Auth {
    /// `token` for `user` at `registry`.
    pub(crate) fn new(user: &str, token: &Secret, registry: &str) -> Self {
        let mut json = Locked::with_capacity(256 + user.len() + 2 * token.len());
        json.push(b"{\"username\":\"");
        escape(user.as_bytes(), &mut json);
        json.push(b"\",\"password\":\"");
        escape(token.expose(), &mut json);
        json.push(b"\",\"serveraddress\":\"");
        escape(registry.as_bytes(), &mut json);
        json.push(b"\"}");
        let json = Secret::new(json);
        let mut text = Locked::with_capacity(json.len() * 4 / 3 + 4);
        encode(json.expose(), URL_SAFE, &mut text);
        Self(Secret::new(text))
    }

    /// None, in place of some that the engine keeps.
    pub(crate) fn none() -> Self {
        let mut text = Locked::with_capacity(4);
        encode(b"{}", URL_SAFE, &mut text);
        Self(Secret::new(text))
    }

    /// The header's value.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(self.0.expose())
            .unwrap_or_else(|_| unreachable!("base64url is visible ASCII"));
        value.set_sensitive(true);
        value
    }
}

/// Visible ASCII as the inside of a JSON string.
fn escape(bytes: &[u8], out: &mut Locked) {
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b"\\");
        }
        out.push(&[*byte]);
    }
}

/// Base64 with these digits, and padding.
pub(super) fn encode(bytes: &[u8], digits: &[u8; 64], out: &mut Locked) {
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = (word >> (18 - 6 * place)) & 63;
                out.push(&[digits[digit as usize]]);
            } else {
                out.push(b"=");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut out = Locked::with_capacity(64);
        encode(text, URL_SAFE, &mut out);
        Secret::new(out).expose().to_vec()
    }

    #[test]
    fn the_encoding_is_the_url_safe_one_with_padding() {
        assert_eq!(encoded(b""), b"");
        assert_eq!(encoded(b"f"), b"Zg==");
        assert_eq!(encoded(b"fo"), b"Zm8=");
        assert_eq!(encoded(b"foo"), b"Zm9v");
        assert_eq!(encoded(&[0xfb, 0xff]), b"-_8=");
    }

    #[test]
    fn a_token_cannot_break_out_of_its_string() {
        let mut out = Locked::with_capacity(64);
        escape(br#"a"b\c"#, &mut out);
        assert_eq!(Secret::new(out).expose(), br#"a\"b\\c"#);
    }

    #[test]
    fn debug_shows_nothing() {
        let auth = Auth::new("u", &Secret::copy_of(b"hunter2"), "r");
        assert_eq!(
            format!("{auth:?} {:?}", auth.header()),
            "Auth(Secret(..)) Sensitive"
        );
    }
}
