//! A copy of a tree that somebody else may be changing, with owners, modes, times, links and attributes.
//!
//! Every directory is read through a descriptor that is held, and no link is followed: whoever
//! exchanges a directory for a link meanwhile has nothing copied that lies where the link leads.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fstatat, futimens, mkdirat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, linkat, symlinkat};

use super::directory_entry::{FRESH, READ, WORK};
use super::system;

/// Each level holds two descriptors and some stack.
const MOST_LEVELS: usize = 200;

/// How the files of a copy come to be; its directories are always its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Each is copied.
    Copied,
    /// Each is the same file by another name, where the file system lets it have one: for a tree that is about to go.
    Linked,
}

/// A copy under way.
struct TreeCopy<'a> {
    files: Files,
    /// The top of the copy.
    top: File,
    /// Other file systems are not entered.
    device: u64,
    /// Files with several names, and the first that was copied.
    names: HashMap<(u64, u64), PathBuf>,
    stop: &'a AtomicBool,
}

/// Copies the directory `from` to `name` in `into`, until `stop` is set.
pub(super) fn copy(
    from: &File,
    into: &File,
    name: &OsStr,
    files: Files,
    stop: &AtomicBool,
) -> io::Result<()> {
    mkdirat(into, name, Mode::S_IRWXU)?;
    let mut copy = TreeCopy {
        files,
        top: open(into, name, WORK)?,
        device: from.metadata()?.dev(),
        names: HashMap::new(),
        stop,
    };
    let to = copy.top.try_clone()?;
    copy.children(from, &to, Path::new(""))?;
    dress(from, &to)
}

impl TreeCopy<'_> {
    fn children(&mut self, from: &File, to: &File, within: &Path) -> io::Result<()> {
        if within.components().count() >= MOST_LEVELS {
            return Err(io::Error::other("directories lie too deep in each other"));
        }
        for name in names(from)? {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let about = match fstatat(from, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                // It was removed since it was listed.
                Err(Errno::ENOENT) => continue,
                about => about?,
            };
            let path = within.join(&name);
            match SFlag::from_bits_truncate(about.st_mode & libc::S_IFMT) {
                SFlag::S_IFDIR => self.directory(from, to, &name, &path)?,
                SFlag::S_IFREG => self.file(from, to, &name, &path)?,
                SFlag::S_IFLNK => link(from, to, &name, &about)?,
                _ => {
                    system::make_special(to, &name, &about)?;
                    dress_name(to, &name, &about)?;
                }
            }
        }
        Ok(())
    }

    fn directory(&mut self, from: &File, to: &File, name: &OsStr, path: &Path) -> io::Result<()> {
        let source = open(from, name, WORK)?;
        mkdirat(to, name, Mode::S_IRWXU)?;
        let made = open(to, name, WORK)?;
        if source.metadata()?.dev() == self.device {
            self.children(&source, &made, path)?;
        }
        dress(&source, &made)
    }

    fn file(&mut self, from: &File, to: &File, name: &OsStr, path: &Path) -> io::Result<()> {
        // It may lie on another disk, or be one that can have no other name.
        if self.files == Files::Linked && linkat(from, name, to, name, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        let source = open(from, name, READ)?;
        let about = source.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("a file was exchanged meanwhile"));
        }
        if about.nlink() > 1 {
            let id = (about.dev(), about.ino());
            if let Some(first) = self.names.get(&id) {
                return Ok(linkat(&self.top, first, to, name, AtFlags::empty())?);
            }
            self.names.insert(id, path.to_owned());
        }
        let made = open(to, name, FRESH)?;
        system::copy_contents(&source, &made, self.stop)?;
        dress(&source, &made)
    }
}

/// A link is copied, wherever it leads.
fn link(from: &File, to: &File, name: &OsStr, about: &FileStat) -> io::Result<()> {
    let target = readlinkat(from, name)?;
    symlinkat(target.as_os_str(), to, name)?;
    dress_name(to, name, about)
}

/// Owner and times of what cannot be opened.
fn dress_name(to: &File, name: &OsStr, about: &FileStat) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(about.st_uid), Gid::from_raw(about.st_gid));
    let itself = AtFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(to, name, Some(user), Some(group), itself)?;
    let (read, written) = (
        TimeSpec::new(about.st_atime, about.st_atime_nsec),
        TimeSpec::new(about.st_mtime, about.st_mtime_nsec),
    );
    Ok(utimensat(
        to,
        name,
        &read,
        &written,
        UtimensatFlags::NoFollowSymlink,
    )?)
}

/// Owner, attributes, mode and times, in the order in which none undoes another.
fn dress(from: &File, to: &File) -> io::Result<()> {
    let about: Metadata = from.metadata()?;
    fchown(to, Some(about.uid()), Some(about.gid()))?;
    system::copy_attributes(from, to)?;
    to.set_permissions(Permissions::from_mode(about.mode() & 0o7777))?;
    let (read, written) = (
        TimeSpec::new(about.atime(), about.atime_nsec()),
        TimeSpec::new(about.mtime(), about.mtime_nsec()),
    );
    Ok(futimens(to, &read, &written)?)
}

fn open(directory: &File, name: &OsStr, flags: OFlag) -> io::Result<File> {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    Ok(openat(directory, name, flags, mode)?.into())
}

fn names(directory: &File) -> io::Result<Vec<OsString>> {
    let mut listed = Dir::openat(directory, ".", WORK, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listed.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::thread;

    use super::*;

    struct Place(tempfile::TempDir, Files);

    impl Place {
        fn new(files: Files) -> Self {
            let place = Self(tempfile::tempdir().expect("a directory"), files);
            for directory in ["state/inner", "precious", "into"] {
                fs::create_dir_all(place.path(directory)).expect("made");
            }
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn copy(&self, name: &str) -> io::Result<()> {
            let from = File::open(self.path("state"))?;
            let into = File::open(self.path("into"))?;
            let (name, stop) = (OsStr::new(name), AtomicBool::new(false));
            copy(&from, &into, name, self.1, &stop)
        }
    }

    #[test]
    fn it_is_what_cp_makes_of_it() {
        let place = Place::new(Files::Copied);
        let script = "cd \"$1\" && printf data >inner/file && ln inner/file second && ln -s nowhere link && \
            mkfifo pipe && chmod 4750 inner/file && chmod 1777 inner && truncate -s 1M sparse && echo end >>sparse && \
            setfattr -n user.note -v kept second 2>/dev/null; touch -d '2001-02-03 04:05:06.789' inner/file inner; \
            touch -h -d 2001-01-01 link";
        let sh = |script: &str, words: &[&Path]| {
            let run = Command::new("sh")
                .args(["-c", script, "sh"])
                .args(words)
                .output();
            let run = run.expect("it runs");
            assert!(run.status.success(), "{run:?}");
            String::from_utf8(run.stdout).expect("text")
        };
        sh(script, &[&place.path("state")]);
        place.copy("ours").expect("copied");
        let (ours, theirs) = (place.path("into/ours"), place.path("into/theirs"));
        sh("cp -a \"$1\" \"$2\"", &[&place.path("state"), &theirs]);
        let look = "cd \"$1\" && find . -printf '%P %y %m %U:%G %n %s %b %T@ %l\\n' | sort; \
            getfattr -R -d . 2>/dev/null; cat inner/file";
        assert_eq!(sh(look, &[&ours]), sh(look, &[&theirs]));
    }

    #[test]
    fn linked_files_are_the_same_and_directories_are_not() {
        let place = Place::new(Files::Linked);
        fs::write(place.path("state/inner/file"), "data").expect("written");
        symlink("nowhere", place.path("state/link")).expect("linked");
        place.copy("ours").expect("copied");
        let inode = |name: &str| fs::symlink_metadata(place.path(name)).expect("there").ino();
        assert_eq!(inode("into/ours/inner/file"), inode("state/inner/file"));
        assert_ne!(inode("into/ours/inner"), inode("state/inner"));
        let led = fs::read_link(place.path("into/ours/link")).expect("a link");
        assert_eq!(led, Path::new("nowhere"));
    }

    #[test]
    fn what_a_link_leads_to_is_not_copied_whenever_it_takes_a_directorys_place() {
        led_astray(Files::Copied);
        led_astray(Files::Linked);
    }

    /// A directory is exchanged for a link and back, as fast as it goes, while copies are made.
    fn led_astray(files: Files) {
        let place = Place::new(files);
        fs::write(place.path("precious/secret"), "of root").expect("written");
        symlink(place.path("precious"), place.path("state/link")).expect("linked");
        for file in 0..50 {
            fs::write(place.path("state/inner").join(file.to_string()), "").expect("written");
        }
        let stop = AtomicBool::new(false);
        let is_led = |nth: u32, copy: &dyn Fn(&str)| {
            copy(&nth.to_string());
            let copied = place.path("into").join(nth.to_string());
            let led = holds_secret(&copied);
            let _ = fs::remove_dir_all(copied);
            led
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let (one, other) = (place.path("state/inner"), place.path("state/link"));
                while !stop.load(Ordering::Relaxed) {
                    exchange(&one, &other);
                }
            });
            // Whether one of these fails does not matter here.
            let ours = (0..100).any(|nth| is_led(nth, &|name| drop(place.copy(name))));
            // It is a race: some runs of `cp` on a busy machine are lucky.
            let by_name = (0..3000).any(|nth| {
                is_led(nth, &|name| {
                    let (from, to) = (place.path("state"), place.path("into").join(name));
                    drop(Command::new("cp").arg("-a").args([from, to]).output());
                })
            });
            stop.store(true, Ordering::Relaxed);
            assert!(!ours);
            assert!(by_name, "the control: `cp` was never led astray");
        });
    }

    fn holds_secret(copied: &Path) -> bool {
        ["inner", "link"].iter().any(|name| {
            let path = copied.join(name);
            path.symlink_metadata().is_ok_and(|it| it.is_dir()) && path.join("secret").exists()
        })
    }

    fn exchange(one: &Path, other: &Path) {
        let flag = rustix::fs::RenameFlags::EXCHANGE;
        let here = rustix::fs::CWD;
        let _ = rustix::fs::renameat_with(here, one, here, other, flag);
    }
}
