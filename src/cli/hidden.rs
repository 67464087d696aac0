//! A question whose answer is not shown. Whatever ends it, the terminal is as it was.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::base::error::{Error, Result};
use crate::base::harden;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::base::signal_notes;

/// The most that is read, in bytes; a line of a terminal is shorter.
const LARGEST: usize = 16 * 1024;

/// The answer to `question` without blanks around it, typed on standard input; `None` where it ends
/// without one.
pub(super) fn ask(question: &str) -> Result<Option<Secret>> {
    let failed = |why: &dyn std::fmt::Display| Error::system("read the answer", why);
    let (notes, writer) = std::io::pipe().map_err(|why| failed(&why))?;
    let (notes, writer) = (OwnedFd::from(notes), OwnedFd::from(writer));
    // Ctrl-Z would give the terminal to the shell, which shows again what is typed afterwards.
    let signals = harden::ENDING.into_iter().chain([Signal::SIGTSTP]);
    let mut former =
        signal_notes::write_into(writer.as_fd(), signals).map_err(|why| failed(&why.desc()))?;
    let answer = Unseen::begin().and_then(|_unseen| {
        let mut stderr = std::io::stderr();
        let _ = stderr.write_all(question.as_bytes());
        typed(&notes)
    });
    former.restore();
    // The line feed that was typed was not shown either.
    let _ = std::io::stderr().write_all(b"\n");
    answer
}

/// A line of standard input, or the signal that came first.
fn typed(notes: &OwnedFd) -> Result<Option<Secret>> {
    let failed = |why: Errno| Error::system("read the answer", why.desc());
    let stdin = std::io::stdin();
    let mut line = Locked::with_capacity(LARGEST);
    loop {
        let mut ends = [
            PollFd::new(notes.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ends, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other.map_err(failed)?,
        };
        let came = |end: &PollFd<'_>| end.any().unwrap_or(false);
        let (noted, is_typed) = (came(&ends[0]), came(&ends[1]));
        if noted {
            let mut note = [0];
            nix::unistd::read(notes, &mut note).map_err(failed)?;
            let signal = i32::from(note[0]);
            if signal != Signal::SIGTSTP as i32 {
                return Err(Error::Interrupted { signal });
            }
        } else if is_typed {
            let bytes = match nix::unistd::read(stdin.as_fd(), line.spare()) {
                Err(Errno::EINTR) => continue,
                other => other.map_err(failed)?,
            };
            line.advance(bytes);
            if bytes == 0 && line.is_empty() {
                return Ok(None);
            }
            if bytes == 0 || line.ends_with(b"\n") || line.spare().is_empty() {
                let line = Secret::new(line);
                let text = line.expose();
                let end = text.trim_ascii_end().len();
                let start = text[..end].len() - text[..end].trim_ascii_start().len();
                return Ok(Some(line.slice(start..end)));
            }
        }
    }
}

/// The terminal, which does not show what is typed until this is dropped.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> Result<Self> {
        let failed = |why: Errno| Error::system("hide what is typed", why.desc());
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &now).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
