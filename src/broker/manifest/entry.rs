//! The single entries of a manifest: a name, a secret, a host, `[cache]`, `[op]`.

use std::path::PathBuf;
use std::time::Duration;

use super::file::Document;
use super::table::{KeyValue, shown};
use crate::base::duration;
use crate::base::env_name::{Carries, EnvName, NameError};
use crate::base::error::{Error, Result};
use crate::broker::id::EnvironmentId;
use crate::broker::manifest::{CacheSettings, Location, OpSettings, SecretSpec};
use crate::broker::reference::Reference;
use crate::broker::registry::HostPort;

const SECRET: &[&str] = &[
    "item", "field", "section", "vault", "ref", "required", "default", "exact",
];
const HOST: &[&str] = &["username", "secret", "insecure"];
const CACHE: &[&str] = &["ttl", "allow_root"];
const OP: &[&str] = &["path", "timeout"];

const DEFAULT_FIELD: &str = "credential";
pub(super) const DEFAULT_TTL: Duration = Duration::from_secs(5 * 60);
const LONGEST_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// A key that names a variable; `found` is true for a manifest that was not named.
pub(super) fn name(
    document: &Document<'_>,
    entry: KeyValue<'_>,
    carries: Carries,
    found: bool,
) -> Result<EnvName> {
    let parsed = match found {
        true => EnvName::parse_found(entry.key, carries),
        false => EnvName::parse(entry.key),
    };
    parsed.map_err(|error| {
        let hint = match error {
            NameError::Form => "choose a name such as API_KEY",
            NameError::Dangerous(_) => "choose another name",
            NameError::Family(_) => {
                "set it in the command itself: oc-secrets exec -- env NAME=VALUE CMD"
            }
        };
        document.error(
            entry.key_at,
            format!("`{}`: {error}", shown(entry.key)),
            hint,
        )
    })
}

/// `environments = ["ID"]`.
pub(super) fn environments(
    document: &Document<'_>,
    entry: KeyValue<'_>,
) -> Result<Vec<EnvironmentId>> {
    let id = |(text, at): (&str, usize)| {
        EnvironmentId::parse(text).ok_or_else(|| {
            let what = "this is not the id of a 1Password Environment";
            document.error(at, what, EnvironmentId::FORM)
        })
    };
    document.list(entry)?.into_iter().map(id).collect()
}

/// `NAME = "op://…"` or `NAME = { … }`.
pub(super) fn secret(
    document: &Document<'_>,
    entry: KeyValue<'_>,
    found: bool,
) -> Result<SecretSpec> {
    let name = name(document, entry, Carries::Secret, found)?;
    let mut spec = SecretSpec {
        name,
        location: Location::Item {
            vault: None,
            item: String::new(),
            section: None,
            field: DEFAULT_FIELD.to_owned(),
        },
        required: true,
        default: None,
        exact: false,
    };
    if !document.is_table(entry) {
        spec.location = Location::Reference(reference(document, entry)?);
        return Ok(spec);
    }
    let mut parts: Vec<KeyValue<'_>> = vec![];
    for key in document.table(entry)? {
        match key.key {
            "item" | "field" | "section" | "vault" | "ref" => parts.push(key),
            "required" => spec.required = document.flag(key)?,
            "default" => spec.default = Some(document.any_text(key)?.to_owned()),
            "exact" => spec.exact = document.flag(key)?,
            _ => {
                let place = format!("in `{}`", spec.name);
                return Err(document.unknown(key, &place, SECRET));
            }
        }
    }
    spec.location = location(document, entry, &parts)?;
    Ok(spec)
}

/// A reference, or an item by its parts; never both.
fn location(
    document: &Document<'_>,
    secret: KeyValue<'_>,
    parts: &[KeyValue<'_>],
) -> Result<Location> {
    let part = |key: &str| parts.iter().find(|part| part.key == key).copied();
    if let Some(whole) = part("ref") {
        if let Some(other) = parts.iter().find(|part| part.key != "ref") {
            let what = format!(
                "`{}` beside `ref`, which already says where it is",
                other.key
            );
            let hint = "write either `ref`, or `item` with `field`, `section` and `vault`";
            return Err(document.error(other.key_at, what, hint));
        }
        return Ok(Location::Reference(reference(document, whole)?));
    }
    let Some(item) = part("item") else {
        let what = format!("`{}` has neither `item` nor `ref`", secret.key);
        let hint = "write item = \"its title in 1Password\" or ref = \"op://vault/item/field\"";
        return Err(document.error(secret.key_at, what, hint));
    };
    let text = |key| part(key).map(|part| document.text_of(part)).transpose();
    Ok(Location::Item {
        item: document.text_of(item)?.to_owned(),
        vault: text("vault")?.map(str::to_owned),
        section: text("section")?.map(str::to_owned),
        field: text("field")?.unwrap_or(DEFAULT_FIELD).to_owned(),
    })
}

fn reference(document: &Document<'_>, entry: KeyValue<'_>) -> Result<Reference> {
    let text = document.any_text(entry)?;
    Reference::parse(text).map_err(|error| {
        let hint = "write \"op://vault/item/field\", or { item = \"…\" } for names with slashes";
        document.error(entry.at, format!("`{}`: {error}", shown(entry.key)), hint)
    })
}

/// A host of `[registries]` or `[git]`, before its secret's name is checked.
pub(super) struct Unchecked {
    pub(super) host: HostPort,
    pub(super) username: Option<String>,
    pub(super) secret: String,
    pub(super) insecure: bool,
}

/// One table of `[registries]` or `[git]`, called `place` in errors, and where it names its secret.
pub(super) fn host(
    document: &Document<'_>,
    entry: KeyValue<'_>,
    place: &str,
) -> Result<(Unchecked, usize)> {
    let name = shown(entry.key);
    let Some(host) = HostPort::parse(entry.key) else {
        let what = format!("`{name}` is not a host");
        let hint =
            "write it as clients do: a name with its port, such as ghcr.io or localhost:5000";
        return Err(document.error(entry.key_at, what, hint));
    };
    let (mut username, mut secret, mut insecure) = (None, None, false);
    for key in document.table(entry)? {
        match key.key {
            "username" => username = Some(username_of(document, key)?),
            "secret" => secret = Some((document.any_text(key)?.to_owned(), key.at)),
            "insecure" => insecure = document.flag(key)?,
            // `[registries.ghcr.io]` is a table `io` in a table `ghcr`.
            inner if document.is_table(key) && !HOST.contains(&inner) => {
                let what = "a host with a dot must be in quotes";
                let whole = shown(&format!("{}.{inner}", entry.key));
                let table = if place == "registry" {
                    "registries"
                } else {
                    "git"
                };
                let hint = format!("write [{table}.\"{whole}\"]");
                return Err(document.error(entry.key_at, what, hint));
            }
            _ => {
                let place = format!("in {place} `{name}`");
                return Err(document.unknown(key, &place, HOST));
            }
        }
    }
    let Some((secret, at)) = secret else {
        let what = format!("{place} `{name}` has no `secret`");
        let hint = "name the one that is its password: secret = \"NAME\"";
        return Err(document.error(entry.key_at, what, hint));
    };
    let unchecked = Unchecked {
        host,
        username,
        secret,
        insecure,
    };
    Ok((unchecked, at))
}

fn username_of(document: &Document<'_>, key: KeyValue<'_>) -> Result<String> {
    let username = document.text_of(key)?;
    let hint = "leave it out for the default, x-access-token";
    if username == "<token>" {
        let what = "`username` cannot be `<token>`, which Docker takes for an identity token";
        return Err(document.error(key.at, what, hint));
    }
    if username.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') {
        let what = "`username` holds a blank, a colon or a control character";
        return Err(document.error(key.at, what, hint));
    }
    Ok(username.to_owned())
}

/// `[cache]`.
pub(super) fn cache(document: &Document<'_>, table: KeyValue<'_>) -> Result<CacheSettings> {
    let mut settings = CacheSettings {
        ttl: DEFAULT_TTL,
        allow_root: false,
    };
    for entry in document.table(table)? {
        match entry.key {
            "ttl" => settings.ttl = kept(document, entry)?,
            "allow_root" => settings.allow_root = document.flag(entry)?,
            _ => return Err(document.unknown(entry, "in [cache]", CACHE)),
        }
    }
    Ok(settings)
}

/// How long a value may be kept.
pub(super) fn kept(document: &Document<'_>, entry: KeyValue<'_>) -> Result<Duration> {
    if let Some(number) = document.bare_number(entry) {
        let hint = format!(
            "write it with its unit, in quotes: {} = \"{number}s\"",
            entry.key
        );
        return Err(span(document, entry, duration::NO_DURATION, hint));
    }
    match duration::parse(document.any_text(entry)?) {
        Some(ttl) if ttl > LONGEST_TTL => {
            let what = format!("`{}` is more than 12h", entry.key);
            Err(document.error(entry.at, what, "write 12h or less; \"0\" turns it off"))
        }
        Some(ttl) => Ok(ttl),
        None => Err(span(
            document,
            entry,
            duration::NO_DURATION,
            duration::how_to_write(document.any_text(entry)?),
        )),
    }
}

/// `[op]`.
pub(super) fn op(document: &Document<'_>, table: KeyValue<'_>) -> Result<OpSettings> {
    let mut settings = OpSettings::default();
    for entry in document.table(table)? {
        match entry.key {
            "path" => settings.path = Some(absolute(document, entry)?),
            "timeout" => {
                if let Some(number) = document.bare_number(entry) {
                    let hint =
                        format!("write it with its unit, in quotes: timeout = \"{number}s\"");
                    return Err(span(document, entry, duration::NO_DURATION, hint));
                }
                let text = document.any_text(entry)?;
                let timeout = duration::timeout(text)
                    .map_err(|(what, hint)| span(document, entry, what, hint))?;
                settings.timeout = Some(timeout);
            }
            _ => return Err(document.unknown(entry, "in [op]", OP)),
        }
    }
    Ok(settings)
}

fn absolute(document: &Document<'_>, entry: KeyValue<'_>) -> Result<PathBuf> {
    let path = PathBuf::from(document.text_of(entry)?);
    if path.is_absolute() {
        return Ok(path);
    }
    let hint = "write it from the root, such as /usr/bin/op";
    Err(document.error(entry.at, "`path` must be absolute", hint))
}

fn span(document: &Document<'_>, entry: KeyValue<'_>, what: &str, hint: String) -> Error {
    document.error(entry.at, format!("`{}`: {what}", entry.key), hint)
}
