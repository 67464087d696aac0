//! Runs a program to its end.
//!
//! Each has a process group of its own. Otherwise Ctrl-C would reach it too, and end dpkg in the
//! middle, or Compose while it restores the previous version.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::program::{Input, Program, ProgramOutput, find_in, good};
use super::system::SEARCH;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Host;

impl Host {
    /// Runs a program to its end. A bad exit is a [`ProgramOutput`], not an error.
    pub(crate) fn run(&self, program: &Program) -> Result<ProgramOutput> {
        self.wait(self.run_async(program))
    }

    /// [`Host::run`] where 0 is the only good exit.
    pub(crate) fn must(&self, program: &Program) -> Result<String> {
        good(program, self.run(program)?)
    }

    /// [`Host::run`] within a future.
    pub(crate) async fn run_async(&self, program: &Program) -> Result<ProgramOutput> {
        let label = program.label();
        let fail = |why: io::Error| {
            program.with_command_hint(Failure::system(format!("run {label}"), why))
        };
        let mut child = self.command(program)?.spawn().map_err(fail)?;
        let group = Group::of(&child);
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(pipe) = stdin.as_mut() {
                // A program that stops reading is no error: its exit code tells whether it failed.
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
            status.map(|status| ProgramOutput {
                code: status.code(),
                stdout: out,
                stderr: err,
            })
        };
        let limited = async {
            match tokio::time::timeout(program.deadline, work).await {
                Ok(answer) => answer.map_err(fail),
                Err(_) => Err(program.with_command_hint(Failure::new(format!(
                    "{label} did not end within {} s",
                    program.deadline.as_secs()
                )))),
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

/// The process group of a program. Gets SIGTERM if it is dropped before the program has ended; the
/// Docker client would leave its plugins running.
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
