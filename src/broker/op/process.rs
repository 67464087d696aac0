//! One `op` process: started, read, and never left behind.
//!
//! Its environment holds the key to the vault, so it is started by `posix_spawn` from locked memory;
//! `std::process::Command` would copy it to the heap.
//!
//! `op` gets `/dev/null` on stdin, since it takes any pipe there for data. We wait for its process,
//! not for the end of its output, since its cache daemon keeps our pipes open for hours.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
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
    /// Its name and arguments.
    pub arguments: &'a [CString],
    /// Its whole environment.
    pub environment: &'a [&'a CStr],
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
        let (stdout, its_stdout) = std::io::pipe().map_err(unreadable)?;
        let (stderr, its_stderr) = std::io::pipe().map_err(unreadable)?;
        let mut group = self.start(&its_stdout, &its_stderr)?;
        drop((its_stdout, its_stderr));
        let mut pipes = Pipes::of(stdout.into(), stderr.into())?;
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

    /// Starts it as the leader of its own process group.
    fn start(&self, stdout: &PipeWriter, stderr: &PipeWriter) -> Result<ProcessGroup> {
        let failed = |why: Errno| Error::OpUntrusted {
            path: self.program.to_owned(),
            why: format!("it cannot be started: {}", why.desc()),
            absent: false,
        };
        let nothing = File::open("/dev/null").map_err(unreadable)?;
        let ends = [nothing.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let (actions, attributes) = prepared(ends).map_err(failed)?;
        let (program, environment) = (self.program, self.environment);
        let leader = posix_spawn(program, &actions, &attributes, self.arguments, environment);
        leader.map(ProcessGroup::led_by).map_err(failed)
    }
}

/// What happens in the child: its descriptors, its group, and signals as a program expects them.
/// All other descriptors of ours close on exec.
fn prepared(standard: [BorrowedFd<'_>; 3]) -> nix::Result<(PosixSpawnFileActions, PosixSpawnAttr)> {
    let mut actions = PosixSpawnFileActions::init()?;
    for (number, end) in (0..).zip(standard) {
        actions.add_dup2(end.as_raw_fd(), number)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    // Rust ignores it at start-up, and what is ignored is inherited.
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    Ok((actions, attributes))
}

fn unreadable(why: std::io::Error) -> Error {
    Error::system("read from `op`", why)
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
    fn of(stdout: OwnedFd, stderr: OwnedFd) -> Result<Self> {
        let receiver = |end| pipe::Receiver::from_owned_fd(end).map_err(unreadable);
        Ok(Self {
            stdout: receiver(stdout)?,
            stderr: receiver(stderr)?,
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
                    Err(why) => return Err(unreadable(why)),
                }
            }
        };
        let diagnostic = async {
            loop {
                match self.stderr.read(self.diagnostic.spare()).await {
                    Ok(0) => return Ok(()),
                    Ok(bytes) => skim(&mut self.diagnostic, &mut self.diagnostic_length, bytes),
                    Err(why) => return Err(unreadable(why)),
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
