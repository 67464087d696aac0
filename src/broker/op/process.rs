//! One `op` process: started, read, and never left behind.
//!
//! `op` gets a process group of its own, and `/dev/null` on stdin, since it takes any pipe there
//! for data. We wait for its pid, not for the end of its output, since its cache daemon keeps our
//! pipes open for hours. The group is killed while its leader is still unreaped, so that its number
//! cannot belong to another process yet; `tokio::process` reaps it too early.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{self, SignalKind, signal};

use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;

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
        let mut children = watch_children()?;
        let mut group = self.start()?;
        let mut pipes = Pipes::of(&mut group.leader)?;
        pipes.until_end(&group, &mut children).await?;
        group.kill();
        // Whatever `op` wrote before it ended is in the pipes by now.
        pipes.drain()?;
        let status = group.reap()?;
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

    fn start(&self) -> Result<Group> {
        let environment = self.environment.into_iter().flatten();
        Command::new(self.program)
            .args(self.arguments)
            .env_clear()
            .envs(environment.map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map(|leader| Group {
                leader,
                reaped: false,
            })
            .map_err(|why| Error::OpUntrusted {
                path: self.program.to_owned(),
                why: format!("it cannot be started: {why}"),
                absent: false,
            })
    }
}

/// The process group of `op`.
struct Group {
    leader: Child,
    reaped: bool,
}

impl Group {
    fn id(&self) -> Pid {
        Pid::from_raw(self.leader.id().cast_signed())
    }

    /// Waits until `op` has exited, and leaves it unreaped.
    async fn end(&self, children: &mut unix::Signal) -> Result<()> {
        loop {
            match has_ended(self.leader.id()) {
                Ok(false) | Err(Errno::EINTR) => {}
                Ok(true) => return Ok(()),
                Err(why) => return Err(Error::system("wait for `op`", why)),
            }
            children.recv().await;
        }
    }

    fn kill(&self) {
        let _ = killpg(self.id(), Signal::SIGKILL);
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        let status = self.leader.wait();
        self.reaped = true;
        status.map_err(|why| Error::system("wait for `op`", why))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.reap();
        }
    }
}

/// Whether a child of ours has ended; it stays unreaped. (nix has no `waitid` on macOS.)
fn has_ended(child: u32) -> nix::Result<bool> {
    let mut what = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `what` is ours to write to, and the flags leave the child as it is.
    Errno::result(unsafe { libc::waitid(libc::P_PID, child, what.as_mut_ptr(), flags) })?;
    // SAFETY: all zeroes are a `siginfo_t`, of which waitid wrote what it had to say.
    Ok(unsafe { what.assume_init().si_pid() } != 0)
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
    async fn until_end(&mut self, group: &Group, children: &mut unix::Signal) -> Result<()> {
        tokio::select! {
            end = group.end(children) => return end,
            moved = self.exchange() => moved?,
        }
        group.end(children).await
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

fn watch_children() -> Result<unix::Signal> {
    signal(SignalKind::child()).map_err(|why| Error::system("watch for `op`", why))
}
