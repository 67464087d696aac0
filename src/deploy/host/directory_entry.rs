//! A name in a directory that is held open while we work with it.
//!
//! The path is opened one component at a time. A symbolic link is followed only as long as nobody
//! but root and us can write to the directories so far; below the first one to which somebody else
//! can, no link is followed. All that follows uses the open directory, so renaming it changes nothing.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::Access;
use super::system::WALK;

/// For a directory on the way.
const STEP: OFlag = WALK.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// For the directory in which we work.
pub(super) const WORK: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
/// For reading; a pipe is not waited for.
pub(super) const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);
pub(super) const FRESH: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// A name, and the open directory in which it is.
pub(super) struct DirectoryEntry {
    directory: File,
    name: OsString,
}

impl DirectoryEntry {
    /// The entry of `path` below `root`. Missing directories on the way are made, 0755, if `make`.
    /// `ENOTDIR` where a link is in the way that somebody else could have made.
    pub(super) fn of(root: &Path, path: &Path, make: bool) -> io::Result<Self> {
        let within = path.strip_prefix("/").unwrap_or(path);
        let mut at = File::from(nix::fcntl::open(root, STEP, Mode::empty())?);
        let mut ours = true;
        for name in within.parent().unwrap_or(Path::new("")).components() {
            ours = ours && is_ours(&at)?;
            at = step(&at, name.as_os_str(), ours, make)?;
        }
        Ok(Self {
            directory: openat(&at, ".", WORK, Mode::empty())?.into(),
            name: within.file_name().unwrap_or_default().to_owned(),
        })
    }

    /// Opens it for reading, unless it is a link; a pipe is not waited for.
    pub(super) fn open(&self) -> io::Result<File> {
        self.at(&self.name, READ)
    }

    /// Opens the directory of that name, which has to be there.
    pub(super) fn existing_directory(&self) -> io::Result<File> {
        self.at(&self.name, WORK)
    }

    /// Opens the directory of that name, and says whether it was created.
    pub(super) fn directory(&self) -> io::Result<(File, bool)> {
        let made = match mkdirat(&self.directory, self.name.as_os_str(), private()) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(why) => return Err(why.into()),
        };
        self.at(&self.name, WORK).map(|directory| (directory, made))
    }

    /// Puts a file there: a new one beside it, synced, with its mode and owner before its name.
    pub(super) fn replace(&self, bytes: &[u8], access: Access) -> io::Result<()> {
        let mut fresh = OsString::from(".");
        fresh.push(&self.name);
        fresh.push(".openclaw-deploy.new");
        // What an interrupted run left behind is ours by its name.
        let _ = self.unlink(&fresh);
        let placed = self.fill(&fresh, bytes, access).and_then(|()| {
            let (here, to) = (&self.directory, self.name.as_os_str());
            Ok(renameat(here, fresh.as_os_str(), here, to)?)
        });
        if placed.is_err() {
            let _ = self.unlink(&fresh);
            return placed;
        }
        self.directory.sync_all()
    }

    /// Moves `name` of the directory `from` here.
    pub(super) fn rename_from(&self, from: &File, name: &str) -> io::Result<()> {
        Ok(renameat(
            from,
            name,
            &self.directory,
            self.name.as_os_str(),
        )?)
    }

    /// Removes it.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.unlink(&self.name)
    }

    fn fill(&self, name: &OsStr, bytes: &[u8], access: Access) -> io::Result<()> {
        let mut file = self.at(name, FRESH)?;
        file.write_all(bytes)?;
        if let Some((user, group)) = access.owner {
            fchown(&file, Some(user), Some(group))?;
        }
        file.set_permissions(Permissions::from_mode(access.mode))?;
        file.sync_all()
    }

    fn at(&self, name: &OsStr, flags: OFlag) -> io::Result<File> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(openat(&self.directory, name, flags, mode)?.into())
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir)?)
    }
}

/// Opens one component more; it may be a link only if every directory before it is ours.
fn step(at: &File, name: &OsStr, ours: bool, make: bool) -> io::Result<File> {
    let closed = STEP.union(OFlag::O_NOFOLLOW);
    let flags = if ours { STEP } else { closed };
    match openat(at, name, flags, Mode::empty()) {
        Err(Errno::ENOENT) if make => {
            let made = mkdirat(at, name, private() | Mode::from_bits_truncate(0o055));
            if !matches!(made, Ok(()) | Err(Errno::EEXIST)) {
                made?;
            }
            Ok(openat(at, name, closed, Mode::empty())?.into())
        }
        found => Ok(found?.into()),
    }
}

/// Whether only root and we can write to this directory.
fn is_ours(directory: &File) -> io::Result<bool> {
    let meta = directory.metadata()?;
    Ok([0, geteuid().as_raw()].contains(&meta.uid()) && meta.mode() & 0o022 == 0)
}

fn private() -> Mode {
    Mode::S_IRWXU
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ACCESS: Access = Access {
        mode: 0o600,
        owner: None,
    };

    /// `home/link` leads to `precious`; `mode` is that of `home`.
    fn tree(mode: u32) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("precious")).expect("made");
        fs::create_dir(path("home")).expect("made");
        symlink("../precious", path("home/link")).expect("linked");
        fs::set_permissions(path("home"), Permissions::from_mode(mode)).expect("set");
        root
    }

    #[test]
    fn a_link_is_followed_only_where_nobody_else_can_have_put_it() {
        for (mode, followed) in [(0o755, true), (0o775, false), (0o1777, false)] {
            let root = tree(mode);
            let entry = DirectoryEntry::of(root.path(), Path::new("/home/link/x"), true);
            let written = entry.and_then(|entry| entry.replace(b"x", ACCESS));
            assert_eq!(written.is_ok(), followed, "{mode:o}");
            let there = root.path().join("precious/x").exists();
            assert_eq!(there, followed, "{mode:o}");
        }
    }

    #[test]
    fn what_is_held_open_is_what_is_written_to() {
        let root = tree(0o777);
        let (home, kept) = (root.path().join("home/dir"), root.path().join("home/kept"));
        fs::create_dir(&home).expect("made");
        let entry =
            DirectoryEntry::of(root.path(), Path::new("/home/dir/x"), false).expect("an entry");
        fs::rename(&home, &kept).expect("moved");
        symlink("../precious", &home).expect("linked");
        entry.replace(b"x", ACCESS).expect("written");
        assert!(kept.join("x").exists() && !root.path().join("precious/x").exists());
        // The control: by its path it would have gone there.
        fs::write(home.join("x"), "").expect("written");
        assert!(root.path().join("precious/x").exists());
    }

    #[test]
    fn directories_on_the_way_are_made_for_all_to_enter() {
        let root = tempfile::tempdir().expect("a directory");
        let entry = DirectoryEntry::of(root.path(), Path::new("/a/b/c"), true).expect("made");
        let (_, made) = entry.directory().expect("made");
        let mode = |path: &str| {
            let meta = fs::metadata(root.path().join(path)).expect("it is there");
            meta.mode() & 0o777
        };
        assert!(made && mode("a/b") == 0o755 && mode("a/b/c") == 0o700);
        let nowhere = DirectoryEntry::of(root.path(), Path::new("/x/y"), false);
        let kind = nowhere.err().map(|why| why.kind());
        assert_eq!(kind, Some(io::ErrorKind::NotFound));
    }
}
