//! One stream of the command's output, on its way to where it goes. Nothing here waits: whoever
//! reads it may be slow, and signals and keys are to be passed on meanwhile.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{isatty, read, write};

use super::matcher::Matcher;
use super::terminal::standard;
use crate::base::error::{Error, Result};

/// How a target is written to without being waited for. Our descriptors are others' too, who would
/// be surprised to find them unblocking.
#[derive(Clone, Copy)]
enum Way {
    /// It keeps nobody waiting: a file, or `/dev/null`.
    Whole,
    /// By a call that does not wait. Linux has it for pipes; an older one refuses it.
    AtOnce,
    /// Where poll(2) says that there is room, and then no more than a pipe has room for.
    Portions,
}

/// From the command, through the mask, to a descriptor of ours.
pub(super) struct Stream {
    /// What the command writes into, until that ends or nobody reads it any more.
    source: Option<OwnedFd>,
    target: BorrowedFd<'static>,
    way: Way,
    matcher: Matcher,
    /// What is decided, and how much of it is written.
    out: Vec<u8>,
    written: usize,
}

impl Stream {
    /// From `source` to the descriptor `target` of ours.
    pub(super) fn new(source: OwnedFd, target: i32, matcher: Matcher) -> Result<Self> {
        let set = fcntl(
            &source,
            FcntlArg::F_SETFL(OFlag::O_NONBLOCK | flags(&source)),
        );
        set.map_err(|why| Error::system("start the command", why.desc()))?;
        let target = standard(target);
        Ok(Self {
            source: Some(source),
            target,
            way: Way::to(target),
            matcher,
            out: Vec::with_capacity(128 * 1024),
            written: 0,
        })
    }

    /// What this stream waits for: room for what is decided, else more from the command.
    pub(super) fn waits_for(&self) -> Option<PollFd<'_>> {
        if self.is_stuck() {
            return Some(PollFd::new(self.target, PollFlags::POLLOUT));
        }
        let source = self.source.as_ref()?;
        Some(PollFd::new(source.as_fd(), PollFlags::POLLIN))
    }

    /// Whether something is decided that could not be written yet.
    pub(super) fn is_stuck(&self) -> bool {
        self.written < self.out.len()
    }

    /// Passes on what is there and can be written; whether there may be more at once.
    pub(super) fn carry(&mut self) -> bool {
        self.write();
        let Some(source) = self.source.as_ref().filter(|_| !self.is_stuck()) else {
            return false;
        };
        match read(source, self.matcher.room()) {
            Ok(bytes @ 1..) => {
                self.matcher.pass(bytes, &mut self.out);
                self.write();
                !self.is_stuck() && self.source.is_some()
            }
            Err(Errno::EINTR) => true,
            Err(Errno::EAGAIN) => false,
            // A pseudo-terminal ends with EIO.
            Ok(0) | Err(_) => {
                self.source = None;
                self.finish();
                false
            }
        }
    }

    /// Whether something waits for [`Self::hurry`].
    pub(super) fn delays(&self) -> bool {
        self.matcher.delays()
    }

    /// Passes on what only might become a secret.
    pub(super) fn hurry(&mut self) {
        self.matcher.hurry(&mut self.out);
        self.write();
    }

    /// Passes on all that is left: the command writes no more.
    pub(super) fn finish(&mut self) {
        self.matcher.end(&mut self.out);
        self.write();
    }

    /// Writes of what is decided as much as there is room for.
    fn write(&mut self) {
        while self.is_stuck() {
            match self.way.write(self.target, &self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // The other way knows better why.
                Err(_) if matches!(self.way, Way::AtOnce) => self.way = Way::Portions,
                // Nobody reads it any more, which the command is to notice.
                Err(_) => {
                    self.source = None;
                    self.written = self.out.len();
                }
            }
        }
        self.out.clear();
        self.written = 0;
    }
}

impl Way {
    fn to(target: BorrowedFd<'_>) -> Self {
        let found = fstat(target).map(|found| SFlag::from_bits_truncate(found.st_mode));
        match found.map(|mode| mode & SFlag::S_IFMT) {
            Ok(SFlag::S_IFREG | SFlag::S_IFBLK) => Self::Whole,
            Ok(SFlag::S_IFCHR) if !isatty(target).unwrap_or(true) => Self::Whole,
            Ok(SFlag::S_IFIFO) => Self::AtOnce,
            _ => Self::Portions,
        }
    }

    fn write(self, target: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
        match self {
            Self::Whole => write(target, bytes),
            Self::AtOnce => write_at_once(target, bytes),
            Self::Portions if has_room(target) => {
                write(target, &bytes[..bytes.len().min(libc::PIPE_BUF)])
            }
            Self::Portions => Err(Errno::EAGAIN),
        }
    }
}

#[cfg(target_os = "linux")]
fn write_at_once(target: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
    use rustix::io::{ReadWriteFlags, pwritev2};
    let bytes = [std::io::IoSlice::new(bytes)];
    // A pipe has no position, which this number stands for.
    let written = pwritev2(target, &bytes, u64::MAX, ReadWriteFlags::NOWAIT);
    written.map_err(|why| Errno::from_raw(why.raw_os_error()))
}

#[cfg(not(target_os = "linux"))]
fn write_at_once(_target: BorrowedFd<'_>, _bytes: &[u8]) -> nix::Result<usize> {
    Err(Errno::ENOSYS)
}

fn has_room(target: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(target, PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn flags(of: &OwnedFd) -> OFlag {
    fcntl(of, FcntlArg::F_GETFL).map_or(OFlag::empty(), OFlag::from_bits_truncate)
}
