//! The command line. Clap's types end here: they become [`Flags`] and a [`StepSelection`] once.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::base::command_line::When;
use crate::deploy::run::StepSelection;
use crate::deploy::settings::Flags;

/// Provision a VPS for OpenClaw: pull the image, run and verify the gateway, harden the host.
///
/// The registry token comes in GHCR_TOKEN, for instance by `oc-secrets exec -- openclaw-deploy
/// bootstrap`, and is given to the Docker engine in one header only.
#[derive(Debug, Parser)]
#[command(name = "openclaw-deploy", version, max_term_width = 100)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(super) struct Common {
    /// Print JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Also print what the engine said, word for word
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: When,
    /// Prefix of every path, for images and tests
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Configuration file [default: /etc/openclaw-deploy.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Engine to use: unix://, ssh:// or tcp:// [default: $DOCKER_HOST]
    #[arg(long, global = true, value_name = "URL")]
    docker_host: Option<String>,
    /// Context of the Docker client to use [default: $DOCKER_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The gateway's port on 127.0.0.1
    #[arg(long, global = true, value_name = "PORT")]
    port: Option<u16>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run all nine steps; run it again at any time
    #[command(args_override_self = true)]
    Bootstrap(Run),
    /// Only Docker, the files, and the gateway with its image
    #[command(args_override_self = true)]
    Update(Run),
    /// Go back to the release before, or to another one
    Rollback {
        /// Id of the release, as `status` shows it
        #[arg(long, value_name = "ID")]
        to: Option<u64>,
        /// Keep the state as it is now instead of restoring the snapshot
        #[arg(long)]
        keep_state: bool,
        /// Do not ask, though this is a terminal
        #[arg(long, short)]
        yes: bool,
        /// Let go of the state that an earlier rollback took away, and do nothing else
        #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["to", "keep_state"])]
        forget: Option<String>,
        /// Wait for another run to end
        #[arg(long)]
        wait: bool,
        /// When to give up waiting for the gateway [default: 120s]
        #[arg(long, value_name = "DURATION")]
        health_timeout: Option<String>,
    },
    /// What runs, since when, from where
    Status {
        /// Ask the registry whether a newer image is there
        #[arg(long)]
        check: bool,
        /// Also show the gateway's token (needs a terminal)
        #[arg(long)]
        show_token: bool,
    },
    /// Times, pulls, load and rollbacks
    Stats {
        /// The plan's five figures with target and verdict
        #[arg(long)]
        plan: bool,
    },
    /// The gateway's last lines, without secrets
    Logs {
        /// How many
        #[arg(long, short = 'n', default_value_t = 100, value_name = "COUNT")]
        lines: usize,
    },
    /// Run a command in the gateway's container
    Exec {
        /// The command and its arguments
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CMD"
        )]
        command: Vec<OsString>,
    },
    /// OpenClaw's own command line, in the gateway's container
    Console {
        /// Its arguments, such as `doctor` or `channels login`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGS"
        )]
        args: Vec<OsString>,
    },
    /// Have the gateway ask for its keys again, after one was changed in 1Password
    ReloadSecrets,
    /// Check what a run needs, and say how to fix it
    Doctor,
    /// Stop the gateway, copy its state, start it again; every night by itself (step 8)
    Backup {
        /// Only start what an interrupted backup left stopped
        #[arg(long)]
        resume: bool,
        /// Only run the hook for one that failed, as the unit of step 8 does
        #[arg(long, hide = true)]
        failed: bool,
        /// Wait for another run to end
        #[arg(long)]
        wait: bool,
    },
    /// Put the state of a backup in the place of what is there; on a bare host `.env` and releases too
    Restore {
        /// A path with a `/` in it, or the name of a backup in /var/backups/openclaw; `latest` is the newest
        #[arg(value_name = "FILE", default_value = "latest")]
        archive: String,
        /// Do not ask, though this is a terminal
        #[arg(long, short)]
        yes: bool,
        /// Wait for another run to end
        #[arg(long)]
        wait: bool,
        /// When to give up waiting for the gateway [default: 120s]
        #[arg(long, value_name = "DURATION")]
        health_timeout: Option<String>,
    },
}

/// Options of `bootstrap` and `update`.
#[derive(Args, Debug)]
pub(super) struct Run {
    /// Print what would be done and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Run only these steps (names or numbers)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// The image to run
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Upstream's image, where ours cannot be pulled; "" for never
    #[arg(long, value_name = "REF")]
    upstream_image: Option<String>,
    /// Build here even with little memory
    #[arg(long)]
    allow_local_build: bool,
    /// Directory with a Dockerfile for a local build
    #[arg(long, value_name = "DIR")]
    build_context: Option<PathBuf>,
    /// Use upstream's image even when ours arrived corrupt
    #[arg(long)]
    allow_corrupt_fallback: bool,
    /// When to give up pulling [default: 600s]
    #[arg(long, value_name = "DURATION")]
    pull_timeout: Option<String>,
    /// When to give up waiting for the gateway [default: 120s]
    #[arg(long, value_name = "DURATION")]
    health_timeout: Option<String>,
    /// How many of our images and snapshots stay [default: 3]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Try an image again that did not become healthy before
    #[arg(long)]
    retry: bool,
    /// A timer runs this: what keeps an update away is a failure
    #[arg(long, hide = true)]
    scheduled: bool,
    /// Run the gateway as a Swarm stack, its app secrets as Swarm secrets [default: as it runs now]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    swarm: Option<bool>,
    /// Only run the hook for an update that failed, as the unit of step 8 does
    #[arg(long, hide = true)]
    pub failed: bool,
    /// Wait for another run to end
    #[arg(long)]
    pub wait: bool,
}

impl Cli {
    /// The flags, in our own type.
    pub(super) fn flags(&self) -> Flags {
        let mut flags = Flags {
            root: self.common.root.clone(),
            docker_host: self.common.docker_host.clone(),
            context: self.common.context.clone(),
            port: self.common.port,
            ..Flags::default()
        };
        match &self.command {
            Command::Bootstrap(run) | Command::Update(run) => run.fill(&mut flags),
            Command::Rollback { health_timeout, .. } | Command::Restore { health_timeout, .. } => {
                flags.health_timeout.clone_from(health_timeout)
            }
            _ => {}
        }
        flags
    }
}

impl Run {
    fn fill(&self, flags: &mut Flags) {
        flags.image.clone_from(&self.image);
        flags.upstream_image.clone_from(&self.upstream_image);
        flags.pull_timeout.clone_from(&self.pull_timeout);
        flags.health_timeout.clone_from(&self.health_timeout);
        flags.build_context.clone_from(&self.build_context);
        flags.keep = self.keep;
        flags.allow_local_build = self.allow_local_build;
        flags.allow_corrupt_fallback = self.allow_corrupt_fallback;
        flags.retry = self.retry;
        flags.scheduled = self.scheduled;
        flags.swarm = self.swarm;
    }

    /// Which steps.
    pub(super) fn selection(&self) -> StepSelection {
        StepSelection {
            only: self.only.clone(),
            skip: self.skip.clone(),
            dry_run: self.dry_run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_update_takes_the_same_options() {
        let cli = Cli::try_parse_from(["openclaw-deploy", "update", "--keep", "2"]).expect("valid");
        assert!(matches!(cli.command, Command::Update(_)));
        assert_eq!(cli.flags().keep, Some(2));
    }
}
