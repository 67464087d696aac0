//! `oc-secrets login` and `logout`: a service-account token into the OS keyring and out of it, or
//! encrypted for a service of systemd. It is tried before it is kept.

mod systemd;

use std::io::IsTerminal;

use super::{arguments, ask, hidden, stdout};
use crate::base::error::{Error, Exit, KeyringTrouble, Result};
use crate::base::secret::Secret;
use crate::base::ui::clean;
use crate::broker::op::list;
use crate::broker::op::login_marker::LoginMarker;
use crate::broker::op::os_keyring::OsKeyring;
use crate::broker::op::token_source::{self, TokenSource};
use crate::broker::session::Session;
use systemd::SystemdCredential;

/// Asks for a token, tries it and keeps it.
pub(super) fn login(session: &Session, arguments: &arguments::Login) -> Result<Exit> {
    match &arguments.systemd {
        None => into_keyring(session, arguments),
        Some(unit) => {
            // What stands in the way is told before anything is asked.
            let credential = SystemdCredential::of(unit, session)?;
            let token = tried(session, arguments)?;
            credential.write(&token)?;
            let path = credential.path().display().to_string();
            session
                .ui
                .note(&format!("{path} is written, encrypted for this host"));
            let exit = credential.hand_over(&token, session.ui)?;
            stdout::print(credential.lines().as_bytes())?;
            Ok(exit)
        }
    }
}

fn into_keyring(session: &Session, arguments: &arguments::Login) -> Result<Exit> {
    let marker = LoginMarker::of(&session.lookup())?;
    let was_there = marker.read().is_some();
    let token = tried(session, arguments)?;
    // First, so that nothing is kept that nobody would find.
    marker.write()?;
    if let Err(error) = keyring(session).keep(&token) {
        if !was_there {
            marker.remove()?;
        }
        return Err(error);
    }
    if let Some(first) = TokenSource::all(&session.environment)
        .first()
        .filter(|first| **first != TokenSource::Keyring)
    {
        session.ui.warn(&format!(
            "{}, and goes before the OS keyring",
            first.passed_over()
        ));
    }
    stdout::print(b"kept in the OS keyring; oc-secrets logout removes it\n")?;
    Ok(Exit::Done)
}

/// Removes what `login` has put into the keyring.
pub(super) fn logout(session: &Session) -> Result<Exit> {
    let marker = LoginMarker::of(&session.lookup())?;
    let text = if marker.read().is_none() {
        "nothing to remove: oc-secrets login has kept no token here\n"
    } else {
        match keyring(session).remove() {
            Ok(()) => "removed from the OS keyring\n",
            Err(Error::Keyring {
                trouble: KeyringTrouble::Gone,
                ..
            }) => "the OS keyring had no token any more; it is not asked again\n",
            Err(error) => return Err(error),
        }
    };
    marker.remove()?;
    stdout::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn keyring(session: &Session) -> OsKeyring<'_> {
    OsKeyring {
        environment: &session.environment,
        timeout: session.timeout(),
        ui: session.ui,
    }
}

/// A token that 1Password takes; says what it may read.
fn tried(session: &Session, arguments: &arguments::Login) -> Result<Secret> {
    let token = token(arguments)?;
    refuse_others(&token)?;
    let answer = session.op_of(&token)?.ask(list::VAULTS)?;
    let vaults = list::vaults(&answer)?;
    let names: Vec<_> = vaults.iter().map(|vault| clean(&vault.name)).collect();
    match names.is_empty() {
        true => session.ui.warn(
            "1Password takes the token, but it may read no vault yet: give its service account access to one",
        ),
        false => session.ui.note(&format!(
            "1Password takes the token, which may read: {}",
            names.join(", ")
        )),
    }
    Ok(token)
}

fn token(arguments: &arguments::Login) -> Result<Secret> {
    if arguments.stdin {
        if std::io::stdin().is_terminal() {
            return Err(Error::usage(
                "standard input is a terminal, which would show the token",
                "without --stdin it is asked for, and not shown",
            ));
        }
        let read = token_source::read(&mut std::io::stdin().lock());
        let read = read.map_err(|why| Error::system("read standard input", why))?;
        return read.ok_or_else(|| wrong("that is too large for a token"));
    }
    if !ask::somebody() {
        return Err(Error::usage(
            "cannot ask for the token: standard input is not a terminal",
            "give it by a pipe: … | oc-secrets login --stdin",
        ));
    }
    let typed = hidden::ask("Token of the service account (it is not shown): ")?;
    typed.ok_or_else(|| wrong("no token was given"))
}

/// Only the form is looked at: 1Password says the rest.
fn refuse_others(token: &Secret) -> Result<()> {
    let text = token.expose();
    let is_text = |byte: &u8| byte.is_ascii_graphic();
    match text {
        [] => Err(wrong("no token was given")),
        _ if !text.starts_with(b"ops_") => Err(wrong(
            "that is no service-account token: it does not begin with ops_",
        )),
        _ if !text.iter().all(is_text) => Err(wrong(
            "that is no service-account token: there is more than one word",
        )),
        _ => Ok(()),
    }
}

fn wrong(what: &str) -> Error {
    Error::usage(
        what,
        "1Password shows it once, when the service account is made: op service-account create",
    )
}
