//! Files of the host: read with a cap, written atomically with their mode and owner.
//!
//! We run as root, and many of these files are in directories of other users, who could replace them
//! with links or pipes while we look. There, no link is followed, no pipe is waited for, and a file is
//! changed through the descriptor through which it was checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchownat, geteuid};

use super::directory_entry::DirectoryEntry;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host};

impl Host {
    /// Reads a text file; `None` where there is none. Invalid UTF-8 is replaced. At most 1 MiB.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.path(path));
        let bytes = match opened {
            Ok(file) => contents(&file, path, None)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(Failure::file("read", path, why)),
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads a file in a directory that the user `owner` controls; `None` where there is none. No
    /// symbolic link that they could have made is followed, and the file has to belong to them or
    /// to root. At most 1 MiB.
    pub(crate) fn read_of(&self, owner: u32, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        let entry = self.entry(path, false);
        match entry.and_then(|entry| entry.open()) {
            Ok(file) => contents(&file, path, Some(owner)).map(Some),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) if is_link(&why) => Err(not_a("file", path, "a symbolic link, or behind one")),
            Err(why) => Err(Failure::file("read", path, why)),
        }
    }

    /// Changes the owner of `path` below `top`, without following any symbolic link on the way. A
    /// file with a second hard link, which may be outside of `top`, is left alone.
    pub(crate) fn change_owner_below(
        &self,
        top: &Path,
        path: &Path,
        owner: (u32, u32),
    ) -> io::Result<()> {
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
    pub(crate) fn holds(&self, path: impl AsRef<Path>, bytes: &[u8], access: Access) -> bool {
        let entry = self.entry(path.as_ref(), false);
        let Ok(file) = entry.and_then(|entry| entry.open()) else {
            return false;
        };
        let Ok(meta) = file.metadata() else {
            return false;
        };
        let owner = access.owner;
        let mut there = Vec::new();
        meta.is_file()
            && meta.mode() & 0o7777 == access.mode
            && owner.is_none_or(|owner| owner == (meta.uid(), meta.gid()))
            && meta.len() == bytes.len() as u64
            && file.take(meta.len()).read_to_end(&mut there).is_ok()
            && there == bytes
    }

    /// Writes a file atomically: a new file beside it, synced, given its mode and owner, then
    /// renamed over it, so that on an error the old file is still whole. A symbolic link is
    /// replaced, never followed. Missing parents are created 0755. Returns whether anything changed.
    pub(crate) fn write(
        &self,
        path: impl AsRef<Path>,
        bytes: &[u8],
        access: Access,
    ) -> Result<bool> {
        let path = path.as_ref();
        if self.holds(path, bytes, access) {
            return Ok(false);
        }
        let entry = self.entry(path, true);
        match entry.and_then(|entry| entry.replace(bytes, access)) {
            Ok(()) => Ok(true),
            Err(why) if is_link(&why) => Err(not_a("file", path, "behind a symbolic link")),
            Err(why) => Err(Failure::file("write", path, why)),
        }
    }

    /// Creates a directory (parents 0755), or corrects its mode and owner; what is in it is left
    /// alone. Returns whether anything changed.
    pub(crate) fn directory(&self, path: impl AsRef<Path>, access: Access) -> Result<bool> {
        let path = path.as_ref();
        let fail = |why: io::Error| match is_link(&why) {
            true => not_a("directory", path, "a file or a symbolic link"),
            false => Failure::file("make directory", path, why),
        };
        let entry = self.entry(path, true);
        let found = entry.and_then(|entry| entry.directory());
        let (directory, mut changed) = found.map_err(fail)?;
        let meta = directory.metadata().map_err(fail)?;
        if let Some((user, group)) = access.owner
            && (meta.uid(), meta.gid()) != (user, group)
        {
            fchown(&directory, Some(user), Some(group)).map_err(fail)?;
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
    pub(crate) fn remove(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        let entry = self.entry(path, false);
        match entry.and_then(|entry| entry.remove()) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(Failure::file("remove", path, why)),
        }
    }

    /// Creates a directory that nobody else can enter, and holds it open: files are then created in
    /// this very directory, even if somebody renames it meanwhile.
    pub(crate) fn private_directory(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        let entry = self.entry(path, true);
        let fail = |why: io::Error| Failure::file("make directory", path, why);
        let (directory, made) = entry.and_then(|entry| entry.directory()).map_err(fail)?;
        let meta = directory.metadata().map_err(fail)?;
        let is_ours = meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 == 0;
        match made && is_ours {
            true => Ok(directory),
            false => Err(not_a(
                "new directory",
                path,
                "one that was there, or that others can enter",
            )),
        }
    }

    /// Moves `name` out of a [`Host::private_directory`] to `path`.
    pub(crate) fn move_out(
        &self,
        directory: &File,
        name: &str,
        path: impl AsRef<Path>,
    ) -> Result<()> {
        let path = path.as_ref();
        let entry = self.entry(path, false);
        let moved = entry.and_then(|entry| entry.rename_from(directory, name));
        moved.map_err(|why| Failure::file("write", path, why))
    }

    fn entry(&self, path: &Path, make: bool) -> io::Result<DirectoryEntry> {
        DirectoryEntry::of(&self.root, path, make)
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
/// No file that is read here is larger.
const MOST: u64 = 1 << 20;

/// Whether a link (or a file) stood where we would have a directory, or a file.
fn is_link(why: &io::Error) -> bool {
    let errno = why.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ELOOP | Errno::ENOTDIR))
}

fn not_a(kind: &str, path: &Path, found: &str) -> Failure {
    let shown = path.display();
    Failure::new(format!("{shown} is not a {kind} but {found}"))
        .hint(format!("look at every name on the way: namei -l {shown}"))
}

/// What is in a regular file; where `owner` is told, only if it is that user's or root's.
fn contents(file: &File, path: &Path, owner: Option<u32>) -> Result<Vec<u8>> {
    let shown = path.display();
    let fail = |why: io::Error| Failure::file("read", path, why);
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(not_a("file", path, "a directory or a device"));
    }
    if let Some(owner) = owner.filter(|owner| ![0, *owner].contains(&meta.uid())) {
        return Err(Failure::expected(
            format!("{shown} to belong to uid {owner} or root"),
            format!("uid {}", meta.uid()),
        )
        .hint(format!("look at it, then: chown {owner} {shown}")));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MOST {
        return Err(
            Failure::expected(format!("at most 1 MiB in {shown}"), "more")
                .hint("nothing was changed; see what is in it"),
        );
    }
    Ok(bytes)
}
