//! Whether a file is trusted: only root and this user could have written it.
//!
//! A file that is read is checked on its open descriptor, so that it cannot be exchanged between
//! check and use. The directories above it do not matter then: what another user puts there is theirs
//! and refused, or one of our own files that they moved. A program that is run by its path is checked
//! with every directory and every link on the way. A group counts as others unless it is known to
//! have no member but us ([`groups`]), and access lists count where the file system has them ([`acl`]).

mod acl;
mod groups;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::base::shell_quote;
use acl::Acl;

const READABLE_BY_GROUP: u32 = 0o040;
const READABLE_BY_OTHERS: u32 = 0o004;
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// As many links as Linux follows.
const MOST_LINKS: u32 = 40;

/// Whether an open file belongs to root or to us and is written by nobody else; else why not, as the
/// end of a sentence that begins with the file's name.
pub(crate) fn file(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|why| reason(&why))?;
    let acl = Acl::of_descriptor(file.as_fd()).map_err(|why| reason(&why))?;
    owner(&metadata)?;
    if others_write(&metadata, &acl) {
        return Err(format!(
            "can be written by others (mode {:o})",
            metadata.mode() & 0o7777
        ));
    }
    Ok(())
}

/// [`file`], for one that nobody else may read either.
pub(crate) fn private(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|why| reason(&why))?;
    let acl = Acl::of_descriptor(file.as_fd()).map_err(|why| reason(&why))?;
    owner(&metadata)?;
    let group = match &acl {
        // The group's bits are the mask of the list, which says more.
        Some(acl) => acl.others_have(READABLE_BY_GROUP | WRITABLE_BY_GROUP),
        None => metadata.mode() & (READABLE_BY_GROUP | WRITABLE_BY_GROUP) != 0,
    };
    match group || metadata.mode() & (READABLE_BY_OTHERS | WRITABLE_BY_OTHERS) != 0 {
        true => Err("can be read or written by others".to_owned()),
        false => Ok(()),
    }
}

/// The command that makes the file at `path` ours alone.
pub(crate) fn fix(path: &Path, metadata: &Metadata) -> String {
    let quoted = shell_quote::word(&path.display().to_string());
    let us = nix::unistd::geteuid();
    match metadata.uid() == us.as_raw() || metadata.uid() == 0 {
        true => format!("chmod go-w {quoted}"),
        false => format!("sudo chown {us} {quoted} && chmod go-w {quoted}"),
    }
}

/// The canonical path of a regular file that nobody else could have put there: every directory and
/// every link on the way belongs to root or to us, and no directory is written by anybody else. A
/// sticky directory, such as `/tmp`, passes unless the file or a link stands right in it. Else which
/// of them is at fault, and why: `it` where that is `path` itself.
pub(crate) fn path(path: &Path) -> Result<PathBuf, String> {
    let canonical = walk(path, directory)?;
    let it = match canonical == path {
        true => "it".to_owned(),
        false => canonical.display().to_string(),
    };
    let target = metadata(&canonical)?;
    if !target.is_file() {
        return Err(format!("{it} is not a regular file"));
    }
    let acl = Acl::of_path(&canonical).map_err(|why| format!("{it}: {}", reason(&why)))?;
    let written = || {
        format!(
            "can be written by others (mode {:o})",
            target.mode() & 0o7777
        )
    };
    owner(&target)
        .and_then(|()| match others_write(&target, &acl) {
            true => Err(written()),
            false => Ok(()),
        })
        .map_err(|why| format!("{it} {why}"))?;
    Ok(canonical)
}

/// The canonical path of what is at `path`, if every link on the way belongs to root or to us; else
/// which of them does not.
pub(crate) fn through_links(path: &Path) -> Result<PathBuf, String> {
    walk(path, |_, _| Ok(()))
}

/// Follows `path` to its end. `directory` checks each directory that holds a part of it, and is told
/// whether the file or a link stands right in it.
fn walk(
    path: &Path,
    directory: impl Fn(&Path, bool) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let mut here = match path.is_absolute() {
        true => PathBuf::from("/"),
        false => Path::new(".").canonicalize().map_err(|why| reason(&why))?,
    };
    let mut rest: VecDeque<OsString> = parts(path);
    let mut links = 0;
    for above in here.ancestors().skip(1) {
        directory(above, false)?;
    }
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let found = next.symlink_metadata().map_err(|why| reason(&why))?;
        directory(&here, !found.is_dir())?;
        if !found.is_symlink() {
            here = next;
            continue;
        }
        owner(&found).map_err(|why| format!("the link {} {why}", next.display()))?;
        links += 1;
        if links > MOST_LINKS {
            return Err("too many links".to_owned());
        }
        let target = next.read_link().map_err(|why| reason(&why))?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            rest.push_front(part);
        }
    }
    Ok(here)
}

/// The names in a path, and `..` where it stands.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// A directory that nobody else writes; `holds` says that the file or a link stands right in it.
fn directory(directory: &Path, holds: bool) -> Result<(), String> {
    let found = metadata(directory)?;
    let acl = Acl::of_path(directory).map_err(|why| reason(&why))?;
    let sticky = found.mode() & STICKY != 0 && !holds;
    let checked = match owner(&found) {
        Ok(()) if !sticky && others_write(&found, &acl) => {
            Err("can be written by others".to_owned())
        }
        checked => checked,
    };
    checked.map_err(|why| format!("{} {why}", directory.display()))
}

fn owner(metadata: &Metadata) -> Result<(), String> {
    let us = nix::unistd::geteuid().as_raw();
    if metadata.uid() == 0 || metadata.uid() == us {
        return Ok(());
    }
    Err(format!("belongs to another user (uid {})", metadata.uid()))
}

fn others_write(metadata: &Metadata, acl: &Option<Acl>) -> bool {
    let group = match acl {
        Some(acl) => {
            acl.others_have(WRITABLE_BY_GROUP)
                || acl.group_has(WRITABLE_BY_GROUP) && !groups::is_ours_alone(metadata.gid())
        }
        None => {
            metadata.mode() & WRITABLE_BY_GROUP != 0
                && !is_admin(metadata)
                && !groups::is_ours_alone(metadata.gid())
        }
    };
    group || metadata.mode() & WRITABLE_BY_OTHERS != 0
}

/// On macOS the group `admin` writes `/opt/homebrew` and `/Applications`; its members can become
/// root anyway.
fn is_admin(metadata: &Metadata) -> bool {
    const ADMIN: u32 = 80;
    cfg!(target_os = "macos") && metadata.gid() == ADMIN
}

fn metadata(path: &Path) -> Result<Metadata, String> {
    path.symlink_metadata()
        .map_err(|why| format!("{}: {}", path.display(), reason(&why)))
}

fn reason(why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory of ours below a sticky one.
    fn home() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    fn place(path: &Path, mode: u32) {
        fs::write(path, "x").expect("written");
        chmod(path, mode);
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn a_file_of_ours_passes_with_its_canonical_path() {
        let home = home();
        let (file, link) = (home.path().join("op"), home.path().join("link"));
        place(&file, 0o755);
        symlink(&file, &link).expect("a link");
        let canonical = file.canonicalize().expect("canonical");
        assert_eq!(path(&file), Ok(canonical.clone()));
        assert_eq!(path(&link), Ok(canonical));
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let home = home();
        let op = home.path().join("op");
        for mode in [0o757, 0o777] {
            place(&op, mode);
            let why = format!("it can be written by others (mode {mode:o})");
            assert_eq!(path(&op), Err(why));
            let file = File::open(&op).expect("opened");
            let why = format!("can be written by others (mode {mode:o})");
            assert_eq!(super::file(&file), Err(why));
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_and_named() {
        let home = home();
        let directory = home.path().join("bin");
        fs::create_dir_all(directory.join("deep")).expect("made");
        place(&directory.join("deep/op"), 0o755);
        for mode in [0o777, 0o757] {
            chmod(&directory, mode);
            let why = format!("{} can be written by others", directory.display());
            assert_eq!(path(&directory.join("deep/op")), Err(why));
        }
    }

    #[test]
    fn a_sticky_directory_passes_except_right_above_the_file() {
        let home = home();
        let directory = home.path().join("sticky");
        fs::create_dir_all(directory.join("ours")).expect("made");
        place(&directory.join("op"), 0o755);
        place(&directory.join("ours/op"), 0o755);
        chmod(&directory, 0o1777);
        let why = format!("{} can be written by others", directory.display());
        assert_eq!(path(&directory.join("op")), Err(why));
        assert!(path(&directory.join("ours/op")).is_ok());
    }

    #[test]
    fn a_link_in_a_directory_that_others_can_write_is_refused() {
        let home = home();
        let open = home.path().join("open");
        fs::create_dir(&open).expect("made");
        place(&home.path().join("op"), 0o755);
        symlink(home.path().join("op"), open.join("op")).expect("a link");
        chmod(&open, 0o777);
        let why = format!("{} can be written by others", open.display());
        assert_eq!(path(&open.join("op")), Err(why));
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused() {
        let home = home();
        let why = "it is not a regular file".to_owned();
        assert_eq!(path(home.path()), Err(why.clone()));
        assert_eq!(path(Path::new("/dev/null")), Err(why));
        let link = home.path().join("link");
        symlink("/dev/null", &link).expect("a link");
        let why = "/dev/null is not a regular file".to_owned();
        assert_eq!(path(&link), Err(why));
        assert_eq!(
            path(&home.path().join("absent")),
            Err("no such file".to_owned())
        );
    }

    #[test]
    fn a_stranger_is_named_by_uid() {
        if !nix::unistd::geteuid().is_root() {
            let root = File::open("/etc/passwd").expect("opened");
            assert_eq!(super::file(&root), Ok(()));
            return;
        }
        let home = home();
        let op = home.path().join("op");
        place(&op, 0o755);
        std::os::unix::fs::chown(&op, Some(4242), None).expect("chown");
        let why = "it belongs to another user (uid 4242)".to_owned();
        assert_eq!(path(&op), Err(why));
    }

    #[test]
    fn a_group_with_other_members_counts_as_others() {
        if !nix::unistd::geteuid().is_root() {
            return; // tests/it has the case of a private group, for which it makes a user
        }
        let home = home();
        let op = home.path().join("op");
        place(&op, 0o775);
        assert!(path(&op).is_ok(), "root's own group");
        std::os::unix::fs::chown(&op, None, Some(4242)).expect("chgrp");
        let why = "it can be written by others (mode 775)".to_owned();
        assert_eq!(path(&op), Err(why));
    }

    #[test]
    fn every_link_of_a_chain_is_checked_where_it_stands() {
        let home = home();
        let open = home.path().join("open");
        fs::create_dir(&open).expect("made");
        place(&home.path().join("op"), 0o755);
        symlink(home.path().join("op"), open.join("middle")).expect("a link");
        symlink("open/middle", home.path().join("first")).expect("a link");
        assert!(path(&home.path().join("first")).is_ok(), "the control");
        chmod(&open, 0o777);
        let why = format!("{} can be written by others", open.display());
        assert_eq!(path(&home.path().join("first")), Err(why));
        symlink("loop", home.path().join("loop")).expect("a link");
        assert_eq!(
            path(&home.path().join("loop")),
            Err("too many links".to_owned())
        );
    }
}
