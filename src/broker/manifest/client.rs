//! `[clients]` and `[openclaw]`: who else may ask, and for what.

use super::entry;
use super::file::Document;
use super::table::{KeyValue, shown};
use crate::base::env_name::EnvName;
use crate::base::error::Result;
use crate::broker::manifest::ClientSpec;
use crate::broker::reference::ReferencePattern;

const CLIENT: &[&str] = &["secrets", "uid", "ttl", "stale"];
const OPENCLAW: &[&str] = &["references"];

/// A name becomes a folder's, a socket unit's and a word in the log.
const LONGEST_NAME: usize = 32;

/// One table of `[clients]`, and the names of secrets in it with their places, to be checked.
pub(super) fn client<'a>(
    document: &Document<'_>,
    entry: KeyValue<'a>,
) -> Result<(ClientSpec, Vec<(&'a str, usize)>)> {
    let name = shown(entry.key);
    if !fits(entry.key) {
        let what = format!("`{name}` cannot name a client");
        let hint = "write small letters, digits, `-` and `_`, at most 32, the first no sign";
        return Err(document.error(entry.key_at, what, hint));
    }
    let mut names = None;
    let mut spec = ClientSpec {
        name: entry.key.to_owned(),
        secrets: vec![],
        uid: None,
        ttl: entry::DEFAULT_TTL,
        stale: std::time::Duration::ZERO,
    };
    for key in document.table(entry)? {
        match key.key {
            "secrets" => names = Some(document.list(key)?),
            "uid" => spec.uid = Some(document.number(key)?),
            "ttl" => spec.ttl = entry::kept(document, key)?,
            "stale" => spec.stale = entry::kept(document, key)?,
            _ => {
                let place = format!("in client `{name}`");
                return Err(document.unknown(key, &place, CLIENT));
            }
        }
    }
    let Some(names) = names else {
        let what = format!("client `{name}` has no `secrets`");
        let hint = "list what it may ask for: secrets = [\"NAME\"]";
        return Err(document.error(entry.key_at, what, hint));
    };
    // A name that does not parse is no secret's name either, and reported with those.
    let parsed = names
        .iter()
        .filter_map(|(name, _)| EnvName::parse(name).ok());
    spec.secrets = parsed.collect();
    Ok((spec, names))
}

fn fits(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    // The control socket has that name among those that systemd makes.
    name != "control"
        && name.len() <= LONGEST_NAME
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || c == '-' || c == '_')
}

/// `[openclaw]`.
pub(super) fn openclaw(
    document: &Document<'_>,
    table: KeyValue<'_>,
) -> Result<Vec<ReferencePattern>> {
    let mut patterns = vec![];
    for entry in document.table(table)? {
        match entry.key {
            "references" => {
                for (text, at) in document.list(entry)? {
                    patterns.push(ReferencePattern::parse(text).ok_or_else(|| {
                        let hint = "name the vault, and end with * where anything may follow: \"op://Automation/*\"";
                        document.error(at, "`references` holds what is no pattern", hint)
                    })?);
                }
            }
            _ => return Err(document.unknown(entry, "in [openclaw]", OPENCLAW)),
        }
    }
    Ok(patterns)
}
