//! Replaces secrets in the output of other programs before it is shown: known values, plain and in
//! base64, and words that look like tokens.

use crate::base::encode::push_base64;
use crate::base::secret::Secret;
use crate::base::token_kind;

const MASK: &str = "<concealed>";

/// The known secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redact {
    needles: Vec<Secret>,
}

impl Redact {
    /// Adds a secret. Values under 6 bytes are left out: they would hide ordinary words.
    pub(crate) fn add(&mut self, secret: &Secret) {
        if secret.len() >= 6 {
            self.needles.push(secret.clone());
            for shift in 0..3 {
                self.needles.extend(base64_core(secret.expose(), shift));
            }
        }
    }

    /// `text` without anything secret.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut safe = text.to_owned();
        for needle in &self.needles {
            if let Ok(needle) = std::str::from_utf8(needle.expose())
                && safe.contains(needle)
            {
                safe = safe.replace(needle, MASK);
            }
        }
        if token_kind::beginnings().any(|mark| safe.contains(mark)) {
            safe = mask_marked(&safe);
        }
        safe
    }
}

/// The base64 digits that depend on `bytes` alone if they begin at offset `shift` (mod 3) of the
/// encoded text.
fn base64_core(bytes: &[u8], shift: usize) -> Option<Secret> {
    let skip = (3 - shift) % 3;
    let whole = &bytes.get(skip..)?[..(bytes.len() - skip) / 3 * 3];
    let mut out = crate::base::locked_memory::Locked::with_capacity(whole.len() * 4 / 3 + 1);
    push_base64(&mut out, whole);
    (whole.len() >= 6).then(|| Secret::new(out))
}

fn mask_marked(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let hit = word.len() >= 16 && token_kind::beginnings().any(|mark| word.starts_with(mark));
        out.push_str(before);
        out.push_str(if hit { MASK } else { word });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_value_is_hidden_in_plain_and_in_base64() {
        let mut redact = Redact::default();
        redact.add(&Secret::copy_of(b"hunter2hunter2"));
        assert_eq!(redact.text("a hunter2hunter2 b"), "a <concealed> b");
        // base64 of "x:hunter2hunter2" and of "hunter2hunter2".
        for text in ["eDpodW50ZXIyaHVudGVyMg==", "aHVudGVyMmh1bnRlcjI="] {
            assert!(redact.text(text).contains(MASK), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_token_is_hidden() {
        let redact = Redact::default();
        assert_eq!(
            redact.text("key=ghp_0123456789abcdef, x"),
            "key=<concealed>, x"
        );
        assert_eq!(redact.text("task-list sk-1"), "task-list sk-1");
    }
}
