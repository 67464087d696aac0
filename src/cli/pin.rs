//! `oc-secrets pin`: the manifest names vaults and items by their ids. A name that somebody gives to
//! another item then changes nothing, and `op` looks less up.
//!
//! Only a manifest that was named or allowed is rewritten, and what is allowed afterwards is exactly
//! what was written here.

use std::collections::{BTreeSet, HashMap};

use super::arguments;
use super::rows::{Cell, lay_out};
use super::stdout;
use crate::base::error::{Error, Exit, Result, Trouble};
use crate::base::shell_quote;
use crate::base::ui::{self, Tone, clean};
use crate::broker::manifest::allowed::{Allowed, Verdict};
use crate::broker::manifest::file::{self as source, Kind};
use crate::broker::manifest::pin::{self, Ids, KnownIds};
use crate::broker::manifest::{self, Location, Manifest, Opened, Origin, SecretSpec, parse};
use crate::broker::op::presence::{self, Presence};
use crate::broker::op::{Mode, Op};
use crate::broker::session::Session;
use crate::credential_helper::client_config::file;

/// Rewrites the manifest, and says what it could not find.
pub(super) fn run(session: &Session, arguments: &arguments::Pin) -> Result<Exit> {
    let opened = opened(session)?;
    let places = places(session, &opened.manifest);
    refuse_another_vault(session, &opened, &places)?;
    let found = found(&session.op(None)?, &opened, &places)?;
    let mut known = KnownIds::default();
    let mut lost = false;
    for (place, found) in places.iter().zip(found) {
        match found {
            Presence::There { vault, item } => {
                if place.by_default {
                    known.vault = Some(vault.clone());
                }
                let name = place.spec.name.to_string();
                known.secrets.insert(name, Ids { vault, item });
            }
            other => {
                lost |= place.spec.required;
                session.ui.warn(&place.not_pinned(&other));
            }
        }
    }
    let text = pin::pinned(&opened.text, &opened.manifest, &known)?;
    if text == opened.text {
        session.ui.note("no name was left that could become an id");
    } else {
        let rows = rows(&places, &known);
        if !arguments.dry_run {
            replace(session, &opened, &text)?;
        }
        let table = lay_out(session.ui, &rows, 0, ui::width());
        let path = opened.path.display().to_string();
        let done = match arguments.dry_run {
            true => "would be rewritten",
            false => "is rewritten",
        };
        stdout::print(format!("{table}{} {done}\n", clean(&path)).as_bytes())?;
    }
    Ok(if lost { Exit::Unresolved } else { Exit::Done })
}

/// The manifest of the session with its text, read once more: it may have changed.
fn opened(session: &Session) -> Result<Opened> {
    let lookup = session.lookup();
    match &session.manifest.origin {
        Origin::Found(path) => {
            let opened = manifest::open(Some(path), path, &lookup)?;
            match Allowed::of_user(&lookup).verdict(&opened.path, &opened.text) {
                Verdict::Allowed => Ok(opened),
                verdict => Err(Error::NotAllowed {
                    path: opened.path,
                    changed: verdict == Verdict::Changed,
                }),
            }
        }
        Origin::File(path) => {
            let text = source::read(path, Kind::Regular)?;
            let text =
                text.ok_or_else(|| source::refuse(path, "no such file", "check the path"))?;
            let label = path.display().to_string();
            let manifest = parse(&text, &label, session.manifest.origin.clone())?;
            let path = path.clone();
            Ok(Opened {
                path,
                text,
                manifest,
            })
        }
        Origin::BuiltIn | Origin::Broker(_) => Err(Error::usage(
            "there is no manifest of yours to rewrite",
            "oc-secrets init writes one; or name it: --manifest FILE",
        )),
    }
}

/// Where a secret is kept, by names or by ids.
struct Place<'a> {
    spec: &'a SecretSpec,
    vault: &'a str,
    item: &'a str,
    /// The vault is the manifest's default.
    by_default: bool,
}

/// What `op` is asked for; what has no vault at all is left out.
fn places<'a>(session: &'a Session, manifest: &'a Manifest) -> Vec<Place<'a>> {
    let own = manifest.vault.as_deref();
    let default = own.or(session.selection().vault.as_deref());
    let place = |spec: &'a SecretSpec| {
        let (vault, item) = match &spec.location {
            Location::Reference(reference) => (Some(&*reference.vault), &reference.item),
            Location::Item { vault, item, .. } => (vault.as_deref(), item),
        };
        Some(Place {
            spec,
            vault: vault.or(default)?,
            item,
            by_default: vault.is_none() && own.is_some(),
        })
    };
    manifest.secrets.iter().filter_map(place).collect()
}

/// Ids of items in the manifest's vault would be of no use in the vault that a run here takes instead.
fn refuse_another_vault(session: &Session, opened: &Opened, places: &[Place<'_>]) -> Result<()> {
    let own = opened.manifest.vault.as_deref();
    let chosen = session.selection().vault.as_deref();
    let chosen = chosen.filter(|vault| !vault.is_empty() && own != Some(vault));
    let (Some(own), Some(chosen)) = (own, chosen) else {
        return Ok(());
    };
    if !places.iter().any(|place| place.by_default) {
        return Ok(());
    }
    let again = without(&["OP_VAULT"], opened);
    Err(Error::usage(
        format!("--vault or OP_VAULT names the vault `{chosen}`, and the manifest `{own}`"),
        format!("pin without OP_VAULT / --vault: {again}"),
    ))
}

/// The command that pins the same manifest without these variables.
fn without(variables: &[&str], opened: &Opened) -> String {
    let path = opened.path.display().to_string();
    let unset = variables.iter().flat_map(|name| ["-u", name]);
    let named = match opened.manifest.origin {
        Origin::File(_) => vec!["--manifest", &path],
        Origin::Found(_) | Origin::BuiltIn | Origin::Broker(_) => vec![],
    };
    let words = ["env"].into_iter().chain(unset).chain(["oc-secrets"]);
    shell_quote::command(words.chain(named).chain(["pin"]))
}

/// What the lists of items say of each place. A service account has to name each vault; a person is
/// asked for leave, and so only once.
fn found(op: &Op, opened: &Opened, places: &[Place<'_>]) -> Result<Vec<Presence>> {
    let asked: Vec<(&str, &str)> = places.iter().map(|it| (it.vault, it.item)).collect();
    match op.mode() {
        Mode::ServiceAccount => by_vault(op, &asked),
        Mode::Session | Mode::App => presence::whereabouts(&op.ask(presence::ITEMS)?, &asked),
        Mode::Connect => Err(Error::usage(
            "a Connect server (OP_CONNECT_HOST) lists no items, and `pin` needs a list",
            format!(
                "pin with a service account's token or the 1Password app: {}",
                without(&["OP_CONNECT_HOST", "OP_CONNECT_TOKEN"], opened)
            ),
        )),
    }
}

fn by_vault(op: &Op, asked: &[(&str, &str)]) -> Result<Vec<Presence>> {
    let vaults: BTreeSet<&str> = asked.iter().map(|(vault, _)| *vault).collect();
    let mut found = HashMap::new();
    for vault in vaults {
        let within = asked.iter().copied().filter(|(of, _)| *of == vault);
        let within: Vec<(&str, &str)> = within.collect();
        let told = in_vault(op, vault, &within)?;
        found.extend(within.into_iter().zip(told));
    }
    let told = |place| found.get(place).cloned().unwrap_or(Presence::Unclear);
    Ok(asked.iter().map(told).collect())
}

/// What the list of one vault says. That there is no such vault is no reason to leave the others.
fn in_vault(op: &Op, vault: &str, asked: &[(&str, &str)]) -> Result<Vec<Presence>> {
    let option = format!("--vault={vault}");
    match op.ask(&["item", "list", &option, "--format=json"]) {
        Ok(answer) => presence::whereabouts(&answer, asked),
        Err(Error::NotListed { trouble }) => {
            let told = match trouble {
                Trouble::Missing { .. } => Presence::NothingInVault,
                other => Presence::Trouble(other),
            };
            Ok(vec![told; asked.len()])
        }
        Err(error) => Err(error),
    }
}

impl Place<'_> {
    /// Why it keeps its names, and what shows what is there instead.
    fn not_pinned(&self, found: &Presence) -> String {
        let (vault, item) = (self.vault, self.item);
        let list = shell_quote::command(["op", "item", "list", "--vault", vault]);
        let (why, look) = match found {
            Presence::Trouble(trouble) => (trouble.to_string(), list),
            Presence::NothingInVault => (
                format!("nothing is listed in a vault `{vault}`"),
                "op vault list".to_owned(),
            ),
            Presence::There { .. } | Presence::Unclear => (
                "the list of items does not decide what this name means".to_owned(),
                shell_quote::command(["op", "item", "get", item, "--vault", vault]),
            ),
        };
        format!(
            "{} keeps its names: {why}; compare with `{look}`",
            self.spec.name
        )
    }
}

fn rows(places: &[Place<'_>], known: &KnownIds) -> Vec<Vec<Cell>> {
    let row = |place: &Place<'_>| {
        let ids = known.secrets.get(place.spec.name.as_str())?;
        let changed = place.vault != ids.vault || place.item != ids.item;
        changed.then(|| {
            vec![
                Cell::from(place.spec.name.as_str()),
                Cell::from(format!("{}/{}", place.vault, place.item)),
                Cell::toned(Tone::Dim, format!("{}/{}", ids.vault, ids.item)),
            ]
        })
    };
    places.iter().filter_map(row).collect()
}

/// Puts `text` where the opened text still is, and allows it where that was allowed.
fn replace(session: &Session, opened: &Opened, text: &str) -> Result<()> {
    const MARK: &str = "\u{feff}";
    let changed = || {
        file::unusable(
            &opened.path,
            "was changed by another program just now; it is left as it is",
            "look at it, then run this again",
        )
    };
    let metadata = opened.path.metadata().map_err(|_| changed())?;
    if metadata.permissions().readonly() {
        return Err(file::unusable(
            &opened.path,
            "is read-only",
            "make it writable for you: chmod u+w",
        ));
    }
    let mut given = false;
    let written = file::edit(&opened.path, |now| {
        let now = now.unwrap_or_default();
        let (mark, rest) = match now.strip_prefix(MARK) {
            Some(rest) => (MARK, rest),
            None => ("", now),
        };
        match rest {
            _ if given => Ok(None),
            rest if rest == opened.text => {
                given = true;
                Ok(Some(format!("{mark}{text}")))
            }
            _ => Err(changed()),
        }
    })?;
    match written {
        true => allow_again(session, opened, text),
        false => Err(changed()),
    }
}

/// Allows exactly `text` where exactly the opened text was allowed, also for a manifest that was
/// named this time.
fn allow_again(session: &Session, opened: &Opened, text: &str) -> Result<()> {
    let lookup = session.lookup();
    let allowed = Allowed::of_user(&lookup);
    let path = opened.path.canonicalize();
    let path = path.unwrap_or_else(|_| opened.path.clone());
    if allowed.verdict(&path, &opened.text) != Verdict::Allowed {
        return Ok(());
    }
    let manifest = parse(text, "", Origin::Found(path.clone()))?;
    allowed.allow(&path, text, &manifest)
}
