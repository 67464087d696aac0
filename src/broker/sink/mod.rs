//! (5) Where secrets may go. The list is closed: only these modules hand a value out.

mod json;
pub(crate) mod docker;
pub(crate) mod exec;
pub(crate) mod mask;
pub(crate) mod git;
pub(crate) mod openclaw;
pub(crate) mod text;

use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use crate::base::error::{Error, Result};

/// Writes all of `bytes` to standard output. A reader that went away is no error.
///
/// # Errors
/// [`Error::System`] for anything else, such as a full disk behind a redirection.
pub(crate) fn emit(stdout: BorrowedFd<'_>, bytes: &[u8]) -> Result<()> {
    match write_all(stdout, bytes) {
        Err(Errno::EPIPE) => Ok(()),
        done => done.map_err(failed),
    }
}

/// The same for what somebody has to read: a reader that went away is an error too.
pub(crate) fn deliver(stdout: BorrowedFd<'_>, bytes: &[u8]) -> Result<()> {
    write_all(stdout, bytes).map_err(failed)
}

fn failed(why: Errno) -> Error {
    Error::system("write to standard output", why)
}

/// By `write(2)`, since a buffered writer would keep a copy for the life of the process.
fn write_all(stdout: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(stdout, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_until_writable(stdout)?,
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

fn wait_until_writable(fd: BorrowedFd<'_>) -> nix::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    match poll(
        &mut [PollFd::new(fd, PollFlags::POLLOUT)],
        PollTimeout::NONE,
    ) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(why) => Err(why),
    }
}
