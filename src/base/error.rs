//! Everything that can go wrong, what it means for the exit code, and what to do about it.
//!
//! One variant per thing that the *user* can fix. The `Display` text says what happened (lower
//! case, no full stop); [`Error::hint`] says what to do. Neither ever holds a secret or a word of
//! `op`'s own output: variants carry names, paths, numbers and classes only.

mod span;
mod exit;
mod keyring;
mod problem;
mod hint;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use self::span::{seconds, wait};
use crate::base::environment::Lookup;

pub(crate) use exit::Exit;
pub(crate) use keyring::KeyringTrouble;
pub(crate) use problem::{Problem, Trouble};

/// The `format` of an [`Error::Unwritable`] that no other output can help.
pub(crate) const ENVIRONMENT: &str = "an environment variable";

/// A result of this crate.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line or the environment asks for something impossible.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A manifest or dotenv file that cannot be used.
    #[error("{at}: {what}")]
    Manifest {
        /// `file:line:column`, or as much of it as is known.
        at: String,
        /// What is wrong there.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A manifest that was found by the directory and is not allowed as it is.
    #[error("{} {}", path.display(), if *.changed { "has changed since it was allowed" } else { "has not been allowed yet" })]
    NotAllowed {
        /// The manifest.
        path: PathBuf,
        /// Other bytes were allowed there.
        changed: bool,
    },
    /// The directory of the records of what is allowed cannot be used.
    #[error("{} {why}", directory.display())]
    AllowedDirectory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of Docker's, Podman's or ours about them that cannot be used.
    #[error("{}: {what}", path.display())]
    ClientConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Neither `HOME` nor the variable that stands for it says where a file belongs.
    #[error("no directory for {purpose}: HOME is {}", if *.relative { "not an absolute path" } else { "not set" })]
    NoHome {
        /// What is to be kept there.
        purpose: &'static str,
        /// The variable that stands for it.
        variable: &'static str,
        /// `HOME` is set, but relative.
        relative: bool,
    },
    /// 1Password would ask the user, where nobody expects that.
    #[error("1Password would have to ask you first")]
    WouldPrompt,
    /// Somebody should allow a manifest, and standard input is no terminal.
    #[error("cannot ask: standard input is not a terminal")]
    NobodyToAsk {
        /// The manifest that was shown.
        path: PathBuf,
    },
    /// Secrets are named by item, and nothing says in which vault.
    #[error("no vault is given for {}", names.join(", "))]
    NoVault {
        /// The secrets.
        names: Vec<String>,
        /// The manifest, for people.
        manifest: String,
    },
    /// The file of the service-account token cannot be used.
    #[error("cannot read the service-account token from {}: {why}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The OS keyring does not do what is asked of it.
    #[error("{trouble}{}{why}", if why.is_empty() { "" } else { ": " })]
    Keyring {
        /// Which kind of trouble.
        trouble: KeyringTrouble,
        /// The keyring's own words, which hold nothing of the token.
        why: String,
    },
    /// `op` was not found.
    #[error("1Password CLI `op` was not found{}", if *.relative { " (relative PATH entries are not searched)" } else { "" })]
    OpMissing {
        /// It does exist behind a relative PATH entry, which is never used.
        relative: bool,
    },
    /// `op` exists but somebody else could have replaced it, or it cannot be run.
    #[error("cannot use {}: {why}", path.display())]
    OpUntrusted {
        /// The path as it was found.
        path: PathBuf,
        /// Which component is at fault and why.
        why: String,
        /// There is nothing at this path.
        absent: bool,
    },
    /// `op` did not finish in time.
    #[error("`op` did not answer within {}", seconds(*.after))]
    OpTimeout {
        /// The deadline.
        after: Duration,
    },
    /// `op` was ended by a signal that we did not send.
    #[error("`op` was killed by signal {signal}")]
    OpKilled {
        /// The signal's number.
        signal: i32,
    },
    /// `op` claimed success, but its answer cannot be trusted.
    #[error("`op` gave an answer that cannot be trusted: {what}")]
    OpNonsense {
        /// What was wrong, without a word of the answer.
        what: &'static str,
    },
    /// `op` failed in a way that we do not know.
    #[error("`op` failed with exit code {code}; {withheld} bytes of its diagnostic are withheld")]
    OpUnknown {
        /// Its exit code.
        code: i32,
        /// The length of its stderr in bytes.
        withheld: u64,
        /// The command that shows the failure, and nothing of a secret.
        by_hand: String,
    },
    /// There is no broker at this socket, or none that can be understood.
    #[error("no broker at {}: {why}", path.display())]
    Broker {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The broker, or the mode of its socket, keeps this user out.
    #[error("cannot use the broker at {}: {why}", path.display())]
    BrokerRefuses {
        /// The socket.
        path: PathBuf,
        /// How that was seen.
        why: String,
    },
    /// The broker did not answer in time.
    #[error("the broker did not answer within {}", seconds(*.after))]
    BrokerSilent {
        /// The deadline.
        after: Duration,
    },
    /// A local obstacle on `op`'s side: configuration directory, daemon.
    #[error("`op` refuses its configuration directory")]
    OpConfigDirectory,
    /// No network, or 1Password cannot be reached.
    #[error("1Password cannot be reached")]
    Network,
    /// Not signed in.
    #[error("not signed in to 1Password")]
    SignedOut {
        /// An `OP_SESSION…` variable is set, which may be stale and hides the desktop app.
        session: bool,
    },
    /// `op` knows no account at all.
    #[error("`op` has no 1Password account configured")]
    NoAccount,
    /// Several accounts, or one that does not exist, was asked for.
    #[error("{}", match account { Some(name) => format!("`op` knows no account `{name}`"), None => "`op` knows several accounts and none was chosen".to_owned() })]
    WhichAccount {
        /// The account that was asked for.
        account: Option<String>,
    },
    /// The user said no, or did not answer.
    #[error("the 1Password prompt was {}", if *.ignored { "not answered" } else { "dismissed" })]
    PromptRefused {
        /// It ran out of time.
        ignored: bool,
    },
    /// The desktop app is locked, not running, too old or does not trust `op`.
    #[error("`op` cannot reach the 1Password app: {why}")]
    AppUnreachable {
        /// Our words for the cause.
        why: &'static str,
    },
    /// The desktop app answers no program that is not signed, as on macOS.
    #[error("the 1Password app refuses the program that asks it")]
    UnsignedCaller,
    /// The credentials belong elsewhere: another account's token, or a stale `OP_DEVICE`.
    #[error("1Password takes these credentials for those of another account or device")]
    OtherAccount,
    /// The service-account or Connect token does not work.
    #[error("the service-account token {why}")]
    TokenInvalid {
        /// Our words for the cause.
        why: &'static str,
    },
    /// Signed in, but not allowed.
    #[error("1Password does not allow this: {why}")]
    Forbidden {
        /// Our words for the cause.
        why: &'static str,
    },
    /// `op` is older than 1Password Environments.
    #[error("this `op` does not know 1Password Environments")]
    NoEnvironments,
    /// 1Password does not give an Environment to this account.
    #[error("1Password does not give {} the Environment {ids}", if *.service_account { "this service account" } else { "you" })]
    EnvironmentUnreadable {
        /// The Environment, or several of which one is at fault.
        ids: String,
        /// Whether a service account asks.
        service_account: bool,
    },
    /// Too many requests.
    #[error("1Password's rate limit is reached{}{}", match left { Some(left) => format!("; retry in {}", wait(*left)), None => String::new() }, if *.remembered { " (not asked again before)" } else { "" })]
    RateLimited {
        /// What is left of the wait that 1Password named.
        left: Option<Duration>,
        /// That was some time ago, and nobody was asked now.
        remembered: bool,
    },
    /// Secrets that cannot be handed on; all of them at once.
    #[error("{}", problem::summary(problems))]
    Unresolved {
        /// Every secret at fault.
        problems: Vec<Problem>,
    },
    /// A list was asked for of something that is not there.
    #[error("{}", trouble.reason())]
    NotListed {
        /// What is not there.
        trouble: Trouble,
    },
    /// The password for a registry or a git host is missing, or nothing that they take.
    #[error("{}", problem::password(host, secret.as_deref(), trouble))]
    Password {
        /// Whose password.
        host: String,
        /// The secret's name and reference, where they are known.
        secret: Option<String>,
        /// Why it cannot be handed on.
        trouble: Trouble,
        /// The command that shows what is kept there, where that is known.
        look: Option<String>,
    },
    /// A client wants us to keep a login that 1Password does not have.
    #[error("nothing can be stored here: {why}")]
    NotStored {
        /// How it differs from what we would answer.
        why: &'static str,
    },
    /// A client does not finish its question.
    #[error("standard input does not end")]
    EndlessInput,
    /// A value that the chosen output cannot carry.
    #[error("{name} cannot be written as {format}: {why}")]
    Unwritable {
        /// The variable.
        name: String,
        /// The output's name.
        format: &'static str,
        /// Which property of the value is in the way.
        why: &'static str,
    },
    /// `exec`: no such command.
    #[error("{}", if command.is_empty() { "the command is empty".to_owned() } else { format!("command not found: {command}") })]
    CommandNotFound {
        /// As the user typed it.
        command: String,
    },
    /// `exec`: it exists but cannot be run.
    #[error("cannot execute {command}: {why}")]
    CannotExecute {
        /// As the user typed it.
        command: String,
        /// The system's reason.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// What another process was told that asked for us too, or what was told a moment ago.
    #[error("{text}")]
    Relayed {
        /// What went wrong.
        text: String,
        /// What to do.
        hint: Option<String>,
        /// The exit code of the error itself.
        exit: Exit,
    },
    /// A signal asked us to end.
    #[error("interrupted")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// What was being asked is to be asked anew, by another token or manifest.
    #[error("the call of `op` was ended, to be made anew")]
    Cancelled,
    /// A step of the demo failed, and has said why.
    #[error("the demo stopped: {step} failed")]
    Demo {
        /// Which step.
        step: &'static str,
    },
    /// Our own fault.
    #[error("internal error at {place}")]
    Bug {
        /// File and line.
        place: String,
    },
    /// The limit of open files is too low.
    #[error("too few files may be open at the same time")]
    OpenFiles,
    /// The system failed.
    #[error("cannot {doing}: {why}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        why: String,
    },
}

impl Error {
    /// A [`Error::System`] from an [`std::io::Error`] or an errno, by its message only.
    pub(crate) fn system(doing: &'static str, why: impl fmt::Display) -> Self {
        Self::System {
            doing,
            why: why.to_string(),
        }
    }

    /// A [`Error::Usage`].
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// A [`Error::NoHome`] for `purpose`, which could be below `variable` as well.
    pub(crate) fn no_home(
        purpose: &'static str,
        variable: &'static str,
        lookup: Lookup<'_>,
    ) -> Self {
        Self::NoHome {
            purpose,
            variable,
            relative: lookup("HOME").is_some(),
        }
    }
}
