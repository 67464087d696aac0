//! `vaults.json`: the account and everything in it.
//!
//! ```json
//! {
//!   "account": { "url": "my.1password.com", "email": "wendy@example.test",
//!                "id": "ACCOUNTAAAAAAAAAAAAAAAAAAA", "user_id": "USERAAAAAAAAAAAAAAAAAAAAAA" },
//!   "vaults": [ { "id": "vvvvvvvvvvvvvvvvvvvvvvvvvv", "name": "Prod", "items": [ {
//!     "id": "iiiiiiiiiiiiiiiiiiiiiiiiii", "title": "GitHub", "category": "LOGIN",
//!     "archived": false, "urls": ["https://github.com/login"],
//!     "sections": [ { "id": "Section_1", "label": "tokens" } ],
//!     "fields": [ { "id": "password", "type": "CONCEALED", "purpose": "PASSWORD",
//!                   "label": "password", "section": "Section_1", "value": "any JSON string" },
//!                 { "label": "one-time password", "type": "OTP", "value": "AAAA", "totp": "741354" },
//!                 { "id": "private_key", "type": "SSHKEY", "label": "private key", "value": "…",
//!                   "ssh_formats": { "openssh": "…" } } ],
//!     "files": [ { "id": "ffff", "name": "ca.pem", "content": "…" } ]
//!   } ] } ],
//!   "environments": [ { "id": "eeeeeeeeeeeeeeeeeeeeeeeeee", "variables": { "NAME": "value" } } ]
//! }
//! ```
//!
//! Wanted are `vaults`, `id` and `name` of a vault, `id` and `title` of an item, `id` of a
//! section, `name` of a file. A key that is absent here is absent in `op`'s answer; an unknown
//! one is exit 70. More keys, for those who want them, stand in the types below.

use crate::control::Control;
use crate::failure::Failure;
use serde::Deserialize;
use serde_json::Number;
use std::collections::BTreeMap;

/// Everything that the file holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultsJson {
    #[serde(default)]
    pub account: Account,
    pub vaults: Vec<Vault>,
    #[serde(default)]
    pub environments: Vec<Environment>,
}

/// A 1Password Environment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub id: String,
    pub variables: BTreeMap<String, String>,
}

/// The account that is configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    pub url: String,
    pub email: String,
    pub id: String,
    pub user_id: String,
    pub name: String,
    pub shorthand: Option<String>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            url: "my.1password.com".to_owned(),
            email: "wendy@example.test".to_owned(),
            id: "AAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            user_id: "UUUUUUUUUUUUUUUUUUUUUUUUUU".to_owned(),
            name: "Example".to_owned(),
            shorthand: None,
        }
    }
}

/// A vault and its items.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub items: Vec<Item>,
    #[serde(default)]
    pub description: Option<String>,
    /// USER_CREATED, PERSONAL, EVERYONE or TRANSFER.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// An item, in the order of `op`'s keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub favorite: bool,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub version: Option<u64>,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub category: Option<String>,
    #[serde(default)]
    pub last_edited_by: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
    #[serde(default)]
    pub updated_at: Option<String>,
    #[serde(default)]
    pub additional_information: Option<String>,
    #[serde(default)]
    pub urls: Vec<String>,
    #[serde(default)]
    pub sections: Vec<Section>,
    #[serde(default)]
    pub fields: Vec<Field>,
    #[serde(default)]
    pub files: Vec<Attachment>,
}

/// A section; often without a label.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    pub id: String,
    #[serde(default)]
    pub label: Option<String>,
}

/// A field; only its type is certain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    #[serde(default)]
    pub id: Option<String>,
    /// The id of a section.
    #[serde(default)]
    pub section: Option<String>,
    #[serde(default = "string", rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub purpose: Option<String>,
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
    #[serde(default)]
    pub entropy: Option<Number>,
    #[serde(default)]
    pub totp: Option<String>,
    #[serde(default)]
    pub password_details: Option<PasswordDetails>,
    #[serde(default)]
    pub ssh_formats: BTreeMap<String, String>,
}

/// What is known of a generated password.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordDetails {
    #[serde(default)]
    pub entropy: Option<u64>,
    #[serde(default)]
    pub generated: bool,
    #[serde(default)]
    pub strength: Option<String>,
}

/// A file attached to an item.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    #[serde(default)]
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub content: String,
}

fn string() -> String {
    "STRING".to_owned()
}

impl VaultsJson {
    /// Reads `vaults.json`.
    pub fn read(control: &Control) -> Result<Self, Failure> {
        serde_json::from_str(&control.text("vaults.json")?)
            .map_err(|error| Failure::loud(format!("vaults.json: {error}")))
    }

    /// Puts the placeholder of a concealed field in the place of every value.
    pub fn conceal(&mut self) {
        for item in self.vaults.iter_mut().flat_map(|vault| &mut vault.items) {
            let placeholder = placeholder(&item.id);
            for field in &mut item.fields {
                field.value = field.value.as_ref().map(|_| placeholder.clone());
                field.totp = field.totp.as_ref().map(|_| placeholder.clone());
                field
                    .ssh_formats
                    .values_mut()
                    .for_each(|value| value.clone_from(&placeholder));
            }
        }
    }

    /// Every value of every field.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let items = self.vaults.iter().flat_map(|vault| &vault.items);
        items
            .flat_map(|item| &item.fields)
            .filter_map(|field| field.value.as_deref())
    }

    /// Whether this is the id of a vault or of an item.
    pub fn is_id(&self, text: &str) -> bool {
        let mut vaults = self.vaults.iter();
        vaults.any(|vault| vault.id == text || vault.items.iter().any(|item| item.id == text))
    }
}

/// What `op` prints for a value that it conceals; always with the item's id.
pub fn placeholder(item: &str) -> String {
    format!("[use 'op item get {item} --reveal' to reveal]")
}

impl Field {
    /// Whether the human format hides it.
    /// ASSUMPTION: "sensitive" means these three types.
    pub fn sensitive(&self) -> bool {
        matches!(self.kind.as_str(), "CONCEALED" | "OTP" | "SSHKEY")
    }

    /// Whether this is its label or its id; case does not matter.
    pub fn is_called(&self, name: &str) -> bool {
        let same = |own: &Option<String>| own.as_ref().is_some_and(|own| alike(own, name));
        same(&self.label) || same(&self.id)
    }
}

impl Item {
    /// The section with this id, if it was declared.
    pub fn section(&self, id: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }

    /// Whether the field is in a section of this label or id.
    pub fn places(&self, field: &Field, section: &str) -> bool {
        let Some(id) = &field.section else {
            return false;
        };
        let label = self.section(id).and_then(|section| section.label.as_ref());
        alike(id, section) || label.is_some_and(|label| alike(label, section))
    }
}

/// Names are compared without regard to case.
pub fn alike(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
