//! One `op` process: started, read, and never left behind.
//!
//! `op` gets `/dev/null` on stdin, since it takes any pipe there for data. We wait for its process,
//! not for the end of its output, since its cache daemon keeps our pipes open for hours.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::errno::Errno;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix;

use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;
use crate::base::process_group::{ProcessGroup, watch_children};

/// The most that `op` may print, in bytes: 50 values of 64 KiB, with room for JSON escapes.
const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;

/// How much of a diagnostic is kept for classification, in bytes; the rest is only counted.
const DIAGNOSTIC_LIMIT: usize = 32 * 1024;

/// What to run.
pub(crate) struct Call<'a> {
    /// The trusted binary.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Its whole environment, in two parts.
    pub environment: [&'a [(OsString, OsString)]; 2],
}

/// What came back.
pub(crate) struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it printed.
    pub stdout: Locked,
    /// The beginning of its diagnostic. Never shown: it may hold a token.
    pub stderr: Locked,
    /// The length of the whole diagnostic in bytes.
    pub stderr_length: u64,
}

/// The least room for one read, in bytes.
const READ_SIZE: usize = 16 * 1024;

impl Call<'_> {
    /// Runs `op` to its end. When this future is dropped, `op` and all that it started are killed
    /// and reaped: that is how a deadline or a signal ends it.
    ///
    /// # Errors
    /// [`Error::OpNonsense`] for endless output, [`Error::OpKilled`], and
    /// [`Error::OpUntrusted`] where it cannot be started.
    pub(crate) async fn run(&self) -> Result<Answer> {
        // Registered before the start, so that an early exit is not missed.
        let failed = |why| Error::system("wait for `op`", why);
        let mut children = watch_children().map_err(failed)?;
        let (mut group, mut op) = self.start()?;
        let mut pipes = Pipes::of(&mut op)?;
        pipes.until_end(&group, &mut children).await?;
        group.kill();
        // Whatever `op` wrote before it ended is in the pipes by now.
        pipes.drain()?;
        let status = group.reap().map_err(failed)?;
        match status.signal() {
            Some(signal) => Err(Error::OpKilled { signal }),
            None => Ok(Answer {
                status,
                stdout: pipes.answer,
                stderr: pipes.diagnostic,
                stderr_length: pipes.diagnostic_length,
            }),
        }
    }

    fn start(&self) -> Result<(ProcessGroup, Child)> {
        let environment = self.environment.into_iter().flatten();
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .env_clear()
            .envs(environment.map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ProcessGroup::start(&mut command).map_err(|why| Error::OpUntrusted {
            path: self.program.to_owned(),
            why: format!("it cannot be started: {why}"),
            absent: false,
        })
    }
}

/// Our ends of `op`'s pipes, and what came through them.
struct Pipes {
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    answer: Locked,
    diagnostic: Locked,
    diagnostic_length: u64,
}

impl Pipes {
    fn of(child: &mut Child) -> Result<Self> {
        let failed = |why: std::io::Error| Error::system("read from `op`", why);
        let receiver = |end: Option<OwnedFd>| {
            let end = end.ok_or_else(|| Error::system("read from `op`", "no pipe"))?;
            pipe::Receiver::from_owned_fd(end).map_err(failed)
        };
        Ok(Self {
            stdout: receiver(child.stdout.take().map(Into::into))?,
            stderr: receiver(child.stderr.take().map(Into::into))?,
            answer: Locked::with_capacity(4 * READ_SIZE),
            diagnostic: Locked::with_capacity(DIAGNOSTIC_LIMIT + READ_SIZE),
            diagnostic_length: 0,
        })
    }

    /// Reads until `op` has exited, even if another process still holds the pipes.
    async fn until_end(&mut self, group: &ProcessGroup, children: &mut unix::Signal) -> Result<()> {
        let failed = |why| Error::system("wait for `op`", why);
        tokio::select! {
            end = group.end(children) => return end.map_err(failed),
            moved = self.exchange() => moved?,
        }
        group.end(children).await.map_err(failed)
    }

    async fn exchange(&mut self) -> Result<()> {
        let answer = async {
            loop {
                self.answer.reserve(READ_SIZE);
                match self.stdout.read(self.answer.spare()).await {
                    Ok(0) => return Ok(()),
                    Ok(bytes) => accept(&mut self.answer, bytes)?,
                    Err(why) => return Err(Error::system("read from `op`", why)),
                }
            }
        };
        let diagnostic = async {
            loop {
                match self.stderr.read(self.diagnostic.spare()).await {
                    Ok(0) => return Ok(()),
                    Ok(bytes) => skim(&mut self.diagnostic, &mut self.diagnostic_length, bytes),
                    Err(why) => return Err(Error::system("read from `op`", why)),
                }
            }
        };
        tokio::try_join!(answer, diagnostic).map(|_| ())
    }

    /// Reads what is in the pipes without waiting for more.
    fn drain(&mut self) -> Result<()> {
        loop {
            self.answer.reserve(READ_SIZE);
            match nix::unistd::read(self.stdout.as_fd(), self.answer.spare()) {
                Ok(bytes) if bytes > 0 => accept(&mut self.answer, bytes)?,
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        while self.diagnostic_length < DIAGNOSTIC_LIMIT as u64 {
            match nix::unistd::read(self.stderr.as_fd(), self.diagnostic.spare()) {
                Ok(bytes) if bytes > 0 => {
                    skim(&mut self.diagnostic, &mut self.diagnostic_length, bytes);
                }
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        Ok(())
    }
}

fn accept(answer: &mut Locked, bytes: usize) -> Result<()> {
    answer.advance(bytes);
    if answer.len() > OUTPUT_LIMIT {
        return Err(Error::OpNonsense {
            what: "it is longer than 8 MiB",
        });
    }
    Ok(())
}

/// Keeps the beginning of a diagnostic and counts the rest, which the next read overwrites.
fn skim(diagnostic: &mut Locked, length: &mut u64, bytes: usize) {
    *length += bytes as u64;
    diagnostic.advance(bytes.min(DIAGNOSTIC_LIMIT - diagnostic.len()));
}
