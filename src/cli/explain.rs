//! `oc-secrets explain NAME`: where one secret comes from, who has a say in it, and how it will be
//! fetched. It starts no `op`.

use super::arguments;
use super::ls;
use super::rows::{Cell, lay_out};
use super::stdout;
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Exit, Result};
use crate::base::suggest;
use crate::base::ui::{self, Tone};
use crate::broker::id::EnvironmentId;
use crate::broker::manifest::{HostSpec, Location, Manifest, SecretSpec};
use crate::broker::reference::Reference;
use crate::broker::session::Session;

/// Prints what is known of the secret.
pub(super) fn run(session: &Session, arguments: &arguments::Explain) -> Result<Exit> {
    let contents = session.contents()?;
    let name = &arguments.name;
    let spec = contents
        .secrets
        .iter()
        .find(|spec| spec.name.as_str() == name);
    let Some(spec) = spec else {
        return plain(session, &contents, name);
    };
    let subject = Subject {
        session,
        contents: &contents,
        spec,
    };
    let rows = subject.rows();
    let text = format!("{name}\n{}", lay_out(session.ui, &rows, 2, ui::width()));
    stdout::print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// A plain value, or an error for a name that is nothing.
fn plain(session: &Session, contents: &Manifest, name: &str) -> Result<Exit> {
    if contents.vars.iter().any(|(var, _)| var.as_str() == name) {
        let text = format!("{name}\n  a plain value of {}\n", session.source());
        stdout::print(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let names = contents.secrets.iter().map(|spec| spec.name.as_str());
    let vars = contents.vars.iter().map(|(name, _)| name.as_str());
    let known: Vec<&str> = names.chain(vars).collect();
    if !contents.environments.is_empty() {
        let ids: Vec<&str> = contents
            .environments
            .iter()
            .map(EnvironmentId::as_str)
            .collect();
        return Err(Error::usage(
            format!("no secret `{name}` in {}", session.source()),
            format!(
                "the 1Password Environment {} may have it: oc-secrets check",
                ids.join(", ")
            ),
        ));
    }
    Err(Error::usage(
        format!("no secret `{name}` in {}", session.source()),
        suggest::hint(name, &known, "the names are"),
    ))
}

/// One secret, and what decides about it.
struct Subject<'a> {
    session: &'a Session,
    contents: &'a Manifest,
    spec: &'a SecretSpec,
}

impl Subject<'_> {
    fn rows(&self) -> Vec<Vec<Cell>> {
        let mut rows = match self.session.broker() {
            Some(_) => vec![row("reference", "known to the broker alone".to_owned())],
            None => {
                let source = row("reference", self.contents.shown_source(self.spec));
                [source].into_iter().chain(self.parts()).collect()
            }
        };
        rows.push(row("if missing", self.if_missing()));
        rows.push(row("fetched", self.fetched()));
        rows.push(row("kept", self.kept()));
        rows.extend(self.used_by().map(|users| row("used by", users)));
        rows.extend(self.overriding().map(|who| row("instead", who)));
        let standing = ls::standing(self.session).map(|state| format!(" ({state})"));
        let manifest = format!("{}{}", self.session.source(), standing.unwrap_or_default());
        rows.push(row("manifest", manifest));
        rows
    }

    /// Vault, item and field, and where each is said.
    fn parts(&self) -> Vec<Vec<Cell>> {
        let own = match self.defined_by_env_file() {
            true => "--env-file",
            false => "the manifest",
        };
        match &self.spec.location {
            Location::Reference(reference) => parts_of(reference, own),
            Location::Item {
                vault,
                item,
                section,
                field,
            } => {
                let (vault, said) = match vault {
                    Some(vault) => (vault.as_str(), "the secret itself"),
                    None => self.default_vault(),
                };
                let of_field = match field.as_str() {
                    "credential" => "the default",
                    _ => own,
                };
                let section = section.as_deref();
                let section = section.map(|section| part("section", section, own));
                [part("vault", vault, said), part("item", item, own)]
                    .into_iter()
                    .chain(section)
                    .chain([part("field", field, of_field)])
                    .collect()
            }
        }
    }

    /// The vault that stands in where none is named, and who says so.
    fn default_vault(&self) -> (&str, &'static str) {
        let vault = self.contents.vault.as_deref();
        let of_manifest = self.session.manifest.vault.as_deref();
        match (vault, self.session.variable("OP_VAULT")) {
            (None, _) => ("(none)", "nobody: use --vault, OP_VAULT or vault = \"…\""),
            (Some(vault), _) if Some(vault) == of_manifest => (vault, "`vault` of the manifest"),
            (Some(vault), Some(variable)) if variable == vault => (vault, "OP_VAULT"),
            (Some(vault), _) => (vault, "--vault"),
        }
    }

    fn if_missing(&self) -> String {
        match (&self.spec.default, self.spec.required) {
            (Some(_), _) => "its default is used".to_owned(),
            (None, true) => "the run fails, and nothing is handed on".to_owned(),
            (None, false) => "it is left out, with a warning".to_owned(),
        }
    }

    fn fetched(&self) -> String {
        if self.session.broker().is_some() {
            return "from the broker, together with the others; no `op` runs here".to_owned();
        }
        let item = "by an `op item get` of its own";
        if self.spec.exact {
            return format!("{item}, since it is `exact`");
        }
        match &self.spec.location {
            Location::Reference(reference) if reference.fits_syntax() => BATCH.to_owned(),
            Location::Item {
                vault,
                item: title,
                section,
                field,
            } => {
                let vault = vault.as_deref().unwrap_or(self.default_vault().0);
                let reference = Reference {
                    vault: vault.to_owned(),
                    item: title.clone(),
                    section: section.clone(),
                    field: field.clone(),
                    query: None,
                };
                match reference.fits_syntax() || self.contents.vault.is_none() {
                    true => BATCH.to_owned(),
                    false => format!("{item}: `op://` cannot carry these names"),
                }
            }
            Location::Reference(_) => format!("{item}: `op run` cannot carry these names"),
        }
    }

    fn kept(&self) -> String {
        match self.session.kept_for() {
            _ if self.session.broker().is_some() => {
                "by the broker, for its client's `ttl`".to_owned()
            }
            None => "no: the next run asks again".to_owned(),
            Some(ttl) => format!("{} s in the kernel's keyring", ttl.as_secs()),
        }
    }

    /// Registries, git hosts and profiles.
    fn used_by(&self) -> Option<String> {
        let uses = |spec: &&HostSpec| spec.secret == self.spec.name;
        let hosts = |specs: &[HostSpec], what: &str| -> Vec<String> {
            let specs = specs.iter().filter(uses);
            specs.map(|spec| format!("{what} {}", spec.host)).collect()
        };
        let mut users = hosts(&self.contents.registries, "registry");
        users.extend(hosts(&self.contents.git, "git"));
        let has = |names: &Vec<EnvName>| names.contains(&self.spec.name);
        let profiles = self.contents.profiles.iter();
        let profiles = profiles.filter(|(_, names)| has(names));
        users.extend(profiles.map(|(profile, _)| format!("profile {profile}")));
        (!users.is_empty()).then(|| users.join(", "))
    }

    /// What in our own environment, or in another file, stands in its place.
    fn overriding(&self) -> Option<String> {
        let name = self.spec.name.as_str();
        if self.session.variable(name).is_some() {
            return Some(match self.session.selection().prefer_env {
                true => format!("{name} of the environment is used (--prefer-env)"),
                false => format!("{name} is set too: used with --prefer-env and by helpers"),
            });
        }
        let in_manifest = |spec: &SecretSpec| spec.name == self.spec.name;
        let replaced = self.session.manifest.secrets.iter().any(in_manifest);
        (self.defined_by_env_file() && replaced)
            .then(|| "--env-file, which comes before the manifest".to_owned())
    }

    fn defined_by_env_file(&self) -> bool {
        let mut definitions = self.session.env_file().iter();
        definitions.any(|definition| definition.name == self.spec.name)
    }
}

const BATCH: &str = "by one `op`, together with the others";

fn parts_of(reference: &Reference, said: &str) -> Vec<Vec<Cell>> {
    let section = reference.section.as_deref();
    let section = section.map(|section| part("section", section, said));
    let query = reference.query.as_deref();
    let query = query.map(|query| part("query", query, said));
    [
        part("vault", &reference.vault, said),
        part("item", &reference.item, said),
    ]
    .into_iter()
    .chain(section)
    .chain([part("field", &reference.field, said)])
    .chain(query)
    .collect()
}

fn part(label: &str, text: &str, said: &str) -> Vec<Cell> {
    row(label, format!("{text}  (from {said})"))
}

fn row(label: &str, text: String) -> Vec<Cell> {
    vec![Cell::toned(Tone::Dim, label), Cell::from(text)]
}
