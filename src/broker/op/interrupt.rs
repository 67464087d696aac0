//! Signals that end us, handled while `op` runs; the former handlers are restored afterwards.
//!
//! tokio's own handlers stay for the life of the process and would swallow a Ctrl-C that comes once
//! `op` is done. These write to a pipe, and the former handlers are restored on drop.

use std::os::fd::{AsFd, OwnedFd};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::base::error::{Error, Result};
use crate::base::harden;
use crate::base::signal_notes::{self, Former};

/// Receives the ending signals until it is dropped, except those that our parent had us ignore.
pub(crate) struct Interrupts {
    notes: pipe::Receiver,
    former: Former,
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
        let former = signal_notes::write_into(writer.as_fd(), harden::ENDING);
        Ok(Self {
            notes,
            former: former.map_err(|why| failed(&why))?,
            _writer: writer,
        })
    }

    /// The next signal, as an error.
    pub(crate) async fn next(&mut self) -> Error {
        let mut note = [0];
        match self.notes.read_exact(&mut note).await {
            Ok(_) => interrupted(note[0]),
            Err(why) => failed(&why),
        }
    }

    /// Restores the former handlers; returns `found`, or a signal that came and was not reported yet. One
    /// that ends us for good is not lost to a SIGHUP behind it, by which a broker goes on.
    ///
    /// # Errors
    /// That of `found`, or [`Error::Interrupted`].
    pub(crate) fn end<T>(mut self, found: Result<T>) -> Result<T> {
        self.former.restore();
        let mut notes = [0; 64];
        let unread = nix::unistd::read(self.notes.as_fd(), &mut notes).unwrap_or_default();
        let reported = match found {
            Err(Error::Interrupted { signal }) => u8::try_from(signal).ok(),
            _ => None,
        };
        let came = || reported.iter().chain(&notes[..unread]).copied();
        let is_final = |note: &u8| i32::from(*note) != libc::SIGHUP;
        match came().find(is_final).or_else(|| came().next()) {
            Some(note) => Err(interrupted(note)),
            None => found,
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.former.restore();
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
