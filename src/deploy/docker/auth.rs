//! The one header that carries the registry token: `X-Registry-Auth`.
//!
//! It is base64url of a small JSON object, built in locked memory. The HTTP client keeps one
//! copy while it sends; that copy is marked sensitive, and freed heap is wiped.

use hyper::header::HeaderValue;

use crate::base::encode::{push_base64url, push_json};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// Credentials for one registry, in the engine's form.
#[derive(Clone, Debug)]
pub(crate) struct Auth(Secret);

impl Auth {
    /// `token` for `user` at `registry`.
    pub(crate) fn new(user: &str, token: &Secret, registry: &str) -> Self {
        let mut json = Locked::with_capacity(256 + user.len() + 2 * token.len());
        json.push(b"{\"username\":\"");
        push_json(&mut json, user.as_bytes());
        json.push(b"\",\"password\":\"");
        push_json(&mut json, token.expose());
        json.push(b"\",\"serveraddress\":\"");
        push_json(&mut json, registry.as_bytes());
        json.push(b"\"}");
        let json = Secret::new(json);
        let mut text = Locked::with_capacity(json.len() * 4 / 3 + 4);
        push_base64url(&mut text, json.expose());
        Self(Secret::new(text))
    }

    /// None, in place of some that the engine keeps.
    pub(crate) fn none() -> Self {
        let mut text = Locked::with_capacity(4);
        push_base64url(&mut text, b"{}");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut out = Locked::with_capacity(64);
        push_base64url(&mut out, text);
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
    fn debug_shows_nothing() {
        let auth = Auth::new("u", &Secret::copy_of(b"hunter2"), "r");
        assert_eq!(
            format!("{auth:?} {:?}", auth.header()),
            "Auth(Secret(..)) Sensitive"
        );
    }
}
