//! `oc-secrets git`: adds our helper to git's settings for the hosts of the manifest, and shows whom
//! git asks.

use super::arguments::{Git as Arguments, GitCommand};
use super::rows::{Cell, lay_out};
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::{self, Tone, clean};
use crate::broker::registry::HostPort;
use crate::broker::session::Session;
use crate::credential_helper::client_config::git::{Asks, Git, HELPER, Store};
use crate::credential_helper::client_config::location;

/// Runs the command.
///
/// # Errors
/// When there is no git, or it cannot change its file.
pub(super) fn run(session: &Session, arguments: &Arguments) -> Result<Exit> {
    let lookup = session.lookup();
    let git = Git::find(&lookup).ok_or_else(|| {
        Error::usage(
            "git was not found",
            "install git, or add its directory to PATH",
        )
    })?;
    match &arguments.command {
        GitCommand::Install(hosts) => install(session, &git, &named_or_all(session, &hosts.host)?)?,
        GitCommand::Uninstall(hosts) => uninstall(&git, &hosts.host)?,
        GitCommand::Status(hosts) => status(session, &git, &hosts.host)?,
    }
    Ok(Exit::Done)
}

fn install(session: &Session, git: &Git, hosts: &[HostPort]) -> Result<()> {
    let known = in_manifest(session);
    for host in hosts {
        let then = git.asks(host)?;
        let changed = git.install(host)?;
        say(&format!(
            "{host}: {}\n",
            if changed { "changed" } else { "unchanged" }
        ))?;
        let now = git.asks(host)?;
        for Store { key, removal } in &now.stores {
            session.ui.warn(&format!(
                "{host}: the helper `store` of {key} still writes its passwords into a file, \
                 unencrypted: {removal}"
            ));
        }
        if !then.stores.is_empty() && now.stores.is_empty() {
            session.ui.note(&format!(
                "{host}: the helper `store` is left out, since it would write the password into a file"
            ));
        }
        // Leaving `store` out clears git's list, and these cannot stand behind it for their part alone.
        for (key, helper) in then.partly.iter().filter(|one| !now.partly.contains(one)) {
            session.ui.note(&format!(
                "{host}: git no longer asks `{helper}` of {key}: write it behind the host's own key"
            ));
        }
        if !now.before.is_empty() {
            session
                .ui
                .note(&format!("{host}: git asks {} first", names(&now.before)));
        }
        if !known.contains(host) {
            session.ui.warn(&format!(
                "{host} is not in the manifest that {HELPER} uses: add [git.\"{host}\"]"
            ));
        }
    }
    warn_of_path(session);
    Ok(())
}

fn uninstall(git: &Git, named: &[String]) -> Result<()> {
    let hosts = match named.is_empty() {
        true => git.hosts()?,
        false => parsed(named)?,
    };
    for host in &hosts {
        let changed = git.uninstall(host)?;
        say(&format!(
            "{host}: {}\n",
            if changed { "changed" } else { "unchanged" }
        ))?;
    }
    if named.is_empty() && git.uninstall_everywhere()? {
        say("every host: changed\n")?;
    } else if hosts.is_empty() {
        say("git: unchanged\n")?;
    }
    Ok(())
}

fn status(session: &Session, git: &Git, named: &[String]) -> Result<()> {
    let mut hosts = match named.is_empty() {
        true => in_manifest(session),
        false => parsed(named)?,
    };
    if named.is_empty() {
        let wired = git.hosts()?;
        let more = wired.into_iter().filter(|host| !hosts.contains(host));
        let more: Vec<HostPort> = more.collect();
        hosts.extend(more);
    }
    let lookup = session.lookup();
    let helper = match location::on_path(&lookup, HELPER) {
        Some(path) => clean(&path.display().to_string()).into_owned(),
        None => format!(
            "{}: {}",
            session.ui.paint(Tone::Bad, "not on PATH"),
            how(session)
        ),
    };
    say(&format!("helper  {helper}\n\ngit\n"))?;
    if hosts.is_empty() {
        return say("  the manifest has no host: add [git.\"github.com\"]\n");
    }
    let row = |host: &HostPort| {
        let asks = git.asks(host)?;
        let (tone, text) = told(&asks);
        Ok(vec![Cell::from(host.as_str()), Cell::toned(tone, text)])
    };
    let rows = hosts.iter().map(row).collect::<Result<Vec<_>>>()?;
    say(&lay_out(session.ui, &rows, 2, ui::width()))
}

/// Whom git asks, in words.
fn told(asks: &Asks) -> (Tone, String) {
    match (asks.ours, &asks.before[..]) {
        (true, _) if !asks.stores.is_empty() => (
            Tone::Bad,
            "asks oc-secrets, and `store` writes the password into a file".to_owned(),
        ),
        (true, []) => (Tone::Good, "asks oc-secrets".to_owned()),
        (true, before) => (
            Tone::Good,
            format!("asks {}, then oc-secrets", names(before)),
        ),
        (false, []) => (Tone::Notice, "not wired".to_owned()),
        (false, others) => (Tone::Notice, format!("not wired: asks {}", names(others))),
    }
}

fn names(helpers: &[String]) -> String {
    let names: Vec<String> = helpers.iter().map(|helper| format!("`{helper}`")).collect();
    names.join(", ")
}

fn warn_of_path(session: &Session) {
    if location::on_path(&session.lookup(), HELPER).is_none() {
        session.ui.warn(&format!(
            "{HELPER} is not on PATH, so git will not find it: {}",
            how(session)
        ));
    }
}

/// How git comes to find our helper.
fn how(session: &Session) -> String {
    location::how_to_find(
        HELPER,
        std::env::current_exe().ok().as_deref(),
        &session.lookup(),
    )
}

fn in_manifest(session: &Session) -> Vec<HostPort> {
    let specs = session.manifest.git.iter();
    specs.map(|spec| spec.host.clone()).collect()
}

fn named_or_all(session: &Session, named: &[String]) -> Result<Vec<HostPort>> {
    let hosts = match named.is_empty() {
        true => in_manifest(session),
        false => parsed(named)?,
    };
    match hosts.is_empty() {
        true => Err(Error::usage(
            "the manifest that git-credential-oc uses has no host for git",
            "add [git.\"github.com\"] with secret = \"NAME\" to it, or use --host HOST",
        )),
        false => Ok(hosts),
    }
}

fn parsed(texts: &[String]) -> Result<Vec<HostPort>> {
    let host = |text: &String| {
        HostPort::parse(text).ok_or_else(|| {
            let hint = "write it as in a remote's address, such as github.com";
            Error::usage(format!("`{text}` is not a host"), hint)
        })
    };
    texts.iter().map(host).collect()
}

fn say(text: &str) -> Result<()> {
    stdout::print(text.as_bytes())
}
