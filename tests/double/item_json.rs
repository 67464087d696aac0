//! Vaults, items and fields as the JSON that `op` shows: keys in its order, absent when empty.

use crate::json::{Json, Object};
use crate::vaults_json::{Field, Item, Vault, VaultsJson};

const CREATED: &str = "2022-06-27T01:52:11Z";

/// A whole item, as `op item get --format json` shows it.
pub fn item(vault: &Vault, item: &Item, crlf: bool) -> Json {
    let sections = item.sections.iter().map(|section| {
        Object::new()
            .text("id", &section.id)
            .text_if("label", section.label.as_deref())
            .end()
    });
    let fields = item
        .fields
        .iter()
        .map(|each| field(vault, item, each, crlf));
    head(vault, item)
        .json_if("sections", list_unless_empty(sections.collect()))
        .json("fields", Json::List(fields.collect()))
        .json_if("files", files(vault, item))
        .end()
}

/// The entry of `op item list`: no fields, yet the first line of a note.
pub fn entry(vault: &Vault, item: &Item) -> Json {
    head(vault, item).end()
}

fn head(vault: &Vault, item: &Item) -> Object {
    let tags = (!item.tags.is_empty()).then(|| Json::Texts(item.tags.clone()));
    let category = item.category.as_deref().unwrap_or("LOGIN");
    Object::new()
        .text("id", &item.id)
        .text("title", &item.title)
        .flag("favorite", item.favorite)
        .json_if("tags", tags)
        .number("version", item.version.unwrap_or(1))
        .text_if("state", item.archived.then_some("ARCHIVED"))
        .json(
            "vault",
            Object::new()
                .text("id", &vault.id)
                .text("name", &vault.name)
                .end(),
        )
        .text("category", category)
        .text_if("last_edited_by", item.last_edited_by.as_deref())
        .text("created_at", item.created_at.as_deref().unwrap_or(CREATED))
        .text("updated_at", item.updated_at.as_deref().unwrap_or(CREATED))
        .text_if(
            "additional_information",
            item.additional_information.as_deref(),
        )
        .json_if(
            "urls",
            list_unless_empty(item.urls.iter().enumerate().map(url).collect()),
        )
}

fn url((index, href): (usize, &String)) -> Json {
    Object::new()
        .text_if("label", (index == 0).then_some("website"))
        .flag("primary", index == 0)
        .text("href", href)
        .end()
}

/// One field, as `--fields` shows it as well.
pub fn field(vault: &Vault, item: &Item, field: &Field, crlf: bool) -> Json {
    let section = field.section.as_ref().map(|id| {
        let label = item
            .section(id)
            .and_then(|section| section.label.as_deref());
        Object::new().text("id", id).text_if("label", label).end()
    });
    let reference = reference(vault, item, field);
    let details = field.password_details.as_ref().map(|details| {
        Object::new()
            .json_if("entropy", details.entropy.map(Json::number))
            .flag("generated", details.generated)
            .text_if("strength", details.strength.as_deref())
            .end()
    });
    Object::new()
        .text_if("id", field.id.as_deref())
        .json_if("section", section)
        .text("type", &field.kind)
        .text_if("purpose", field.purpose.as_deref())
        .text_if("label", field.label.as_deref())
        .text_if("value", field.value.as_deref())
        .json_if("entropy", field.entropy.as_ref().map(Json::number))
        .text_if("totp", field.totp.as_deref())
        .text("reference", &reference)
        .json_if("password_details", details)
        .json_if("ssh_formats", formats(field, &reference, crlf))
        .end()
}

fn formats(field: &Field, reference: &str, crlf: bool) -> Option<Json> {
    let each = |(name, value): (&String, &String)| {
        let format = Object::new()
            .text("reference", &format!("{reference}?ssh-format={name}"))
            .text("value", &key_text(value, crlf));
        (name.clone(), format.end())
    };
    let formats: Vec<_> = field.ssh_formats.iter().map(each).collect();
    (!formats.is_empty()).then_some(Json::Object(formats))
}

/// Key formats had DOS line ends before 2.27.
pub fn key_text(value: &str, crlf: bool) -> String {
    if crlf {
        value.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        value.to_owned()
    }
}

/// `op://vault/item[/section]/field`; equal for equal labels, so not unique.
fn reference(vault: &Vault, item: &Item, field: &Field) -> String {
    let mut parts = vec![name(&vault.name, &vault.id), name(&item.title, &item.id)];
    if let Some(id) = &field.section {
        let label = item.section(id).and_then(|section| section.label.as_ref());
        parts.push(label.map_or(id.as_str(), |label| name(label, id)));
    }
    let id = field.id.as_deref().unwrap_or_default();
    parts.push(field.label.as_deref().map_or(id, |label| name(label, id)));
    format!("op://{}", parts.join("/"))
}

/// The name, or the id where the name holds a character that a reference cannot.
fn name<'a>(name: &'a str, id: &'a str) -> &'a str {
    let carried = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    if name.chars().all(carried) || id.is_empty() {
        name
    } else {
        id
    }
}

fn files(vault: &Vault, item: &Item) -> Option<Json> {
    let files = item.files.iter().map(|file| {
        let (vault, item, id) = (&vault.id, &item.id, &file.id);
        Object::new()
            .text("id", id)
            .text("name", &file.name)
            .number("size", file.content.len())
            .text(
                "content_path",
                &format!("/v1/vaults/{vault}/items/{item}/files/{id}/content"),
            )
            .end()
    });
    list_unless_empty(files.collect())
}

fn list_unless_empty(values: Vec<Json>) -> Option<Json> {
    (!values.is_empty()).then_some(Json::List(values))
}

/// The entry of `op vault list`.
pub fn vault_entry(vault: &Vault, dated: bool) -> Json {
    let entry = Object::new()
        .text("id", &vault.id)
        .text("name", &vault.name)
        .number("content_version", 1);
    if !dated {
        return entry.end();
    }
    entry
        .text("created_at", CREATED)
        .text("updated_at", CREATED)
        .number("items", vault.items.len())
        .end()
}

/// `op vault get`.
pub fn vault(vault: &Vault) -> Json {
    Object::new()
        .text("id", &vault.id)
        .text("name", &vault.name)
        .text_if("description", vault.description.as_deref())
        .number("attribute_version", 1)
        .number("content_version", 1)
        .number("items", vault.items.len())
        .text("type", vault.kind.as_deref().unwrap_or("USER_CREATED"))
        .text("created_at", CREATED)
        .text("updated_at", CREATED)
        .end()
}

/// The entries of `op account list`.
pub fn accounts(data: &VaultsJson, second: bool) -> Json {
    let account = &data.account;
    let one = |url: &str, email: &str, user: &str, id: &str| {
        Object::new()
            .text("url", url)
            .text("email", email)
            .text("user_uuid", user)
            .text("account_uuid", id)
    };
    let first = one(&account.url, &account.email, &account.user_id, &account.id)
        .text_if("shorthand", account.shorthand.as_deref());
    let mut all = vec![first.end()];
    if second {
        let (user, id) = ("SECONDUSERBBBBBBBBBBBBBBBB", "SECONDACCOUNTBBBBBBBBBBBBB");
        all.push(one("team.1password.com", "wendy@team.test", user, id).end());
    }
    Json::List(all)
}
