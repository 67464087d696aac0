//! What `op` lists: vaults and items by their names, without a value. A list of items carries the
//! first lines of notes, so it stays where it was read, and only names are taken out of it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::base::error::{Error, Result};

/// A vault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Vault {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedItem {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its category, in `op`'s words, such as `LOGIN`.
    pub category: String,
    /// The day on which it was edited last, such as `2026-11-28`.
    pub edited: String,
}

/// An item as it is listed, borrowed from the answer.
#[derive(Deserialize)]
pub(super) struct ListEntry<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub title: Cow<'a, str>,
    #[serde(borrow, default)]
    category: Cow<'a, str>,
    #[serde(borrow, default)]
    pub updated_at: Cow<'a, str>,
    #[serde(borrow, default)]
    pub vault: VaultOf<'a>,
}

/// The vault of an item; a list of one vault may leave it out.
#[derive(Default, Deserialize)]
pub(super) struct VaultOf<'a> {
    #[serde(borrow, default)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
}

/// Reads a list of items.
///
/// # Errors
/// [`Error::OpNonsense`] without a word of it.
pub(super) fn entries(answer: &[u8]) -> Result<Vec<ListEntry<'_>>> {
    serde_json::from_slice(answer).map_err(|_| nonsense())
}

/// The words that ask for all vaults.
pub(crate) const VAULTS: &[&str] = &["vault", "list", "--format=json"];

/// Reads the answer to [`VAULTS`].
///
/// # Errors
/// [`Error::OpNonsense`] without a word of it.
pub(crate) fn vaults(answer: &[u8]) -> Result<Vec<Vault>> {
    serde_json::from_slice(answer).map_err(|_| nonsense())
}

/// Reads the answer to `op item list --format=json`.
///
/// # Errors
/// [`Error::OpNonsense`] without a word of it.
pub(crate) fn items(answer: &[u8]) -> Result<Vec<ListedItem>> {
    let entries = entries(answer)?;
    let item = |entry: ListEntry<'_>| ListedItem {
        id: entry.id.into_owned(),
        title: entry.title.into_owned(),
        category: entry.category.into_owned(),
        edited: entry.updated_at.chars().take(10).collect(),
    };
    Ok(entries.into_iter().map(item).collect())
}

impl ListedItem {
    /// The field in which an item of this category keeps its secret.
    pub(crate) fn field(&self) -> &'static str {
        match self.category.as_str() {
            "LOGIN" | "PASSWORD" | "DATABASE" | "SERVER" | "EMAIL_ACCOUNT" | "ROUTER" => "password",
            "SSH_KEY" => "private key",
            "SECURE_NOTE" => "notesPlain",
            "CREDIT_CARD" => "number",
            _ => "credential",
        }
    }
}

pub(super) fn nonsense() -> Error {
    Error::OpNonsense {
        what: "it is not the JSON of a list",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_nothing_else() {
        let text = br#"[{"id":"i","title":"A \"b\"","vault":{"id":"v"},"category":"LOGIN",
            "updated_at":"2026-11-28T01:52:11Z","additional_information":"note"},{"id":"j"}]"#;
        let items = items(text).expect("a list");
        assert_eq!(items[0].title, "A \"b\"");
        assert_eq!(
            (items[0].field(), items[0].edited.as_str()),
            ("password", "2026-11-28")
        );
        assert_eq!(
            (items[1].title.as_str(), items[1].field()),
            ("", "credential")
        );
        assert!(!format!("{items:?}").contains("note"));
        let vaults = vaults(br#"[{"id":"v","name":"V","content_version":1}]"#).expect("a list");
        assert_eq!(vaults[0].name, "V");
    }

    #[test]
    fn what_is_no_list_is_refused_without_a_word_of_it() {
        for text in ["", "{}", "[{\"title\":\"hunter2\"}]", "[1]"] {
            let error = items(text.as_bytes()).expect_err("refused");
            assert!(matches!(error, Error::OpNonsense { .. }), "{text}");
        }
    }
}
