//! The memory of a refusal: one user action may start a helper thirteen times, and each would open
//! another prompt. It is a file in the folder that only we can enter, and holds our own words.

use std::ffi::OsStr;
use std::time::Duration;

use super::entry::{self, Entry};
use super::keyring::PREFIX;
use crate::base::error::Error;
use crate::base::locked_memory::Locked;
use crate::base::runtime_directory::RuntimeDirectory;

/// How long a refusal or a missing secret is remembered.
pub(super) const TIME: Duration = Duration::from_secs(20);

/// Longer than any of our own texts.
const LARGEST: usize = 1024;

/// What the files' names begin with.
const START: &str = "refused-";

/// Remembers `error` for what is kept under `name`, if asking again at once would open another
/// prompt, or burn the account's quota.
pub(super) fn remember(directory: &RuntimeDirectory, name: &str, error: &Error) {
    if matches!(
        error,
        Error::PromptRefused { .. }
            | Error::OpTimeout { .. }
            | Error::TokenInvalid { .. }
            | Error::Forbidden { .. }
    ) {
        let bytes = entry::sealed(TIME, |bytes| Entry::push_fatal(bytes, error));
        let _ = directory.write(&file(name), &bytes);
    }
}

/// What is remembered, if its time is not over.
pub(super) fn recall(directory: &RuntimeDirectory, name: &str) -> Option<Error> {
    let bytes = directory.read(OsStr::new(&file(name)), LARGEST)?;
    let bytes = entry::unsealed(Locked::copy_of(&bytes), TIME)?;
    match Entry::parse(&bytes)? {
        Entry::Fatal(error) => Some(Error::Relayed {
            text: format!("{error} (a moment ago; not asked again)"),
            exit: error.exit(),
            hint: Some("retry in 20 s, or at once after `oc-secrets lock`".to_owned()),
        }),
        Entry::One(_) => None,
    }
}

/// Forgets it.
pub(super) fn forget(directory: &RuntimeDirectory, name: &str) {
    directory.remove(OsStr::new(&file(name)));
}

/// Forgets all of them; tells how many those were.
pub(super) fn forget_all(directory: &RuntimeDirectory) -> usize {
    let names = directory.names(START);
    names.iter().filter(|name| directory.remove(name)).count()
}

fn file(name: &str) -> String {
    format!("{START}{}", name.strip_prefix(PREFIX).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::runtime_directory::tests::scratch;

    const REFUSED: Error = Error::PromptRefused { ignored: false };

    #[test]
    fn a_refusal_is_remembered_until_it_is_forgotten() {
        let (_parent, directory) = scratch();
        assert!(recall(&directory, "oc-secrets:v1:0").is_none());
        remember(&directory, "oc-secrets:v1:0", &REFUSED);
        assert!(recall(&directory, "oc-secrets:v1:1").is_none());
        let error = recall(&directory, "oc-secrets:v1:0").expect("remembered");
        assert_eq!(error.exit(), REFUSED.exit());
        assert_eq!(
            error.to_string(),
            "the 1Password prompt was dismissed (a moment ago; not asked again)"
        );
        forget(&directory, "oc-secrets:v1:0");
        assert!(recall(&directory, "oc-secrets:v1:0").is_none());
        remember(&directory, "0", &REFUSED);
        assert_eq!((forget_all(&directory), forget_all(&directory)), (1, 0));
    }

    #[test]
    fn what_costs_nothing_to_ask_again_is_not_remembered() {
        let (_parent, directory) = scratch();
        remember(&directory, "0", &Error::Network);
        assert!(directory.names("").is_empty());
    }

    #[test]
    fn garbage_what_is_over_and_what_would_last_too_long_are_ignored() {
        let (_parent, directory) = scratch();
        let sealed = |seconds| {
            let time = Duration::from_secs(seconds);
            entry::sealed(time, |bytes| Entry::push_fatal(bytes, &REFUSED))
        };
        let value = entry::sealed(TIME, |bytes| bytes.push(b"vvalue"));
        let long = [&sealed(20)[..], &[b'x'; LARGEST]].concat();
        for bytes in [
            &b""[..],
            b"\x01",
            b"garbage garbage garbage",
            &sealed(0),
            &sealed(3600),
            &value,
            &long,
        ] {
            directory.write("refused-0", bytes).expect("written");
            assert!(recall(&directory, "0").is_none(), "{bytes:?}");
        }
        directory.write("refused-0", &sealed(20)).expect("written");
        assert!(recall(&directory, "0").is_some(), "control");
    }
}
