//! What `install` replaced in the files of Docker and Podman, so that `uninstall` can put it back.
//!
//! It is kept outside of these files, since Docker drops keys that it does not know. Names of helpers
//! are kept, and nothing else: neither passwords nor user names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file;
use crate::base::environment::{self, Lookup};
use crate::base::error::Result;
use crate::base::file_ownership;

/// The part of one file that names helpers, as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// There was no file.
    #[serde(default)]
    pub absent: bool,
    /// The text of `credHelpers`.
    #[serde(default)]
    pub helpers: Option<String>,
    /// The text of `credsStore`.
    #[serde(default)]
    pub store: Option<String>,
    /// The store that we named instead.
    #[serde(default)]
    pub named: Option<String>,
}

/// How many bytes of `credHelpers` are kept of one file; no person has as many helpers.
const LARGEST: usize = 64 * 1024;

/// All that is kept, by the paths of the files.
type Files = BTreeMap<String, Before>;

/// What is kept of the file at `path`.
pub(crate) fn recall(lookup: Lookup<'_>, path: &Path) -> Option<Before> {
    let place = place(lookup)?;
    file_ownership::path(&place).ok()?;
    let text = file::read(&place).ok()??;
    parse(Some(&text)).remove(&key(path))
}

/// Keeps `before` of the file at `path`, or nothing any more. Returns whether there is a place for it.
///
/// # Errors
/// When the record cannot be written.
pub(crate) fn keep(lookup: Lookup<'_>, path: &Path, before: Option<&Before>) -> Result<bool> {
    let Some(place) = place(lookup) else {
        return Ok(false);
    };
    if place.exists() && file_ownership::path(&place).is_err() {
        return Ok(false);
    }
    let helpers = before.and_then(|before| before.helpers.as_deref());
    let before = before.filter(|_| helpers.is_none_or(|text| text.len() <= LARGEST));
    file::edit(&place, |old| {
        let mut files = parse(old);
        let found = match before {
            Some(before) => files.insert(key(path), before.clone()),
            None => files.remove(&key(path)),
        };
        let text = || serde_json::to_string_pretty(&files).unwrap_or_default();
        Ok((found.as_ref() != before).then(text))
    })?;
    Ok(true)
}

fn place(lookup: Lookup<'_>) -> Option<PathBuf> {
    Some(environment::state_home(lookup)?.join("oc-secrets/docker-before.json"))
}

/// A record that cannot be read is none, and so is one that would write anything but names of helpers.
fn parse(text: Option<&str>) -> Files {
    let mut files: Files = serde_json::from_str(text.unwrap_or_default()).unwrap_or_default();
    files.retain(|_, before| before.names_helpers());
    files
}

impl Before {
    fn names_helpers(&self) -> bool {
        type Helpers = BTreeMap<String, String>;
        let plain = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
        };
        let helpers = self.helpers.as_deref().map(serde_json::from_str::<Helpers>);
        let store = self.store.as_deref().map(serde_json::from_str::<String>);
        helpers.is_none_or(|it| it.is_ok_and(|it| it.values().all(|name| plain(name))))
            && store.is_none_or(|it| it.is_ok_and(|name| name.is_empty() || plain(&name)))
            && self.named.as_deref().is_none_or(plain)
    }
}

fn key(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_holds_more_than_names_of_helpers_is_none() {
        let read = |before: &str| parse(Some(&format!("{{\"/f\":{before}}}"))).len();
        assert_eq!(
            read(
                r#"{"helpers":"{\"ghcr.io\":\"pass\"}","store":"\"osxkeychain\"","named":"pass"}"#
            ),
            1
        );
        for other in [
            r#"{"helpers":"{\"ghcr.io\":\"../../evil\"}"}"#,
            r#"{"store":"\"evil\",\"proxies\":{}"}"#,
            r#"{"store":"evil"}"#,
            r#"{"named":"a/b"}"#,
        ] {
            assert_eq!(read(other), 0, "{other}");
        }
    }
}
