//! Files of the host: read with a cap, written atomically with their mode and owner.
//!
//! We run as root, and many of these files are in directories of other users, who could replace them
//! with links or pipes while we look. There, no link is followed, no pipe is waited for, and a file is
//! changed through the descriptor through which it was checked.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use super::directory_entry::DirectoryEntry;
use super::system;
use super::tree_copy::{self, Files};
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host};

impl Host {
    /// Reads a text file; `None` where there is none. Invalid UTF-8 is replaced. At most 1 MiB.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        self.read_at_most(path, MIB)
    }

    /// [`Host::read`] with another limit.
    pub(crate) fn read_at_most(
        &self,
        path: impl AsRef<Path>,
        bytes: u64,
    ) -> Result<Option<String>> {
        let path = path.as_ref();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.path(path));
        let bytes = match opened {
            Ok(file) => contents(&file, path, None, bytes)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(Failure::file("read", path, why)),
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads a file in a directory that the user `owner` controls; `None` where there is none. No
    /// symbolic link that they could have made is followed, and the file has to belong to them or
    /// to root. At most 1 MiB.
    pub(crate) fn read_of(&self, owner: u32, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        self.plain_file(path.as_ref(), Some(owner))
    }

    /// [`Host::read_of`], whoever owns it: the numbers in an archive are those of another host.
    pub(crate) fn read_plain(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        self.plain_file(path.as_ref(), None)
    }

    fn plain_file(&self, path: &Path, owner: Option<u32>) -> Result<Option<Vec<u8>>> {
        let entry = self.entry(path, false);
        match entry.and_then(|entry| entry.open()) {
            Ok(file) => contents(&file, path, owner, MIB).map(Some),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) if is_link(&why) => Err(not_a("file", path, "a symbolic link, or behind one")),
            Err(why) => Err(Failure::file("read", path, why)),
        }
    }

    /// What below `top` does not belong to the user `owner`. Links are not followed, other file
    /// systems not entered.
    pub(crate) fn owned_by_others(&self, top: &Path, owner: u32) -> Vec<PathBuf> {
        let top = self.path(top);
        let mut found = Vec::new();
        let Ok(device) = top.symlink_metadata().map(|meta| meta.dev()) else {
            return found;
        };
        let mut open = vec![top];
        while let Some(path) = open.pop() {
            let Ok(meta) = path.symlink_metadata() else {
                continue;
            };
            if meta.dev() != device {
                continue;
            }
            // A second hard link may be outside of `top`.
            if meta.uid() != owner && (meta.is_dir() || meta.nlink() == 1) {
                found.push(path.clone());
            }
            if meta.is_dir() {
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                open.extend(entries.map(|entry| entry.path()));
            }
        }
        found
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
        system::give(&top, within, owner)
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

    /// Opens the directory at `path`, unless it is a link that somebody else could have made.
    pub(crate) fn held_directory(&self, path: &Path) -> Result<File> {
        let entry = self.entry(path, false);
        let directory = entry.and_then(|entry| entry.existing_directory());
        directory.map_err(|why| match is_link(&why) {
            true => not_a("directory", path, "a file or a symbolic link"),
            false => Failure::file("read", path, why),
        })
    }

    /// Copies the directory at `path`, and all below it on the same file system, to `name` in `into`. It is
    /// somebody else's, who may exchange what is in it meanwhile: no link is followed.
    pub(crate) async fn copy_tree(
        &self,
        path: &Path,
        into: &File,
        name: &str,
        files: Files,
    ) -> Result<()> {
        let from = self.held_directory(path)?;
        let fail = |why: io::Error| Failure::file("copy", path, why);
        let (into, name) = (into.try_clone().map_err(fail)?, OsString::from(name));
        // Ends the copy too where nobody waits for it any more.
        let stop = StopOnDrop::default();
        let stopped = stop.0.clone();
        let work = tokio::task::spawn_blocking(move || {
            tree_copy::copy(&from, &into, &name, files, &stopped)
        });
        let done = async { Ok(work.await.unwrap_or_else(|why| Err(io::Error::other(why)))) };
        self.unless_interrupted(done).await?.map_err(fail)
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

    /// The names in a directory; none where there is no such directory.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.into_string().ok()).collect()
    }

    /// What is at `path` itself, be it a symbolic link; `None` where nothing is.
    pub(crate) fn metadata(&self, path: impl AsRef<Path>) -> Option<fs::Metadata> {
        self.path(path).symlink_metadata().ok()
    }

    /// The permission bits of what `path` leads to.
    pub(crate) fn mode(&self, path: impl AsRef<Path>) -> Option<u32> {
        let meta = self.path(path).metadata().ok()?;
        Some(meta.permissions().mode())
    }

    /// All of a file, such as a program of ours.
    pub(crate) fn bytes(&self, path: &Path) -> Result<Vec<u8>> {
        fs::read(self.path(path)).map_err(|why| Failure::file("read", path, why))
    }

    /// Gives a file or a directory another name on the same file system.
    pub(crate) fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let from = from.as_ref();
        fs::rename(self.path(from), self.path(to)).map_err(|why| Failure::file("rename", from, why))
    }

    /// Removes a file or a tree, if it is there.
    pub(crate) fn remove_tree(&self, path: &Path) -> Result<()> {
        let there = self.path(path);
        let gone = match there.symlink_metadata() {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(there),
            _ => fs::remove_file(there),
        };
        match gone {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                Err(Failure::file("remove", path, why))
            }
            _ => Ok(()),
        }
    }

    /// Appends a line in one write, so that the lines of two processes do not mix. One that a full disk or
    /// a power cut has left unfinished is ended first, or it would take this one with it.
    pub(crate) fn append(&self, path: impl AsRef<Path>, line: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true).read(true).mode(0o600);
        let mut file = options.open(self.path(path))?;
        let mut last = *b"\n";
        if let Some(at) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        let end = if last == *b"\n" { "" } else { "\n" };
        file.write_all(format!("{end}{line}").as_bytes())
    }

    fn entry(&self, path: &Path, make: bool) -> io::Result<DirectoryEntry> {
        DirectoryEntry::of(&self.root, path, make)
    }
}

/// Tells a copy to end.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
/// No file that is read here should be larger, but for the journal.
const MIB: u64 = 1 << 20;

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
fn contents(file: &File, path: &Path, owner: Option<u32>, most: u64) -> Result<Vec<u8>> {
    let shown = path.display();
    let fail = |why: io::Error| Failure::file("read", path, why);
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(not_a("file", path, "a directory, a pipe or a device"));
    }
    if let Some(owner) = owner.filter(|owner| ![0, *owner].contains(&meta.uid())) {
        return Err(Failure::expected(
            format!("{shown} to belong to uid {owner} or root"),
            format!("uid {}", meta.uid()),
        )
        .hint(format!("look at it, then: chown {owner} {shown}")));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() as u64 > most {
        return Err(
            Failure::expected(format!("at most 1 MiB in {shown}"), "more")
                .hint("nothing was changed; see what is in it"),
        );
    }
    Ok(bytes)
}
