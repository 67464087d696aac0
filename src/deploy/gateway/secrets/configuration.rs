//! The provider in `openclaw.json`. All else in that file stays. JSON is edited here; where it is JSON5,
//! which OpenClaw writes anew without its comments anyway, that is left to OpenClaw itself.

use serde_json::{Value, json};

use super::program::MOUNT;
use crate::base::env_name::EnvName;
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Access;
use crate::deploy::settings::STATE_OWNER;

/// The provider's name in the configuration.
const PROVIDER: &str = "oc";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// The provider is there.
    Done,
    /// It is not JSON: OpenClaw has to write it.
    ByOpenClaw,
}

/// Puts the provider into the gateway's configuration.
pub(crate) fn edit(cx: &Context) -> Result<Edit> {
    let Some(text) = read(cx)? else {
        return Ok(Edit::ByOpenClaw);
    };
    let Some(edited) = with_provider(&text) else {
        return Ok(Edit::ByOpenClaw);
    };
    if edited != text {
        let access = Access {
            mode: 0o600,
            owner: Some(STATE_OWNER),
        };
        cx.host.write(path(cx), edited.as_bytes(), access)?;
    }
    Ok(Edit::Done)
}

/// The arguments with which OpenClaw writes the same.
pub(crate) fn provider_words() -> Vec<String> {
    let place = format!("secrets.providers.{PROVIDER}");
    let words = [
        "config",
        "set",
        &place,
        "--provider-source",
        "exec",
        "--provider-command",
        MOUNT.1,
        "--provider-arg",
        "openclaw",
        "--provider-pass-env",
        "OC_SECRETS_SOCKET",
        "--provider-json-only",
    ];
    words.map(str::to_owned).to_vec()
}

/// Whether a field of the configuration is told to ask for `name`.
pub(super) fn asks_for(cx: &Context, name: &EnvName) -> Result<bool> {
    let text = read(cx)?.unwrap_or_default();
    let parsed = serde_json::from_str(&text);
    Ok(parsed.is_ok_and(|json| has_reference(&json, name)))
}

fn path(cx: &Context) -> std::path::PathBuf {
    cx.settings.state().join("openclaw.json")
}

fn read(cx: &Context) -> Result<Option<String>> {
    let Some(bytes) = cx.host.read_of(STATE_OWNER.0, path(cx))? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| {
        let shown = path(cx).display().to_string();
        Failure::expected(format!("text in {shown}"), "bytes that are not UTF-8")
    })
}

/// `None` where it is no JSON object.
fn with_provider(text: &str) -> Option<String> {
    let mut json: Value = serde_json::from_str(text).ok()?;
    let provider = json!({
        "source": "exec",
        "command": MOUNT.1,
        "args": ["openclaw"],
        "passEnv": ["OC_SECRETS_SOCKET"],
        "jsonOnly": true,
    });
    let mut place = json.as_object_mut()?;
    for key in ["secrets", "providers"] {
        let below = place.entry(key).or_insert_with(|| json!({}));
        place = below.as_object_mut()?;
    }
    if place.get(PROVIDER) == Some(&provider) {
        return Some(text.to_owned());
    }
    place.insert(PROVIDER.to_owned(), provider);
    let text = serde_json::to_string_pretty(&json).ok()?;
    Some(format!("{text}\n"))
}

fn has_reference(json: &Value, name: &EnvName) -> bool {
    match json {
        Value::Object(fields) => {
            let is = |key: &str, word: &str| fields.get(key).and_then(Value::as_str) == Some(word);
            let id = fields.get("id").and_then(Value::as_str);
            let refers = is("source", "exec") && is("provider", PROVIDER);
            refers && id.is_some_and(|id| name.is_like(id))
                || fields.values().any(|it| has_reference(it, name))
        }
        Value::Array(all) => all.iter().any(|it| has_reference(it, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_else_stays_and_a_second_time_nothing_changes() {
        let before = r#"{"gateway":{"port":1,"auth":{"token":"x"}},"secrets":{"providers":{"file":{"source":"file"}}}}"#;
        let after = with_provider(before).expect("JSON");
        let json: Value = serde_json::from_str(&after).expect("JSON");
        assert_eq!(json["gateway"]["auth"]["token"], "x");
        assert_eq!(json["secrets"]["providers"]["file"]["source"], "file");
        assert_eq!(json["secrets"]["providers"]["oc"]["command"], MOUNT.1);
        assert_eq!(with_provider(&after), Some(after));
    }

    #[test]
    fn what_is_not_json_is_left_to_openclaw() {
        for text in ["{ // mine\n}", "{a: 1}", "[]", "", r#"{"secrets": 1}"#] {
            assert_eq!(with_provider(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_reference_to_our_provider_counts() {
        let name = EnvName::parse("TELEGRAM_BOT_TOKEN").expect("a name");
        let asks = |field: &str| {
            let text = format!(r#"{{"channels":[{{"telegram":{{"botToken":{field}}}}}]}}"#);
            has_reference(&serde_json::from_str(&text).expect("JSON"), &name)
        };
        assert!(asks(
            r#"{"source":"exec","provider":"oc","id":"TELEGRAM_BOT_TOKEN"}"#
        ));
        assert!(asks(
            r#"{"source":"exec","provider":"oc","id":"telegram-bot-token"}"#
        ));
        for other in [
            r#"{"source":"env","provider":"default","id":"TELEGRAM_BOT_TOKEN"}"#,
            r#"{"source":"exec","provider":"op","id":"TELEGRAM_BOT_TOKEN"}"#,
            r#"{"source":"exec","provider":"oc","id":"OTHER"}"#,
            r#""${TELEGRAM_BOT_TOKEN}""#,
        ] {
            assert!(!asks(other), "{other}");
        }
    }
}
