//! Signals as bytes in a pipe, so that one loop waits for them and for output alike.

use std::io::{PipeReader, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use crate::base::error::{Error, Result};
use crate::base::signal_notes;

/// The signals that came, until the end of the process.
pub(super) struct Signals {
    notes: PipeReader,
}

impl Signals {
    /// Starts to listen for `signals`, but for those that our parent had us ignore.
    pub(super) fn listen(signals: &[Signal]) -> Result<Self> {
        let failed = |why: &dyn std::fmt::Display| Error::system("watch for signals", why);
        let (notes, writer) = std::io::pipe().map_err(|why| failed(&why))?;
        for end in [notes.as_raw_fd(), writer.as_raw_fd()] {
            // SAFETY: both ends are open here.
            let end = unsafe { BorrowedFd::borrow_raw(end) };
            let set = fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            set.map_err(|why| failed(&why))?;
        }
        let writer = OwnedFd::from(writer);
        signal_notes::write_into(writer.as_fd(), signals.iter().copied())
            .map_err(|why| failed(&why))?;
        // Open as long as the handlers are there: until the end of the process.
        std::mem::forget(writer);
        Ok(Self { notes })
    }

    /// The next one that came.
    pub(super) fn next(&mut self) -> Option<Signal> {
        let mut byte = [0];
        match self.notes.read(&mut byte) {
            Ok(1) => Signal::try_from(i32::from(byte[0])).ok(),
            _ => None,
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notes.as_fd()
    }
}
