//! The memory of a rate limit: until the minute that `op` named nobody asks again in vain, since a
//! service that is restarted over and over would burn the account's quota for the whole day.
//!
//! It is a file in the folder that only we can enter, named by a fingerprint of the credentials,
//! and holds nothing but a moment. What cannot be read is as good as not there.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::base::encode;
use crate::base::error::Error;
use crate::base::runtime_directory::{Place, RuntimeDirectory};
use crate::base::units;

/// What the files' names begin with.
const START: &str = "limit-";

/// What the files begin with; another version is not read.
const HEAD: &str = "oc-secrets 1 until ";

/// Longer than the files are.
const LARGEST: usize = 64;

/// How long it is remembered where `op` names no time.
const UNSAID: Duration = Duration::from_secs(60);

/// 1Password's longest limit is that of a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the limit of these credentials is remembered.
pub(super) struct RateLimit {
    place: Place,
    file: String,
}

impl RateLimit {
    /// For credentials that consist of `parts`.
    pub(super) fn of(place: Place, parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(&part);
        }
        // A quarter of it tells tokens apart, and is of no use for trying some out.
        let fingerprint = encode::hex(&hash.finalize()[..8]);
        Self {
            place,
            file: format!("{START}{fingerprint}"),
        }
    }

    /// Fails as long as the limit holds.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self
            .place
            .open()
            .and_then(|directory| self.left(&directory))
        {
            Some(left) => Err(Error::RateLimited {
                left: Some(left),
                remembered: true,
            }),
            None => Ok(()),
        }
    }

    fn left(&self, directory: &RuntimeDirectory) -> Option<Duration> {
        let name = OsStr::new(&self.file);
        let bytes = directory.read(name, LARGEST)?;
        let left = std::str::from_utf8(&bytes).ok().and_then(left);
        if left.is_none() {
            directory.remove(name);
        }
        left
    }

    /// Remembers `outcome`, if it is a limit.
    pub(super) fn learn<T>(&self, outcome: &Result<T, Error>) {
        if let Err(Error::RateLimited { left, .. }) = outcome
            && let Some(directory) = self.place.open()
        {
            let time = left.unwrap_or(UNSAID).min(LONGEST);
            let text = format!("{HEAD}{}\n", units::now() + time.as_secs());
            let _ = directory.write(&self.file, text.as_bytes());
        }
    }

    /// Forgets it.
    pub(super) fn forget(&self) {
        if let Some(directory) = self.place.open() {
            directory.remove(OsStr::new(&self.file));
        }
    }
}

/// What is left until the moment that the text of a file names.
fn left(text: &str) -> Option<Duration> {
    let until: u64 = text.strip_prefix(HEAD)?.strip_suffix('\n')?.parse().ok()?;
    let left = Duration::from_secs(until.checked_sub(units::now())?);
    (!left.is_zero() && left <= LONGEST).then_some(left)
}

/// Forgets all of them; tells how many those were.
pub(crate) fn forget_all(directory: &RuntimeDirectory) -> usize {
    let names: Vec<OsString> = directory.names(START);
    names.iter().filter(|name| directory.remove(name)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_credentials_have_another_file_and_it_shows_none_of_them() {
        let file = |parts: &[&str]| {
            let parts = parts.iter().map(|part| part.as_bytes().to_vec());
            RateLimit::of(Place::default(), parts).file
        };
        let files = [
            file(&["ops_one"]),
            file(&["ops_two"]),
            file(&["ops", "_one"]),
            file(&[]),
        ];
        for (at, one) in files.iter().enumerate() {
            assert_eq!(one.len(), START.len() + 16);
            assert!(!files[at + 1..].contains(one));
        }
        assert_eq!(file(&["ops_one"]), files[0]);
    }

    #[test]
    fn what_is_over_too_far_or_garbage_is_no_limit() {
        let now = units::now();
        let text = |until: u64| format!("{HEAD}{until}\n");
        assert!(left(&text(now + 100)).is_some());
        for bad in [
            text(now),
            text(now - 1),
            text(now + 2 * LONGEST.as_secs()),
            text(u64::MAX),
            text(now + 100).trim_end().to_owned(),
            format!("{HEAD}-1\n"),
            format!("{HEAD}soon\n"),
            "x".to_owned(),
            String::new(),
        ] {
            assert_eq!(left(&bad), None, "{bad:?}");
        }
    }
}
