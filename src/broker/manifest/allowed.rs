//! Which found manifests the user has allowed.
//!
//! A cloned repository may have a manifest, which would set the environment of the next command. It
//! is used only after the user has reviewed it: one record per manifest, keyed by its path, holds
//! the hash of path and bytes, and what is needed to show changes. Plain values are stored as
//! salted hashes. A program of the same user can write such a record; this does not protect against
//! that.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Manifest;
use crate::base::encode;
use crate::base::environment::{self, Lookup};
use crate::base::error::{Error, Result};
use crate::broker::id::EnvironmentId;

/// The record of the largest manifest, with a hash of each of its values, is smaller.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Whether a manifest may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exactly these bytes at this path were allowed.
    Allowed,
    /// Other bytes were allowed at this path.
    Changed,
    /// It was never allowed.
    Unknown,
}

/// The record of an allowed manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The manifest's path, for people.
    path: String,
    /// Of the path and the bytes.
    hash: String,
    salt: String,
    /// Names, and the places.
    secrets: BTreeMap<String, String>,
    /// The ids of 1Password Environments; a record of before has none.
    #[serde(default)]
    environments: Vec<String>,
    /// Whose secrets are meant and where they go; a record of before does not know.
    #[serde(default)]
    settings: Option<BTreeMap<String, String>>,
    /// Names, and salted hashes of the values, which may be sensitive.
    plain: BTreeMap<String, String>,
}

impl Record {
    /// The record of `manifest`, which was read from `text` at `path`.
    fn of(path: &Path, text: &str, manifest: &Manifest) -> Result<Self> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|why| Error::system("get random bytes", why))?;
        let salt = encode::hex(&salt);
        let secrets = manifest.secrets.iter();
        Ok(Self {
            path: path.display().to_string(),
            hash: hash(path, text),
            secrets: secrets
                .map(|spec| (spec.name.to_string(), manifest.place(spec)))
                .collect(),
            environments: manifest
                .environments
                .iter()
                .map(EnvironmentId::to_string)
                .collect(),
            settings: Some(manifest.shown_settings().into_iter().collect()),
            plain: manifest
                .plain_values()
                .map(|(name, value)| {
                    let salted = salted(&salt, &name, value);
                    (name, salted)
                })
                .collect(),
            salt,
        })
    }

    /// The place that `name` had.
    pub(crate) fn source(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(String::as_str)
    }

    /// Whether the plain value `name` was this; `None` where there was none of that name.
    pub(crate) fn had_plain(&self, name: &str, value: &str) -> Option<bool> {
        let known = self.plain.get(name)?;
        Some(*known == salted(&self.salt, name, value))
    }

    /// Whether it had this Environment; `None` where it had not, as for what is new.
    pub(crate) fn had_environment(&self, id: &str) -> Option<bool> {
        self.environments
            .iter()
            .any(|known| known == id)
            .then_some(true)
    }

    /// Whether the setting `key` was this; `None` where there was none.
    pub(crate) fn had_setting(&self, key: &str, what: &str) -> Option<bool> {
        match &self.settings {
            Some(settings) => settings.get(key).map(|known| known == what),
            None => Some(true),
        }
    }

    /// Names of all that it handed out, secrets first, and of its settings.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.secrets
            .keys()
            .chain(self.plain.keys())
            .chain(&self.environments)
            .chain(self.settings.iter().flat_map(BTreeMap::keys))
            .map(String::as_str)
    }
}

/// The user's records.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    directory: Option<PathBuf>,
    /// Why there is no directory, if there is none.
    home_is_relative: bool,
}

impl Allowed {
    /// Those in `$XDG_STATE_HOME/oc-secrets/allowed/`.
    pub(crate) fn of_user(lookup: Lookup<'_>) -> Self {
        let state = environment::state_home(lookup);
        Self {
            directory: state.map(|state| state.join("oc-secrets").join("allowed")),
            home_is_relative: lookup("HOME").is_some(),
        }
    }

    fn directory(&self) -> Result<&Path> {
        self.directory.as_deref().ok_or(Error::NoHome {
            purpose: "the list of allowed manifests",
            variable: "XDG_STATE_HOME",
            relative: self.home_is_relative,
        })
    }

    /// Whether `text` at `path` may be used. A record that cannot be read or trusted allows
    /// nothing.
    pub(crate) fn verdict(&self, path: &Path, text: &str) -> Verdict {
        match self.record(path) {
            Some(record) if record.hash == hash(path, text) => Verdict::Allowed,
            Some(_) => Verdict::Changed,
            None => Verdict::Unknown,
        }
    }

    /// The record of `path`, if it is ours and valid.
    pub(crate) fn record(&self, path: &Path) -> Option<Record> {
        let directory = self.directory.as_ref()?;
        is_private(directory).ok()?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(directory.join(name(path)))
            .ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return None;
        }
        let mut bytes = vec![];
        file.take(LARGEST).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Allows exactly `text` at `path`.
    pub(crate) fn allow(&self, path: &Path, text: &str, manifest: &Manifest) -> Result<()> {
        let directory = self.directory()?;
        let record = Record::of(path, text, manifest)?;
        let bytes =
            serde_json::to_vec(&record).map_err(|why| unwritable(directory, &why.into()))?;
        make_private(directory)?;
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&bytes)?;
            file.persist(directory.join(name(path)))?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|why| unwritable(directory, &why))
    }

    /// Deletes the record of `path`; returns whether there was one.
    pub(crate) fn deny(&self, path: &Path) -> Result<bool> {
        let directory = self.directory()?;
        match std::fs::remove_file(directory.join(name(path))) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(false),
            Err(why) => Err(unwritable(directory, &why)),
        }
    }
}

/// The record's file name, a hash of the path.
fn name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    format!("{}.json", encode::hex(&digest[..16]))
}

fn hash(path: &Path, text: &str) -> String {
    digest(&[path.as_os_str().as_bytes(), text.as_bytes()])
}

fn salted(salt: &str, name: &str, value: &str) -> String {
    digest(&[salt.as_bytes(), name.as_bytes(), value.as_bytes()])
}

/// Each part is hashed with its length, so that no two lists of parts hash alike.
fn digest(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    encode::hex(&sha.finalize())
}

/// Whether `directory` belongs to the effective user and is closed to others. Under sudo with the
/// caller's HOME it does not: root trusts only root's records.
fn is_private(directory: &Path) -> std::result::Result<(), String> {
    let metadata = directory
        .symlink_metadata()
        .map_err(|why| why.to_string())?;
    if !metadata.is_dir() {
        return Err("is not a directory".to_owned());
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!("belongs to another user (uid {})", metadata.uid()));
    }
    match metadata.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(format!(
            "is open to others (mode {:o})",
            metadata.mode() & 0o7777
        )),
    }
}

fn make_private(directory: &Path) -> Result<()> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|why| unwritable(directory, &why))?;
    is_private(directory).map_err(|why| Error::AllowedDirectory {
        directory: directory.to_owned(),
        why,
    })
}

fn unwritable(directory: &Path, why: &std::io::Error) -> Error {
    Error::AllowedDirectory {
        directory: directory.to_owned(),
        why: format!("cannot be written: {why}"),
    }
}
