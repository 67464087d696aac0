//! Standard output: data goes there, and where it is a file, secrets stay on disk.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use nix::sys::stat::fstat;

use crate::base::error::Result;
use crate::broker::sink;

/// Writes all of `bytes`.
pub(super) fn print(bytes: &[u8]) -> Result<()> {
    sink::emit(std::io::stdout().as_fd(), bytes)
}

/// The same, where it is an error that nobody reads them.
pub(super) fn deliver(bytes: &[u8]) -> Result<()> {
    sink::deliver(std::io::stdout().as_fd(), bytes)
}

/// Whether it is a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether it is a regular file.
pub(super) fn is_file() -> bool {
    is(libc::S_IFREG)
}

/// Whether it is a device that is no terminal, such as /dev/null: what is closed is that too.
pub(super) fn is_device() -> bool {
    is(libc::S_IFCHR) && !is_terminal()
}

fn is(kind: libc::mode_t) -> bool {
    fstat(std::io::stdout()).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == kind)
}

/// Whether it is a regular file that was unlinked.
pub(super) fn is_unlinked_file() -> bool {
    is_file() && fstat(std::io::stdout()).is_ok_and(|stat| stat.st_nlink == 0)
}
