//! Our terminal, and the one that a command gets instead of it.

use std::io::IsTerminal as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::base::error::{Error, Result};

/// A pseudo-terminal that looks like ours.
pub(super) struct Pty {
    /// Our end.
    pub ours: OwnedFd,
    /// The command's end.
    pub theirs: OwnedFd,
}

impl Pty {
    /// With the settings and the size of the terminal that standard output is. What a shell that
    /// waits for its next line has set for itself is not meant for us: in the background it gets
    /// those that every terminal begins with.
    pub(super) fn like_ours() -> Result<Self> {
        let failed = |why: nix::errno::Errno| Error::system("open a pseudo-terminal", why.desc());
        let stdout = std::io::stdout();
        let group = nix::unistd::tcgetpgrp(&stdout);
        let in_background = group.is_ok_and(|group| group != nix::unistd::getpgrp());
        let settings = tcgetattr(&stdout).ok().filter(|_| !in_background);
        let ends = openpty(None, settings.as_ref()).map_err(failed)?;
        for end in [&ends.master, &ends.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
        }
        let pty = Self {
            ours: ends.master,
            theirs: ends.slave,
        };
        copy_size(pty.ours.as_fd());
        Ok(pty)
    }
}

/// Gives `pty` the size of the terminal that standard output is.
pub(super) fn copy_size(pty: BorrowedFd<'_>) {
    let mut size = std::mem::MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the first call writes a `winsize`, the second reads it; all zeroes are one.
    unsafe {
        libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr());
        libc::ioctl(pty.as_raw_fd(), libc::TIOCSWINSZ, size.as_ptr());
    }
}

/// Whether standard input is a terminal whose keys are for us now, and not for another job.
pub(super) fn has_keyboard() -> bool {
    let stdin = std::io::stdin();
    stdin.is_terminal() && in_foreground(&stdin)
}

fn in_foreground(terminal: impl AsFd) -> bool {
    nix::unistd::tcgetpgrp(terminal).is_ok_and(|group| group == nix::unistd::getpgrp())
}

/// The terminal at which somebody types. While it is taken it does no processing of its own: that is
/// done by the command's.
pub(super) struct Keyboard {
    terminal: OwnedFd,
    /// Whether its keys are for the command.
    wanted: bool,
    /// How it was before it was taken.
    before: Option<Termios>,
}

impl Keyboard {
    /// Standard input, whose keys are for the command from the beginning. Where that is no terminal,
    /// the one that prompts ask: others in a pipeline may ask there too, and Ctrl-C is for all of
    /// them, so that it is left alone until [`Self::is_asked`].
    pub(super) fn ours() -> Option<Self> {
        let stdin = std::io::stdin();
        let wanted = stdin.is_terminal();
        let terminal = if wanted {
            stdin.as_fd().try_clone_to_owned()
        } else {
            std::fs::File::open("/dev/tty").map(OwnedFd::from)
        };
        Some(Self {
            terminal: terminal.ok()?,
            wanted,
            before: None,
        })
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// The command asks there; whether it does so for the first time.
    pub(super) fn is_asked(&mut self) -> bool {
        !std::mem::replace(&mut self.wanted, true)
    }

    /// Takes it, if it is wanted and not another job's now; whether it is taken.
    pub(super) fn take(&mut self) -> bool {
        if self.wanted && self.before.is_none() && in_foreground(&self.terminal) {
            self.before = self.make_raw().ok();
        }
        self.is_taken()
    }

    fn make_raw(&self) -> nix::Result<Termios> {
        let before = tcgetattr(&self.terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&self.terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(before)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.before.is_some()
    }

    /// Makes it what it was.
    pub(super) fn give_back(&mut self) {
        // As a job in the background we would be stopped for this, and have nothing to put back.
        if let Some(before) = self.before.take().filter(|_| in_foreground(&self.terminal)) {
            let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &before);
        }
    }
}

impl AsFd for Keyboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A descriptor of ours that is open for the life of the process.
pub(super) fn standard(number: i32) -> BorrowedFd<'static> {
    // SAFETY: only the numbers 0, 1 and 2 are passed, and nothing here closes those.
    unsafe { BorrowedFd::borrow_raw(number) }
}
