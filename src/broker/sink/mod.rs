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

/// Writes all of `bytes` to standard output by `write(2)`, since a buffered writer would keep a
/// copy for the life of the process. A reader that went away is no error.
///
/// # Errors
/// [`Error::System`] for anything else, such as a full disk behind a redirection.
pub(crate) fn emit(stdout: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(stdout, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait_until_writable(stdout)?,
            Err(Errno::EPIPE) => return Ok(()),
            Err(why) => return Err(Error::system("write to standard output", why)),
        }
    }
    Ok(())
}

fn wait_until_writable(fd: BorrowedFd<'_>) -> Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    match poll(
        &mut [PollFd::new(fd, PollFlags::POLLOUT)],
        PollTimeout::NONE,
    ) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(why) => Err(Error::system("write to standard output", why)),
    }
}
