//! Signals that end us, handled while `op` runs; the former handlers are restored afterwards.
//!
//! tokio's own handlers stay for the life of the process and would swallow a Ctrl-C that comes once
//! `op` is done. These write to a pipe, and the former handlers are restored on drop.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::base::error::{Error, Result};
use crate::base::harden;

/// Where the handler writes; -1 if there is no listener.
static NOTES: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(signal: libc::c_int) {
    let before = nix::errno::Errno::last_raw();
    let byte = signal.to_le_bytes()[0];
    // SAFETY: write(2) may be called from a handler, and the byte outlives the call.
    unsafe { libc::write(NOTES.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    nix::errno::Errno::set_raw(before);
}

/// Receives the ending signals until it is dropped, except those that our parent had us ignore.
pub(crate) struct Interrupts {
    notes: pipe::Receiver,
    former: Vec<(Signal, SigAction)>,
    _writer: OwnedFd,
}

impl Interrupts {
    /// Starts to listen. There is one listener at a time.
    ///
    /// # Errors
    /// [`Error::System`] when no pipe can be made or no handler installed.
    pub(crate) fn listen() -> Result<Self> {
        let (reader, writer) = std::io::pipe().map_err(|why| failed(&why))?;
        let notes = pipe::Receiver::from_owned_fd(reader.into()).map_err(|why| failed(&why))?;
        let writer = OwnedFd::from(writer);
        NOTES.store(writer.as_raw_fd(), Ordering::Relaxed);
        let mut listening = Self {
            notes,
            former: vec![],
            _writer: writer,
        };
        let handler = SigAction::new(
            SigHandler::Handler(note),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        for signal in harden::ENDING
            .into_iter()
            .filter(|&signal| !harden::ignored(signal))
        {
            // SAFETY: the handler calls nothing but write(2).
            let former = unsafe { sigaction(signal, &handler) }.map_err(|why| failed(&why))?;
            listening.former.push((signal, former));
        }
        Ok(listening)
    }

    /// The next signal, as an error.
    pub(crate) async fn next(&mut self) -> Error {
        let mut note = [0];
        match self.notes.read_exact(&mut note).await {
            Ok(_) => interrupted(note[0]),
            Err(why) => failed(&why),
        }
    }

    /// Restores the former handlers; returns a signal that came but was not reported yet.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub(crate) fn end(mut self) -> Result<()> {
        self.hand_back();
        let mut note = [0];
        match nix::unistd::read(self.notes.as_fd(), &mut note) {
            Ok(1) => Err(interrupted(note[0])),
            _ => Ok(()),
        }
    }

    fn hand_back(&mut self) {
        for (signal, former) in self.former.drain(..) {
            // SAFETY: the former disposition was in force before.
            let _ = unsafe { sigaction(signal, &former) };
        }
        NOTES.store(-1, Ordering::Relaxed);
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.hand_back();
    }
}

fn interrupted(note: u8) -> Error {
    Error::Interrupted {
        signal: note.into(),
    }
}

fn failed(why: &dyn std::fmt::Display) -> Error {
    Error::system("watch for signals", why)
}
