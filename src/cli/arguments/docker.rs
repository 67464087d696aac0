//! `oc-secrets docker`: Docker's and Podman's files.

use clap::{Args, Subcommand};

/// `docker`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Docker {
    /// What to do.
    #[command(subcommand)]
    pub command: DockerCommand,
}

/// What to do with Docker's files.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DockerCommand {
    /// Add docker-credential-oc to Docker's config.json
    Install {
        /// Where.
        #[command(flatten)]
        wiring: Wiring,
        /// Remove plaintext credentials for the same hosts from the files
        #[arg(long)]
        remove_plaintext: bool,
        /// Also for a host that is not in the manifest
        #[arg(long)]
        force: bool,
    },
    /// Remove docker-credential-oc from the files again
    Uninstall(Wiring),
    /// Show which credential helper each client uses
    #[command(mut_arg("podman", |podman| podman.hide(true)))] // its files are always shown
    Status(Wiring),
    /// Disable HOST, so that clients pull without credentials, such as with an expired token
    Off {
        /// The registries.
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
    },
    /// Enable HOST again
    On {
        /// The registries.
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
    },
}

/// Which files and which hosts.
#[derive(Args, Debug)]
pub(in crate::cli) struct Wiring {
    /// Only this registry (repeatable)
    #[arg(long, value_name = "HOST")]
    pub registry: Vec<String>,
    /// Also in the auth.json of Podman, skopeo and buildah
    #[arg(long)]
    pub podman: bool,
}
