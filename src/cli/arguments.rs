//! The command line of `oc-secrets`, as clap sees it. Its types never leave `cli`.

mod examples;
mod global;
mod docker;
mod git;
mod openclaw;
mod applies;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::broker::sink::text::Format;

pub(super) use applies::shown;
pub(super) use docker::{Docker, DockerCommand, Wiring};
pub(super) use git::{Git, GitCommand};
pub(super) use global::Global;
pub(super) use openclaw::{Openclaw, OpenclawCommand};

/// Not a [`Format`]: it prints masks and appends the values to a file.
const GITHUB: &str = "github";

/// Hand 1Password secrets to a process: one `op`, any number of secrets, nothing on disk.
#[derive(Debug, Parser)]
#[command(name = "oc-secrets", version, max_term_width = 100, after_help = examples::ALL)]
pub(super) struct Arguments {
    /// What applies to every command.
    #[command(flatten, next_help_heading = "Global options")]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a command with the secrets in its environment
    #[command(visible_alias = "run", after_help = examples::EXEC)]
    Exec(Exec),
    /// Print the secrets as text to evaluate: eval "$(oc-secrets env)"
    #[command(after_help = examples::ENV)]
    Env(Env),
    /// Print one secret
    #[command(visible_alias = "get", after_help = examples::READ)]
    Read(Read),
    /// Write an oc-secrets.toml into this directory and allow it
    #[command(after_help = examples::INIT)]
    Init(Init),
    /// Review the oc-secrets.toml of this directory and allow it
    #[command(after_help = examples::ALLOW)]
    Allow(Allow),
    /// Revoke what `allow` has allowed
    Deny {
        /// The manifest; the nearest one unless given.
        file: Option<PathBuf>,
    },
    /// Show which secrets are found, and never a value
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// List what the manifest holds; does not run `op`
    #[command(after_help = examples::LS)]
    Ls(Ls),
    /// Show where one secret comes from and how it is fetched; does not run `op`
    #[command(after_help = examples::EXPLAIN)]
    Explain(Explain),
    /// Put ids in the place of names of vaults and items in the manifest; the names become comments
    #[command(after_help = examples::PIN)]
    Pin(Pin),
    /// Set up docker-credential-oc in Docker's and Podman's files
    #[command(after_help = examples::DOCKER)]
    Docker(Docker),
    /// Answer an OpenClaw gateway that asks for its keys (its exec secret provider)
    Openclaw(Openclaw),
    /// Set up git-credential-oc in git's settings, for each host
    #[command(after_help = examples::GIT)]
    Git(Git),
    /// Check everything that a run needs, and show the command that mends it
    #[command(after_help = examples::DOCTOR)]
    Doctor(Doctor),
    /// Keep a service-account token in the OS keyring, or encrypted for a service of systemd
    #[command(after_help = examples::LOGIN)]
    Login(Login),
    /// Remove the service-account token from the OS keyring
    Logout,
    /// How the other commands ask the OS keyring.
    #[command(hide = true)]
    Keyring(Keyring),
    /// Serve secrets to the clients of the manifest, each by a socket of its own
    Serve(Serve),
    /// Show who asked the broker for what
    Clients(Clients),
    /// Delete all cached secrets from the kernel's keyring, and those of a running broker
    #[command(after_help = examples::LOCK)]
    Lock {
        /// The directory of the broker's sockets, as for `serve`
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Print what completes our programs in a shell: eval "$(oc-secrets completions bash)"
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a hook that loads the secrets of a directory on entering it
    Shell {
        /// The shell, or direnv
        shell: Hooked,
    },
    /// What a shell is to evaluate in this directory; its hook asks this.
    #[command(hide = true)]
    Hook {
        /// The shell.
        shell: Hooked,
    },
    /// What can stand at the cursor; completion scripts ask this.
    #[command(hide = true)]
    Complete {
        /// The words up to the cursor, the program's name first.
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Show the manual page of a command or program
    Man {
        /// The command, such as exec or docker install, or one of the other programs
        #[arg(value_name = "CMD")]
        words: Vec<String>,
    },
    /// Show the whole pipeline on made-up secrets; needs neither op nor an account
    Demo,
}

impl Command {
    /// Whether standard output is read as JSON.
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Check(check) => check.json,
            Self::Ls(list) => list.json,
            Self::Doctor(doctor) => doctor.json,
            Self::Clients(clients) => clients.json,
            _ => false,
        }
    }
}

/// What `shell` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Hooked {
    Bash,
    Zsh,
    Fish,
    Direnv,
}

/// What `completions` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
    Nu,
}

/// `allow`.
#[derive(Args, Debug)]
pub(super) struct Allow {
    /// The manifest; the nearest one unless given
    pub file: Option<PathBuf>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
}

/// `exec`.
#[derive(Args, Debug)]
pub(super) struct Exec {
    /// Pass on only the secrets and vars, not the rest of the environment
    #[arg(long)]
    pub clean: bool,
    /// Pass on OP_SERVICE_ACCOUNT_TOKEN, OP_CONNECT_* and OP_SESSION* too
    #[arg(long)]
    pub keep_op_env: bool,
    /// Stay beside the command and replace every secret in its output
    #[arg(long)]
    pub mask: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `env`.
#[derive(Args, Debug)]
pub(super) struct Env {
    /// For which shell or reader
    #[arg(long, value_name = "FORMAT", default_value = "sh", value_parser = formats())]
    pub format: String,
    /// Print text that unsets the variables; does not run `op`
    #[arg(long)]
    pub unset: bool,
    /// Print even to a terminal or a file
    #[arg(long)]
    pub show: bool,
}

/// What `--format` accepts.
fn formats() -> PossibleValuesParser {
    let names = Format::ALL.iter().map(|format| format.name());
    PossibleValuesParser::new(names.chain([GITHUB]))
}

/// `read`.
#[derive(Args, Debug)]
pub(super) struct Read {
    /// A name from the manifest, or a reference: op://vault/item/field
    #[arg(value_name = "NAME|op://…")]
    pub what: String,
    /// Do not print a newline after it
    #[arg(short, long)]
    pub no_newline: bool,
}

/// `check`.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `init`; the vault is the global `--vault`.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// An item of the vault, by its title (repeatable)
    #[arg(long, value_name = "TITLE")]
    pub item: Vec<String>,
    /// Take over the op:// lines of this dotenv file; tokens in it are named, not copied
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Write the built-in list for OpenClaw
    #[arg(long, conflicts_with_all = ["item", "from"])]
    pub openclaw: bool,
    /// Replace a manifest that is there
    #[arg(long)]
    pub force: bool,
}

/// `ls`.
#[derive(Args, Debug)]
pub(super) struct Ls {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `explain`.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// A name from the manifest
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `login`.
#[derive(Args, Debug)]
pub(super) struct Login {
    /// Read the token from a pipe on standard input
    #[arg(long)]
    pub stdin: bool,
    /// Encrypt it for this service by systemd-creds, and print the lines for its unit
    #[arg(long, value_name = "UNIT")]
    pub systemd: Option<String>,
}

/// `keyring`.
#[derive(Args, Debug)]
pub(super) struct Keyring {
    /// What to do; the token is on standard input or output.
    pub what: KeyringCommand,
    /// How many milliseconds it may take.
    pub patience: u64,
}

/// What to do with the token in the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyringCommand {
    Get,
    Put,
    Remove,
}

/// `pin`.
#[derive(Args, Debug)]
pub(super) struct Pin {
    /// Show what would be rewritten, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `serve`.
#[derive(Args, Debug)]
pub(super) struct Serve {
    /// Make the sockets below this directory [default: /run/oc-secrets, or in XDG_RUNTIME_DIR]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_name = "STYLE", value_parser = ["text", "json"], default_value = "text")]
    pub log: String,
    /// Give the socket that systemd made for this client to its user, and end
    #[arg(long, value_name = "CLIENT", hide = true)]
    pub own: Option<String>,
}

/// `clients`.
#[derive(Args, Debug)]
pub(super) struct Clients {
    /// The directory of the broker's sockets, as for `serve`
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `doctor`.
#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// Also look whether every secret of the manifest is found
    #[arg(long)]
    pub deep: bool,
    /// Have the Docker engine ask whether the registry's password may pull this image
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
