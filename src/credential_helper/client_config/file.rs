//! A configuration file of another program: read whole, replaced whole.
//!
//! The new text is written beside the file and renamed over it, so that nobody ever sees half of
//! it; mode and owner stay. A link stays a link, and its target is replaced. What somebody else
//! wrote in the meantime is not overwritten.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};

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

/// Replaces the file at `path`, whose text was `before`, by `bytes`; makes it, for us alone, and
/// its directory, where there is none.
///
/// # Errors
/// [`Error::ClientConfig`] when it cannot be written, or is no longer what it was.
pub(crate) fn replace(path: &Path, before: Option<&str>, bytes: &[u8]) -> Result<()> {
    let failed = |why: std::io::Error| {
        unusable(
            path,
            format!("cannot be written: {}", reason(&why)),
            WRITABLE,
        )
    };
    let target = if path.is_symlink() {
        path.canonicalize().map_err(failed)?
    } else {
        path.to_owned()
    };
    let directory = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let old = fs::metadata(&target).ok();
    let (mut file, temporary) = beside(&target).map_err(failed)?;
    let written = fill(&mut file, old.as_ref(), bytes).map_err(failed);
    let unchanged = written.and_then(|()| match before {
        Some(before) if read(path)?.as_deref() != Some(before) => Err(unusable(
            path,
            "was changed by another program just now",
            "run this again",
        )),
        _ => Ok(()),
    });
    let done = unchanged.and_then(|()| fs::rename(&temporary, &target).map_err(failed));
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}

const WRITABLE: &str = "make the file and its directory writable for you";

/// A new file in the directory of `target`, which only we can read.
fn beside(target: &Path) -> std::io::Result<(File, PathBuf)> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = target.with_file_name(format!(".{name}.oc-secrets-{}", std::process::id()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    Ok((file, temporary))
}

fn fill(file: &mut File, old: Option<&Metadata>, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(old) = old {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&*file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
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

    #[test]
    fn mode_and_link_stay_and_nothing_is_left_beside_it() {
        let place = place();
        let (file, link) = (place.path().join("f"), place.path().join("l"));
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("chmod");
        symlink("f", &link).expect("a link");
        replace(&link, Some("old"), b"new").expect("replaced");
        assert_eq!(fs::read_to_string(&file).expect("read"), "new");
        assert!(link.is_symlink());
        assert_eq!(file.metadata().expect("metadata").mode() & 0o7777, 0o640);
        assert_eq!(names(place.path()), ["f", "l"]);
    }

    #[test]
    fn a_new_file_and_its_directory_are_ours_alone() {
        let place = place();
        let file = place.path().join("a/b/f");
        replace(&file, None, b"x").expect("made");
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
    fn what_changed_meanwhile_is_not_overwritten() {
        let place = place();
        let file = place.path().join("f");
        fs::write(&file, "theirs").expect("written");
        let error = replace(&file, Some("ours"), b"x").expect_err("refused");
        assert!(
            error
                .to_string()
                .ends_with("was changed by another program just now")
        );
        assert_eq!(fs::read_to_string(&file).expect("read"), "theirs");
        assert_eq!(names(place.path()), ["f"]);
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
        assert!(replace(&link, None, b"x").is_err());
        assert_eq!(names(place.path()), ["l"]);
        assert_eq!(read(&place.path().join("absent")).expect("none"), None);
    }
}
