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
    /// With the settings and the size of the terminal that standard output is.
    pub(super) fn like_ours() -> Result<Self> {
        let failed = |why: nix::errno::Errno| Error::system("open a pseudo-terminal", why.desc());
        let settings = tcgetattr(std::io::stdout()).ok();
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
    stdin.is_terminal()
        && nix::unistd::tcgetpgrp(&stdin).is_ok_and(|group| group == nix::unistd::getpgrp())
}

/// Our terminal without any processing of its own: that is done by the command's. Put back on drop.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    /// Nothing where standard input is no terminal, or is another job's.
    pub(super) fn begin() -> Option<Self> {
        if !has_keyboard() {
            return None;
        }
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // As a job in the background we would be stopped for this, and have nothing to put back.
        if has_keyboard() {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.before);
        }
    }
}

/// A descriptor of ours that is open for the life of the process.
pub(super) fn standard(number: i32) -> BorrowedFd<'static> {
    // SAFETY: only the numbers 0, 1 and 2 are passed, and nothing here closes those.
    unsafe { BorrowedFd::borrow_raw(number) }
}
