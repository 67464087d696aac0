//! The command line of `oc-secrets`, as clap sees it. Its types never leave `cli`.

mod examples;
mod applies;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::command_line::When;
use crate::base::error::{Error, Result};
use crate::broker::id::EnvironmentId;
use crate::broker::plan::Selection;
use crate::broker::session::{self, CacheUse, Settings};
use crate::broker::sink::text::Format;

pub(super) use applies::shown;

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

/// What applies to every command.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Global {
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
    pub(super) fn settings(self) -> Result<Settings> {
        let timeout = self.timeout.as_deref();
        let timeout = timeout.map(|text| session::timeout("--timeout", text));
        let environments = self.environment.iter().map(|text| environment(text));
        Ok(Settings {
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
    /// Revoke it
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
    /// Remove it from the OS keyring
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

/// `openclaw`.
#[derive(Args, Debug)]
pub(super) struct Openclaw {
    /// What to do; without a word the request on standard input is answered.
    #[command(subcommand)]
    pub command: Option<OpenclawCommand>,
}

/// What to do for OpenClaw.
#[derive(Debug, Subcommand)]
pub(super) enum OpenclawCommand {
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

/// `git`.
#[derive(Args, Debug)]
pub(super) struct Git {
    /// What to do.
    #[command(subcommand)]
    pub command: GitCommand,
}

/// What to do with git's settings.
#[derive(Debug, Subcommand)]
pub(super) enum GitCommand {
    /// Add git-credential-oc for the hosts of the manifest
    Install(GitHosts),
    /// Remove it again
    Uninstall(GitHosts),
    /// Show whom git asks
    Status(GitHosts),
}

/// Which hosts.
#[derive(Args, Debug)]
pub(super) struct GitHosts {
    /// For this host instead of all in the manifest (repeatable)
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
}

/// `docker`.
#[derive(Args, Debug)]
pub(super) struct Docker {
    /// What to do.
    #[command(subcommand)]
    pub command: DockerCommand,
}

/// What to do with Docker's files.
#[derive(Debug, Subcommand)]
pub(super) enum DockerCommand {
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
    /// Remove it again
    Uninstall(Wiring),
    /// Show which credential helper each client uses
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
pub(super) struct Wiring {
    /// For this registry instead of all in the manifest (repeatable)
    #[arg(long, value_name = "HOST")]
    pub registry: Vec<String>,
    /// Also in the auth.json of Podman, skopeo and buildah
    #[arg(long)]
    pub podman: bool,
}
