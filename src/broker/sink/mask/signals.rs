//! Signals as bytes in a pipe, so that one loop waits for them and for output alike.

use std::io::{PipeReader, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, IntoRawFd as _};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::base::error::{Error, Result};
use crate::base::harden;

/// Where the handler writes.
static NOTES: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(signal: libc::c_int) {
    let before = nix::errno::Errno::last_raw();
    let byte = signal.to_le_bytes()[0];
    // SAFETY: write(2) may be called from a handler, and the byte outlives the call.
    unsafe { libc::write(NOTES.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    nix::errno::Errno::set_raw(before);
}

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
        NOTES.store(writer.into_raw_fd(), Ordering::Relaxed);
        let handler = SigHandler::Handler(note);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        for &signal in signals.iter().filter(|&&signal| !harden::ignored(signal)) {
            // SAFETY: the handler calls nothing but write(2).
            unsafe { sigaction(signal, &action) }.map_err(|why| failed(&why))?;
        }
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
