//! A reference into the secret it names.

use crate::call::Call;
use crate::credential::Credential;
use crate::failure::Failure;
use crate::grammar::Command;
use crate::item_json::key_text;
use crate::lookup::{self, Found};
use crate::mode::Mode;
use crate::reference::Reference;
use crate::vaults_json::{Attachment, Field, Item};

/// The value that a reference stands for; archived items count.
pub fn secret(call: &Call, reference: &Reference) -> Result<String, Failure> {
    let (_, item) = item(call, reference)?;
    if let Some(field) = field(item, reference) {
        return of_field(call, field, reference);
    }
    let file = item.files.iter().find(|file| file.name == reference.field);
    match file.filter(|_| reference.section.is_none()) {
        Some(file) => of_file(file, reference),
        None => Err(no_field(call, reference)),
    }
}

/// What is handed over: the value as it is, or the bytes that its characters number.
pub fn bytes(call: &Call, value: String) -> Result<Vec<u8>, Failure> {
    if !call.modes.has(Mode::Bytes) {
        return Ok(value.into_bytes());
    }
    let byte = |c| u8::try_from(c).map_err(|_| Failure::loud("no byte has this number"));
    value.chars().map(byte).collect()
}

/// ASSUMPTION: a missing vault and an ambiguous item read the same in `inject` and `run`.
fn item<'e>(call: &'e Call, reference: &Reference) -> Result<Found<'e>, Failure> {
    let path = reference.item_path();
    if call.modes.has(Mode::GoneItem) {
        let Reference { vault, item, .. } = reference;
        return Err(Failure::new(format!(
            "could not find item {item} in vault {vault}, because it has been deleted or archived."
        )));
    }
    let located = |failure: Failure| failure.located(&format!("could not get item {path}: "));
    let vault = lookup::vault(call, &reference.vault).map_err(located)?;
    let within = Some((reference.vault.as_str(), vault));
    lookup::item(call, &reference.item, within, true).map_err(|failure| {
        let reading = call.line.command == Command::Read;
        // ASSUMPTION: 2.34 is where service accounts got the newer words.
        let aged = !call.modes.since(2, 34) && Credential::choose(call).is_service();
        let older = call.modes.has(Mode::OlderReadTexts) || aged;
        if failure.is_ambiguity() || (reading && !older) {
            return located(failure);
        }
        let item = &reference.item;
        Failure::new(format!(
            "could not resolve item UUID for item {item}: could not find item {item} in vault {}",
            vault.id
        ))
        .unwrapped()
    })
}

/// ASSUMPTION: of several fields that fit, the first one counts, without a word. One without a
/// section goes before those in sections when no section is named.
fn field<'e>(item: &'e Item, reference: &Reference) -> Option<&'e Field> {
    let mut fitting = item
        .fields
        .iter()
        .filter(|field| field.is_called(&reference.field));
    if let Some(section) = &reference.section {
        return fitting.find(|field| item.places(field, section));
    }
    let loose = fitting.clone().find(|field| field.section.is_none());
    loose.or_else(|| fitting.next())
}

fn no_field(call: &Call, reference: &Reference) -> Failure {
    let path = reference.item_path();
    let field = match &reference.section {
        // ASSUMPTION: before 2.27 the section was not shown.
        Some(section) if call.modes.since(2, 27) => format!("{section}.{}", reference.field),
        _ => reference.field.clone(),
    };
    Failure::new(format!("item '{path}' does not have a field '{field}'"))
}

/// ASSUMPTION: a field without a value is empty; the words for a query that does not fit.
fn of_field(call: &Call, field: &Field, reference: &Reference) -> Result<String, Failure> {
    let unfit = || {
        Failure::new(format!(
            "invalid query in secret reference '{}'",
            reference.text
        ))
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let Some((key, value)) = reference.query.first() else {
        return Ok(text(&field.value));
    };
    match (key.as_str(), value.as_str()) {
        ("ssh-format", format) => {
            let key = field.ssh_formats.get(format).ok_or_else(unfit)?;
            Ok(key_text(key, !call.modes.since(2, 27)))
        }
        ("attribute" | "attr", "value") => Ok(text(&field.value)),
        ("attribute" | "attr", "type") => Ok(field.kind.clone()),
        ("attribute" | "attr", "id") => Ok(text(&field.id)),
        ("attribute" | "attr", "purpose") => Ok(text(&field.purpose)),
        ("attribute" | "attr", "otp" | "totp") => field.totp.clone().ok_or_else(unfit),
        _ => Err(unfit()),
    }
}

fn of_file(file: &Attachment, reference: &Reference) -> Result<String, Failure> {
    match reference.query.first().map(|(_, value)| value.as_str()) {
        None | Some("content") => Ok(file.content.clone()),
        Some("type") => Ok("FILE".to_owned()),
        Some("size") => Ok(file.content.len().to_string()),
        Some("id") => Ok(file.id.clone()),
        Some("name") => Ok(file.name.clone()),
        Some(_) => Err(Failure::new(format!(
            "invalid query in secret reference '{}'",
            reference.text
        ))),
    }
}
