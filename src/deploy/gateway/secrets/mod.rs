//! The gateway's keys by the broker of this host: `deliver = "broker"`.
//!
//! ```text
//!  choose ─▶ manifest, units ─▶ the names resolve ─▶ (the gateway is replaced) ─▶ program, configuration
//! ```
//!
//! No file of a person's is written over, and nothing of the gateway is touched before every name has a
//! value. Values are compared with `.env` and go nowhere else.

mod place;
mod program;
mod choose;
mod manifest;
mod units;
mod ask;
mod configuration;
mod leave_env;

use serde_json::json;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};

pub(crate) use self::choose::choose;
pub(crate) use self::configuration::{Edit, edit, provider_words};
pub(crate) use self::leave_env::{leave_env, leaving, not_in_env, stays};
pub(crate) use self::place::{FOLDER, MOUNTED, SOCKET};
pub(crate) use self::program::MOUNT as PROGRAM;
pub(crate) use self::units::reload;

/// What has to be done before the gateway can ask for its keys. Changes nothing.
pub(crate) async fn to_do(cx: &Context) -> Result<Vec<String>> {
    refuse_what_cannot_be(cx)?;
    let mut what = Vec::new();
    what.extend(manifest::to_do(cx)?);
    what.extend(units::to_do(cx).await?);
    if what.is_empty() {
        let taken = leave_env::movable(cx)?.taken;
        what.extend(taken.iter().map(|name| format!("take {name} out of .env")));
    }
    Ok(what)
}

/// The broker serves the gateway, and has a value for every name.
///
/// # Errors
/// Before anything of the gateway was touched.
pub(crate) async fn provide(cx: &Context) -> Result<()> {
    refuse_what_cannot_be(cx)?;
    let mut did = Vec::new();
    did.extend(manifest::to_do(cx)?);
    did.extend(units::to_do(cx).await?);
    manifest::write(cx)?;
    units::start(cx).await?;
    refuse_unresolved(cx)?;
    if !did.is_empty() {
        cx.journal
            .add(json!({"event": "secrets", "deliver": "broker", "did": did}));
    }
    Ok(())
}

/// Before a container is created or started: the program in it is the one that this host has, and its
/// folder is there.
pub(crate) async fn before_start(cx: &Context) -> Result<()> {
    program::copy(cx)?;
    units::start(cx).await
}

/// How it is, for `doctor`.
pub(crate) async fn diagnose(cx: &Context) -> Result<String> {
    match to_do(cx).await?.first() {
        Some(first) => {
            Err(Failure::new(format!("to do: {first}")).hint("openclaw-deploy bootstrap"))
        }
        None => {
            refuse_unresolved(cx)?;
            Ok(format!("by the broker: {}", names(cx)))
        }
    }
}

/// The names, for people.
pub(crate) fn names(cx: &Context) -> String {
    let names = cx.settings.app_secrets.iter();
    names.map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
}

fn refuse_what_cannot_be(cx: &Context) -> Result<()> {
    if !cx.settings.app_secrets_are_chosen || cx.settings.app_secrets.is_empty() {
        return Err(
            Failure::usage("deliver = \"broker\", and no names of what to deliver")
                .hint("add to /etc/openclaw-deploy.toml: app_secrets = [\"TELEGRAM_BOT_TOKEN\"]"),
        );
    }
    match choose::missing(cx) {
        None => program::find(cx).map(drop),
        Some((what, hint)) => Err(Failure::new(format!(
            "the gateway's keys are to come from the broker, and {what}; the gateway was not touched"
        ))
        .hint(hint)),
    }
}

fn refuse_unresolved(cx: &Context) -> Result<()> {
    let values = ask::values(cx, &cx.settings.app_secrets)?;
    let unresolved = cx.settings.app_secrets.iter().zip(&values);
    let unresolved: Vec<_> = unresolved
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if unresolved.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the broker has no value for {}; the gateway was not touched",
        unresolved.join(", ")
    ))
    .hint("its log says why: journalctl -u oc-secrets -n 20"))
}
