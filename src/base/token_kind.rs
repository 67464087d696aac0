//! What a value looks like it is: enough to spot a token in the wrong place, never a part of it.

use crate::base::secret::Secret;

/// A kind that GitHub's registries do not take.
pub(crate) const FINE_GRAINED: &str = "GitHub fine-grained token";

/// Beginnings of tokens that the issuers document, the longer ones first.
const TOKENS: &[(&str, &str)] = &[
    ("github_pat_", FINE_GRAINED),
    ("ghp_", "GitHub classic token"),
    ("gho_", "GitHub OAuth token"),
    ("ghu_", "GitHub user token"),
    ("ghs_", "GitHub app token"),
    ("ops_", "1Password service account"),
    ("tskey-", "Tailscale key"),
    ("ntn_", "Notion token"),
    ("xoxb-", "Slack bot token"),
    ("xoxp-", "Slack user token"),
    ("sk-", "API key"),
];

/// Beginnings of what else stands in a field.
const OTHERS: &[(&str, &str)] = &[
    ("op://", "a reference, not a secret"),
    ("-----BEGIN ", "PEM"),
    ("otpauth://", "one-time password seed"),
];

/// How tokens begin, for finding them in foreign text.
pub(crate) fn beginnings() -> impl Iterator<Item = &'static str> {
    TOKENS.iter().map(|(beginning, _)| *beginning)
}

/// A short description of the kind of `secret`, `text` where nothing is recognised.
pub(crate) fn of(secret: &Secret) -> &'static str {
    let bytes = secret.expose();
    let known = TOKENS
        .iter()
        .chain(OTHERS)
        .find(|(prefix, _)| bytes.starts_with(prefix.as_bytes()));
    match known {
        Some((_, kind)) => kind,
        None if is_telegram(bytes) => "Telegram bot token",
        None if bytes.contains(&b'\n') => "text, several lines",
        None if std::str::from_utf8(bytes).is_err() => "binary",
        None => "text",
    }
}

/// What token a plain text begins like, if it does: one that stands where none should.
pub(crate) fn of_text(text: &str) -> Option<&'static str> {
    let known = TOKENS.iter().find(|(prefix, _)| text.starts_with(prefix));
    match known {
        Some((_, kind)) => Some(kind),
        None if is_telegram(text.as_bytes()) => Some("Telegram bot token"),
        None if text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY") => {
            Some("private key")
        }
        None => None,
    }
}

/// `123456789:AA…`: a number, a colon, 35 letters.
fn is_telegram(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(2, |&byte| byte == b':');
    let number = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    (8..=12).contains(&number.len())
        && number.iter().all(u8::is_ascii_digit)
        && rest.len() == 35
        && rest
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_what_it_can_and_says_no_more() {
        for (value, kind) in [
            ("ghp_abc", "GitHub classic token"),
            ("github_pat_abc", "GitHub fine-grained token"),
            (
                "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
                "Telegram bot token",
            ),
            ("-----BEGIN PRIVATE KEY-----\n", "PEM"),
            ("a\nb", "text, several lines"),
            ("hunter2", "text"),
        ] {
            assert_eq!(of(&Secret::copy_of(value.as_bytes())), kind);
        }
        assert_eq!(of(&Secret::copy_of(b"\xff")), "binary");
    }
}
