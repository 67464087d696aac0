//! The options of every command, and the settings that they decide.

use std::path::PathBuf;

use clap::Args;

use crate::base::command_line::When;
use crate::base::error::{Error, Result};
use crate::broker::id::EnvironmentId;
use crate::broker::plan::Selection;
use crate::broker::session::{self, CacheUse, SessionSettings};

/// What applies to every command.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct Global {
    /// Read this manifest instead of looking for oc-secrets.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Also read a dotenv file with op:// references; replaces the built-in manifest (repeatable)
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Also take all variables of this 1Password Environment (repeatable)
    #[arg(long, global = true, value_name = "ID")]
    pub environment: Vec<String>,
    /// Take only the secrets of this profile
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Use this vault where the manifest's default would be used
    #[arg(long, global = true, value_name = "NAME")]
    pub vault: Option<String>,
    /// Use this 1Password account
    #[arg(long, global = true, value_name = "NAME")]
    pub account: Option<String>,
    /// Take only these secrets
    #[arg(long, global = true, value_name = "A,B", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Fail unless these secrets are found
    #[arg(long, global = true, value_name = "A,B", value_delimiter = ',')]
    pub require: Vec<String>,
    /// Fail unless all secrets are found
    #[arg(long, global = true)]
    pub strict: bool,
    /// Give up on `op` after this long, such as 30s or 2m [default: 60s]
    #[arg(long, global = true, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Do not fetch what the environment already holds
    #[arg(long, global = true)]
    pub prefer_env: bool,
    /// Fetch cached secrets again and cache the new values
    #[arg(long, global = true)]
    pub refresh: bool,
    /// Do not use the cache in the kernel's keyring
    #[arg(long, global = true, conflicts_with = "refresh")]
    pub no_cache: bool,
    /// Log what is done and how long it takes
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Use colour: auto (on a terminal), always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub color: When,
}

impl Global {
    /// The settings, without types of clap.
    pub(in crate::cli) fn settings(self) -> Result<SessionSettings> {
        let timeout = self.timeout.as_deref();
        let timeout = timeout.map(|text| session::timeout("--timeout", text));
        let environments = self.environment.iter().map(|text| environment(text));
        Ok(SessionSettings {
            manifest: self.manifest,
            env_file: self.env_file,
            selection: Selection {
                environments: environments.collect::<Result<_>>()?,
                profile: self.profile,
                vault: self.vault,
                account: self.account,
                only: self.only,
                require: self.require,
                strict: self.strict,
                prefer_env: self.prefer_env,
                timeout: timeout.transpose()?,
            },
            cache: match (self.no_cache, self.refresh) {
                (true, _) => CacheUse::Off,
                (_, true) => CacheUse::Refresh,
                _ => CacheUse::Normal,
            },
        })
    }
}

fn environment(text: &str) -> Result<EnvironmentId> {
    EnvironmentId::parse(text).ok_or_else(|| {
        let what = "--environment: this is not the id of a 1Password Environment";
        Error::usage(what, EnvironmentId::FORM)
    })
}
