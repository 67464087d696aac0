//! Unix sockets that nobody is kept waiting by.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// Connects without waiting, however full the queue is (`EAGAIN` then); reads and writes do not wait
/// either.
pub(crate) fn dial(address: &UnixAddr) -> nix::Result<UnixStream> {
    let end = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )?;
    // macOS has no flag for it at the call itself.
    fcntl(&end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let stream = UnixStream::from(end);
    stream.set_nonblocking(true).map_err(|_| Errno::EIO)?;
    connect(stream.as_raw_fd(), address)?;
    Ok(stream)
}
