//! A foreign program together with all that it has started.
//!
//! It leads a process group of its own, so that Ctrl-C is for us, who decide what becomes of it. The
//! group is killed while its leader is still unreaped, so that its number cannot belong to another
//! process yet; `tokio::process` reaps too early.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{self, SignalKind, signal};

/// A program and its descendants. When it is dropped before [`ProcessGroup::reap`], all of them are
/// killed.
pub(crate) struct ProcessGroup {
    leader: Pid,
    is_reaped: bool,
    grace: Duration,
}

impl ProcessGroup {
    /// Starts `command` as the leader of its own group. The pipes are the child's to take; nobody
    /// but the group may wait for it.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Self, Child)> {
        let child = command.process_group(0).spawn()?;
        let leader = Pid::from_raw(child.id().cast_signed());
        Ok((Self::led_by(leader), child))
    }

    /// The group of a child that leads one already, by whatever means it was started.
    pub(crate) fn led_by(leader: Pid) -> Self {
        Self {
            leader,
            is_reaped: false,
            grace: Duration::ZERO,
        }
    }

    /// Has SIGTERM sent first, and SIGKILL this much later.
    pub(crate) fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Waits until the leader has exited, and leaves it unreaped. `children` has to be registered
    /// ([`watch_children`]) before the start, or an early exit is missed.
    pub(crate) async fn end(&self, children: &mut unix::Signal) -> io::Result<()> {
        while !self.has_ended()? {
            children.recv().await;
        }
        Ok(())
    }

    /// [`ProcessGroup::end`] without a runtime, for `patience` at most. Returns whether it has ended.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self.has_ended() {
                Ok(true) => return true,
                Ok(false) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => return false,
            }
        }
    }

    /// Whether the leader has ended; it stays unreaped. (nix has no `waitid` on macOS.)
    fn has_ended(&self) -> io::Result<bool> {
        let mut what = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let leader = self.leader.as_raw().cast_unsigned();
        // SAFETY: `what` is ours to write to, and the flags leave the child as it is.
        match Errno::result(unsafe { libc::waitid(libc::P_PID, leader, what.as_mut_ptr(), flags) })
        {
            Err(Errno::EINTR) => return Ok(false),
            result => result?,
        };
        // SAFETY: all zeroes are a `siginfo_t`, of which waitid wrote what it had to say.
        Ok(unsafe { what.assume_init().si_pid() } != 0)
    }

    /// Kills the leader and whatever it has started that still belongs to its group.
    pub(crate) fn kill(&self) {
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    /// Waits for the leader and gives up its number. What it has left behind is left alone.
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        let mut status = 0;
        loop {
            // SAFETY: `status` is ours to write to.
            match Errno::result(unsafe { libc::waitpid(self.leader.as_raw(), &raw mut status, 0) })
            {
                Err(Errno::EINTR) => {}
                result => {
                    self.is_reaped = true;
                    return Ok(result.map(|_| ExitStatus::from_raw(status))?);
                }
            }
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        if !self.grace.is_zero() {
            let _ = killpg(self.leader, Signal::SIGTERM);
            self.ends_within(self.grace);
        }
        self.kill();
        let _ = self.reap();
    }
}

/// Wakes whoever waits for a child, whichever it is.
pub(crate) fn watch_children() -> io::Result<unix::Signal> {
    signal(SignalKind::child())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> ProcessGroup {
        let mut command = Command::new("/bin/sh");
        let started = ProcessGroup::start(command.args(["-c", script]));
        started.expect("sh can be started").0
    }

    #[test]
    fn a_group_that_is_dropped_ends_with_all_that_it_has_started() {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("mark");
        let script = format!("(sleep 0.5; touch {}) & sleep 5", mark.display());
        drop(start(&script));
        std::thread::sleep(Duration::from_millis(700));
        assert!(!mark.exists());
    }

    #[test]
    fn with_grace_a_program_may_tidy_up_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let (ready, mark) = (
            directory.path().join("ready"),
            directory.path().join("mark"),
        );
        let script = format!(
            "exec 2>/dev/null; trap 'touch {}; exit' TERM; touch {}; while :; do sleep 0.05; done",
            mark.display(),
            ready.display()
        );
        let group = start(&script).with_grace(Duration::from_secs(5));
        while !ready.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let began = Instant::now();
        drop(group);
        assert!(mark.exists());
        assert!(began.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_group_that_was_reaped_leaves_its_children_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("mark");
        let mut group = start(&format!("(sleep 0.3; touch {}) & exit 7", mark.display()));
        assert!(group.ends_within(Duration::from_secs(5)));
        assert_eq!(group.reap().expect("a status").code(), Some(7));
        drop(group);
        std::thread::sleep(Duration::from_millis(600));
        assert!(mark.exists());
    }
}
