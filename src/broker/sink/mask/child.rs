//! The command, and the process between it and us.
//!
//! A command that leads the session of its own terminal can never be stopped by Ctrl-Z: nobody is
//! left in it who could continue it. So a process of ours leads that session, waits for the command,
//! and tells us how it fares. It holds no secret: what is locked is absent in it, but for the
//! environment of the command, which it gives up once that runs.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setpgid, setsid, tcsetpgrp};

use crate::base::environment_block::EnvironmentBlock;
use crate::base::error::{Error, Result};
use crate::base::harden::Hardened;
use crate::broker::sink::exec::{self, Invocation};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// How a command fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It runs, under this number.
    Runs(Pid),
    /// It could not be executed.
    Refused(Errno),
    /// It was stopped by this signal; [`Command::go_on`] continues it.
    Stopped(Signal),
    /// It has ended.
    Ended(Ended),
}

/// What a command gets as its standard streams.
pub(super) struct Streams<'a> {
    /// What replaces each of ours that is replaced.
    pub replaced: [Option<BorrowedFd<'a>>; 3],
    /// Its terminal, where it gets one of its own.
    pub terminal: Option<BorrowedFd<'a>>,
    /// Whether the command begins in the background there: it is then stopped when it asks, by
    /// which we know that it does.
    pub in_background: bool,
}

/// The command, seen from us.
pub(super) struct Command {
    link: UnixStream,
    /// Its process group in a terminal of its own; else it is in ours.
    pub group: Option<Pid>,
    /// Its number.
    pub id: Pid,
}

impl Command {
    /// Starts `command`.
    ///
    /// # Errors
    /// Where it cannot be executed.
    pub(super) fn start(
        command: &Invocation,
        environment: &EnvironmentBlock,
        hardened: Hardened,
        streams: &Streams<'_>,
    ) -> Result<Self> {
        let failed = |why: &dyn std::fmt::Display| Error::system("start the command", why);
        let (link, far) = UnixStream::pair().map_err(|why| failed(&why))?;
        environment.memory().share_with_child();
        // SAFETY: no other thread of ours runs, so that the child may do whatever we may.
        match unsafe { fork() }.map_err(|why| failed(&why.desc()))? {
            ForkResult::Child => {
                drop(link);
                Between { link: far, streams }.run(command, environment, hardened);
                // SAFETY: ends this process without running what belongs to the other one.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { .. } => {
                drop(far);
                let mut started = Self {
                    link,
                    group: None,
                    id: Pid::from_raw(0),
                };
                match started.news() {
                    Some(News::Runs(id)) => {
                        started.id = id;
                        started.group = streams.terminal.map(|_| id);
                        Ok(started)
                    }
                    Some(News::Refused(why)) => Err(exec::refused(command, why)),
                    _ => Err(failed(&"it has vanished")),
                }
            }
        }
    }

    /// The next news; waits for it. `None` if there will be none.
    pub(super) fn news(&mut self) -> Option<News> {
        let mut message = [0; 5];
        self.link.read_exact(&mut message).ok()?;
        let [kind, number @ ..] = message;
        let number = i32::from_le_bytes(number);
        match kind {
            b'R' => Some(News::Runs(Pid::from_raw(number))),
            b'F' => Some(News::Refused(Errno::from_raw(number))),
            b'S' => Some(News::Stopped(
                Signal::try_from(number).unwrap_or(Signal::SIGSTOP),
            )),
            b'E' => Some(News::Ended(Ended::Exited(number))),
            _ => Some(News::Ended(Ended::Killed(number))),
        }
    }

    /// Continues it after [`News::Stopped`], in the foreground of its terminal or where it was.
    pub(super) fn go_on(&mut self, in_foreground: bool) {
        let _ = self.link.write_all(if in_foreground { b"F" } else { b"C" });
    }

    /// Passes a signal on to it, and to its job.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = match self.group {
            Some(group) => killpg(group, signal),
            None => nix::sys::signal::kill(self.id, signal),
        };
    }
}

impl AsFd for Command {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

/// The process between.
struct Between<'a> {
    link: UnixStream,
    streams: &'a Streams<'a>,
}

impl Between<'_> {
    fn run(&mut self, command: &Invocation, environment: &EnvironmentBlock, hardened: Hardened) {
        if let Some(terminal) = self.streams.terminal {
            let _ = setsid();
            // SAFETY: TIOCSCTTY takes a number, and the descriptor is open.
            unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0) };
        }
        let (Ok((mut go, ready)), Ok((mut fate, failure))) = (std::io::pipe(), std::io::pipe())
        else {
            return self.tell(b'F', Errno::EMFILE as i32);
        };
        // SAFETY: this process has one thread.
        let child = match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                drop(ready);
                let _ = go.read(&mut [0]);
                let why = self.become_it(command, environment, hardened);
                let mut failure = failure;
                let _ = failure.write_all(&(why as i32).to_le_bytes());
                // SAFETY: as in the caller.
                unsafe { libc::_exit(127) }
            }
            Ok(ForkResult::Parent { child }) => child,
            Err(why) => return self.tell(b'F', why as i32),
        };
        drop((go, failure));
        self.stand_aside();
        if let Some(terminal) = self.streams.terminal {
            let _ = setpgid(child, child);
            if !self.streams.in_background {
                let _ = tcsetpgrp(terminal, child);
            }
        }
        drop(ready);
        let mut why = [0; 4];
        let refused = fate.read_exact(&mut why).is_ok();
        environment.memory().give_up();
        if refused {
            let _ = waitpid(child, None);
            return self.tell(b'F', i32::from_le_bytes(why));
        }
        drop(fate);
        self.close_the_rest();
        self.tell(b'R', child.as_raw());
        self.watch(child);
    }

    /// In the command's process: takes its streams and becomes it, or tells why it cannot.
    fn become_it(
        &self,
        command: &Invocation,
        environment: &EnvironmentBlock,
        hardened: Hardened,
    ) -> Errno {
        for (number, replaced) in (0..).zip(self.streams.replaced) {
            if let Some(stream) = replaced {
                // SAFETY: both are open descriptors, and the copy is not closed on exec.
                if unsafe { libc::dup2(stream.as_raw_fd(), number) } < 0 {
                    return Errno::last();
                }
            }
        }
        exec::execute(command, environment, hardened)
    }

    /// Signals of a terminal are for the command.
    fn stand_aside(&self) {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        for signal in [
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGTSTP,
            Signal::SIGTTIN,
            Signal::SIGTTOU,
            Signal::SIGWINCH,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGCONT,
        ] {
            // SAFETY: no handler is involved.
            let _ = unsafe { sigaction(signal, &ignore) };
        }
    }

    /// Closes what is open beside our link and the terminal: the command's streams end when it has
    /// closed them, and it learns when we have, whether or not this process lives.
    fn close_the_rest(&self) {
        let kept = [
            Some(self.link.as_raw_fd()),
            self.streams.terminal.map(|terminal| terminal.as_raw_fd()),
        ];
        let open = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
        let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let numbers: Vec<i32> = numbers.collect();
        for number in numbers {
            if number > 2 && !kept.contains(&Some(number)) {
                // SAFETY: this process ends without using or dropping any of them.
                unsafe { libc::close(number) };
            }
        }
    }

    fn watch(&mut self, child: Pid) {
        let flags = match self.streams.terminal {
            Some(_) => WaitPidFlag::WUNTRACED,
            None => WaitPidFlag::empty(),
        };
        loop {
            match waitpid(child, Some(flags)) {
                Ok(WaitStatus::Exited(_, code)) => return self.tell(b'E', code),
                Ok(WaitStatus::Signaled(_, signal, _)) => return self.tell(b'K', signal as i32),
                Ok(WaitStatus::Stopped(_, signal)) => {
                    self.tell(b'S', signal as i32);
                    // Waits until we are continued ourselves, or are gone.
                    let mut how = [0];
                    let gone = !matches!(self.link.read(&mut how), Ok(1));
                    if let Some(terminal) = self.streams.terminal.filter(|_| how == *b"F") {
                        let _ = tcsetpgrp(terminal, child);
                    }
                    if gone {
                        let _ = killpg(child, Signal::SIGHUP);
                    }
                    let _ = killpg(child, Signal::SIGCONT);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return self.tell(b'K', Signal::SIGKILL as i32),
            }
        }
    }

    fn tell(&mut self, kind: u8, number: i32) {
        let [a, b, c, d] = number.to_le_bytes();
        let _ = self.link.write_all(&[kind, a, b, c, d]);
    }
}
