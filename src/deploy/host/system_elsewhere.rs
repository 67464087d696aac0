//! Systems that are no server of ours, such as macOS: `openclaw-deploy` runs there for engines on
//! other machines. The steps that change a host are refused with its own engine, at the door.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::FileStat;

use crate::deploy::error::{Failure, Result};
use crate::deploy::settings::EngineAddress;

/// Where programs are looked for, and the PATH that they get: Homebrew's folder too.
pub(crate) const SEARCH: &str = "/usr/local/bin:/opt/homebrew/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A directory that is only walked through. Without `O_PATH` it must also be one that can be
/// listed, as those on the way to a home are.
pub(super) const WALK: OFlag = OFlag::O_RDONLY;

/// Whether an engine can be served from here: those of other machines.
///
/// # Errors
/// When it is this machine's own.
pub(crate) fn can_serve(engine: &EngineAddress) -> Result<()> {
    if engine.is_remote() {
        return Ok(());
    }
    Err(
        Failure::usage("this machine cannot be the gateway's host: that takes Linux")
            .hint("name the engine of a server: --docker-host ssh://root@HOST, or --context NAME"),
    )
}

/// Never asked for: nothing of a gateway lies here.
pub(super) fn give(_top: &impl AsFd, _within: &Path, _owner: (u32, u32)) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never asked for: the broker's gateway is on Linux.
pub(crate) fn connect_as(_us: &[u8], _path: &Path) -> io::Result<UnixStream> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never asked for: no state lies here.
pub(super) fn copy_contents(_from: &File, _to: &File, _stop: &AtomicBool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never asked for: no state lies here.
pub(super) fn copy_attributes(_from: &File, _to: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Never asked for: no state lies here.
pub(super) fn make_special(_to: &File, _name: &OsStr, _about: &FileStat) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is no call for a file system as a whole; the directory itself is synced.
pub(crate) fn sync_file_system(directory: &File) -> io::Result<()> {
    directory.sync_all()
}

/// Whether anybody holds the `flock` of this file. There is no list to ask, so it is tried, for a
/// moment and shared.
pub(super) fn is_locked(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).open(path) else {
        return false;
    };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}
