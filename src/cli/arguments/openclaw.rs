//! `oc-secrets openclaw`: what a gateway asks, and its configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `openclaw`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Openclaw {
    /// What to do; without a word the request on standard input is answered.
    #[command(subcommand)]
    pub command: Option<OpenclawCommand>,
}

/// What to do for OpenClaw.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OpenclawCommand {
    /// Print what OpenClaw's configuration needs, and check the program as the gateway will
    Config {
        /// The program as the gateway sees it [default: this one]
        #[arg(long, value_name = "PATH")]
        command: Option<PathBuf>,
        /// The user of the gateway [default: yours]
        #[arg(long, value_name = "UID")]
        uid: Option<u32>,
        /// The name of the provider
        #[arg(long, value_name = "NAME", default_value = "oc")]
        name: String,
    },
}
