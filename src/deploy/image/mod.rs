//! How the wanted image comes to the engine: resolve, pull, and the fallbacks when that fails.

mod retry;
pub(crate) mod resolve;
pub(crate) mod build;
pub(crate) mod pull;
pub(crate) mod fallback;

use crate::deploy::docker::pull_error::PullError;

/// Why an image could not be pulled, for people. The text is redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullFailure {
    /// The class.
    pub error: PullError,
    /// What the engine or the registry said.
    pub text: String,
}

impl std::fmt::Display for PullFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error, self.text)
    }
}

/// What came of asking for an image, or pulling it. (Around it is [`crate::deploy::error::Result`], for
/// an engine that itself fails.)
pub(crate) type Attempt<T> = std::result::Result<T, PullFailure>;

/// Where the image that runs came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ImageSource {
    /// Pulled from our registry.
    Pulled,
    /// It was here already.
    Local,
    /// Upstream's official image.
    Upstream,
    /// Built on this machine.
    LocalBuild,
}

impl ImageSource {
    /// The word in messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pulled => "pulled",
            Self::Local => "local",
            Self::Upstream => "upstream",
            Self::LocalBuild => "local-build",
        }
    }
}
