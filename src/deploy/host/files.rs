//! Files of the host: read with a cap, written atomically with their mode and owner.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{Access, Host};
use crate::deploy::exit::{Failure, Result};

impl Host {
    /// A text file, `None` where there is none. Invalid UTF-8 is replaced, 1 MiB is the most.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        match File::open(self.path(path)) {
            Ok(file) => file
                .take(1 << 20)
                .read_to_end(&mut bytes)
                .map_err(|why| Failure::system(format!("read {}", path.display()), why))?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => {
                return Err(Failure::system(format!("read {}", path.display()), why));
            }
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
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
        let meta = path.symlink_metadata().map_err(fail)?;
        if !meta.is_dir() {
            return Err(Failure::wanted(
                format!("a directory at {shown}"),
                "something else",
            ));
        }
        if meta.mode() & 0o7777 != access.mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(access.mode)).map_err(fail)?;
            changed = true;
        }
        if let Some((user, group)) = access.owner
            && (meta.uid(), meta.gid()) != (user, group)
        {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).map_err(fail)?;
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
