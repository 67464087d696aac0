//! Files of the host: read with a cap, written atomically with their mode and owner.
//!
//! We are root, and much of what we read lies where somebody else may exchange it: there no link is
//! followed, nothing is waited for, and what is changed is what was looked at.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchownat};

use super::{Access, Host};
use crate::deploy::exit::{Failure, Result};

impl Host {
    /// A text file, `None` where there is none. Invalid UTF-8 is replaced, 1 MiB is the most.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.path(path));
        let bytes = match opened {
            Ok(file) => contents(&file, path, None)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => {
                return Err(Failure::system(format!("read {}", path.display()), why));
            }
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A file in a directory that `owner` (a user id) controls, `None` where there is none. Neither
    /// of them may be a link, and the file is that user's or root's. 1 MiB is the most.
    ///
    /// # Errors
    /// When it is anything else, or cannot be read.
    pub fn read_of(&self, owner: u32, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        match open_within(&self.path(path)) {
            Ok(file) => contents(&file, path, Some(owner)).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ELOOP | Errno::ENOTDIR) => Err(Failure::wanted(
                format!("a file at {}", path.display()),
                "a symbolic link",
            )
            .hint(format!("look where it leads: ls -l {}", path.display()))),
            Err(why) => Err(Failure::system(format!("read {}", path.display()), why)),
        }
    }

    /// Gives what lies at `path` below `top` to `owner`, without following any link on the way. A
    /// file with a second name, which may lie elsewhere, stays as it is.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn give(&self, top: &Path, path: &Path, owner: (u32, u32)) -> io::Result<()> {
        let within = path.strip_prefix(top).unwrap_or(path);
        let top = nix::fcntl::open(top, DIRECTORY, Mode::empty())?;
        let within = match within.as_os_str().is_empty() {
            true => Path::new("."),
            false => within,
        };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let found = match openat2(&top, within, how) {
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

    /// Whether a file is exactly `bytes` with `access`, and no symbolic link.
    #[must_use]
    pub fn holds(&self, path: impl AsRef<Path>, bytes: &[u8], access: Access) -> bool {
        let path = self.path(path);
        let Ok(meta) = path.symlink_metadata() else {
            return false;
        };
        meta.is_file()
            && meta.mode() & 0o7777 == access.mode
            && access
                .owner
                .is_none_or(|owner| owner == (meta.uid(), meta.gid()))
            && meta.len() == bytes.len() as u64
            && fs::read(&path).is_ok_and(|there| there == bytes)
    }

    /// Writes a file atomically: a new file beside it, synced, given its mode and owner, then
    /// renamed over it. A symbolic link is replaced, never followed. Missing parents are made
    /// 0755. Returns whether anything changed.
    ///
    /// # Errors
    /// When any of that fails; the old file is then still whole.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], access: Access) -> Result<bool> {
        let path = path.as_ref();
        if self.holds(path, bytes, access) {
            return Ok(false);
        }
        replace(&self.path(path), bytes, access)
            .map(|()| true)
            .map_err(|why| {
                let full = why.kind() == io::ErrorKind::StorageFull;
                let failure = Failure::system(format!("write {}", path.display()), why);
                if !full {
                    return failure;
                }
                let folder = path.parent().unwrap_or(path).display();
                failure
                    .hint(format!("free some space: df -h {folder}"))
                    .cause("disk")
            })
    }

    /// Makes a directory (parents 0755) with this mode and owner. Returns whether anything
    /// changed. Never recursive: what lies in it is left alone.
    ///
    /// # Errors
    /// When it cannot be made, or something else has its name (a symbolic link too).
    pub fn directory(&self, path: impl AsRef<Path>, access: Access) -> Result<bool> {
        let shown = path.as_ref().display().to_string();
        let path = self.path(path);
        let fail = |why: io::Error| Failure::system(format!("make directory {shown}"), why);
        let mut changed = false;
        if path.symlink_metadata().is_err() {
            fs::create_dir_all(&path).map_err(fail)?;
            changed = true;
        }
        let directory = match nix::fcntl::open(&path, DIRECTORY, Mode::empty()) {
            Ok(directory) => File::from(directory),
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                return Err(Failure::wanted(
                    format!("a directory at {shown}"),
                    "something else",
                ));
            }
            Err(why) => return Err(fail(why.into())),
        };
        let meta = directory.metadata().map_err(fail)?;
        if let Some((user, group)) = access.owner
            && (meta.uid(), meta.gid()) != (user, group)
        {
            std::os::unix::fs::fchown(&directory, Some(user), Some(group)).map_err(fail)?;
            changed = true;
        }
        if meta.mode() & 0o7777 != access.mode {
            let mode = fs::Permissions::from_mode(access.mode);
            directory.set_permissions(mode).map_err(fail)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Removes a file if it is there. Returns whether it was.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        match fs::remove_file(self.path(path)) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(Failure::system(format!("remove {}", path.display()), why)),
        }
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
/// No file that is read here is larger.
const MOST: u64 = 1 << 20;

/// Opens a file whose directory is no link, nor the file itself; a pipe is not waited for.
fn open_within(path: &Path) -> nix::Result<File> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let parent = nix::fcntl::open(parent, DIRECTORY, Mode::empty())?;
    let name = path.file_name().unwrap_or_default();
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    nix::fcntl::openat(&parent, name, flags, Mode::empty()).map(File::from)
}

/// What is in a regular file; where `owner` is told, only if it is that user's or root's.
fn contents(file: &File, path: &Path, owner: Option<u32>) -> Result<Vec<u8>> {
    let shown = path.display();
    let fail = |why: io::Error| Failure::system(format!("read {shown}"), why);
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(Failure::wanted(
            format!("a file at {shown}"),
            "something else",
        ));
    }
    if let Some(owner) = owner.filter(|owner| ![0, *owner].contains(&meta.uid())) {
        return Err(Failure::wanted(
            format!("{shown} to belong to uid {owner} or root"),
            format!("uid {}", meta.uid()),
        )
        .hint(format!("look at it, then: chown {owner} {shown}")));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::wanted(format!("at most 1 MiB in {shown}"), "more")
            .hint("nothing was changed; look what is in it"));
    }
    Ok(bytes)
}

/// The atomic write: same directory, synced, mode and owner before the name.
fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".openclaw-deploy.new");
    let fresh = parent.join(name);
    // What an interrupted run left behind is ours by its name.
    let _ = fs::remove_file(&fresh);
    let result = fill(&fresh, bytes, access).and_then(|()| fs::rename(&fresh, path));
    if result.is_err() {
        let _ = fs::remove_file(&fresh);
        return result;
    }
    File::open(parent)?.sync_all()
}

fn fill(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    if let Some((user, group)) = access.owner {
        std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(fs::Permissions::from_mode(access.mode))?;
    file.sync_all()
}
