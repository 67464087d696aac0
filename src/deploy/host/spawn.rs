//! Runs a program to its end, or ends it with all that it has started: Ctrl-C is for us, since it
//! would otherwise end dpkg in the middle, or Compose while it restores the previous version.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::program::{Input, Program, ProgramOutput, find_here, good};
use super::system::SEARCH;
use crate::base::process_group::{ProcessGroup, watch_children};
use crate::base::program as foreign;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Host;

/// How long a program that is ended early may take to tidy up.
const GRACE: Duration = Duration::from_secs(2);
/// How often a program is started that ends by a signal that was meant for us, while we heed none.
const TRIES: u32 = 5;

impl Host {
    /// Runs a program to its end. A bad exit is a [`ProgramOutput`], not an error.
    pub(crate) fn run(&self, program: &Program) -> Result<ProgramOutput> {
        self.wait(self.run_async(program))
    }

    /// [`Host::run`] where 0 is the only good exit.
    pub(crate) fn must(&self, program: &Program) -> Result<String> {
        self.wait(self.must_async(program))
    }

    /// [`Host::run`] within a future.
    pub(crate) async fn run_async(&self, program: &Program) -> Result<ProgramOutput> {
        let mut tries = TRIES;
        loop {
            let (status, stdout, stderr) = self.run_once(program).await?;
            tries -= 1;
            let said_nothing = stdout.is_empty() && stderr.is_empty();
            if self.is_shielded() && tries > 0 && said_nothing && was_meant_for_us(status) {
                continue;
            }
            return Ok(ProgramOutput {
                code: status.code(),
                stdout,
                stderr,
            });
        }
    }

    /// [`Host::must`] within a future.
    pub(crate) async fn must_async(&self, program: &Program) -> Result<String> {
        good(program, self.run_async(program).await?)
    }

    async fn run_once(&self, program: &Program) -> Result<(ExitStatus, String, String)> {
        let label = program.label();
        let fail = |why: io::Error| {
            program.with_command_hint(Failure::system(format!("run {label}"), why))
        };
        // Registered before the start, so that an early exit is not missed.
        let mut children = watch_children().map_err(fail)?;
        let (group, mut child) = ProcessGroup::start(&mut self.command(program)?).map_err(fail)?;
        let mut group = group.with_grace(GRACE);
        let stdin = child.stdin.take().map(into_program).transpose();
        let mut stdin = stdin.map_err(fail)?;
        let stdout = child.stdout.take().map(from_program).transpose();
        let stderr = child.stderr.take().map(from_program).transpose();
        let (stdout, stderr) = (stdout.map_err(fail)?, stderr.map_err(fail)?);
        let feed = async {
            if let Some(pipe) = stdin.as_mut() {
                // A program that stops reading is no error: its exit code tells whether it failed.
                let _ = pipe.write_all(program.input.bytes()).await;
            }
            drop(stdin);
        };
        let work = async {
            let (_, out, err, end) = tokio::join!(
                feed,
                drain(stdout, program.cap),
                drain(stderr, program.cap),
                group.end(&mut children)
            );
            end.map(|()| (out, err))
        };
        let limited = async {
            match tokio::time::timeout(program.deadline, work).await {
                Ok(output) => output.map_err(fail),
                Err(_) => Err(program.with_command_hint(Failure::new(format!(
                    "{label} did not end within {} s",
                    program.deadline.as_secs()
                )))),
            }
        };
        let (stdout, stderr) = self.unless_interrupted(limited).await?;
        let status = group.reap().map_err(fail)?;
        Ok((status, stdout, stderr))
    }

    /// Becomes `program`, with our input and output. Returns only when that fails.
    pub(crate) fn become_program(&self, program: &Program) -> Failure {
        let mut command = match self.command(program) {
            Ok(command) => command,
            Err(failure) => return failure,
        };
        command.stdin(Stdio::inherit());
        command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let why = command.exec();
        program.with_command_hint(Failure::system(format!("run {}", program.label()), why))
    }

    fn command(&self, program: &Program) -> Result<Command> {
        let here = program.outside || self.is_real_root();
        let name = program.name.to_string_lossy();
        let path = if name.starts_with('/') {
            Some(PathBuf::from(&program.name))
        } else if here {
            find_here(&name)
        } else {
            self.find(&name)
        };
        let path = path.ok_or_else(|| {
            Failure::new(format!("{name} is not installed"))
                .hint(format!("install it; it is looked for in {SEARCH}"))
        })?;
        let always = [("PATH", SEARCH), ("HOME", "/root"), ("LC_ALL", "C.UTF-8")]
            .map(|(name, value)| (name.into(), value.into()));
        let environment = always.into_iter().chain(program.env.iter().cloned());
        let mut command = if here {
            foreign::command::<OsString, OsString>(&path, environment)
        } else {
            let mut chroot = foreign::command(Path::new("/usr/sbin/chroot"), environment);
            chroot.arg(&self.root).arg(path);
            chroot
        };
        command
            .args(&program.args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !matches!(program.input, Input::Nothing) {
            command.stdin(Stdio::piped());
        }
        if let Some(directory) = &program.within {
            command.current_dir(directory);
        }
        Ok(command)
    }
}

/// Whether a signal that ends a run has ended it. A program gets one of those where somebody sends it to all of our
/// process group between its start and the moment at which it has a group of its own: before it did anything.
fn was_meant_for_us(status: ExitStatus) -> bool {
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP]
        .map(Some)
        .contains(&status.signal())
}

/// Our end of a program's stdin.
fn into_program(pipe: ChildStdin) -> io::Result<pipe::Sender> {
    pipe::Sender::from_owned_fd(pipe.into())
}

/// Our end of a program's output.
fn from_program(pipe: impl Into<OwnedFd>) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(pipe.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a shell that `signal` ends in the first so many of its starts. Returns its code, and how often it was started.
    fn ended_by(signal: &str, starts: u32, is_shielded: bool) -> (Option<i32>, usize) {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("started");
        let host = Host::new("/").expect("a host");
        let script = format!(
            "echo >>{0}; [ $(wc -l <{0}) -gt {starts} ] || kill -{signal} $$; exit 7",
            mark.display()
        );
        host.shield(is_shielded);
        let ran = host.run(&Program::new("sh").args(["-c", &script]));
        let started = std::fs::read_to_string(&mark).expect("it was started");
        (ran.expect("it was run").code, started.lines().count())
    }

    #[test]
    fn a_signal_that_was_meant_for_us_ends_no_program_that_puts_something_back() {
        assert_eq!(ended_by("TERM", 1, true), (Some(7), 2));
        let kills_itself = ended_by("TERM", 99, true);
        assert_eq!(kills_itself, (None, TRIES as usize));
        let is_killed = ended_by("KILL", 1, true);
        assert_eq!(is_killed, (None, 1), "was not meant for us");
        let unshielded = ended_by("TERM", 1, false);
        assert_eq!(unshielded, (None, 1), "what ends a run counts");
    }

    #[test]
    fn an_operator_ends_a_run_by_three_signals() {
        // Some are ignored where the tests run in the background, so that no shell would end by them.
        let ends = |signal| was_meant_for_us(ExitStatus::from_raw(signal));
        assert!([libc::SIGINT, libc::SIGTERM, libc::SIGHUP].map(ends) == [true; 3]);
        let exited_with_2 = 2 << 8;
        assert!([libc::SIGKILL, libc::SIGSEGV, exited_with_2, 0].map(ends) == [false; 4]);
    }
}
