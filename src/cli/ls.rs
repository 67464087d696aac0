//! `oc-secrets ls`: what the manifest holds. It starts no `op`, and nobody needs to have allowed it.

use std::collections::HashSet;

use serde_json::json;

use super::arguments;
use super::rows::{Cell, lay_out};
use super::stdout;
use crate::base::env_name::EnvName;
use crate::base::error::{Exit, Result};
use crate::base::token_kind;
use crate::base::ui::{self, Tone, clean};
use crate::broker::id::EnvironmentId;
use crate::broker::manifest::allowed::{Allowed, Verdict};
use crate::broker::manifest::{self, HostSpec, Manifest, Origin, SecretSpec};
use crate::broker::session::Session;

/// Prints the list or the JSON.
pub(super) fn run(session: &Session, arguments: &arguments::Ls) -> Result<Exit> {
    let contents = session.contents()?;
    let text = match arguments.json {
        true => json_text(session, &contents),
        false => list(session, &contents),
    };
    stdout::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn list(session: &Session, contents: &Manifest) -> String {
    let groups = [
        ("secrets", secrets(contents)),
        ("1Password Environments", environments(contents)),
        ("plain values", plain(session, contents)),
        ("registries", hosts(&contents.registries)),
        ("git", hosts(&contents.git)),
        ("profiles", profiles(contents)),
    ];
    let width = ui::width();
    let mut text = String::new();
    for (title, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
        text.push_str(&format!("{title}\n"));
        text.push_str(&lay_out(session.ui, rows, 2, width));
        text.push('\n');
    }
    let state = match standing(session) {
        None => String::new(),
        Some(state) => format!(" ({})", session.ui.paint(Tone::Notice, state)),
    };
    text.push_str(&format!("{}{state}\n", clean(&session.source())));
    text
}

/// How a found manifest is not allowed, if it is not.
pub(super) fn standing(session: &Session) -> Option<&'static str> {
    let Origin::Found(path) = &session.manifest.origin else {
        return None;
    };
    let lookup = session.lookup();
    let opened = manifest::open(Some(path), path, &lookup).ok()?;
    match Allowed::of_user(&lookup).verdict(&opened.path, &opened.text) {
        Verdict::Allowed => None,
        Verdict::Changed => Some("changed since it was allowed: oc-secrets allow"),
        Verdict::Unknown => Some("not allowed yet: oc-secrets allow"),
    }
}

fn secrets(contents: &Manifest) -> Vec<Vec<Cell>> {
    let row = |spec: &SecretSpec| {
        vec![
            Cell::from(spec.name.as_str()),
            Cell::toned(Tone::Dim, if_missing(spec)),
            Cell::from(source(contents, spec).unwrap_or_default()),
        ]
    };
    contents.secrets.iter().map(row).collect()
}

/// Where it is kept, which a broker tells nobody.
fn source(contents: &Manifest, spec: &SecretSpec) -> Option<String> {
    match contents.origin {
        Origin::Broker(_) => None,
        Origin::BuiltIn | Origin::File(_) | Origin::Found(_) => Some(contents.shown_source(spec)),
    }
}

/// Their names are known to 1Password alone.
fn environments(contents: &Manifest) -> Vec<Vec<Cell>> {
    let ids = contents.environments.iter();
    ids.map(|id| vec![Cell::from(id.as_str()), Cell::from("all variables")])
        .collect()
}

/// What happens without the secret.
fn if_missing(spec: &SecretSpec) -> &'static str {
    match (&spec.default, spec.required) {
        (Some(_), _) => "default",
        (None, true) => "required",
        (None, false) => "optional",
    }
}

fn plain(session: &Session, contents: &Manifest) -> Vec<Vec<Cell>> {
    let of_file = names_of_env_file(session);
    let row = |(name, value): &(EnvName, String)| {
        let value = match shown(&of_file, name, value) {
            Some(value) => Cell::from(value),
            None => Cell::toned(Tone::Dim, "(of --env-file: not shown)"),
        };
        vec![Cell::from(name.as_str()), value]
    };
    contents.vars.iter().map(row).collect()
}

fn names_of_env_file(session: &Session) -> HashSet<&str> {
    let definitions = session.env_file().iter();
    definitions.map(|it| it.name.as_str()).collect()
}

/// A plain value of the manifest, unless somebody put a secret there by mistake; none of an env-file,
/// which can take it from our environment.
fn shown(of_file: &HashSet<&str>, name: &EnvName, value: &str) -> Option<String> {
    if of_file.contains(name.as_str()) {
        return None;
    }
    let secret = token_kind::may_be_secret(name.as_str(), value);
    Some(match token_kind::of_text(value) {
        Some(kind) => format!("({kind}: keep it in 1Password)"),
        None if secret => "(may be a secret: keep it in 1Password)".to_owned(),
        None => value.to_owned(),
    })
}

fn hosts(specs: &[HostSpec]) -> Vec<Vec<Cell>> {
    let row = |spec: &HostSpec| {
        vec![
            Cell::from(spec.host.as_str()),
            Cell::from(format!("{} as {}", spec.secret, spec.username())),
        ]
    };
    specs.iter().map(row).collect()
}

fn profiles(contents: &Manifest) -> Vec<Vec<Cell>> {
    let row = |(name, secrets): (&String, &Vec<EnvName>)| {
        let names: Vec<&str> = secrets.iter().map(|name| name.as_str()).collect();
        vec![Cell::from(name.as_str()), Cell::from(names.join(", "))]
    };
    contents.profiles.iter().map(row).collect()
}

fn json_text(session: &Session, contents: &Manifest) -> String {
    let secrets = contents.secrets.iter().map(|spec| {
        json!({
            "name": spec.name.as_str(),
            "reference": source(contents, spec),
            "required": spec.required,
            "default": spec.default.is_some(),
            "exact": spec.exact,
        })
    });
    let of_file = names_of_env_file(session);
    let vars = contents.vars.iter();
    let vars = vars.map(|(name, value)| (name.to_string(), json!(shown(&of_file, name, value))));
    let hosts = |specs: &[HostSpec]| {
        let host = |spec: &HostSpec| {
            json!({
                "host": spec.host.as_str(),
                "username": spec.username(),
                "secret": spec.secret.as_str(),
            })
        };
        specs.iter().map(host).collect::<Vec<_>>()
    };
    let report = json!({
        "manifest": session.source(),
        "allowed": standing(session).is_none(),
        "secrets": secrets.collect::<Vec<_>>(),
        "environments": contents.environments.iter().map(EnvironmentId::as_str).collect::<Vec<_>>(),
        "vars": vars.collect::<serde_json::Map<_, _>>(),
        "registries": hosts(&contents.registries),
        "git": hosts(&contents.git),
        "profiles": contents.profiles.iter().map(|(name, secrets)| {
            (name.clone(), secrets.iter().map(|name| name.as_str()).collect())
        }).collect::<serde_json::Map<String, serde_json::Value>>(),
    });
    format!("{report:#}\n")
}
