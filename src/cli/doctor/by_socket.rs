//! The broker that `OC_SECRETS_SOCKET` names, in the place of `op`: whether it answers us, and what it has.

use std::path::Path;
use std::time::Duration;

use super::row::Row;
use crate::broker::plan;
use crate::broker::session::Session;
use crate::broker::socket;

/// The row; it is asked for our names alone.
pub(super) fn row(path: &Path, timeout: Option<Duration>) -> Row {
    match socket::names(path, timeout.unwrap_or(plan::DEFAULT_TIMEOUT)) {
        Ok(_) => Row::ok(
            "broker",
            format!("{} answers; no `op` runs here", path.display()),
        ),
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; {hint}"));
            Row::fail("broker", format!("{error}{}", hint.unwrap_or_default()))
        }
    }
}

/// The row where its names are in the place of a manifest.
pub(super) fn manifest(session: &Session, count: &str) -> Row {
    match session.plan() {
        _ if session.manifest.secrets.is_empty() => {
            Row::warn("manifest", "none here, and the broker has no secret for us")
        }
        Ok(_) => Row::ok(
            "manifest",
            format!("none here: the broker has {count} for us"),
        ),
        Err(error) => Row::fail("manifest", error.to_string()),
    }
}
