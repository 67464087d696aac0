//! Foreign programs: what to run, how it is run, and what it answered.
//!
//! Each has a process group of its own: Ctrl-C is for us, who go on to put things back, and would
//! otherwise end dpkg in the middle, or Compose while it brings the old version back.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::{Host, SEARCH};
use crate::deploy::exit::{Failure, Result};
use crate::quote;
use crate::secret::Secret;

/// A program to run.
#[derive(Clone)]
pub struct Program {
    name: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    input: Input,
    deadline: Duration,
    cap: usize,
    outside: bool,
    within: Option<PathBuf>,
}

/// What a program's stdin is.
#[derive(Clone)]
enum Input {
    Nothing,
    Text(Vec<u8>),
    Secret(Secret),
}

impl Input {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => b"",
            Self::Text(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

/// Its name alone: what it is given may be a secret.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.label()).finish()
    }
}

impl Program {
    /// `name` is an absolute path, or a plain name that is looked up in [`SEARCH`].
    #[must_use]
    pub fn new(name: impl AsRef<OsStr>) -> Self {
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
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable beside PATH, HOME and LC_ALL, which are always there.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Bytes for its stdin, which is `/dev/null` otherwise.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Text(bytes.into());
        self
    }

    /// A secret for its stdin.
    #[must_use]
    pub fn secret(mut self, secret: &Secret) -> Self {
        self.input = Input::Secret(secret.clone());
        self
    }

    /// When to give up; 60 s unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs on the operator's side even under `--root`.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// Runs in this directory, whatever its name is then. It has to stay open until the end.
    #[must_use]
    pub fn within(mut self, directory: &File) -> Self {
        let descriptor = directory.as_raw_fd();
        self.within = Some(PathBuf::from(format!("/proc/self/fd/{descriptor}")));
        self
    }

    /// The name without its directory, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        Path::new(&self.name)
            .file_name()
            .unwrap_or(&self.name)
            .to_string_lossy()
            .into_owned()
    }

    /// The command as somebody would type it; arguments are never secret.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let name = self.name.to_string_lossy();
        let args = self.args.iter().map(|arg| arg.to_string_lossy());
        let words: Vec<_> = std::iter::once(name).chain(args).collect();
        quote::command(words.iter().map(AsRef::as_ref))
    }

    /// The hint of a failure of this program. What it was given by stdin is not to be had by hand.
    fn hint(&self) -> String {
        match self.input {
            Input::Nothing => format!("see it by hand: {}", self.by_hand()),
            _ => "mend what it says, then run the same command again".to_owned(),
        }
    }
}

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its stdout, up to the cap.
    pub stdout: String,
    /// Its stderr, up to the cap.
    pub stderr: String,
}

impl Answer {
    /// Whether it exited with 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// The last line that says something, of stderr or else stdout.
    #[must_use]
    pub fn last_line(&self) -> &str {
        [&self.stderr, &self.stdout]
            .into_iter()
            .flat_map(|text| text.lines().rev())
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("no output")
    }
}

impl Host {
    /// Runs a program to its end. A bad exit is an [`Answer`], not an error.
    ///
    /// # Errors
    /// When it is not there, cannot be started or does not end in time.
    pub fn run(&self, program: &Program) -> Result<Answer> {
        self.wait(self.run_async(program))
    }

    /// [`Host::run`] where 0 is the only good exit.
    ///
    /// # Errors
    /// As [`Host::run`], and for any other exit, with the program's last line.
    pub fn must(&self, program: &Program) -> Result<String> {
        good(program, self.run(program)?)
    }

    /// [`Host::run`] within a future.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn run_async(&self, program: &Program) -> Result<Answer> {
        let label = program.label();
        let fail =
            |why: io::Error| Failure::system(format!("run {label}"), why).hint(program.hint());
        let mut child = self.command(program)?.spawn().map_err(fail)?;
        let group = Group::of(&child);
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(pipe) = stdin.as_mut() {
                // A program that reads no further is not an error here: its exit tells.
                let _ = pipe.write_all(program.input.bytes()).await;
            }
            drop(stdin);
        };
        let work = async {
            let (_, out, err, status) = tokio::join!(
                feed,
                drain(stdout, program.cap),
                drain(stderr, program.cap),
                child.wait()
            );
            status.map(|status| Answer {
                code: status.code(),
                stdout: out,
                stderr: err,
            })
        };
        let limited = async {
            match tokio::time::timeout(program.deadline, work).await {
                Ok(answer) => answer.map_err(fail),
                Err(_) => Err(Failure::new(format!(
                    "{label} did not end within {} s",
                    program.deadline.as_secs()
                ))
                .hint(program.hint())),
            }
        };
        let answer = self.unless_interrupted(limited).await?;
        group.has_ended();
        Ok(answer)
    }

    fn command(&self, program: &Program) -> Result<tokio::process::Command> {
        let here = program.outside || self.is_real_root();
        let name = program.name.to_string_lossy();
        let path = if name.starts_with('/') {
            Some(PathBuf::from(&program.name))
        } else if here {
            find_in(&name, Path::to_path_buf)
        } else {
            self.find(&name)
        };
        let path = path.ok_or_else(|| {
            Failure::new(format!("{name} is not installed"))
                .hint(format!("install it; it is looked for in {SEARCH}"))
        })?;
        let mut command = if here {
            tokio::process::Command::new(path)
        } else {
            let mut chroot = tokio::process::Command::new("/usr/sbin/chroot");
            chroot.arg(&self.root).arg(path);
            chroot
        };
        command
            .args(&program.args)
            .env_clear()
            .env("PATH", SEARCH)
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(match program.input {
                Input::Nothing => Stdio::null(),
                _ => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &program.within {
            command.current_dir(directory);
        }
        Ok(command)
    }
}

/// A program and what it has started. Asked to end when it is dropped before its end: the Docker
/// client leaves its plugins running otherwise.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().map(|id| Pid::from_raw(id.cast_signed()));
        Self(leader)
    }

    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = killpg(leader, Signal::SIGTERM);
        }
    }
}

/// The stdout of a program that exited with 0, else its failure.
///
/// # Errors
/// When it did not exit with 0.
pub fn good(program: &Program, answer: Answer) -> Result<String> {
    if answer.ok() {
        return Ok(answer.stdout);
    }
    let end = answer.code.map_or_else(
        || "was killed".to_owned(),
        |code| format!("exited with {code}"),
    );
    Err(
        Failure::new(format!("{} {end}: {}", program.label(), answer.last_line()))
            .hint(program.hint()),
    )
}

/// Where `name` is in [`SEARCH`], as `place` sees it.
pub(super) fn find_in(name: &str, place: impl Fn(&Path) -> PathBuf) -> Option<PathBuf> {
    SEARCH
        .split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|path| {
            fs::metadata(place(path))
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// Reads to the end, so that the program never blocks, and keeps the first `cap` bytes.
async fn drain(pipe: Option<impl AsyncRead + Unpin>, cap: usize) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    if let Some(mut pipe) = pipe {
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let room = cap.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(&buffer[..room]);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
