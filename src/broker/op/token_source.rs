//! Where a service-account token can be: the first place that has one is taken, the others are named.

use std::ffi::OsStr;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::login_marker::LoginMarker;
use super::os_keyring::LARGEST;
use crate::base::error::{Error, Result};
use crate::base::file_ownership;
use crate::base::locked_memory::Locked;
use crate::base::own_environment::OwnEnvironment;
use crate::base::secret::Secret;

/// A place of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// What somebody has just typed.
    Given,
    /// `OP_SERVICE_ACCOUNT_TOKEN`.
    Variable,
    /// The credential `op-token` that systemd gives a service.
    Systemd(PathBuf),
    /// The file that `OC_SECRETS_TOKEN_FILE` names.
    File(PathBuf),
    /// The OS keyring, where `oc-secrets login` has put one.
    Keyring,
}

impl TokenSource {
    /// All that are there, in the order in which they are taken. Nothing is asked for.
    pub(crate) fn all(ours: &OwnEnvironment) -> Vec<Self> {
        let variable = ours.key("OP_SERVICE_ACCOUNT_TOKEN");
        let systemd = ours
            .variable("CREDENTIALS_DIRECTORY")
            .map(|directory| PathBuf::from(directory).join("op-token"))
            .filter(|file| file.exists());
        let file = ours.variable("OC_SECRETS_TOKEN_FILE").map(PathBuf::from);
        let lookup = |name: &str| ours.variable(name).map(OsStr::to_owned);
        let marker = LoginMarker::of(&lookup).ok();
        let keyring = marker.and_then(|marker| marker.read());
        [
            variable.map(|_| Self::Variable),
            systemd.map(Self::Systemd),
            file.map(Self::File),
            keyring.map(|_| Self::Keyring),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The file, where it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Systemd(file) | Self::File(file) => Some(file),
            Self::Given | Self::Variable | Self::Keyring => None,
        }
    }

    /// Reads the token of this place; `keyring` asks the OS keyring.
    ///
    /// # Errors
    /// When a file cannot be trusted or read, or the keyring does not give it.
    pub(crate) fn token(
        &self,
        ours: &OwnEnvironment,
        keyring: impl FnOnce() -> Result<Secret>,
    ) -> Result<Option<Secret>> {
        match self {
            Self::Given => Ok(None),
            Self::Variable => Ok(ours.key("OP_SERVICE_ACCOUNT_TOKEN").cloned()),
            Self::Systemd(file) => token_file(file).map(Some),
            Self::File(file) => {
                file_ownership::path(file).map_err(|why| unusable(file, &why))?;
                token_file(file).map(Some)
            }
            Self::Keyring => keyring().map(Some),
        }
    }

    /// That it is there too and was not taken.
    pub(crate) fn passed_over(&self) -> &'static str {
        match self {
            Self::Given => "a given token is there",
            Self::Variable => "OP_SERVICE_ACCOUNT_TOKEN is set",
            Self::Systemd(_) => "the systemd credential op-token is there",
            Self::File(_) => "OC_SECRETS_TOKEN_FILE is set",
            Self::Keyring => "the token of oc-secrets login is there",
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("the token to be kept"),
            Self::Variable => f.write_str("OP_SERVICE_ACCOUNT_TOKEN"),
            Self::Systemd(_) => f.write_str("systemd credential op-token"),
            Self::File(file) => file.display().fmt(f),
            Self::Keyring => f.write_str("OS keyring, by oc-secrets login"),
        }
    }
}

/// Reads a token of a file that only we can read, without the line feed that editors add.
fn token_file(file: &Path) -> Result<Secret> {
    let failed = |why: std::io::Error| unusable(file, &why.to_string());
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let mut opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(file)
        .map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(unusable(file, "it is not a regular file"));
    }
    file_ownership::private(&opened).map_err(|why| unusable(file, &format!("it {why}")))?;
    match read(&mut opened).map_err(failed)? {
        None => Err(unusable(file, "it is too large for a token")),
        Some(token) if token.len() == 0 => Err(unusable(file, "it is empty")),
        Some(token) => Ok(token),
    }
}

/// Reads a token to the end, without the white space behind it; `None` if it is too large for one.
pub(crate) fn read(input: &mut impl Read) -> std::io::Result<Option<Secret>> {
    let mut token = Locked::with_capacity(LARGEST + 1);
    while token.len() <= LARGEST {
        match input.read(token.spare()) {
            Ok(0) => break,
            Ok(bytes) => token.advance(bytes),
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    if token.len() > LARGEST {
        return Ok(None);
    }
    let token = Secret::new(token);
    let length = token.expose().trim_ascii_end().len();
    Ok(Some(token.slice(0..length)))
}

fn unusable(file: &Path, why: &str) -> Error {
    Error::TokenFile {
        path: file.to_owned(),
        why: why.to_owned(),
    }
}
