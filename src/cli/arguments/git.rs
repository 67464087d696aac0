//! `oc-secrets git`: git's settings.

use clap::{Args, Subcommand};

/// `git`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Git {
    /// What to do.
    #[command(subcommand)]
    pub command: GitCommand,
}

/// What to do with git's settings.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GitCommand {
    /// Add git-credential-oc for the hosts of the manifest
    Install(GitHosts),
    /// Remove git-credential-oc from git's settings again
    Uninstall(GitHosts),
    /// Show whom git asks
    Status(GitHosts),
}

/// Which hosts.
#[derive(Args, Debug)]
pub(in crate::cli) struct GitHosts {
    /// Only this host (repeatable)
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
}
