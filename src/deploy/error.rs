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
    /// The image could not be had; nothing was changed.
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

/// What went wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened: lower case, no full stop.
    pub what: String,
    /// What to do next, as a command where there is one.
    pub hint: Option<String>,
    /// The class of the cause for the journal, such as `auth` or `network`.
    pub cause: &'static str,
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
            cause: "step",
            log: Vec::new(),
        }
    }

    /// A step that wanted one thing and saw another.
    pub(crate) fn wanted(wanted: impl fmt::Display, saw: impl fmt::Display) -> Self {
        Self::new(format!("wanted {wanted}, saw {saw}"))
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
                .cause("disk"),
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
        Self::new(what).exit(Exit::Usage).cause("usage")
    }

    /// With the next thing to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the next thing to do, where none is known yet.
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

    /// With a class of cause.
    pub(crate) fn cause(mut self, cause: &'static str) -> Self {
        self.cause = cause;
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
    fn exit_codes_are_those_of_the_contract() {
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
}
