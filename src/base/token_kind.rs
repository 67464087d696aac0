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
        None if has_password(text) => Some("address with a password"),
        None if text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY") => {
            Some("private key")
        }
        None => None,
    }
}

/// Whether a plain value may be a secret, by its form or by the name that it has. Rather once too
/// often than once too seldom.
pub(crate) fn may_be_secret(name: &str, value: &str) -> bool {
    const WORDS: &[&str] = &[
        "TOKEN",
        "KEY",
        "SECRET",
        "PASS",
        "PWD",
        "AUTH",
        "CREDENTIAL",
        "COOKIE",
        "SESSION",
        "SALT",
        "PRIVATE",
        "SIGN",
        "DSN",
        "WEBHOOK",
        "CERT",
    ];
    let name = name.to_ascii_uppercase();
    let named = WORDS.iter().any(|word| name.contains(word)) || names_pin(&name, value);
    let part = |c: char| !c.is_ascii_alphanumeric() && !"-_+=".contains(c);
    let dense = value.split(part).any(|run| {
        run.len() >= 16
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    });
    !value.is_empty() && (named || dense || names_password(value) || of_text(value).is_some())
}

/// Names too short to be looked for inside of words, such as PING. A pin of a board has two digits.
fn names_pin(name: &str, value: &str) -> bool {
    let has = |word: &str| name.split('_').any(|part| part == word);
    has("PW") || has("PSW") || (has("PIN") && value.len() >= 4)
}

/// `…?user=app&password=hunter2`, `Server=db;Password=hunter2`, and not `bypass=1` or `max_token=100`.
fn names_password(text: &str) -> bool {
    const KEYS: &[&str] = &[
        "password", "passwd", "pwd", "pass", "secret", "token", "apikey", "api_key",
    ];
    let text = text.to_ascii_lowercase();
    let pairs = text.split(['?', '&', ';', ' ', '\n']);
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.any(|(key, value)| {
        let ends = |word: &&&str| {
            let before = key.trim_end().strip_suffix(**word);
            before.is_some_and(|it| !it.ends_with(|c: char| c.is_ascii_alphanumeric()))
        };
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        match KEYS.iter().find(ends) {
            Some(&"token") => !is_number,
            Some(_) => !value.is_empty(),
            None => false,
        }
    })
}

/// `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| {
        user.split_once(':')
            .is_some_and(|(_, password)| !password.is_empty())
    })
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

    #[test]
    fn a_plain_value_that_may_be_a_secret_is_noticed() {
        for (name, value) in [
            ("X", "ghp_abc"),
            ("DATABASE_URL", "postgres://me:hunter2@db/x"),
            ("DB_PASSWORD", "hunter2"),
            ("ApiKey", "x"),
            ("DB_PW", "hunter2"),
            ("SMTP_PW", "hunter2"),
            ("admin_pin", "1234"),
            ("PSW", "hunter2"),
            ("X", "postgresql://db/shop?user=app&password=correcthorse"),
            ("X", "Server=db;User Id=sa;Password=Geheim!"),
            ("X", "password=;PWD=x"),
            ("X", "--db-password=x"),
            ("X", "https://api/?access_token=abc"),
            ("X", "https://db/?api_key=x"),
            ("X", "9f86d081884c7d659a2feaa0c55ad015"),
            ("X", "-----BEGIN RSA PRIVATE KEY-----\nx"),
        ] {
            assert!(may_be_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("APP_ENV", "production"),
            ("PORT", "8080"),
            ("API_URL", "https://example.org/v1"),
            ("GREETING", "hello to all 17 of you"),
            ("DB_PASSWORD", ""),
            ("PING_HOST", "localhost"),
            ("LED_PIN", "17"),
            ("X", "bypass=1 compass=north"),
            ("X", "--max_token=100"),
            ("X", "postgresql://db/shop?user=app&password="),
            ("X", "Server=db;Password=;Database=shop"),
            ("X", "how to set a password: see the manual"),
        ] {
            assert!(!may_be_secret(name, value), "{name}={value}");
        }
        assert_eq!(of_text("https://me@example.org:443/x:y@z"), None);
    }
}
