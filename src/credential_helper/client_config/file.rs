//! A configuration file of another program: read whole, replaced whole.
//!
//! The new text is written beside the file and exchanged with it, so that nobody ever sees half of
//! it; mode and owner stay. A link stays a link, and its target is replaced. Other programs take no
//! lock: what was exchanged is looked at afterwards, and what they wrote in the meantime is put back
//! and changed in its turn.

use std::fmt::Display;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno as Io;
use tempfile::NamedTempFile;

use crate::base::error::{Error, Result};
use crate::base::file_ownership;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The text of the file at `path`; `None` where there is none.
///
/// # Errors
/// [`Error::ClientConfig`] when there is one that cannot be read.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let mut file = match open {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            return Err(unusable(
                path,
                "is a link to nothing",
                "fix or remove the link",
            ));
        }
        Err(why) => return Err(unusable(path, reason(&why), "make it readable for you")),
    };
    let metadata = file
        .metadata()
        .map_err(|why| unusable(path, reason(&why), "check the path"))?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(unusable(
            path,
            "is not a regular file of at most 4 MiB",
            "check the path",
        ));
    }
    let mut text = String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.read_to_string(&mut text)
        .map_err(|why| unusable(path, reason(&why), "check the file"))?;
    Ok(Some(text))
}

/// Changes the file at `path`: `change` is given its text, or `None` where there is none, and gives
/// the new one, or `None` when nothing is to be done. It is asked again when somebody else wrote the
/// file meanwhile, and once more in the end. Makes the file, for us alone, and its directory, where
/// there is none. Returns whether anything was written.
///
/// # Errors
/// Those of `change`, and [`Error::ClientConfig`] when the file cannot be read or written.
pub(crate) fn edit(
    path: &Path,
    mut change: impl FnMut(Option<&str>) -> Result<Option<String>>,
) -> Result<bool> {
    let failed = |why: std::io::Error| {
        unusable(
            path,
            format!("cannot be written: {}", reason(&why)),
            "make the file and its directory writable for you",
        )
    };
    let first = read(path)?;
    let target = resolve(path)?;
    let directory = parent(&target);
    if !directory.is_dir() {
        if change(first.as_deref())?.is_none() {
            return Ok(false);
        }
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        made.map_err(failed)?;
    }
    let lock = lock(directory);
    if lock.is_some() {
        remove_leftovers(&target);
    }
    let mut written = false;
    for _ in 0..MOST_ATTEMPTS {
        let before = read(&target)?;
        let Some(after) = change(before.as_deref())? else {
            return Ok(written);
        };
        written |= put(&target, before.as_deref(), &after).map_err(failed)?;
    }
    Err(unusable(
        path,
        "is changed by another program all the time",
        "run this again when that has ended",
    ))
}

/// Removes the file at `path` where it holds an empty object and nothing else.
///
/// # Errors
/// [`Error::ClientConfig`] when it cannot be removed.
pub(crate) fn remove_empty(path: &Path) -> Result<()> {
    let target = resolve(path)?;
    let _lock = lock(parent(&target));
    if !holds(&target, "{}") {
        return Ok(());
    }
    set_aside(&target).map_err(|why| {
        let hint = "make its directory writable for you";
        unusable(path, format!("cannot be removed: {}", reason(&why)), hint)
    })
}

/// Takes the file away, and looks at what was taken: somebody may have written it just then.
fn set_aside(target: &Path) -> std::io::Result<()> {
    let aside = tempfile::Builder::new()
        .prefix(&temporary_prefix(target))
        .tempfile_in(parent(target))?;
    fs::rename(target, aside.path())?;
    match holds(aside.path(), "{}") {
        true => Ok(()),
        false => put_back(aside, target),
    }
}

/// Puts back what was taken away. Where something new stands by now or it does not go, it is kept
/// beside it: it may be the only copy of a login.
fn put_back(aside: NamedTempFile, target: &Path) -> std::io::Result<()> {
    let Err(lost) = aside.persist_noclobber(target) else {
        return Ok(());
    };
    Err(kept(reason(&lost.error), lost.file, target))
}

/// The error of something that cannot be put back, and where it is kept.
fn kept(why: impl Display, file: NamedTempFile, target: &Path) -> std::io::Error {
    match keep(file, target) {
        Ok(path) => {
            let path = path.display();
            std::io::Error::other(format!("{why}; what was in it is in {path}"))
        }
        Err(lost) => lost,
    }
}

/// Keeps a temporary file by a name that [`remove_leftovers`] does not take for one.
fn keep(file: NamedTempFile, target: &Path) -> std::io::Result<PathBuf> {
    let prefix = temporary_prefix(target);
    let place = tempfile::Builder::new()
        .prefix(prefix.trim_start_matches('.'))
        .tempfile_in(parent(target));
    // From here on nothing may delete it, whatever else fails.
    let (_, path) = file.keep()?;
    let Ok((_, better)) = place.and_then(|place| Ok(place.keep()?)) else {
        return Ok(path);
    };
    match fs::rename(&path, &better) {
        Ok(()) => Ok(better),
        Err(_) => Ok(path),
    }
}

/// How often a file is changed before we give up.
const MOST_ATTEMPTS: u32 = 50;

/// How long another edit of ours is waited for; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps other edits of ours out of `directory`. Docker and Podman take no lock themselves, and where
/// the file system has none, ours is missing too: no edit relies on it alone.
fn lock(directory: &Path) -> Option<Flock<File>> {
    let mut opened = File::open(directory).ok()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        opened = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err((opened, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < deadline => opened,
            Err(_) => return None,
        };
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Puts `after` where `before` was; returns whether it was still there, and changes nothing otherwise.
fn put(target: &Path, before: Option<&str>, after: &str) -> std::io::Result<bool> {
    let mut temporary = tempfile::Builder::new()
        .prefix(&temporary_prefix(target))
        .tempfile_in(parent(target))?;
    fill(temporary.as_file_mut(), fs::metadata(target).ok(), after)?;
    let Some(before) = before else {
        return match temporary.persist_noclobber(target) {
            Ok(_) => Ok(true),
            Err(lost) if lost.error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(lost) => Err(lost.error),
        };
    };
    match exchange(temporary.path(), target) {
        Ok(()) => {}
        Err(Io::NOENT) => return Ok(false),
        // A file system or a kernel that cannot.
        Err(Io::INVAL | Io::NOSYS | Io::OPNOTSUPP | Io::PERM) => {
            return rename_over(temporary, target, before);
        }
        Err(why) => return Err(why.into()),
    }
    if holds(temporary.path(), before) {
        return Ok(true);
    }
    give_back(temporary, target, after).map(|()| false)
}

/// Gives back what somebody wrote in between; if that takes away what is newer still than `ours`, that too. What
/// cannot be given back is kept.
fn give_back(temporary: NamedTempFile, target: &Path, ours: &str) -> std::io::Result<()> {
    let swap = || exchange(temporary.path(), target);
    let given = swap().and_then(|()| match holds(temporary.path(), ours) {
        true => Ok(()),
        false => swap(),
    });
    given.map_err(|why| kept(why, temporary, target))
}

/// The second best: between the look and the renaming a foreign edit can still be lost.
fn rename_over(temporary: NamedTempFile, target: &Path, before: &str) -> std::io::Result<bool> {
    if !holds(target, before) {
        return Ok(false);
    }
    temporary.persist(target)?;
    Ok(true)
}

fn holds(path: &Path, text: &str) -> bool {
    matches!(read(path), Ok(Some(found)) if found == text)
}

/// Exchanges two files in one step: whatever was at the target then is ours to look at.
fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

fn fill(file: &mut File, old: Option<Metadata>, text: &str) -> std::io::Result<()> {
    if let Some(old) = old {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&*file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// How the names of our temporary files beside `target` begin.
fn temporary_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.oc-secrets-")
}

/// Removes what edits of ours left that were killed: it can hold credentials. Nobody else edits while
/// we hold the lock.
fn remove_leftovers(target: &Path) {
    let us = nix::unistd::geteuid().as_raw();
    let prefix = temporary_prefix(target);
    let entries = fs::read_dir(parent(target)).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    for entry in named {
        if entry
            .metadata()
            .is_ok_and(|found| found.is_file() && found.uid() == us)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The file itself, where `path` leads through links: they must be ours or root's, since whoever
/// owns a link says which file is changed.
fn resolve(path: &Path) -> Result<PathBuf> {
    match path.symlink_metadata() {
        Err(why) if why.kind() == ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if parent != Path::new("") => {
                Ok(resolve(parent)?.join(name))
            }
            _ => Ok(path.to_owned()),
        },
        _ => file_ownership::through_links(path).map_err(|what| {
            unusable(
                path,
                format!("cannot be changed: {what}"),
                "change it as the owner of the link, or name the file itself",
            )
        }),
    }
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent();
    let named = parent.filter(|parent| !parent.as_os_str().is_empty());
    named.unwrap_or(Path::new("."))
}

/// An error about a file as a whole.
pub(crate) fn unusable(path: &Path, what: impl Into<String>, hint: &'static str) -> Error {
    Error::ClientConfig {
        path: path.to_owned(),
        what: what.into(),
        hint,
    }
}

fn reason(why: &std::io::Error) -> String {
    match why.kind() {
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        ErrorKind::InvalidData => "not UTF-8".to_owned(),
        _ => why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("readable").flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A text, whatever was there.
    fn replace(path: &Path, text: &str) -> Result<bool> {
        edit(path, |old| Ok((old != Some(text)).then(|| text.to_owned())))
    }

    /// What another program does: a new file, renamed over the old one.
    fn overwrite(path: &Path, text: &str) {
        let temporary = path.with_extension("theirs");
        fs::write(&temporary, text).expect("written");
        fs::rename(&temporary, path).expect("renamed");
    }

    /// Adds a line, while another program adds its own as often as `theirs` says.
    fn add_line(path: &Path, mut theirs: u32) -> Result<bool> {
        edit(path, |old| {
            let old = old.unwrap_or_default();
            if theirs > 0 {
                theirs -= 1;
                overwrite(path, &format!("{old}theirs\n"));
            }
            Ok((!old.contains("ours")).then(|| format!("{old}ours\n")))
        })
    }

    #[test]
    fn mode_and_link_stay_and_nothing_is_left_beside_it() {
        let place = place();
        let (file, link) = (place.path().join("f"), place.path().join("l"));
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("chmod");
        symlink("f", &link).expect("a link");
        assert!(replace(&link, "new").expect("replaced"));
        assert!(!replace(&link, "new").expect("as it is"));
        assert_eq!(fs::read_to_string(&file).expect("read"), "new");
        assert!(link.is_symlink());
        assert_eq!(file.metadata().expect("metadata").mode() & 0o7777, 0o640);
        assert_eq!(names(place.path()), ["f", "l"]);
    }

    #[test]
    fn a_new_file_and_its_directory_are_ours_alone() {
        let place = place();
        let file = place.path().join("a/b/f");
        assert!(!edit(&file, |_| Ok(None)).expect("nothing to do"));
        assert_eq!(names(place.path()), <[&str; 0]>::default());
        replace(&file, "x").expect("made");
        let mode = |path: &Path| path.metadata().expect("metadata").mode() & 0o7777;
        assert_eq!(
            (
                mode(&file),
                mode(&place.path().join("a")),
                mode(&place.path().join("a/b"))
            ),
            (0o600, 0o700, 0o700)
        );
    }

    #[test]
    fn what_another_program_writes_meanwhile_is_kept_and_changed_in_its_turn() {
        for there in [None, Some(""), Some("old\n")] {
            let place = place();
            let file = place.path().join("f");
            there
                .iter()
                .for_each(|text| fs::write(&file, text).expect("written"));
            assert!(add_line(&file, 3).expect("changed"));
            let expected = format!(
                "{}theirs\ntheirs\ntheirs\nours\n",
                there.unwrap_or_default()
            );
            assert_eq!(fs::read_to_string(&file).expect("read"), expected);
            assert_eq!(names(place.path()), ["f"]);
        }
    }

    #[test]
    fn where_files_cannot_be_exchanged_only_what_is_unchanged_is_replaced() {
        let place = place();
        let file = place.path().join("f");
        let temporary = || {
            let mut made = NamedTempFile::new_in(place.path()).expect("made");
            made.write_all(b"ours").expect("written");
            made
        };
        fs::write(&file, "theirs").expect("written");
        assert!(!rename_over(temporary(), &file, "old").expect("left"));
        assert_eq!(fs::read_to_string(&file).expect("read"), "theirs");
        assert!(rename_over(temporary(), &file, "theirs").expect("replaced"));
        assert_eq!(fs::read_to_string(&file).expect("read"), "ours");
        assert_eq!(names(place.path()), ["f"]);
    }

    #[test]
    fn a_file_that_never_rests_is_left_to_the_other_program() {
        let place = place();
        let file = place.path().join("f");
        let error = add_line(&file, u32::MAX).expect_err("given up");
        assert!(error.to_string().contains("all the time"), "{error}");
        assert!(!fs::read_to_string(&file).expect("read").contains("ours"));
        assert_eq!(names(place.path()), ["f"]);
    }

    #[test]
    fn edits_of_ours_wait_for_one_another() {
        let place = place();
        let file = place.path().join("f");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    let line = format!("{writer}\n");
                    edit(file, |old| {
                        let old = old.unwrap_or_default();
                        Ok((!old.contains(&line)).then(|| format!("{old}{line}")))
                    })
                });
            }
        });
        assert_eq!(fs::read_to_string(&file).expect("read").lines().count(), 8);
        assert_eq!(names(place.path()), ["f"]);
    }

    #[test]
    fn what_was_taken_away_and_cannot_be_put_back_is_kept() {
        let place = place();
        let file = place.path().join(".f");
        let aside = || {
            let prefix = temporary_prefix(&file);
            let mut builder = tempfile::Builder::new();
            let made = builder.prefix(&prefix).tempfile_in(place.path());
            let mut made = made.expect("made");
            made.write_all(b"the login").expect("written");
            made
        };
        put_back(aside(), &file).expect("the control");
        assert_eq!(names(place.path()), [".f"]);
        assert_eq!(fs::read_to_string(&file).expect("read"), "the login");
        fs::write(&file, "theirs").expect("written");
        let error = put_back(aside(), &file).expect_err("not put back");
        // Another edit removes what killed ones left.
        replace(&file, "new").expect("replaced");
        let text = error.to_string();
        let (_, kept) = text.split_once("is in ").expect("a path");
        assert_eq!(fs::read_to_string(kept).expect("kept"), "the login");
    }

    #[test]
    fn what_was_written_in_between_and_cannot_be_given_back_is_kept() {
        let place = place();
        let file = place.path().join("f");
        let theirs = || {
            let mut made = NamedTempFile::new_in(place.path()).expect("made");
            made.write_all(b"the login").expect("written");
            made
        };
        for (there, left) in [("ours", "the login"), ("newer", "newer")] {
            fs::write(&file, there).expect("written");
            give_back(theirs(), &file, "ours").expect("the control");
            assert_eq!(fs::read_to_string(&file).expect("read"), left);
            assert_eq!(names(place.path()), ["f"]);
        }
        fs::remove_file(&file).expect("removed");
        let error = give_back(theirs(), &file, "ours").expect_err("nothing to exchange it with");
        let text = error.to_string();
        let (_, kept) = text.split_once("is in ").expect("a path");
        assert_eq!(fs::read_to_string(kept).expect("kept"), "the login");
    }

    #[test]
    fn what_a_killed_edit_left_is_removed_and_nothing_else() {
        let place = place();
        let file = place.path().join("f");
        fs::write(&file, "x").expect("written");
        for name in [
            ".f.oc-secrets-4711",
            ".f.oc-secrets-aB3xYz",
            ".f.other",
            ".g.oc-secrets-1",
        ] {
            fs::write(place.path().join(name), "auths").expect("written");
        }
        symlink("f", place.path().join(".f.oc-secrets-link")).expect("a link");
        assert!(!replace(&file, "x").expect("as it is"));
        assert_eq!(
            names(place.path()),
            [".f.oc-secrets-link", ".f.other", ".g.oc-secrets-1", "f"]
        );
    }

    #[test]
    fn another_user_s_link_is_not_followed() {
        assert!(nix::unistd::geteuid().is_root(), "the tests run as root");
        let place = place();
        let (real, below) = (place.path().join("real"), place.path().join("below"));
        fs::create_dir(&real).expect("made");
        fs::write(real.join("f"), "old").expect("written");
        symlink("real", &below).expect("a link");
        symlink("f", real.join("l")).expect("a link");
        let theirs = |link: &Path, uid| std::os::unix::fs::lchown(link, Some(uid), None);
        for (link, path) in [(&below, below.join("f")), (&real.join("l"), real.join("l"))] {
            replace(&path, "ours").expect("the control");
            theirs(link, 4247).expect("root");
            let error = replace(&path, "new").expect_err("refused").to_string();
            assert!(
                error.contains("belongs to another user (uid 4247)"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(real.join("f")).expect("read"), "ours");
            let absent = replace(&path.with_file_name("absent"), "new");
            assert_eq!(absent.is_err(), link == &below);
            theirs(link, 0).expect("root");
        }
    }

    #[test]
    fn a_link_to_nothing_is_refused_and_stays() {
        let place = place();
        let link = place.path().join("l");
        symlink("nowhere", &link).expect("a link");
        assert!(
            read(&link)
                .expect_err("refused")
                .to_string()
                .ends_with("is a link to nothing")
        );
        assert!(replace(&link, "x").is_err());
        assert_eq!(names(place.path()), ["l"]);
        assert_eq!(read(&place.path().join("absent")).expect("none"), None);
    }
}
