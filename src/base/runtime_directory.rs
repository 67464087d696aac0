//! The folder for what one process leaves to another and what is no secret: nobody else can enter.
//!
//! That is `/run/oc-secrets/root/` for root, and `oc-secrets/` in `$XDG_RUNTIME_DIR` or in
//! `/run/user/UID` for anybody else; on macOS it stands in the temporary directory that the system
//! keeps for each user. Where none of them is to be had, nothing is shared. The folder is opened
//! once, without following a link and without entering a mount, and is used by its descriptor, so
//! that nobody exchanges it afterwards.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, geteuid, unlinkat};

use crate::base::environment::{self, Lookup};

const NAME: &str = "oc-secrets";

/// What others may not have of our folder, and of the one that it stands in.
const ENTER: u32 = 0o077;
const WRITE: u32 = 0o022;

const FOLDER: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// How often somebody looks again for a lock that another holds; it is held for microseconds.
const AGAIN: Duration = Duration::from_millis(1);

/// Where the folder may be, by our environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    #[cfg_attr(target_os = "macos", allow(dead_code))] // no variable has a say there
    named: Option<PathBuf>,
}

/// The folder, open.
#[derive(Debug)]
pub(crate) struct RuntimeDirectory {
    folder: OwnedFd,
    path: PathBuf,
}

/// Held by one process at a time, until it is dropped.
pub(crate) type Lock = Flock<OwnedFd>;

impl Place {
    /// Decides by `$XDG_RUNTIME_DIR`.
    pub(crate) fn of(lookup: Lookup<'_>) -> Self {
        let named = environment::path(lookup, "XDG_RUNTIME_DIR");
        Self {
            named: named.filter(|path| path.is_absolute()),
        }
    }

    /// Opens the folder, and makes it where it is not there yet; `None` where none can be trusted.
    #[cfg(not(target_os = "macos"))]
    pub(crate) fn open(&self) -> Option<RuntimeDirectory> {
        let us = geteuid();
        if us.is_root() {
            let shared = child(&parent(Path::new("/run"))?, NAME, 0o755, WRITE)?;
            let folder = child(&shared, "root", 0o700, ENTER)?;
            let path = Path::new("/run").join(NAME).join("root");
            return Some(RuntimeDirectory { folder, path });
        }
        let usual = PathBuf::from(format!("/run/user/{us}"));
        let candidates = self.named.iter().chain([&usual]);
        candidates.into_iter().find_map(|path| below(path))
    }

    /// The same for macOS, where no variable has a say.
    #[cfg(target_os = "macos")]
    pub(crate) fn open(&self) -> Option<RuntimeDirectory> {
        below(&own_temporary_directory()?)
    }
}

/// Our folder in `path`.
fn below(path: &Path) -> Option<RuntimeDirectory> {
    Some(RuntimeDirectory {
        folder: child(&parent(path)?, NAME, 0o700, ENTER)?,
        path: path.join(NAME),
    })
}

/// A directory of ours in which nobody else can exchange anything.
fn parent(path: &Path) -> Option<OwnedFd> {
    let parent = open(path, FOLDER, Mode::empty()).ok()?;
    is_ours(&fstat(&parent).ok()?, WRITE).then_some(parent)
}

/// The directory `name` in `parent`, made with `mode` where it is not there, if it is ours and
/// gives others none of `denied`.
fn child(parent: &OwnedFd, name: &str, mode: u32, denied: u32) -> Option<OwnedFd> {
    let made = match mkdirat(parent, name, Mode::from_bits_truncate(mode as _)) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(_) => return None,
    };
    let folder = enter(parent, name)?;
    if made {
        // Whatever the umask took away.
        fchmod(&folder, Mode::from_bits_truncate(mode as _)).ok()?;
    }
    is_ours(&fstat(&folder).ok()?, denied).then_some(folder)
}

fn is_ours(stat: &FileStat, denied: u32) -> bool {
    let denied = Mode::from_bits_truncate(denied as _).bits();
    Uid::from_raw(stat.st_uid) == geteuid() && stat.st_mode & denied == 0
}

/// Opens `name` in `parent`, unless it is a link or another file system.
#[cfg(target_os = "linux")]
fn enter(parent: &OwnedFd, name: &str) -> Option<OwnedFd> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};
    let within = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS;
    match openat2(parent, name, OpenHow::new().flags(FOLDER).resolve(within)) {
        // Linux before 5.6, or a container that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => enter_by_device(parent, name),
        opened => opened.ok(),
    }
}

#[cfg(not(target_os = "linux"))]
fn enter(parent: &OwnedFd, name: &str) -> Option<OwnedFd> {
    enter_by_device(parent, name)
}

fn enter_by_device(parent: &OwnedFd, name: &str) -> Option<OwnedFd> {
    let folder = openat(parent, name, FOLDER, Mode::empty()).ok()?;
    let devices = [fstat(parent).ok()?.st_dev, fstat(&folder).ok()?.st_dev];
    (devices[0] == devices[1]).then_some(folder)
}

#[cfg(target_os = "macos")]
fn own_temporary_directory() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut text = [0_u8; 1024];
    // SAFETY: the buffer is as long as is said, and confstr ends what it writes with a NUL.
    let length = unsafe {
        libc::confstr(
            libc::_CS_DARWIN_USER_TEMP_DIR,
            text.as_mut_ptr().cast(),
            text.len(),
        )
    };
    let path = text.get(..length.checked_sub(1)?)?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

impl RuntimeDirectory {
    /// A path by which a socket here is bound and connected to. By the descriptor it is the folder
    /// that was checked, and short: a socket's path has room for 107 bytes.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        if cfg!(target_os = "linux") {
            return PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()));
        }
        self.path.join(name)
    }

    /// Waits for the folder's lock, but not beyond `deadline`.
    pub(crate) fn lock(&self, deadline: Instant) -> Option<Lock> {
        // Opened anew: a lock belongs to what was opened, so that threads exclude each other too.
        let mut again = openat(&self.folder, ".", FOLDER, Mode::empty()).ok()?;
        loop {
            again = match Flock::lock(again, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Some(lock),
                Err((again, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < deadline => {
                    again
                }
                Err(_) => return None,
            };
            std::thread::sleep(AGAIN);
        }
    }

    /// The content of a file of ours, if it is a small one.
    pub(crate) fn read(&self, name: &OsStr, largest: usize) -> Option<Vec<u8>> {
        // A pipe that somebody put there is not waited for.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::empty()).ok()?;
        let stat = fstat(&file).ok()?;
        let regular = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        if !regular || !is_ours(&stat, ENTER) {
            return None;
        }
        let mut bytes = Vec::with_capacity(largest + 1);
        let mut file = File::from(file).take(largest as u64 + 1);
        file.read_to_end(&mut bytes).ok()?;
        (bytes.len() <= largest).then_some(bytes)
    }

    /// Writes a file. One that is half written is no worse than none: whoever reads it sees that.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Option<()> {
        let _ = self.remove(OsStr::new(name));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&self.folder, name, flags | OFlag::O_NOFOLLOW, mode).ok()?;
        File::from(file).write_all(bytes).ok()
    }

    /// Removes a file; tells whether there was one.
    pub(crate) fn remove(&self, name: &OsStr) -> bool {
        unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir).is_ok()
    }

    /// The names of all files that begin with `start`.
    pub(crate) fn names(&self, start: &str) -> Vec<std::ffi::OsString> {
        use std::os::unix::ffi::OsStrExt;
        let Ok(folder) = openat(self.folder.as_fd(), ".", FOLDER, Mode::empty()) else {
            return vec![];
        };
        let Ok(folder) = Dir::from_fd(folder) else {
            return vec![];
        };
        let names = folder.into_iter().flatten().map(|entry| {
            let name = entry.file_name().to_bytes();
            OsStr::from_bytes(name).to_owned()
        });
        names
            .filter(|name| name != "." && name != "..")
            .filter(|name| name.as_bytes().starts_with(start.as_bytes()))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A folder of a test's own, and what it stands in.
    pub(crate) fn scratch() -> (tempfile::TempDir, RuntimeDirectory) {
        let parent = tempfile::tempdir().expect("a directory");
        let folder = below(parent.path()).expect("a folder");
        (parent, folder)
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
    }

    #[test]
    fn the_folder_is_made_for_us_alone_and_found_again() {
        let (parent, _folder) = scratch();
        let made = std::fs::metadata(parent.path().join(NAME)).expect("made");
        assert_eq!(made.permissions().mode() & 0o7777, 0o700);
        assert!(below(parent.path()).is_some());
    }

    #[test]
    fn what_others_can_enter_or_exchange_or_what_is_a_link_is_not_used() {
        let (parent, _folder) = scratch();
        for bad in [0o701, 0o710, 0o777] {
            mode(&parent.path().join(NAME), bad);
            assert!(below(parent.path()).is_none(), "{bad:o}");
        }
        mode(&parent.path().join(NAME), 0o700);
        for bad in [0o720, 0o777, 0o1777] {
            mode(parent.path(), bad);
            assert!(below(parent.path()).is_none(), "parent {bad:o}");
        }
        mode(parent.path(), 0o700);
        assert!(below(parent.path()).is_some(), "control");
        let other = tempfile::tempdir().expect("a directory");
        symlink(parent.path().join(NAME), other.path().join(NAME)).expect("a link");
        assert!(below(other.path()).is_none(), "a link to a good one");
        std::fs::remove_file(other.path().join(NAME)).expect("removed");
        std::fs::write(other.path().join(NAME), "").expect("a file");
        assert!(below(other.path()).is_none(), "a file");
        assert!(below(Path::new("/no/such/place")).is_none());
    }

    #[test]
    fn files_are_written_read_named_and_removed() {
        let (_parent, folder) = scratch();
        let name = OsStr::new("limit-1");
        assert_eq!(folder.read(name, 9), None);
        for text in [b"one", b"two"] {
            folder.write("limit-1", text).expect("written");
            assert_eq!(folder.read(name, 3).as_deref(), Some(&text[..]));
        }
        assert_eq!(folder.read(name, 2), None, "too large");
        folder.write("other", b"").expect("written");
        assert_eq!(folder.names("limit-"), [name]);
        assert!(folder.remove(name) && !folder.remove(name));
    }

    #[test]
    fn links_pipes_and_what_others_can_write_are_no_files_of_ours() {
        let (parent, folder) = scratch();
        let at = parent.path().join(NAME);
        std::fs::write(at.join("target"), "x").expect("written");
        symlink("target", at.join("link")).expect("a link");
        nix::unistd::mkfifo(&at.join("pipe"), Mode::S_IRUSR).expect("a pipe");
        mode(&at.join("target"), 0o622);
        for name in ["link", "pipe", "target", ".", "no"] {
            assert_eq!(folder.read(OsStr::new(name), 9), None, "{name}");
        }
    }

    #[test]
    fn one_holds_the_lock_at_a_time_and_nobody_waits_beyond_the_deadline() {
        let (_parent, folder) = scratch();
        let soon = || Instant::now() + Duration::from_millis(50);
        let lock = folder.lock(soon()).expect("free");
        let begun = Instant::now();
        assert!(folder.lock(soon()).is_none());
        assert!(begun.elapsed() < Duration::from_secs(1));
        drop(lock);
        assert!(folder.lock(soon()).is_some());
    }
}
