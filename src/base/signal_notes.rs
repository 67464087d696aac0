//! Signals as bytes in a pipe, so that one loop waits for them and for other things alike.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::harden;

/// Where the handler writes; -1 if nobody listens.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// What was done with each signal before.
#[derive(Default)]
pub(crate) struct Former(Vec<(Signal, SigAction)>);

extern "C" fn note(signal: libc::c_int) {
    let before = nix::errno::Errno::last_raw();
    let byte = signal.to_le_bytes()[0];
    // SAFETY: write(2) may be called from a handler, and the byte outlives the call.
    unsafe { libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    nix::errno::Errno::set_raw(before);
}

/// Has each of `signals` written into `pipe`, but for those that our parent had us ignore. The pipe
/// stays open until [`Former::restore`]; there is one listener at a time.
pub(crate) fn write_into(
    pipe: BorrowedFd<'_>,
    signals: impl IntoIterator<Item = Signal>,
) -> nix::Result<Former> {
    PIPE.store(pipe.as_raw_fd(), Ordering::Relaxed);
    let handler = SigHandler::Handler(note);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    let mut former = Former::default();
    for signal in signals.into_iter().filter(|&it| !harden::ignored(it)) {
        // SAFETY: the handler calls nothing but write(2).
        match unsafe { sigaction(signal, &action) } {
            Ok(before) => former.0.push((signal, before)),
            Err(why) => {
                former.restore();
                return Err(why);
            }
        }
    }
    Ok(former)
}

impl Former {
    /// Does with the signals again what was done before.
    pub(crate) fn restore(&mut self) {
        for (signal, before) in self.0.drain(..) {
            // SAFETY: this disposition was in force before.
            let _ = unsafe { sigaction(signal, &before) };
        }
        PIPE.store(-1, Ordering::Relaxed);
    }
}
