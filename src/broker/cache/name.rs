//! The name of a cache entry: a hash, since `/proc/keys` shows names to everybody.
//!
//! Two processes share an entry if `op` would give both the same value: same user, account, token
//! and manifest. All of that goes into the name, so that another account's value is a miss. How a
//! directory is written does not: `HOME=/home/me/` is the same home, and `XDG_CONFIG_HOME` counts
//! only where it is not the default.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::keyring::PREFIX;
use crate::base::encode;
use crate::base::environment;
use crate::base::own_environment::OwnEnvironment;
use crate::base::runtime_directory::Place;
use crate::broker::manifest::Origin;
use crate::broker::op::login_marker::LoginMarker;
use crate::broker::op::token_source::TokenSource;
use crate::broker::provider::Request;

/// What `op`'s answer depends on, hashed.
#[derive(Clone)]
pub(crate) struct Identity {
    /// As whom `op` would run.
    who: Sha256,
    /// The same, with the manifest and the account.
    all: Sha256,
    /// Where all of this user's processes meet.
    place: Place,
}

/// Variables that decide which `op` is run, and as whom; everything `OP_…` counts as well.
const DECIDING: &[&str] = &[
    "OC_SECRETS_OP",
    "OC_SECRETS_TOKEN_FILE",
    "CREDENTIALS_DIRECTORY",
];

impl Identity {
    /// Derived from our environment, the manifest and the account.
    pub(crate) fn new(ours: &OwnEnvironment, origin: &Origin, account: Option<&str>) -> Self {
        let lookup = |name: &str| ours.variable(name).map(OsStr::to_owned);
        let mut who = Sha256::new();
        for directory in [
            environment::path(&lookup, "HOME"),
            environment::config_home(&lookup),
        ] {
            let directory = directory.map(tidy).unwrap_or_default();
            add(&mut who, [directory.as_os_str().as_bytes()]);
        }
        let plain = ours.variables.iter().filter(|(name, _)| decides(name));
        let plain = plain.map(|(name, value)| (name, value.as_bytes().to_vec()));
        // Not the keys themselves: a hash keeps the end of what it was given.
        let keys = ours.keys.iter();
        let keys = keys.map(|(name, key)| (name, key.fingerprint().to_vec()));
        let mut deciding: Vec<_> = plain.chain(keys).collect();
        deciding.sort();
        for (name, value) in deciding {
            add(&mut who, [name.as_bytes(), &value]);
        }
        // A token's file may have another token now.
        for source in TokenSource::all(ours) {
            let file = source.file().map(version).unwrap_or_default();
            add(&mut who, [file.as_bytes()]);
        }
        // Each login is another token's, perhaps.
        let login = LoginMarker::of(&lookup)
            .ok()
            .and_then(|marker| marker.read());
        add(&mut who, [login.unwrap_or_default().as_bytes()]);
        let mut all = who.clone();
        match origin {
            Origin::Broker(path) => add(&mut all, [&b"broker"[..], path.as_os_str().as_bytes()]),
            Origin::BuiltIn => add(&mut all, [&b"built-in"[..]]),
            Origin::File(path) | Origin::Found(path) => {
                add(&mut all, [&b"file"[..], path.as_os_str().as_bytes()])
            }
        }
        add(&mut all, [account.unwrap_or_default().as_bytes()]);
        Self {
            who,
            all,
            place: Place::of(&lookup),
        }
    }

    /// Where all of this user's processes meet.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The name of the entry for `request`.
    pub(crate) fn name(&self, request: &Request<'_>) -> String {
        let mut hash = self.all.clone();
        let reference = request.reference;
        // Each part by itself: one that holds a `/` reads like two.
        for part in [
            Some(reference.vault.as_str()),
            Some(&reference.item),
            reference.section.as_deref(),
            Some(&reference.field),
            reference.query.as_deref(),
            request.exact.then_some("exact"),
        ] {
            let is_there = [u8::from(part.is_some())];
            add(
                &mut hash,
                [&is_there[..], part.unwrap_or_default().as_bytes()],
            );
        }
        format!("{PREFIX}{}", short(hash))
    }

    /// The name of the single flight for the `missing` ones of `names`, another one in each `round`.
    pub(crate) fn flight(&self, missing: &[usize], names: &[String], round: u8) -> String {
        let mut hash = self.all.clone();
        for &at in missing {
            add(&mut hash, [names[at].as_bytes()]);
        }
        add(&mut hash, [&[round][..]]);
        format!("flight-{}", short(hash))
    }

    /// The name of the lock that is held while a prompt may be open: two prompts would cover each
    /// other.
    pub(crate) fn prompt(&self) -> String {
        let mut hash = self.who.clone();
        add(&mut hash, [&b"prompt"[..]]);
        format!("prompt-{}", short(hash))
    }
}

fn decides(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"OP_")
        || name.to_str().is_some_and(|name| DECIDING.contains(&name))
}

/// Tells a file from what stands in its place later, without a look at what it holds.
fn version(path: &Path) -> String {
    let about = path.metadata().map(|about| {
        let changed = (about.mtime(), about.mtime_nsec());
        (about.dev(), about.ino(), about.size(), changed)
    });
    about.map(|about| format!("{about:?}")).unwrap_or_default()
}

/// The same directory, written in one way: without `/` at its end, `//` and `/./`.
fn tidy(directory: PathBuf) -> PathBuf {
    directory.components().collect()
}

/// Adds parts with their lengths, so that no two lists of parts hash alike.
fn add<const N: usize>(hash: &mut Sha256, parts: [&[u8]; N]) {
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
}

/// Half of the hash, which is more than enough to tell entries apart.
fn short(hash: Sha256) -> String {
    encode::hex(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::reference::Reference;

    fn name(
        environment: &[(&str, &str)],
        origin: &Origin,
        account: Option<&str>,
        reference: &str,
        exact: bool,
    ) -> String {
        let environment: OwnEnvironment = environment.iter().copied().collect();
        let reference = Reference::parse(reference).expect("parses");
        Identity::new(&environment, origin, account).name(&Request {
            reference: &reference,
            exact,
        })
    }

    #[test]
    fn a_name_shows_nothing_and_differs_where_the_answer_could() {
        let token = [("OP_SERVICE_ACCOUNT_TOKEN", "ops_x")];
        let file = |path: &str| Origin::File(path.into());
        let names = [
            name(&[], &Origin::BuiltIn, None, "op://v/i/f", false),
            name(&[], &Origin::BuiltIn, None, "op://v/i/f", true),
            name(&[], &Origin::BuiltIn, None, "op://v/i/g", false),
            name(&[], &Origin::BuiltIn, Some("a"), "op://v/i/f", false),
            name(&token, &Origin::BuiltIn, None, "op://v/i/f", false),
            name(
                &[("HOME", "/x")],
                &Origin::BuiltIn,
                None,
                "op://v/i/f",
                false,
            ),
            name(&[], &file("/a"), None, "op://v/i/f", false),
            name(&[], &file("/b"), None, "op://v/i/f", false),
        ];
        for (at, one) in names.iter().enumerate() {
            assert_eq!(one.len(), PREFIX.len() + 32);
            assert!(!names[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn references_that_read_alike_have_names_of_their_own() {
        let parts = |item: &str, section: Option<&str>, field: &str| {
            let reference = Reference {
                vault: "v".to_owned(),
                item: item.to_owned(),
                section: section.map(str::to_owned),
                field: field.to_owned(),
                query: None,
            };
            let request = Request {
                reference: &reference,
                exact: false,
            };
            let ours = OwnEnvironment::from_iter([("HOME", "/home/me")]);
            Identity::new(&ours, &Origin::BuiltIn, None).name(&request)
        };
        let names = [
            parts("a/b", None, "c"),
            parts("a", Some("b"), "c"),
            parts("a", None, "b/c"),
            parts("a", Some(""), "b/c"),
        ];
        for (at, one) in names.iter().enumerate() {
            assert!(!names[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn a_file_with_another_token_has_another_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("token");
        let path = file.to_str().expect("text");
        let with = || {
            let environment = [("OC_SECRETS_TOKEN_FILE", path)];
            name(&environment, &Origin::BuiltIn, None, "op://v/i/f", false)
        };
        let without = with();
        std::fs::write(&file, "ops_one").expect("written");
        let one = with();
        assert_eq!(with(), one, "the control");
        std::fs::write(directory.path().join("new"), "ops_two").expect("written");
        std::fs::rename(directory.path().join("new"), &file).expect("replaced");
        assert!(with() != one && one != without);
    }

    #[test]
    fn what_decides_nothing_changes_no_name_nor_does_the_order() {
        let with = |environment: &[(&str, &str)]| {
            name(environment, &Origin::BuiltIn, None, "op://v/i/f", false)
        };
        assert_eq!(with(&[]), with(&[("TERM", "xterm"), ("PWD", "/")]));
        assert_eq!(
            with(&[("OP_A", "1"), ("HOME", "/")]),
            with(&[("HOME", "/"), ("OP_A", "1")])
        );
    }

    #[test]
    fn one_home_has_one_name_however_it_is_written() {
        let with = |environment: &[(&str, &str)]| {
            name(environment, &Origin::BuiltIn, None, "op://v/i/f", false)
        };
        let plain = with(&[("HOME", "/home/me")]);
        for home in ["/home/me/", "//home//me", "/home/./me/."] {
            assert_eq!(with(&[("HOME", home)]), plain, "{home}");
        }
        for config in ["/home/me/.config", "/home/me/.config/", "", "relative"] {
            let said = with(&[("HOME", "/home/me"), ("XDG_CONFIG_HOME", config)]);
            assert_eq!(said, plain, "{config}");
        }
        let elsewhere = with(&[("HOME", "/home/me"), ("XDG_CONFIG_HOME", "/etc")]);
        assert_ne!(elsewhere, plain);
        assert_ne!(with(&[("HOME", "/home/you")]), plain);
    }
}
