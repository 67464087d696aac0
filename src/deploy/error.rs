//! The exit codes of `openclaw-deploy` and the one error type of its steps.
//!
//! A [`Failure`] says what happened, what to do next and which exit code that is. It never
//! holds a secret: variants of text are ours, or output of foreign programs that has been
//! through [`super::redact`].

use std::fmt;
use std::io;
use std::path::Path;

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// The gateway answers, with the image that was asked for or an announced fallback.
    Done = 0,
    /// A step failed.
    Step = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Docker is missing, not running, not permitted, or has no Compose v2.
    Docker = 3,
    /// The image could not be pulled or built; the gateway was not touched.
    Image = 4,
    /// The new version is unhealthy; the previous one was put back and answers.
    RolledBack = 5,
    /// Unhealthy, and nothing could be put back.
    Down = 6,
    /// Another run holds the lock.
    Locked = 7,
    /// A signal asked us to end; `128 + SIGINT`, as a shell reports it.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why something failed. What happens next depends on it: whether an image is condemned, a daemon
/// started, a pull tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A step of ours, with nothing more to say of it.
    Step,
    /// Wrong usage or configuration.
    Usage,
    /// Another run holds the lock.
    Locked,
    /// A signal asked us to end.
    Interrupted,
    /// We may not use the engine.
    Permission,
    /// The Docker client is missing or does not work.
    Client,
    /// The engine is not there, not running, or failed.
    Daemon,
    /// Something is too old.
    Version,
    /// Compose is missing, too old, or failed.
    Compose,
    /// The engine has no root.
    Rootless,
    /// Swarm refuses, or is not there.
    Swarm,
    /// Something could not be reached, or a connection broke.
    Network,
    /// The registry refused the token.
    Auth,
    /// There is no token, and the image is not public.
    AuthMissing,
    /// No such image.
    NotFound,
    /// A certificate is not valid now: usually this host's clock.
    Clock,
    /// What arrived is not what its digest says.
    Integrity,
    /// Not built for this machine.
    Platform,
    /// No space left.
    Disk,
    /// The image is not on the engine any more.
    ImageGone,
    /// The image has nothing to run.
    NoCommand,
    /// A mount is in the way.
    Mount,
    /// This version failed before.
    KnownBad,
    /// Somebody else has the port.
    Port,
    /// The gateway can be reached from outside.
    Exposed,
    /// The state could not be copied.
    Snapshot,
    /// The gateway cannot use its configuration or its state (EX_CONFIG).
    Configuration,
    /// The gateway ended by itself.
    Exited,
    /// The gateway was stopped from outside (SIGTERM).
    Stopped,
    /// The kernel killed the gateway for want of memory.
    OutOfMemory,
    /// The gateway did not become healthy in time.
    Unhealthy,
    /// The gateway answers, and refuses its state.
    State,
}

impl Cause {
    /// The word in the journal and in `--json`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Usage => "usage",
            Self::Locked => "locked",
            Self::Interrupted => "interrupted",
            Self::Permission => "permission",
            Self::Client => "client",
            Self::Daemon => "daemon",
            Self::Version => "version",
            Self::Compose => "compose",
            Self::Rootless => "rootless",
            Self::Swarm => "swarm",
            Self::Network => "network",
            Self::Auth => "auth",
            Self::AuthMissing => "auth-missing",
            Self::NotFound => "not-found",
            Self::Clock => "clock",
            Self::Integrity => "integrity",
            Self::Platform => "platform",
            Self::Disk => "disk",
            Self::ImageGone => "image",
            Self::NoCommand => "no-command",
            Self::Mount => "mount",
            Self::KnownBad => "bad",
            Self::Port => "port",
            Self::Exposed => "exposed",
            Self::Snapshot => "snapshot",
            Self::Configuration => "exit-78",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
            Self::OutOfMemory => "memory",
            Self::Unhealthy => "unhealthy",
            Self::State => "state",
        }
    }

    /// Whether it is the version that failed, so that it is not tried again by itself.
    pub(crate) fn condemns_the_image(self) -> bool {
        matches!(
            self,
            Self::Configuration | Self::Exited | Self::OutOfMemory | Self::Unhealthy | Self::State
        )
    }
}

impl serde::Serialize for Cause {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// What went wrong and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened: lower case, no full stop.
    pub what: String,
    /// What to do next, as a command where there is one.
    pub hint: Option<String>,
    /// Why.
    pub cause: Cause,
    /// The last lines of a log, already redacted.
    pub log: Vec<String>,
}

/// A result of a step.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failed step.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Step,
            what: what.into(),
            hint: None,
            cause: Cause::Step,
            log: Vec::new(),
        }
    }

    /// Something is not as it has to be.
    pub(crate) fn expected(expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(format!("expected {expected}, found {found}"))
    }

    /// An operation of the system that did not work.
    pub(crate) fn system(doing: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(format!("cannot {doing}: {why}"))
    }

    /// A file or directory with which something did not work, and the command that looks at it.
    pub(crate) fn file(doing: &str, path: &Path, why: io::Error) -> Self {
        let (shown, folder) = (path.display(), path.parent().unwrap_or(path).display());
        let failure = Self::system(format!("{doing} {shown}"), &why);
        match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure
                .hint(format!("free some space: df -h {folder}"))
                .cause(Cause::Disk),
            io::ErrorKind::ReadOnlyFilesystem => {
                failure.hint(format!("see how it is mounted: findmnt -T {folder}"))
            }
            io::ErrorKind::PermissionDenied if !nix::unistd::geteuid().is_root() => {
                failure.hint("run this as root: sudo openclaw-deploy …")
            }
            io::ErrorKind::PermissionDenied => failure.hint(format!(
                "see what forbids it: lsattr -d {shown}; namei -l {shown}"
            )),
            _ => failure.hint(format!("look at every name on the way: namei -l {shown}")),
        }
    }

    /// Wrong usage or configuration.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(what).exit(Exit::Usage).cause(Cause::Usage)
    }

    /// With the next thing to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the next thing to do, unless it already has one.
    pub(crate) fn or_hint(self, hint: impl FnOnce() -> String) -> Self {
        match self.hint {
            Some(_) => self,
            None => self.hint(hint()),
        }
    }

    /// With another exit code.
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// With a cause.
    pub(crate) fn cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = cause.into();
        self
    }

    /// With the last lines of a log.
    pub(crate) fn log(mut self, log: Vec<String>) -> Self {
        self.log = log;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let table = [
            (Exit::Done, 0),
            (Exit::Step, 1),
            (Exit::Usage, 2),
            (Exit::Docker, 3),
            (Exit::Image, 4),
            (Exit::RolledBack, 5),
            (Exit::Down, 6),
            (Exit::Locked, 7),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in table {
            assert_eq!(exit as u8, code);
        }
    }

    #[test]
    fn only_what_the_version_itself_did_condemns_its_image() {
        let cause_words = |condemned| {
            let all = [
                Cause::Configuration,
                Cause::Exited,
                Cause::OutOfMemory,
                Cause::Unhealthy,
                Cause::State,
                Cause::Stopped,
                Cause::Port,
                Cause::Network,
                Cause::Interrupted,
            ];
            let some = all
                .into_iter()
                .filter(move |it| it.condemns_the_image() == condemned);
            some.map(Cause::word).collect::<Vec<_>>()
        };
        assert_eq!(
            cause_words(true),
            ["exit-78", "exited", "memory", "unhealthy", "state"]
        );
        assert_eq!(
            cause_words(false),
            ["stopped", "port", "network", "interrupted"]
        );
    }
}
