//! Why an image could not be had: one class for each thing that has its own remedy.
//!
//! The engine's texts are read here and nowhere else. They were measured on engines 20.10 and
//! 26.1; the tests hold them word for word.

use std::fmt;

/// The class of a failed pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
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

impl Cause {
    /// The word in messages and in the journal.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthMissing => "auth-missing",
            Self::NotFound => "not-found",
            Self::Network => "network",
            Self::Clock => "clock",
            Self::Integrity => "integrity",
            Self::Platform => "platform",
            Self::Disk => "disk",
            Self::Daemon => "daemon",
        }
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

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Texts of the engine, lower case, and what they mean; the first that is found counts.
const TEXTS: [(Cause, &[&str]); 6] = [
    (
        Cause::Clock,
        &["x509", "certificate has expired", "not yet valid", "tls:"],
    ),
    (
        Cause::Disk,
        &["no space left on device", "disk quota exceeded"],
    ),
    (
        Cause::Integrity,
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
        Cause::Platform,
        &[
            "no matching manifest",
            "does not match the specified platform",
        ],
    ),
    (
        Cause::Auth,
        &[
            "no basic auth credentials",
            "unauthorized",
            "denied",
            "authentication required",
            "authorization failed",
        ],
    ),
    (
        Cause::NotFound,
        &["manifest unknown", "not found", "name unknown"],
    ),
];

/// What only the network says. Read last: `eof` is in other words, too.
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

/// Classifies what the engine said, with or without our token.
pub(crate) fn classify(status: u16, text: &str, with_token: bool) -> Cause {
    let text = text.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let by_text = TEXTS.iter().find(|(_, parts)| has(parts));
    let cause = match (by_text, status) {
        (Some((cause, _)), _) => *cause,
        (None, 401 | 403) => Cause::Auth,
        (None, 404) => Cause::NotFound,
        (None, _) if has(&NETWORK) => Cause::Network,
        (None, _) => Cause::Daemon,
    };
    match cause {
        Cause::Auth if !with_token => Cause::AuthMissing,
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
                Cause::AuthMissing,
            ),
            (
                500,
                "unauthorized: authentication required",
                true,
                Cause::Auth,
            ),
            (500, "denied: denied", true, Cause::Auth),
            (401, "unauthorized", false, Cause::AuthMissing),
            (
                404,
                "manifest for r/x:1 not found: manifest unknown: manifest unknown",
                true,
                Cause::NotFound,
            ),
            (
                500,
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                true,
                Cause::Network,
            ),
            (
                200,
                "filesystem layer verification failed for digest sha256:00",
                true,
                Cause::Integrity,
            ),
            (200, "unknown blob", true, Cause::Integrity),
            (
                200,
                "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
                true,
                Cause::Disk,
            ),
            (
                500,
                "Get \"https://r/v2/\": x509: certificate has expired or is not yet valid",
                true,
                Cause::Clock,
            ),
            (
                404,
                "no matching manifest for linux/amd64 in the manifest list entries",
                true,
                Cause::Platform,
            ),
            (500, "something else", true, Cause::Daemon),
        ];
        for (status, text, token, cause) in cases {
            assert_eq!(classify(status, text, token), cause, "{text}");
        }
    }

    #[test]
    fn only_the_network_is_tried_three_times() {
        assert_eq!(Cause::Network.tries(), 3);
        assert_eq!(Cause::Integrity.tries(), 2);
        assert_eq!(Cause::Auth.tries(), 1);
        assert_eq!(Cause::NotFound.tries(), 1);
    }
}
