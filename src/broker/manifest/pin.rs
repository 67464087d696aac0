//! Puts ids in the place of names of vaults and items in a manifest's text, and the names into
//! comments. Everything else stays as it is, to the byte. Pure.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::DeTable;

use super::file::Document;
use super::table::{KeyValue, entries, quoted};
use super::{Location, Manifest, parse};
use crate::base::error::{Error, Result};
use crate::broker::reference::Reference;

/// The ids of a vault and of an item in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The vault's.
    pub vault: String,
    /// The item's.
    pub item: String,
}

/// What is known of the names in a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownIds {
    /// The id of the default vault.
    pub vault: Option<String>,
    /// What each secret is kept in, by its name.
    pub secrets: HashMap<String, Ids>,
}

/// `text`, which is that of `manifest`, with ids.
///
/// # Errors
/// Where that would say anything else than the text has said; nothing is known of such a text.
pub(crate) fn pinned(text: &str, manifest: &Manifest, known: &KnownIds) -> Result<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    let document = Document::new("", text);
    let mut edits = vec![];
    for entry in entries(table.get_ref()) {
        match entry.key {
            "vault" => {
                let name = document.text_of(entry)?;
                let id = known.vault.as_deref().filter(|id| *id != name);
                edits.extend(id.map(|id| Edit::new(entry, text, id, name.to_owned(), entry)));
            }
            "secrets" => {
                for secret in document.table(entry)? {
                    if let Some(ids) = known.secrets.get(secret.key) {
                        edits.extend(of_secret(&document, secret, ids)?);
                    }
                }
            }
            _ => {}
        }
    }
    let pinned = applied(text, edits);
    let says = parse(&pinned, "", manifest.origin.clone());
    match says.is_ok_and(|says| says == expected(manifest, known)) {
        true => Ok(pinned),
        false => Err(Error::usage(
            "this manifest is written in a way that cannot be rewritten safely; nothing was changed",
            "write the ids by hand: op item list --format json",
        )),
    }
}

/// One value that becomes another.
struct Edit {
    place: Range<usize>,
    value: String,
    /// What stood there.
    name: String,
    /// Where its whole entry begins.
    entry: usize,
}

impl Edit {
    fn new(value: KeyValue<'_>, text: &str, new: &str, name: String, entry: KeyValue<'_>) -> Self {
        let place = value.at..value.end;
        // In the quotes that were there, where they can hold it.
        let old = &text[place.clone()];
        let single = old.starts_with('\'') && !old.starts_with("'''");
        let plain = !new.contains(|c: char| c == '\'' || c.is_control());
        Self {
            value: match single && plain {
                true => format!("'{new}'"),
                false => quoted(new),
            },
            place,
            name,
            entry: entry.key_at,
        }
    }
}

/// The edits of one secret: one that has its names in several places gets several.
fn of_secret(document: &Document<'_>, secret: KeyValue<'_>, ids: &Ids) -> Result<Vec<Edit>> {
    let whole = |value: KeyValue<'_>| -> Result<Option<Edit>> {
        let old = document.any_text(value)?;
        let Ok(reference) = Reference::parse(old) else {
            return Ok(None);
        };
        let name = format!("{}/{}", reference.vault, reference.item);
        let changed = reference.vault != ids.vault || reference.item != ids.item;
        let new = with_ids(reference, ids).to_string();
        Ok(changed.then(|| Edit::new(value, document.text(), &new, name, secret)))
    };
    if !document.is_table(secret) {
        return Ok(whole(secret)?.into_iter().collect());
    }
    let mut edits = vec![];
    for part in document.table(secret)? {
        let id = match part.key {
            "ref" => {
                edits.extend(whole(part)?);
                continue;
            }
            "vault" => &ids.vault,
            "item" => &ids.item,
            _ => continue,
        };
        let name = document.text_of(part)?;
        if name != id {
            edits.push(Edit::new(
                part,
                document.text(),
                id,
                name.to_owned(),
                secret,
            ));
        }
    }
    Ok(edits)
}

fn with_ids(reference: Reference, ids: &Ids) -> Reference {
    Reference {
        vault: ids.vault.clone(),
        item: ids.item.clone(),
        ..reference
    }
}

/// The text after `edits`, with a comment at the end of each line that has one.
fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.place.start);
    let mut comments: Vec<(usize, Vec<&str>, bool)> = vec![];
    for edit in &edits {
        let (at, above) = comment_at(text, edit);
        match comments.iter_mut().find(|(known, ..)| *known == at) {
            Some((_, names, _)) => names.push(&edit.name),
            None => comments.push((at, vec![&edit.name], above)),
        }
    }
    let values = edits
        .iter()
        .map(|edit| (edit.place.clone(), edit.value.clone()));
    let comments = comments.iter().map(|(at, names, above)| {
        let names = names.join(", ");
        let comment = match above {
            true => format!("# {names}\n"),
            false => format!("  # {names}"),
        };
        (*at..*at, comment)
    });
    let mut changes: Vec<(Range<usize>, String)> = values.chain(comments).collect();
    changes.sort_by_key(|(place, _)| place.start);
    let mut after = text.to_owned();
    for (place, new) in changes.into_iter().rev() {
        after.replace_range(place, &new);
    }
    after
}

/// The end of the line, or where a text of several lines begins there, the line above the entry.
fn comment_at(text: &str, edit: &Edit) -> (usize, bool) {
    let rest = &text[edit.place.end..];
    let line = rest.split('\n').next().unwrap_or_default();
    if line.contains("\"\"\"") || line.contains("'''") {
        let start = text[..edit.entry].rfind('\n').map_or(0, |at| at + 1);
        return (start, true);
    }
    (edit.place.end + line.trim_end().len(), false)
}

/// What the manifest says then.
fn expected(manifest: &Manifest, known: &KnownIds) -> Manifest {
    let mut expected = manifest.clone();
    if let (Some(vault), Some(id)) = (&mut expected.vault, &known.vault) {
        vault.clone_from(id);
    }
    for spec in &mut expected.secrets {
        let Some(ids) = known.secrets.get(spec.name.as_str()) else {
            continue;
        };
        match &mut spec.location {
            Location::Reference(reference) => *reference = with_ids(reference.clone(), ids),
            Location::Item { vault, item, .. } => {
                item.clone_from(&ids.item);
                if let Some(vault) = vault {
                    vault.clone_from(&ids.vault);
                }
            }
        }
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::manifest::Origin;

    fn ids(letter: &str) -> Ids {
        Ids {
            vault: "v".repeat(26),
            item: letter.repeat(26),
        }
    }

    fn known(names: &[&str]) -> KnownIds {
        let secrets = names.iter().map(|name| {
            let letter = name.to_lowercase();
            ((*name).to_owned(), ids(&letter[..1]))
        });
        KnownIds {
            vault: Some("v".repeat(26)),
            secrets: secrets.collect(),
        }
    }

    fn pin(text: &str, names: &[&str]) -> String {
        let manifest = parse(text, "", Origin::BuiltIn).expect("a manifest");
        pinned(text, &manifest, &known(names)).expect("pinned")
    }

    /// Ids in short: `<v>` stands for 26 times `v`.
    fn long(text: &str) -> String {
        let mut text = text.to_owned();
        for letter in ["v", "a", "b", "c"] {
            text = text.replace(&format!("<{letter}>"), &letter.repeat(26));
        }
        text
    }

    #[test]
    fn names_become_ids_and_stay_as_comments_and_all_else_stays() {
        let before = "# head\r\nvault   = 'My Vault'   # mine\r\n\n[secrets]\n\
            A = \"op://My Vault/A \\\"b\\\"/f\"\t\n  B={ required=false , item = 'It em' } # keep\n\
            [secrets.C]\nfield = 'x'\nvault = \"W\"\nitem = \"C\"\n[vars]\nV = 'My Vault'";
        let after = long(
            "# head\r\nvault   = '<v>'   # mine  # My Vault\r\n\n[secrets]\n\
            A = \"op://<v>/<a>/f\"  # My Vault/A \"b\"\t\n  B={ required=false , item = '<b>' } # keep  # It em\n\
            [secrets.C]\nfield = 'x'\nvault = \"<v>\"  # W\nitem = \"<c>\"  # C\n[vars]\nV = 'My Vault'",
        );
        assert_eq!(pin(before, &["A", "B", "C"]), after);
        assert_eq!(pin(&after, &["A", "B", "C"]), after, "twice is once");
    }

    #[test]
    fn what_is_not_known_stays() {
        let text = "vault = 'V'\n[secrets]\nA = 'op://W/A/f'\nB = { item = 'B' }\n";
        let after = "vault = '<v>'  # V\n[secrets]\nA = 'op://W/A/f'\nB = { item = '<b>' }  # B\n";
        assert_eq!(pin(text, &["B"]), long(after));
    }

    #[test]
    fn odd_spellings_are_rewritten_or_left_whole() {
        for text in [
            "[secrets]\nA = { item = 'x', default = '''\nitem = 1\n''' }\n",
            "[secrets]\nA = \"\"\"\\\n  op://V/x/f\"\"\"\nB = 'op://V/b/f'\n",
            "secrets.A.item = 'x'\nsecrets.A.vault = 'V'\n",
            "secrets = { A = { item = 'x' }, B = 'op://V/#b/f' }\n",
            "[\"secrets\"]\n\"A\" = { \"item\" = \"\\u0041\" }",
        ] {
            let text = text.replace("{ item = 'x'", "{ vault = 'V', item = 'x'");
            let manifest = parse(&text, "", Origin::BuiltIn).expect("a manifest");
            let known = known(&["A", "B"]);
            let after = pinned(&text, &manifest, &known).expect("pinned");
            let again = parse(&after, "", Origin::BuiltIn).expect("a manifest");
            assert_eq!(again, expected(&manifest, &known), "{after}");
        }
    }
}
