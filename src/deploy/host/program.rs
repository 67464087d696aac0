//! Foreign programs: what to run, and what it answered. `spawn.rs` runs them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::system::SEARCH;
use crate::base::secret::Secret;
use crate::base::shell_quote;
use crate::deploy::error::{Failure, Result};

/// A program to run.
#[derive(Clone)]
pub(crate) struct Program {
    pub(super) name: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) input: Input,
    pub(super) deadline: Duration,
    pub(super) cap: usize,
    pub(super) outside: bool,
    pub(super) within: Option<PathBuf>,
}

/// What a program's stdin is.
#[derive(Clone)]
pub(super) enum Input {
    Nothing,
    Text(Vec<u8>),
    Secret(Secret),
}

impl Input {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => b"",
            Self::Text(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

/// Shows the name only: stdin may be a secret.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.label()).finish()
    }
}

impl Program {
    /// `name` is an absolute path, or a plain name that is looked up in [`SEARCH`].
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            input: Input::Nothing,
            deadline: Duration::from_secs(60),
            cap: 1 << 20,
            outside: false,
            within: None,
        }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable beside PATH, HOME and LC_ALL, which are always there.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Bytes for its stdin, which is `/dev/null` otherwise.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Text(bytes.into());
        self
    }

    /// A secret for its stdin.
    pub(crate) fn secret(mut self, secret: &Secret) -> Self {
        self.input = Input::Secret(secret.clone());
        self
    }

    /// When to give up; 60 s unless set.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs outside of `--root`: for the Docker client, which is the operator's.
    pub(crate) fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// Runs in this open directory, even if it is renamed. It has to stay open until the program ends.
    pub(crate) fn within(mut self, directory: &File) -> Self {
        let descriptor = directory.as_raw_fd();
        self.within = Some(PathBuf::from(format!("/proc/self/fd/{descriptor}")));
        self
    }

    /// The name without its directory, for messages.
    pub(crate) fn label(&self) -> String {
        Path::new(&self.name)
            .file_name()
            .unwrap_or(&self.name)
            .to_string_lossy()
            .into_owned()
    }

    /// The command as somebody would type it; arguments are never secret.
    pub(crate) fn command_line(&self) -> String {
        let name = self.name.to_string_lossy();
        let args = self.args.iter().map(|arg| arg.to_string_lossy());
        let words: Vec<_> = std::iter::once(name).chain(args).collect();
        shell_quote::command(words.iter().map(AsRef::as_ref))
    }

    /// `failure` with the command as its hint, unless the command depends on our stdin, directory or
    /// environment.
    pub(super) fn with_command_hint(&self, failure: Failure) -> Failure {
        let is_plain =
            matches!(self.input, Input::Nothing) && self.within.is_none() && self.env.is_empty();
        match is_plain {
            true => failure.hint(format!("see it by hand: {}", self.command_line())),
            false => failure,
        }
    }
}

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramOutput {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its stdout, up to the cap.
    pub stdout: String,
    /// Its stderr, up to the cap.
    pub stderr: String,
}

impl ProgramOutput {
    /// Whether it exited with 0.
    pub(crate) fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// The first line that says something, of stderr or else stdout.
    pub(crate) fn first_line(&self) -> &str {
        [&self.stderr, &self.stdout]
            .into_iter()
            .flat_map(|text| text.lines())
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("no output")
    }

    /// The last line that says something, of stderr or else stdout.
    pub(crate) fn last_line(&self) -> &str {
        [&self.stderr, &self.stdout]
            .into_iter()
            .flat_map(|text| text.lines().rev())
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("no output")
    }
}

/// The stdout of a program that exited with 0, else its failure.
pub(crate) fn good(program: &Program, answer: ProgramOutput) -> Result<String> {
    if answer.ok() {
        return Ok(answer.stdout);
    }
    let end = answer.code.map_or_else(
        || "was killed".to_owned(),
        |code| format!("exited with {code}"),
    );
    Err(program.with_command_hint(Failure::new(format!(
        "{} {end}: {}",
        program.label(),
        answer.last_line()
    ))))
}

/// The path of `name` in [`SEARCH`] of this machine, whatever `--root` is.
pub(crate) fn find_here(name: &str) -> Option<PathBuf> {
    find_in(name, Path::to_path_buf)
}

/// The path of `name` in [`SEARCH`]; `place` maps a path of the host to ours.
pub(super) fn find_in(name: &str, place: impl Fn(&Path) -> PathBuf) -> Option<PathBuf> {
    SEARCH
        .split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|path| is_executable(&place(path)))
}

/// Whether it is a file that somebody may run.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
