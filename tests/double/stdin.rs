//! What stands on stdin, on which `op` decides whether data is meant for it.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{SFlag, fstat};
use std::io::{IsTerminal, Read, stdin};

/// The kind of descriptor 0: `fifo`, `null`, `file`, `socket`, `tty`, `closed` or `other`.
pub fn kind() -> &'static str {
    let Ok(status) = fstat(stdin()) else {
        return "closed";
    };
    match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFIFO => "fifo",
        SFlag::S_IFREG => "file",
        SFlag::S_IFSOCK => "socket",
        SFlag::S_IFCHR if stdin().is_terminal() => "tty",
        SFlag::S_IFCHR if is_null(status.st_rdev) && writable() => "closed",
        SFlag::S_IFCHR if is_null(status.st_rdev) => "null",
        _ => "other",
    }
}

fn is_null(device: nix::libc::dev_t) -> bool {
    nix::sys::stat::stat("/dev/null").is_ok_and(|null| null.st_rdev == device)
}

/// Before `main`, Rust opens `/dev/null` for reading *and* writing where stdin was closed; who
/// gives `/dev/null` as stdin on purpose opens it for reading.
fn writable() -> bool {
    fcntl(stdin(), FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_truncate(flags).contains(OFlag::O_RDWR))
}

/// All of stdin, to its end.
pub fn all() -> String {
    let mut bytes = Vec::new();
    let _ = stdin().lock().read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
