//! What calls cost in requests, and the limit.

use crate::call::Call;
use crate::failure::{self, Failure};
use crate::reference::Reference;

/// Adds to the counter `requests`, or refuses what goes beyond the limit.
pub fn charge(call: &Call, cost: u64) -> Result<(), Failure> {
    if cost == 0 {
        return Ok(());
    }
    let control = call.control;
    control.locked(|| {
        let used = control.count("requests")?;
        if call.modes.limit.is_some_and(|limit| used + cost > limit) {
            return Err(failure::rate_limited());
        }
        control.add("requests", cost)
    })?;
    call.cost.set(call.cost.get() + cost);
    Ok(())
}

/// `op read`: 3 with names, 1 with ids.
/// ASSUMPTION: 2 with one of each; a reference of `inject` or `run` costs as much.
pub fn reference(call: &Call, reference: &Reference) -> u64 {
    1 + named(call, &reference.vault) + named(call, &reference.item)
}

/// References that differ, together.
pub fn references<'r>(call: &Call, all: impl Iterator<Item = &'r Reference>) -> u64 {
    let mut seen: Vec<&str> = Vec::new();
    let mut cost = 0;
    for each in all {
        if !seen.contains(&each.text.as_str()) {
            seen.push(&each.text);
            cost += reference(call, each);
        }
    }
    cost
}

/// `op item get`: 3 with names; with ids 2, as measured without a warm cache.
pub fn item(call: &Call, item: &str, vault: Option<&str>) -> u64 {
    let names = named(call, item) + vault.map_or(1, |vault| named(call, vault));
    (1 + names).max(2)
}

/// `op item list`: 1 and 1 for each vault; 3 with a vault's name, 2 with its id.
pub fn items(call: &Call, vault: Option<&str>) -> u64 {
    match vault {
        Some(vault) => 2 + named(call, vault),
        None => 1 + call.data.vaults.len() as u64,
    }
}

fn named(call: &Call, text: &str) -> u64 {
    u64::from(!call.data.is_id(text))
}
