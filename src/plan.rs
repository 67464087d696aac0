//! (2) What is asked for: a manifest and a choice become a plan. Pure.

use std::path::PathBuf;
use std::time::Duration;

use crate::name::EnvName;
use crate::reference::Reference;

/// What the command line and the environment choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `--profile`, `OC_SECRETS_PROFILE`.
    pub profile: Option<String>,
    /// `--vault`, `OP_VAULT`: overrides the manifest's default vault.
    pub vault: Option<String>,
    /// `--account`: overrides the manifest's account.
    pub account: Option<String>,
    /// `--only`: nothing but these.
    pub only: Vec<String>,
    /// `--require`: these must be there.
    pub require: Vec<String>,
    /// `--strict`: all must be there.
    pub strict: bool,
    /// `--timeout`, `OC_SECRETS_TIMEOUT`.
    pub timeout: Option<Duration>,
}

/// A decided run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The secrets to resolve, in the order of the manifest.
    pub wanted: Vec<Wanted>,
    /// The plain values that go along.
    pub vars: Vec<(EnvName, String)>,
    /// `--account` for `op`.
    pub account: Option<String>,
    /// The manifest's path of `op`.
    pub op_path: Option<PathBuf>,
    /// The deadline for one `op` process.
    pub timeout: Duration,
}

/// A secret that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The variable that receives it.
    pub name: EnvName,
    /// Where it is kept.
    pub reference: Reference,
    /// Whether the run fails without it.
    pub required: bool,
    /// What to use where it is missing.
    pub default: Option<String>,
    /// Whether it must come by a way that alters no byte.
    pub exact: bool,
    /// Our own environment holds it already and `--prefer-env` was given: not fetched.
    pub inherited: bool,
}
