//! `op vault list` and `op vault get`.

use crate::call::Call;
use crate::credential::authenticate;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::json::Json;
use crate::{budget, item_json, lookup, table};

/// ASSUMPTION: costs one request.
pub fn list(call: &Call) -> Result<Reply, Failure> {
    authenticate(call)?;
    budget::charge(call, 1)?;
    let vaults = &call.data.vaults;
    if call.json() {
        let dated = call.modes.since(2, 30);
        let entries = vaults
            .iter()
            .map(|vault| item_json::vault_entry(vault, dated));
        return Ok(Reply::json(&Json::List(entries.collect())));
    }
    let mut rows = vec![vec!["ID".to_owned(), "NAME".to_owned()]];
    rows.extend(
        vaults
            .iter()
            .map(|vault| vec![vault.id.clone(), vault.name.clone()]),
    );
    Ok(Reply::bytes(table::lay_out(&rows)))
}

/// ASSUMPTION: the layout for humans.
pub fn get(call: &Call) -> Result<Reply, Failure> {
    authenticate(call)?;
    budget::charge(call, 2)?;
    let vault = lookup::vault(call, &call.line.word().unwrap_or_default())?;
    if call.json() {
        return Ok(Reply::json(&item_json::vault(vault)));
    }
    let items = vault.items.len().to_string();
    let rows = [
        ("ID:", &vault.id),
        ("Name:", &vault.name),
        ("Items:", &items),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value.clone()]);
    Ok(Reply::bytes(table::lay_out(&rows)))
}
