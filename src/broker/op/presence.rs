//! What the list of all items says about a reference: one call that saves a call for every item.
//!
//! `op` finds an item by its id, its title or its website, and archived ones by their id. Only what
//! the list decides for certain is taken from it; for the rest `op` is asked as before.

use super::item::same;
use super::list::{self, ListEntry};
use crate::base::error::{Result, Trouble};
use crate::base::locked_memory;
use crate::base::suggest;
use crate::base::ui;
use crate::broker::id::is_like_an_id;
use crate::broker::reference::Reference;

/// The words that ask for the items of all vaults. The answer carries text of notes.
pub(crate) const ITEMS: &[&str] = &["item", "list", "--format=json"];

/// Every item's names, borrowed from `op`'s answer.
pub(super) struct Listing<'a>(Vec<ListEntry<'a>>);

/// What is known of the item of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is there once.
    There {
        /// The id of its vault.
        vault: String,
        /// Its own id.
        item: String,
    },
    /// It is not, or more than once.
    Trouble(Trouble),
    /// Nothing is listed in its vault, which may be empty or not be there.
    NothingInVault,
    /// `op` may know it by another name.
    Unclear,
}

impl<'a> Listing<'a> {
    /// Reads the answer to [`ITEMS`].
    ///
    /// # Errors
    /// [`Error::OpNonsense`](crate::base::error::Error::OpNonsense) without a word of it.
    pub(super) fn parse(answer: &'a [u8]) -> Result<Self> {
        let entries = list::entries(answer)?;
        match entries.iter().all(|entry| !entry.vault.id.is_empty()) {
            true => Ok(Self(entries)),
            false => Err(list::nonsense()),
        }
    }

    /// What the list says about the item of `reference`.
    pub(super) fn of(&self, reference: &Reference) -> Presence {
        self.presence(&reference.vault, &reference.item)
    }

    fn presence(&self, vault: &str, item: &str) -> Presence {
        let in_vault =
            |entry: &&ListEntry<'_>| entry.vault.id == vault || same(&entry.vault.name, vault);
        let entries: Vec<&ListEntry<'_>> = self.0.iter().filter(in_vault).collect();
        let vaults = entries.iter().map(|entry| &entry.vault.id);
        let one_vault = vaults.clone().min() == vaults.max();
        let titled = |entry: &&&ListEntry<'_>| same(&entry.title, item);
        let exact = |entry: &&&ListEntry<'_>| entry.title == item;
        let by_id = entries.iter().find(|entry| entry.id == item);
        let there = |entry: &ListEntry<'_>| Presence::There {
            vault: entry.vault.id.to_string(),
            item: entry.id.to_string(),
        };
        if !one_vault {
            return Presence::Unclear;
        }
        if let Some(entry) = by_id {
            return there(entry);
        }
        match entries.iter().filter(titled).count() {
            0 if item.contains('.') || is_like_an_id(item) => Presence::Unclear,
            0 if entries.is_empty() => Presence::NothingInVault,
            0 => Presence::Trouble(Trouble::Missing {
                part: "item",
                near: nearest(item, &entries),
            }),
            1 => entries
                .iter()
                .find(titled)
                .map_or(Presence::Unclear, |entry| there(entry)),
            _ if entries.iter().filter(exact).count() > 1 => {
                Presence::Trouble(Trouble::Ambiguous {
                    part: "item",
                    which: twins(entries.iter().copied().filter(|entry| exact(&entry))),
                })
            }
            _ => Presence::Unclear,
        }
    }
}

/// The presence of each `(vault, item)` in the answer to [`ITEMS`].
///
/// # Errors
/// [`Error::OpNonsense`](crate::base::error::Error::OpNonsense) without a word of it.
pub(crate) fn whereabouts(answer: &[u8], asked: &[(&str, &str)]) -> Result<Vec<Presence>> {
    let listing = Listing::parse(answer)?;
    let presence = |(vault, item): &(&str, &str)| listing.presence(vault, item);
    let found = asked.iter().map(presence).collect();
    locked_memory::burn_stack();
    Ok(found)
}

/// The title that was probably meant.
fn nearest(item: &str, entries: &[&ListEntry<'_>]) -> Option<String> {
    let titles = entries.iter().map(|entry| entry.title.as_ref());
    let near = suggest::nearest(item, titles.filter(|title| !title.is_empty()))?;
    Some(ui::in_a_line(&format!("did you mean `{near}`?")))
}

/// The ids of items of one title, with the day on which each was edited last.
fn twins<'e, 'a: 'e>(entries: impl Iterator<Item = &'e ListEntry<'a>>) -> Option<String> {
    let told = |entry: &ListEntry<'_>| match entry.updated_at.get(..10) {
        Some(day) => format!("{} (edited {day})", entry.id),
        None => entry.id.to_string(),
    };
    let told: Vec<String> = entries.take(MOST_TWINS).map(told).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// How many items of one title are told.
const MOST_TWINS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[
        {"id":"a","title":"One","vault":{"id":"v","name":"Vault"},"additional_information":"note"},
        {"id":"b","title":"Twin","updated_at":"2026-11-28T01:52:11Z","vault":{"id":"v","name":"Vault"}},
        {"id":"c","title":"Twin","vault":{"id":"v","name":"Vault"}},
        {"id":"d","title":"Case","vault":{"id":"v","name":"Vault"}},
        {"id":"e","title":"CASE","vault":{"id":"v","name":"Vault"}},
        {"id":"f","title":"One","vault":{"id":"w","name":"Same"}},
        {"id":"g","title":"Two","vault":{"id":"x","name":"Same"}}]"#;

    fn there(vault: &str, item: &str) -> Presence {
        Presence::There {
            vault: vault.to_owned(),
            item: item.to_owned(),
        }
    }

    fn presence(vault: &str, item: &str) -> Presence {
        let listing = Listing::parse(LIST.as_bytes()).expect("a list");
        listing.presence(vault, item)
    }

    #[test]
    fn only_what_is_certain_is_taken_from_the_list() {
        let missing = Presence::Trouble(Trouble::Missing {
            part: "item",
            near: None,
        });
        let twice = Presence::Trouble(Trouble::Ambiguous {
            part: "item",
            which: Some("b (edited 2026-11-28), c".to_owned()),
        });
        assert_eq!(presence("vault", "one"), there("v", "a"));
        assert_eq!(presence("v", "a"), there("v", "a"));
        assert_eq!(presence("Vault", "Three"), missing);
        let near = Presence::Trouble(Trouble::Missing {
            part: "item",
            near: Some("did you mean `Twin`?".to_owned()),
        });
        assert_eq!(presence("Vault", "Twinn"), near);
        assert_eq!(presence("Vault", "Twin"), twice);
        assert_eq!(presence("Vault", "case"), Presence::Unclear);
        assert_eq!(presence("Same", "One"), Presence::Unclear);
        assert_eq!(presence("None", "One"), Presence::NothingInVault);
        assert_eq!(presence("Vault", "example.com"), Presence::Unclear);
        assert_eq!(presence("Vault", &"x".repeat(26)), Presence::Unclear);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "{}", "[1]", r#"[{"id":"hunter2"}]"#] {
            assert!(Listing::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
