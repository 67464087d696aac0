//! `oc-secrets keyring`: asks the OS keyring, for `broker/op/os_keyring.rs`, and ends.
//!
//! This is the one place that uses the libraries of the keyring, and the one process in which they
//! run: their threads and their copies of the token go with it.

use std::sync::mpsc;
use std::time::Duration;

use super::{arguments, stdout};
use crate::base::error::{Error, Exit, KeyringTrouble, Result};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::broker::op::os_keyring::answer;
use crate::broker::op::token_source;

/// The token, or the trouble and the keyring's words for it.
type Answer = std::result::Result<Option<Secret>, (KeyringTrouble, String)>;

/// Prints what the keyring says, or that it says nothing.
pub(super) fn run(arguments: &arguments::Keyring) -> Result<Exit> {
    if stdout::is_terminal() || stdout::is_file() {
        return Err(Error::usage(
            "this is how oc-secrets asks the keyring, and no command to type",
            "oc-secrets login, oc-secrets logout",
        ));
    }
    let (sender, receiver) = mpsc::channel();
    let what = arguments.what;
    std::thread::spawn(move || {
        // Whoever waited may have given up.
        let _ = sender.send(ask(what));
    });
    let patience = Duration::from_millis(arguments.patience);
    let heard = receiver.recv_timeout(patience);
    stdout::print(&written(
        heard.unwrap_or_else(|_| Err((KeyringTrouble::Silent, String::new()))),
    ))?;
    Ok(Exit::Done)
}

fn written(heard: Answer) -> Locked {
    match heard {
        Ok(Some(token)) => answer("token", token.expose()),
        Ok(None) => answer("done", b""),
        Err((trouble, why)) => answer(trouble.word(), why.as_bytes()),
    }
}

fn ask(what: arguments::KeyringCommand) -> Answer {
    let token = match what {
        arguments::KeyringCommand::Put => {
            let read = token_source::read(&mut std::io::stdin().lock());
            read.map_err(|why| (KeyringTrouble::Failed, why.to_string()))?
        }
        _ => None,
    };
    let entry = backend::entry()?;
    match (what, token) {
        (arguments::KeyringCommand::Get, _) => backend::get(&entry).map(Some),
        (arguments::KeyringCommand::Put, Some(token)) => {
            backend::put(&entry, &token).map(|()| None)
        }
        (arguments::KeyringCommand::Put, None) => {
            Err((KeyringTrouble::Failed, "too large for a token".to_owned()))
        }
        (arguments::KeyringCommand::Remove, _) => backend::remove(&entry).map(|()| None),
    }
}

#[cfg(feature = "keyring")]
mod backend {
    use keyring::v1::{Entry, Error};
    use zeroize::Zeroizing;

    use crate::base::error::KeyringTrouble;
    use crate::base::secret::Secret;

    type Result<T> = std::result::Result<T, (KeyringTrouble, String)>;

    /// What a person sees of it in the keyring's own program.
    const SERVICE: &str = "oc-secrets";
    const USER: &str = "1Password service account";

    pub(super) fn entry() -> Result<Entry> {
        if !has_bus() {
            return Err((KeyringTrouble::NoBus, String::new()));
        }
        Entry::store_status().as_ref().map_err(trouble)?;
        Entry::new(SERVICE, USER).map_err(|why| trouble(&why))
    }

    #[cfg(target_os = "macos")]
    fn has_bus() -> bool {
        true
    }

    /// Whether there is a session at all: its address, or its socket where it is by custom.
    #[cfg(not(target_os = "macos"))]
    fn has_bus() -> bool {
        use crate::base::environment::{self, ours};
        let folder = environment::path(&ours, "XDG_RUNTIME_DIR");
        let folder =
            folder.unwrap_or_else(|| format!("/run/user/{}", nix::unistd::geteuid()).into());
        ours("DBUS_SESSION_BUS_ADDRESS").is_some() || folder.join("bus").exists()
    }

    pub(super) fn get(entry: &Entry) -> Result<Secret> {
        let token = Zeroizing::new(entry.get_secret().map_err(|why| trouble(&why))?);
        Ok(Secret::copy_of(&token))
    }

    pub(super) fn put(entry: &Entry, token: &Secret) -> Result<()> {
        entry
            .set_secret(token.expose())
            .map_err(|why| trouble(&why))
    }

    pub(super) fn remove(entry: &Entry) -> Result<()> {
        entry.delete_credential().map_err(|why| trouble(&why))
    }

    /// The libraries tell most troubles apart by their words alone.
    fn trouble(error: &Error) -> (KeyringTrouble, String) {
        let text = match error {
            Error::NoEntry => return (KeyringTrouble::Gone, String::new()),
            Error::Ambiguous(_) => return (KeyringTrouble::Several, String::new()),
            Error::PlatformFailure(why) | Error::NoStorageAccess(why) => why.to_string(),
            // They hold what was read.
            Error::BadEncoding(_) | Error::BadDataFormat(..) => "it gave no text".to_owned(),
            other => other.to_string(),
        };
        match of_words(&text) {
            KeyringTrouble::Failed => (KeyringTrouble::Failed, text),
            // Ours are better.
            known => (known, String::new()),
        }
    }

    fn of_words(text: &str) -> KeyringTrouble {
        const WORDS: &[(&str, KeyringTrouble)] = &[
            ("locked", KeyringTrouble::Locked),
            ("prompt", KeyringTrouble::Locked),
            ("ServiceUnknown", KeyringTrouble::NoService),
            ("not provided by any .service", KeyringTrouble::NoService),
            ("no secret service provider", KeyringTrouble::NoService),
            ("Failed to connect to address", KeyringTrouble::NoBus),
            ("I/O error", KeyringTrouble::NoBus),
        ];
        let known = WORDS.iter().find(|(words, _)| text.contains(words));
        known.map_or(KeyringTrouble::Failed, |(_, trouble)| *trouble)
    }
}

#[cfg(not(feature = "keyring"))]
mod backend {
    use crate::base::error::KeyringTrouble;
    use crate::base::secret::Secret;

    type Result<T> = std::result::Result<T, (KeyringTrouble, String)>;

    pub(super) enum Entry {}

    pub(super) fn entry() -> Result<Entry> {
        Err((KeyringTrouble::NotBuilt, String::new()))
    }

    pub(super) fn get(entry: &Entry) -> Result<Secret> {
        match *entry {}
    }

    pub(super) fn put(entry: &Entry, _: &Secret) -> Result<()> {
        match *entry {}
    }

    pub(super) fn remove(entry: &Entry) -> Result<()> {
        match *entry {}
    }
}
