//! What this program needs of Linux and other systems lack or do otherwise. The only such place
//! of `deploy`: `system_elsewhere.rs` is its other half.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, major, minor, mknodat};
use nix::unistd::{Gid, Uid, fchownat};

use crate::deploy::error::Result;
use crate::deploy::settings::EngineAddress;

/// Where programs are looked for, and the PATH that they get.
pub(crate) const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A directory that is only walked through: needs no permission to list what is there.
pub(super) const WALK: OFlag = OFlag::O_PATH;

/// Whether an engine can be served from here: any.
///
/// # Errors
/// None here.
pub(crate) fn can_serve(_engine: &EngineAddress) -> Result<()> {
    Ok(())
}

/// Gives what lies at `within` below `top` to `owner`, without following any link on the way. A
/// file with a second name, which may lie elsewhere, stays as it is.
pub(super) fn give(top: &impl AsFd, within: &Path, owner: (u32, u32)) -> io::Result<()> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let found = match openat2(top, within, how) {
        // Somebody put a link in the way meanwhile, or took it away.
        Err(Errno::ELOOP) | Err(Errno::ENOENT) => return Ok(()),
        found => File::from(found?),
    };
    let meta = found.metadata()?;
    if !meta.is_dir() && meta.nlink() != 1 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    fchownat(&found, "", Some(user), Some(group), AtFlags::AT_EMPTY_PATH)?;
    Ok(())
}

/// A connection to the socket at `path` from one with the abstract name `us`, as systemd makes for
/// `LoadCredential=`.
pub(crate) fn connect_as(us: &[u8], path: &Path) -> io::Result<UnixStream> {
    let stream = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    bind(stream.as_raw_fd(), &UnixAddr::new_abstract(us)?)?;
    connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(stream.into())
}

/// Copies what is in a file: shares it where the file system can, and else leaves its holes out.
pub(super) fn copy_contents(from: &File, to: &File, stop: &AtomicBool) -> io::Result<()> {
    use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
    /// So much between two looks at whether to stop.
    const PIECE: u64 = 64 << 20;
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let length = from.metadata()?.len();
    let mut at = 0;
    while at < length {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let begin = match seek(from, SeekFrom::Data(at)) {
            // Only a hole is left.
            Err(rustix::io::Errno::NXIO) => break,
            // A file system that does not tell.
            Err(_) => at,
            Ok(begin) => begin,
        };
        let end = seek(from, SeekFrom::Hole(begin)).unwrap_or(length);
        at = end.min(begin + PIECE);
        let (mut source, mut target) = (from, to);
        source.seek(io::SeekFrom::Start(begin))?;
        target.seek(io::SeekFrom::Start(begin))?;
        io::copy(&mut source.take(at - begin), &mut target)?;
    }
    to.set_len(length)
}

/// Copies extended attributes, access lists among them, as far as the file system there has them.
pub(super) fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    use rustix::io::Errno;
    // As long as any may be.
    let (mut names, mut value) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let length = match fgetxattr(from, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            length => length?,
        };
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

/// Makes a pipe, a socket or a device as `about` says.
pub(super) fn make_special(to: &File, name: &OsStr, about: &FileStat) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate(about.st_mode & libc::S_IFMT);
    let mode = Mode::from_bits_truncate(about.st_mode & 0o7777);
    mknodat(to, name, kind, mode, about.st_rdev)?;
    // What the umask took away.
    fchmodat(to, name, mode, FchmodatFlags::FollowSymlink)?;
    Ok(())
}

/// Waits until all of the file system of `directory` is on its disk.
pub(crate) fn sync_file_system(directory: &File) -> io::Result<()> {
    Ok(nix::unistd::syncfs(directory)?)
}

/// Whether anybody holds the `flock` of this file. The kernel's list is asked: to try the lock
/// would be in the way of a run that begins at that moment.
pub(super) fn is_locked(path: &Path) -> bool {
    let Ok(file) = std::fs::metadata(path) else {
        return false;
    };
    let (device, inode) = (file.dev(), file.ino());
    let place = format!(" {:02x}:{:02x}:{inode} ", major(device), minor(device));
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks
        .lines()
        .any(|line| line.contains(" FLOCK ") && line.contains(&place))
}
