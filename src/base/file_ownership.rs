//! Whether a file is ours: nobody but root and we ourselves could have written it.
//!
//! A file that is read is checked on its open descriptor, so that it cannot be exchanged between
//! check and use; the directories above it do not matter then, since whoever exchanges it becomes
//! its owner. A program that is run by its path is checked with every directory on the way.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Whether a file with this metadata belongs to root or to us and is written by nobody else.
///
/// # Errors
/// Why not, as the end of a sentence that begins with the file's name.
pub(crate) fn file(metadata: &Metadata) -> Result<(), String> {
    owner(metadata)?;
    if metadata.mode() & (WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS) != 0 {
        return Err(format!(
            "can be written by others (mode {:o})",
            metadata.mode() & 0o7777
        ));
    }
    Ok(())
}

/// The canonical path of a regular file that nobody else could have put there: every component
/// belongs to root or to us and is written by nobody else. A sticky directory, such as `/tmp`,
/// passes unless the file or the link to it stands right in it.
///
/// # Errors
/// Which component is at fault, and why: `it` where that is `path` itself.
pub(crate) fn path(path: &Path) -> Result<PathBuf, String> {
    let canonical = path.canonicalize().map_err(|why| reason(&why))?;
    let target = metadata(&canonical)?;
    // Whoever shows this has named `path` before it.
    let it = match canonical == path {
        true => "it".to_owned(),
        false => canonical.display().to_string(),
    };
    if !target.is_file() {
        return Err(format!("{it} is not a regular file"));
    }
    file(&target).map_err(|why| format!("{it} {why}"))?;
    // The directory that holds a link decides as much as the one that holds its target.
    let link = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let link = link.unwrap_or(Path::new(".")).canonicalize();
    directories(&link.map_err(|why| reason(&why))?)?;
    directories(canonical.parent().unwrap_or(&canonical))?;
    Ok(canonical)
}

/// Checks `direct`, which holds the file, and every directory above it.
fn directories(direct: &Path) -> Result<(), String> {
    for directory in direct.ancestors() {
        let found = metadata(directory)?;
        let sticky = found.mode() & STICKY != 0 && directory != direct;
        let checked = match owner(&found) {
            Ok(()) if !sticky && others_write(&found) => Err("can be written by others".to_owned()),
            checked => checked,
        };
        checked.map_err(|why| format!("{} {why}", directory.display()))?;
    }
    Ok(())
}

fn owner(metadata: &Metadata) -> Result<(), String> {
    let us = nix::unistd::geteuid().as_raw();
    if metadata.uid() == 0 || metadata.uid() == us {
        return Ok(());
    }
    Err(format!("belongs to another user (uid {})", metadata.uid()))
}

/// On macOS the group `admin` writes `/opt/homebrew` and `/Applications`; its members can become
/// root, so that is no new door.
fn others_write(directory: &Metadata) -> bool {
    const ADMIN: u32 = 80;
    let admin = cfg!(target_os = "macos") && directory.gid() == ADMIN;
    let group = directory.mode() & WRITABLE_BY_GROUP != 0 && !admin;
    group || directory.mode() & WRITABLE_BY_OTHERS != 0
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
        for mode in [0o775, 0o757, 0o777] {
            place(&op, mode);
            let why = format!("it can be written by others (mode {mode:o})");
            assert_eq!(path(&op), Err(why));
            let metadata = op.metadata().expect("metadata");
            let why = format!("can be written by others (mode {mode:o})");
            assert_eq!(super::file(&metadata), Err(why));
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_and_named() {
        let home = home();
        let directory = home.path().join("bin");
        fs::create_dir_all(directory.join("deep")).expect("made");
        place(&directory.join("deep/op"), 0o755);
        for mode in [0o775, 0o757] {
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
            let root = Path::new("/etc/passwd").metadata().expect("metadata");
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
}
