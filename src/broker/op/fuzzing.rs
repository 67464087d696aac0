//! The parsers of what `op` says, as targets of `tests/fuzz`.

use super::failure::{FailedCall, OpFailure, classify};
use super::frame::Frame;
use super::item;
use crate::broker::reference::Reference;

/// An item gives a value or a reason, and a text is unescaped as serde_json does it.
pub(crate) fn item(bytes: &[u8]) {
    if let Ok(item) = item::parse(bytes) {
        for text in [
            "op://v/i/f",
            "op://v/i/s/f",
            "op://v/i/f?attribute=otp",
            "op://v/i/F?ssh-format=openssh",
        ] {
            let reference = Reference::parse(text).expect("a reference");
            let _ = (item.value(&reference), item.has_file(&reference));
        }
    }
    let blanks = |byte: &u8| b" \n\r\t".contains(byte);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let known = serde_json::from_str::<String>(text);
    let literal = text.trim_matches(|c| u8::try_from(c).is_ok_and(|byte| blanks(&byte)));
    let ours = item::unescape(literal);
    if let Ok(known) = known {
        assert_eq!(ours.expect("a text").expose(), known.as_bytes());
    }
}

/// Values arrive as they are, whatever they hold; anything may come instead of an answer.
pub(crate) fn frame(bytes: &[u8]) {
    const NONCE: &str = "00112233445566778899aabbccddeeff";
    const COUNT: usize = 3;
    let reference = Reference::parse("op://v/i/f").expect("a reference");
    let frame = Frame::with_nonce(NONCE, std::iter::repeat_n(&reference, COUNT));
    if let Ok(places) = frame.parse(bytes) {
        assert_eq!(places.len(), COUNT);
    }
    let parts = bytes.split(|&byte| byte == 0).chain([&b""[..]; COUNT]);
    let values: Vec<&[u8]> = parts.take(COUNT).collect();
    if values.contains(&reference.to_string().as_bytes()) {
        return;
    }
    let mut answer = b"PATH=/bin\0".to_vec();
    for (index, value) in values.iter().enumerate() {
        answer.extend_from_slice(format!("OC_{NONCE}_{index}=").as_bytes());
        answer.extend_from_slice(value);
        answer.push(0);
    }
    let places = frame.parse(&answer).expect("a whole answer");
    let read: Vec<&[u8]> = places.into_iter().map(|place| &answer[place]).collect();
    assert_eq!(read, values);
}

/// Nothing of a diagnostic is kept or shown.
pub(crate) fn diagnostics(bytes: &[u8]) {
    const CANARY: &str = "cAnArY7f3a9b51";
    let stderr = [bytes, CANARY.as_bytes()].concat();
    let call = FailedCall {
        code: 1,
        length: stderr.len() as u64,
        ..FailedCall::default()
    };
    let failure = classify(&stderr, call);
    let said = match &failure {
        OpFailure::Fatal(error) => format!("{error:?} {error} {:?}", error.hint()),
        other => format!("{other:?}"),
    };
    assert!(!said.contains(CANARY), "{said}");
}
