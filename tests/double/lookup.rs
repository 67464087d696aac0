//! Finds vaults and items, and says as `op` does what is not there or is there twice.

use crate::call::Call;
use crate::failure::Failure;
use crate::vaults_json::{Item, Vault, alike};

/// An item and the vault it is in.
pub type Found<'e> = (&'e Vault, &'e Item);

/// The vault of this id or name.
pub fn vault<'e>(call: &'e Call, name: &str) -> Result<&'e Vault, Failure> {
    let vaults = &call.data.vaults;
    if let Some(vault) = vaults.iter().find(|vault| vault.id == name) {
        return Ok(vault);
    }
    let named: Vec<&Vault> = vaults
        .iter()
        .filter(|vault| alike(&vault.name, name))
        .collect();
    match named[..] {
        [vault] => Ok(vault),
        [] => Err(Failure::new(format!(
            "\"{name}\" isn't a vault in this account. Specify the vault with its ID or name."
        ))),
        // ASSUMPTION: in the words used for items.
        _ => Err(Failure::new(format!(
            "More than one vault matches \"{name}\". Try again and specify the vault by its ID: {}",
            named
                .iter()
                .map(|v| format!("\n\t* for the vault \"{name}\": {}", v.id))
                .collect::<String>()
        ))),
    }
}

/// The item of this id, title, share link or domain; in one vault, or in any.
///
/// ASSUMPTION: titles know no case; an active item goes before an archived one; an id finds an
/// archived item no better than a title.
pub fn item<'e>(
    call: &'e Call,
    name: &str,
    within: Option<(&str, &'e Vault)>,
    archive: bool,
) -> Result<Found<'e>, Failure> {
    let link = shared(name);
    let wanted = link.as_deref().unwrap_or(name);
    let vaults = call.data.vaults.iter();
    let all: Vec<Found> = vaults
        .filter(|vault| within.is_none_or(|(_, only)| only.id == vault.id))
        .flat_map(|vault| vault.items.iter().map(move |item| (vault, item)))
        .filter(|(_, item)| archive || !item.archived)
        .collect();
    if let Some(found) = all.iter().find(|(_, item)| item.id == wanted) {
        return Ok(*found);
    }
    let alive = |(_, item): &&Found| !item.archived;
    let mut named: Vec<Found> = all
        .iter()
        .filter(|(_, item)| alike(&item.title, wanted))
        .copied()
        .collect();
    if named.is_empty() {
        named = all
            .iter()
            .filter(|(_, item)| serves(item, wanted))
            .copied()
            .collect();
    }
    let active: Vec<Found> = named.iter().filter(alive).copied().collect();
    let candidates = if active.is_empty() { named } else { active };
    match candidates[..] {
        [found] => Ok(found),
        [] => Err(missing(name, within.map(|(asked, _)| asked))),
        _ => Err(ambiguous(name, &candidates)),
    }
}

fn missing(name: &str, vault: Option<&str>) -> Failure {
    let place = vault.map_or_else(String::new, |vault| format!(" in the \"{vault}\" vault"));
    Failure::new(format!(
        "\"{name}\" isn't an item{place}. Specify the item with its UUID, name, or domain."
    ))
}

fn ambiguous(name: &str, candidates: &[Found]) -> Failure {
    let line = |(vault, item): &Found| {
        format!(
            "\n\t* for the item \"{}\" in vault {}: {}",
            item.title, vault.name, item.id
        )
    };
    let lines: String = candidates.iter().map(line).collect();
    Failure::new(format!(
        "More than one item matches \"{name}\". Try again and specify the item by its ID: {lines}"
    ))
}

/// The item id in `https://start.1password.com/open/i?…&i=ID&…`.
fn shared(name: &str) -> Option<String> {
    let (_, query) = name.strip_prefix("https://")?.split_once("/open/i?")?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(key, _)| *key == "i")
        .map(|(_, id)| id.to_owned())
}

/// Whether one of the item's addresses is at this domain.
fn serves(item: &Item, domain: &str) -> bool {
    item.urls.iter().any(|url| {
        let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let host = address
            .split(['/', '?', '#', ':'])
            .next()
            .unwrap_or_default();
        alike(host, domain)
    })
}
