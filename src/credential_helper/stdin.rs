//! A client's question: all of stdin, within limits of size and time.
//!
//! Stdin is read to its end whatever was asked, since a client that cannot finish writing reports
//! a broken pipe instead of our answer. `store` brings a secret, so it is read into locked memory.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;

/// At most this is kept, in bytes; the rest is read and dropped.
const KEPT: usize = 2 * 1024 * 1024;

/// At most this is read, in bytes; more is an error.
const LONGEST: usize = 64 * 1024 * 1024;

/// How long a client may take to write its question; it gives up after 30 s itself.
const ASKING: Duration = Duration::from_secs(20);

/// How long a client may take to close stdin for an action without input.
const IDLE: Duration = Duration::from_secs(2);

/// What the input is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It is the question.
    Question,
    /// Nothing; it is read to its end and dropped.
    Nothing,
}

/// Reads standard input to its end.
pub(super) fn read(need: Need) -> Result<Locked> {
    let stdin = std::io::stdin();
    let patience = match need {
        Need::Question => ASKING,
        // Otherwise a person would have to press Ctrl-D to see the version.
        Need::Nothing if stdin.is_terminal() => return Ok(Locked::with_capacity(1)),
        Need::Nothing => IDLE,
    };
    let endless = stdin.is_terminal();
    let read = read_from(stdin.as_fd(), (!endless).then(|| Instant::now() + patience));
    match (need, read) {
        (Need::Nothing, Err(_)) => Ok(Locked::with_capacity(1)),
        (_, read) => read,
    }
}

/// Reads standard input to its end, which must come soon.
pub(super) fn read_within(patience: Duration) -> Result<Locked> {
    read_from(std::io::stdin().as_fd(), Some(Instant::now() + patience))
}

fn read_from(stdin: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<Locked> {
    let mut kept = Locked::with_capacity(4096);
    let mut dropped = Locked::with_capacity(0);
    let mut total = 0;
    while total <= LONGEST {
        wait(stdin, deadline)?;
        let full = kept.len() >= KEPT;
        let into = if full { &mut dropped } else { &mut kept };
        into.reserve(if full { 64 * 1024 } else { 4096 });
        match nix::unistd::read(stdin, into.spare()) {
            Ok(0) => return Ok(kept),
            Ok(bytes) => {
                total += bytes;
                if !full {
                    kept.advance(bytes);
                }
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // A stdin that cannot be read counts as empty.
            Err(_) => return Ok(kept),
        }
    }
    Err(Error::EndlessInput)
}

fn wait(stdin: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<()> {
    let Some(deadline) = deadline else {
        return Ok(());
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(stdin, PollFlags::POLLIN)], left) {
            Ok(0) => return Err(Error::EndlessInput),
            Err(Errno::EINTR) => {}
            // `read` reports the error.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(300))
    }

    #[test]
    fn everything_is_read_even_what_is_not_kept() {
        let (read, mut write) = std::io::pipe().expect("a pipe");
        let writer = std::thread::spawn(move || write.write_all(&vec![b'x'; 3 * KEPT]));
        let kept = read_from(read.as_fd(), None).expect("read");
        assert!(
            (KEPT..KEPT + 1024 * 1024).contains(&kept.len()),
            "{}",
            kept.len()
        );
        writer.join().expect("joined").expect("no broken pipe");
    }

    #[test]
    fn a_silent_stdin_does_not_hold_us_for_ever() {
        let (read, _write) = std::io::pipe().expect("a pipe");
        let begun = Instant::now();
        let error = read_from(read.as_fd(), soon()).err().expect("given up");
        assert_eq!(error.to_string(), "standard input does not end");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn an_endless_stdin_does_not_hold_us_for_ever() {
        let zeros = std::fs::File::open("/dev/zero").expect("opened");
        assert!(read_from(zeros.as_fd(), None).is_err());
    }
}
