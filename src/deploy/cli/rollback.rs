//! `rollback`: which release to go back to, with which state.

use serde_json::json;

use super::run_lock;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::records::{Pending, Records, Release};
use crate::deploy::gateway::{rollback, state};

pub(super) fn rollback(
    cx: &Context,
    to: Option<u64>,
    keep_state: bool,
    wait: bool,
) -> Result<Exit> {
    let _lock = run_lock::lock(cx, wait)?;
    cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        let mut records = Records::load(&cx.host, &cx.settings)?;
        let target = target(&records, to)?.clone();
        let snapshot = state_of(cx, &engine, &records, &target, keep_state).await?;
        let new = rollback::run(cx, &engine, &mut records, &target, snapshot.as_deref()).await;
        run_lock::warn_of_journal(cx);
        let new = new?;
        cx.reporter.result(&json!({
            "exit": 0, "to": target.id, "release": new, "image": target.pinned,
            "warnings": cx.reporter.warnings(), "error": null,
        }));
        cx.reporter.line(&format!(
            "release {} runs and answers: {} (as release {new})",
            target.id, target.pinned
        ));
        Ok(Exit::Done)
    })
}

/// The snapshot that holds the state of `target`: the one taken when the release after it began.
async fn state_of(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    target: &Release,
    keep_state: bool,
) -> Result<Option<String>> {
    let mut after = records.releases.iter().filter(|it| it.id > target.id);
    let pending = records.pending.as_ref().and_then(|it| it.snapshot.clone());
    // The release that failed last has its old state back already.
    let is_back = |it: &Pending| it.from == Some(target.id) && it.snapshot.is_none();
    let storage = state::of(&cx.settings);
    let is_back = storage.restores_in_place() && records.pending.as_ref().is_some_and(is_back);
    if keep_state || is_back {
        return Ok(None);
    }
    let snapshot = after.next().and_then(|it| it.snapshot.clone()).or(pending);
    match snapshot {
        Some(id) if storage.has_snapshot(cx, engine, &id).await? => Ok(Some(id)),
        _ => Err(Failure::new(format!(
            "there is no snapshot of the state of release {}",
            target.id
        ))
        .hint("go back with the state as it is now: add --keep-state")),
    }
}

/// The release to go back to: `to`, or the newest with another image than the current one.
fn target(records: &Records, to: Option<u64>) -> Result<&Release> {
    let found = match to {
        Some(id) => records.release(id),
        None => records.current().and_then(|current| {
            let others = records.releases.iter().rev();
            others.into_iter().find(|it| it.image != current.image)
        }),
    };
    found.ok_or_else(|| {
        let ids: Vec<_> = records
            .releases
            .iter()
            .map(|it| it.id.to_string())
            .collect();
        let known = if ids.is_empty() {
            "none".to_owned()
        } else {
            ids.join(", ")
        };
        Failure::new("there is no such release to go back to").hint(format!(
            "known releases: {known}; see openclaw-deploy status"
        ))
    })
}
