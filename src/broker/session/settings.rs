//! What the user chose, completed from the environment.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::duration;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Result};
use crate::broker::cache::{self, Caller, Policy};
use crate::broker::manifest::{Manifest, Start};
use crate::broker::plan::Selection;

/// The default deadline of `op` for a helper. Clients give up after 30 s, or never; an error is
/// better than both.
const HELPER_TIMEOUT: Duration = Duration::from_secs(25);

/// The default deadline for a gateway: it kills us after 5 s, and takes that for a broken provider.
pub(crate) const GATEWAY_TIMEOUT: Duration = Duration::from_secs(4);

/// The default deadline for the broker, where others wait meanwhile.
pub(crate) const BROKER_TIMEOUT: Duration = Duration::from_secs(20);

/// The default deadline for `doctor`, where nobody has to answer a prompt.
pub(crate) const DOCTOR_TIMEOUT: Duration = Duration::from_secs(15);

/// What the user chose on the command line. The environment fills in what is left open.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionSettings {
    /// `--manifest`.
    pub manifest: Option<PathBuf>,
    /// `--env-file`.
    pub env_file: Vec<PathBuf>,
    /// What is selected from the manifest, and how `op` is run.
    pub selection: Selection,
    /// `--refresh`, `--no-cache`.
    pub cache: CacheUse,
}

/// How the cache is used, within what the manifest allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CacheUse {
    /// Read and written.
    #[default]
    Normal,
    /// Written only.
    Refresh,
    /// Neither.
    Off,
}

/// Clients start a helper wherever their user happens to be, so its manifest is never the
/// working directory's.
pub(super) fn start(caller: Caller) -> Result<Start> {
    Ok(match caller {
        Caller::Helper | Caller::Gateway | Caller::Broker => Start::Environment,
        Caller::Command => Start::WorkingDirectory(
            std::env::current_dir()
                .map_err(|why| Error::system("read the working directory", why))?,
        ),
    })
}

pub(super) fn policy(
    caller: Caller,
    cache: CacheUse,
    manifest: &Manifest,
    lookup: Lookup<'_>,
) -> Result<(Policy, Option<&'static str>)> {
    let ttl = cache::ttl_variable(text(lookup, "OC_SECRETS_CACHE_TTL").as_deref())?;
    let root = nix::unistd::geteuid().is_root();
    let policy = Policy::decide(manifest.cache, ttl, caller, root);
    let why = policy.why_nothing(manifest.cache, ttl, root);
    Ok(match cache {
        CacheUse::Normal => (policy, why),
        CacheUse::Refresh => (policy.refreshing(), why),
        CacheUse::Off => (Policy::NOTHING, Some("--no-cache is given")),
    })
}

/// The choices of the command line before those of the environment. A helper answers for every
/// host of its manifest, so no profile narrows it.
pub(super) fn selection(
    caller: Caller,
    chosen: Selection,
    manifest: &Manifest,
    lookup: Lookup<'_>,
) -> Result<Selection> {
    const TIMEOUT: &str = "OC_SECRETS_TIMEOUT";
    let limit = match (chosen.timeout, text(lookup, TIMEOUT)) {
        (None, Some(text)) => Some(timeout(TIMEOUT, &text)?),
        (chosen, _) => chosen,
    };
    let selection = Selection {
        vault: chosen.vault.or_else(|| text(lookup, "OP_VAULT")),
        timeout: limit,
        ..chosen
    };
    Ok(match caller {
        Caller::Command => Selection {
            profile: selection
                .profile
                .or_else(|| text(lookup, "OC_SECRETS_PROFILE")),
            ..selection
        },
        Caller::Helper => Selection {
            prefer_env: true,
            timeout: limit.or(manifest.op.timeout).or(Some(HELPER_TIMEOUT)),
            ..selection
        },
        Caller::Broker => Selection {
            timeout: limit.or(manifest.op.timeout).or(Some(BROKER_TIMEOUT)),
            ..selection
        },
        Caller::Gateway => Selection {
            timeout: limit.or_else(|| {
                let manifest = manifest.op.timeout.unwrap_or(GATEWAY_TIMEOUT);
                Some(manifest.min(GATEWAY_TIMEOUT))
            }),
            ..selection
        },
    })
}

/// Parses a deadline for `op`; `source` is the flag or variable it comes from.
pub(crate) fn timeout(source: &str, text: &str) -> Result<Duration> {
    duration::timeout(text).map_err(|(what, hint)| Error::usage(format!("{source}: {what}"), hint))
}

fn text(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).map(|value| value.to_string_lossy().into_owned())
}
