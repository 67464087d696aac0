//! A file that says that `oc-secrets login` has put a token into the OS keyring. It holds no secret, but
//! a number that is another one after each login, so that what was fetched with another token is not
//! taken for this one's.
//!
//! Without it the keyring is never asked: that takes time, and may open a window.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::base::encode;
use crate::base::environment::{self, Lookup};
use crate::base::error::{Error, Result};

/// The place of the marker.
pub(crate) struct LoginMarker(PathBuf);

impl LoginMarker {
    /// `$XDG_STATE_HOME/oc-secrets/login`.
    ///
    /// # Errors
    /// [`Error::NoHome`].
    pub(crate) fn of(lookup: Lookup<'_>) -> Result<Self> {
        match environment::state_home(lookup) {
            Some(state) => Ok(Self(state.join("oc-secrets").join("login"))),
            None => Err(Error::no_home(
                "the note that there is a login",
                "XDG_STATE_HOME",
                lookup,
            )),
        }
    }

    /// What it holds, if it is there and ours. Under sudo with the caller's HOME it is not.
    pub(crate) fn read(&self) -> Option<String> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(&self.0)
            .ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return None;
        }
        let mut text = String::new();
        file.take(64).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes it, with a number of its own.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn write(&self) -> Result<()> {
        let mut number = [0; 16];
        getrandom::fill(&mut number).map_err(|why| Error::system("get random bytes", why))?;
        let directory = self.0.parent().unwrap_or(Path::new("/"));
        let write = || -> std::io::Result<()> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(encode::hex(&number).as_bytes())?;
            file.persist(&self.0)?;
            Ok(())
        };
        write().map_err(|why| self.unwritable(&why))
    }

    /// Removes it, if it is there.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub(crate) fn remove(&self) -> Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(why) if why.kind() != ErrorKind::NotFound => Err(self.unwritable(&why)),
            _ => Ok(()),
        }
    }

    fn unwritable(&self, why: &std::io::Error) -> Error {
        Error::usage(
            format!("{} cannot be written: {why}", self.0.display()),
            "set XDG_STATE_HOME to a directory of your own",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_login_has_another_number_and_a_link_is_none() {
        let home = tempfile::tempdir().expect("a directory");
        let lookup = |name: &str| (name == "HOME").then(|| home.path().into());
        let marker = LoginMarker::of(&lookup).expect("a place");
        assert_eq!(marker.read(), None);
        marker.remove().expect("nothing is there");
        marker.write().expect("written");
        let first = marker.read().expect("it is there");
        marker.write().expect("written");
        assert_ne!(marker.read(), Some(first));
        let elsewhere = home.path().join("elsewhere");
        std::fs::rename(&marker.0, &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, &marker.0).expect("a link");
        assert_eq!(marker.read(), None);
    }
}
