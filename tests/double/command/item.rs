//! `op item get` and `op item list`.

use crate::call::Call;
use crate::credential::authenticate;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::json::Json;
use crate::lookup::Found;
use crate::vaults_json::{Field, Item, Vault, alike, placeholder};
use crate::{budget, csv, fields, item_json, lookup, stdin, table};
use serde_json::Value;

/// An item to look for, and the vault to look in.
struct Wanted {
    item: String,
    vault: Option<String>,
}

/// Shows one item, or each that stdin names.
pub fn get(call: &Call) -> Result<Reply, Failure> {
    let wanted = wanted(call)?;
    let credential = authenticate(call)?;
    let mut found = Vec::new();
    for each in &wanted {
        let cost = budget::item(call, &each.item, each.vault.as_deref());
        if credential.is_service() && each.vault.is_none() && call.data.vaults.len() > 1 {
            return Err(vault_needed());
        }
        budget::charge(call, cost)?;
        found.push(find(call, each)?);
    }
    if call.json() {
        let portraits: Result<Vec<Json>, Failure> =
            found.iter().map(|each| item_json(call, each)).collect();
        return Ok(Reply::stream(&portraits?));
    }
    let texts: Result<Vec<String>, Failure> = found.iter().map(|each| text(call, each)).collect();
    Ok(Reply::bytes(texts?.concat()))
}

fn vault_needed() -> Failure {
    Failure::new(
        "a vault query must be provided when this command is called by a service account. Please \
         specify one either through the --vault flag or through piped input",
    )
}

/// What to look for. A pipe on stdin is read to its end even when nobody asked for it.
fn wanted(call: &Call) -> Result<Vec<Wanted>, Failure> {
    let vault = call.line.flag("vault").map(str::to_owned);
    let word = call.line.word();
    let piped = stdin::kind() == "fifo";
    let text = if piped || word.as_deref() == Some("-") {
        stdin::all()
    } else {
        String::new()
    };
    match word {
        Some(item) if item != "-" && text.trim().is_empty() => Ok(vec![Wanted { item, vault }]),
        Some(item) if item != "-" => Err(Failure::new("invalid JSON in piped input")),
        // ASSUMPTION: the words when there is nothing to read.
        _ if text.trim().is_empty() => Err(Failure::new("expected data on stdin but none found")),
        _ => specifiers(&text, vault.as_deref()),
    }
}

/// Lines, each an item; or JSON objects in an array or back to back.
fn specifiers(text: &str, vault: Option<&str>) -> Result<Vec<Wanted>, Failure> {
    let vault = vault.map(str::to_owned);
    if !text.trim_start().starts_with(['{', '[']) {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = |line: &str| Wanted {
            item: line.to_owned(),
            vault: vault.clone(),
        };
        return Ok(lines.map(line).collect());
    }
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value {
            Ok(Value::Array(values)) => all.extend(values),
            Ok(value) => all.push(value),
            Err(error) => return Err(unreadable(error.line())),
        }
    }
    // An object without an id is passed over.
    let each = |value: &Value| {
        let item = value["id"].as_str()?.to_owned();
        let own = value["vault"]["id"].as_str().map(str::to_owned);
        Some(Wanted {
            item,
            vault: own.or_else(|| vault.clone()),
        })
    };
    Ok(all.iter().filter_map(each).collect())
}

fn unreadable(line: usize) -> Failure {
    Failure::new(format!(
        "unable to process line {line}: invalid JSON in piped input"
    ))
}

fn find<'e>(call: &'e Call, wanted: &Wanted) -> Result<Found<'e>, Failure> {
    let archive = call.on("include-archive", "OP_INCLUDE_ARCHIVE");
    let Some(name) = wanted.vault.as_deref() else {
        return lookup::item(call, &wanted.item, None, archive);
    };
    let vault = lookup::vault(call, name)?;
    lookup::item(call, &wanted.item, Some((name, vault)), archive)
}

/// The fields that `--fields` or `--otp` asks for; `None` when the whole item is meant.
fn selected<'e>(call: &Call, item: &'e Item) -> Result<Option<Vec<&'e Field>>, Failure> {
    if call.line.on("otp") {
        let field = item.fields.iter().find(|field| field.totp.is_some());
        // ASSUMPTION: the words when there is none.
        let none = || {
            Failure::new(format!(
                "item \"{}\" does not have a one-time password",
                item.title
            ))
        };
        return Ok(Some(vec![field.ok_or_else(none)?]));
    }
    let asked: Vec<&str> = call.line.flag_values("fields").collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let advises = !call.modes.since(2, 27);
    fields::select(item, &asked.join(","), advises).map(Some)
}

/// JSON conceals nothing, with or without `--reveal`.
fn item_json(call: &Call, (vault, item): &Found) -> Result<Json, Failure> {
    let crlf = !call.modes.since(2, 27);
    let Some(fields) = selected(call, item)? else {
        return Ok(item_json::item(vault, item, crlf));
    };
    let mut shown: Vec<Json> = fields
        .iter()
        .map(|field| item_json::field(vault, item, field, crlf))
        .collect();
    Ok(if shown.len() == 1 {
        shown.remove(0)
    } else {
        Json::List(shown)
    })
}

fn text(call: &Call, (vault, item): &Found) -> Result<String, Failure> {
    let fields = selected(call, item)?;
    if call.line.on("otp") {
        let code = fields.iter().flatten().find_map(|field| field.totp.clone());
        return Ok(code.unwrap_or_default() + "\n");
    }
    match fields {
        Some(fields) => {
            let values: Vec<String> = fields
                .iter()
                .map(|field| value(call, item, field))
                .collect();
            Ok(csv::line(&values) + "\n")
        }
        None => Ok(layout(call, vault, item)),
    }
}

/// Since 2.30 the human format conceals, unless told to reveal.
fn value(call: &Call, item: &Item, field: &Field) -> String {
    match &field.value {
        Some(_) if field.sensitive() && call.modes.since(2, 30) && !call.line.on("reveal") => {
            placeholder(&item.id)
        }
        Some(value) => value.clone(),
        None if field.kind == "DATE" => "0".to_owned(),
        None => String::new(),
    }
}

/// ASSUMPTION: fields without a value are left out, but for dates; the relative times are made up.
fn layout(call: &Call, vault: &Vault, item: &Item) -> String {
    let exact = call.on("iso-timestamps", "OP_ISO_TIMESTAMPS");
    let time = |time: &Option<String>, relative: &str| match time {
        Some(time) if exact => time.clone(),
        _ => relative.to_owned(),
    };
    let by = item
        .last_edited_by
        .as_ref()
        .map_or_else(String::new, |who| format!(" by {who}"));
    let head = [
        ("ID", item.id.clone()),
        ("Title", item.title.clone()),
        ("Vault", format!("{} ({})", vault.name, vault.id)),
        ("Created", time(&item.created_at, "6 months ago")),
        ("Updated", time(&item.updated_at, "1 month ago") + &by),
        ("Favorite", item.favorite.to_string()),
        ("Version", item.version.unwrap_or(1).to_string()),
        (
            "Category",
            item.category.clone().unwrap_or_else(|| "LOGIN".to_owned()),
        ),
    ];
    let head = head.map(|(name, value)| vec![format!("{name}:"), value]);
    let shown = |field: &&Field| field.value.is_some() || field.kind == "DATE";
    let row = |field: &Field| {
        let name = field
            .label
            .as_ref()
            .or(field.id.as_ref())
            .map_or("", String::as_str);
        vec![format!("  {name}:"), value(call, item, field)]
    };
    let rows: Vec<Vec<String>> = item.fields.iter().filter(shown).map(row).collect();
    format!(
        "{}Fields:\n{}",
        table::lay_out(&head),
        table::lay_out(&rows)
    )
}

/// The items of one vault or of all; without fields.
pub fn list(call: &Call) -> Result<Reply, Failure> {
    let asked = call.line.flag("vault");
    let credential = authenticate(call)?;
    if credential.is_service() && asked.is_none() && call.data.vaults.len() > 1 {
        return Err(vault_needed());
    }
    budget::charge(call, budget::items(call, asked))?;
    let only = asked.map(|name| lookup::vault(call, name)).transpose()?;
    // The variable is for `item get` and documents only.
    let archive = call.line.on("include-archive");
    let found: Vec<Found> = call
        .data
        .vaults
        .iter()
        .filter(|vault| only.is_none_or(|only| only.id == vault.id))
        .flat_map(|vault| vault.items.iter().map(move |item| (vault, item)))
        .filter(|(_, item)| (archive || !item.archived) && is_listed(call, item))
        .collect();
    if call.json() {
        let entries = found
            .iter()
            .map(|(vault, item)| item_json::entry(vault, item));
        return Ok(Reply::json(&Json::List(entries.collect())));
    }
    let header = ["ID", "TITLE", "VAULT", "EDITED"]
        .map(str::to_owned)
        .to_vec();
    let row = |(vault, item): &Found| {
        let edited = "1 month ago".to_owned();
        vec![
            item.id.clone(),
            item.title.clone(),
            vault.name.clone(),
            edited,
        ]
    };
    let rows: Vec<Vec<String>> = [header].into_iter().chain(found.iter().map(row)).collect();
    Ok(Reply::bytes(table::lay_out(&rows)))
}

/// Whether `--categories`, `--tags` and `--favorite` let the item through.
fn is_listed(call: &Call, item: &Item) -> bool {
    let among = |flag: &str, own: &dyn Fn(&str) -> bool| {
        let asked = call.line.flag(flag);
        asked.is_none_or(|asked| asked.split(',').map(str::trim).any(own))
    };
    let category = item.category.as_deref().unwrap_or("LOGIN");
    among("categories", &|asked| {
        alike(&asked.replace(' ', "_"), category)
    }) && among("tags", &|asked| item.tags.iter().any(|tag| tag == asked))
        && (item.favorite || !call.line.on("favorite"))
}
