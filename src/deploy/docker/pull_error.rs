//! Why an image could not be pulled: one class for each thing that has its own remedy.
//!
//! The engine's texts are read here and nowhere else. They were measured on engines 20.10 and
//! 26.1; the tests hold them word for word.

use std::fmt;

use crate::deploy::error::Cause;

/// The class of a failed pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullError {
    /// The token was refused.
    Auth,
    /// There is no token, and the image is not public.
    AuthMissing,
    /// No such image.
    NotFound,
    /// The registry could not be reached, or the connection broke.
    Network,
    /// The certificate is not valid now: usually this host's clock.
    Clock,
    /// What arrived is not what its digest says.
    Integrity,
    /// Not built for this machine.
    Platform,
    /// No space left.
    Disk,
    /// The engine itself failed.
    Daemon,
}

impl PullError {
    /// The word in messages and in the journal.
    pub(crate) fn word(self) -> &'static str {
        Cause::from(self).word()
    }

    /// Whether no other source can help.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Disk | Self::Daemon)
    }

    /// How often the same source may be tried.
    pub(crate) fn tries(self) -> u32 {
        match self {
            Self::Network => 3,
            Self::Integrity => 2,
            _ => 1,
        }
    }
}

impl From<PullError> for Cause {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Auth => Self::Auth,
            PullError::AuthMissing => Self::AuthMissing,
            PullError::NotFound => Self::NotFound,
            PullError::Network => Self::Network,
            PullError::Clock => Self::Clock,
            PullError::Integrity => Self::Integrity,
            PullError::Platform => Self::Platform,
            PullError::Disk => Self::Disk,
            PullError::Daemon => Self::Daemon,
        }
    }
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Texts of the engine, lower case, and what they mean; the first that is found counts.
const TEXTS: [(PullError, &[&str]); 7] = [
    // An engine that cannot unpack on its own file system; the image is whole.
    (PullError::Daemon, &["invalid cross-device link"]),
    (
        PullError::Clock,
        &["x509", "certificate has expired", "not yet valid", "tls:"],
    ),
    (
        PullError::Disk,
        &["no space left on device", "disk quota exceeded"],
    ),
    (
        PullError::Integrity,
        &[
            "verification failed",
            "unexpected eof",
            "digest mismatch",
            "does not match digest",
            "unknown blob",
            "blob not found",
            "failed commit on ref",
            "failed size validation",
            "short read",
            "archive/tar",
            "gzip: invalid",
            "flate: corrupt",
        ],
    ),
    (
        PullError::Platform,
        &[
            "no matching manifest",
            "does not match the specified platform",
        ],
    ),
    (
        PullError::Auth,
        &[
            "no basic auth credentials",
            "unauthorized",
            "denied",
            "authentication required",
            "authorization failed",
        ],
    ),
    (
        PullError::NotFound,
        &["manifest unknown", "not found", "name unknown"],
    ),
];

/// Texts of network failures. Matched last, since `eof` is part of other words too.
const NETWORK: [&str; 17] = [
    "dial tcp",
    "connection refused",
    "connection reset",
    "broken pipe",
    "timeout",
    "timed out",
    "no such host",
    "temporary failure",
    "network is unreachable",
    "no route to host",
    "toomanyrequests",
    "bad gateway",
    "service unavailable",
    "unexpected http status: 5",
    "http2:",
    "proxyconnect",
    "eof",
];

/// What most people need of the engine's words where the network failed: `cannot resolve ghcr.io`.
/// `None` where there is nothing shorter to say.
pub(crate) fn gist(error: PullError, text: &str) -> Option<String> {
    if error != PullError::Network {
        return None;
    }
    let after = |mark: &str| {
        let rest = text.split(mark).nth(1)?;
        let end = rest.find(|c: char| c.is_whitespace() || c == ':');
        Some(rest[..end.unwrap_or(rest.len())].to_owned()).filter(|it| !it.is_empty())
    };
    let has = |part: &str| text.contains(part);
    let host = || after("https://").or_else(|| after("http://"));
    let host = || host().map(|it| it.split('/').next().unwrap_or_default().to_owned());
    if has("no such host") || has("failure in name resolution") || has("server misbehaving") {
        return Some(format!(
            "cannot resolve {}",
            after("lookup ").or_else(host)?
        ));
    }
    if has("connection refused") {
        return Some(format!("{} refuses connections", host()?));
    }
    if has("network is unreachable") || has("no route to host") {
        return Some(format!("there is no way to {}", host()?));
    }
    if has("i/o timeout") || has("Client.Timeout") {
        return Some(format!("no answer from {}", host()?));
    }
    has("toomanyrequests")
        .then(|| "the registry was asked too often; wait, or give a token".to_owned())
}

/// Classifies what the engine said, with or without our token.
pub(crate) fn classify(status: u16, text: &str, with_token: bool) -> PullError {
    let text = text.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let by_text = TEXTS.iter().find(|(_, parts)| has(parts));
    let cause = match (by_text, status) {
        (Some((cause, _)), _) => *cause,
        (None, 401 | 403) => PullError::Auth,
        (None, 404) => PullError::NotFound,
        (None, _) if has(&NETWORK) => PullError::Network,
        (None, _) => PullError::Daemon,
    };
    match cause {
        PullError::Auth if !with_token => PullError::AuthMissing,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_texts_have_their_causes() {
        let cases = [
            (
                500,
                "Get \"http://r/v2/\": no basic auth credentials",
                false,
                PullError::AuthMissing,
            ),
            (
                500,
                "unauthorized: authentication required",
                true,
                PullError::Auth,
            ),
            (500, "denied: denied", true, PullError::Auth),
            (
                200,
                "failed commit on ref \"layer-sha256:ab\": rename /a /b: invalid cross-device link",
                true,
                PullError::Daemon,
            ),
            (401, "unauthorized", false, PullError::AuthMissing),
            (
                404,
                "manifest for r/x:1 not found: manifest unknown: manifest unknown",
                true,
                PullError::NotFound,
            ),
            (
                500,
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                true,
                PullError::Network,
            ),
            (
                200,
                "filesystem layer verification failed for digest sha256:00",
                true,
                PullError::Integrity,
            ),
            (200, "unknown blob", true, PullError::Integrity),
            (
                200,
                "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
                true,
                PullError::Disk,
            ),
            (
                500,
                "Get \"https://r/v2/\": x509: certificate has expired or is not yet valid",
                true,
                PullError::Clock,
            ),
            (
                404,
                "no matching manifest for linux/amd64 in the manifest list entries",
                true,
                PullError::Platform,
            ),
            (500, "something else", true, PullError::Daemon),
        ];
        for (status, text, token, cause) in cases {
            assert_eq!(classify(status, text, token), cause, "{text}");
        }
    }

    #[test]
    fn only_the_network_is_tried_three_times() {
        assert_eq!(PullError::Network.tries(), 3);
        assert_eq!(PullError::Integrity.tries(), 2);
        assert_eq!(PullError::Auth.tries(), 1);
        assert_eq!(PullError::NotFound.tries(), 1);
    }

    #[test]
    fn the_network_is_told_in_a_few_words() {
        let of = |text: &str| gist(PullError::Network, text);
        for (text, short) in [
            (
                "Get \"https://ghcr.io/v2/\": dial tcp: lookup ghcr.io on 127.0.0.11:53: no such host",
                "cannot resolve ghcr.io",
            ),
            (
                "Get \"https://ghcr.io/v2/\": dial tcp: lookup ghcr.io: Temporary failure in name resolution",
                "cannot resolve ghcr.io",
            ),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                "127.0.0.1 refuses connections",
            ),
            (
                "Get \"https://ghcr.io/v2/\": net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
                "no answer from ghcr.io",
            ),
        ] {
            assert_eq!(of(text).as_deref(), Some(short), "{text}");
        }
        assert_eq!(of("unexpected EOF"), None);
        let other = gist(PullError::NotFound, "lookup x: no such host");
        assert_eq!(other, None, "only of the network");
    }
}
