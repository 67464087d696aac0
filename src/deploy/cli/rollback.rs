//! `rollback`: which release to go back to, with which state.

use serde_json::json;

use super::{question, run_lock};
use crate::base::units::{clock, size};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::records::{Pending, Records, Release};
use crate::deploy::gateway::{recover, rollback, secrets, state};
use crate::deploy::hooks::{self, Hooked};
use crate::deploy::host::disk;
use crate::deploy::image_reference::short;
use crate::deploy::settings::Deliver;

/// What was asked for.
pub(super) struct Wanted<'a> {
    pub to: Option<u64>,
    pub keep_state: bool,
    pub yes: bool,
    pub forget: Option<&'a str>,
    pub wait: bool,
}

pub(super) fn rollback(cx: &Context, wanted: &Wanted<'_>) -> Result<Exit> {
    let _lock = run_lock::lock(cx, wanted.wait)?;
    cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        let mut records = Records::load(&cx.host, &cx.settings)?;
        if let Some(snapshot) = wanted.forget {
            return forget(cx, &engine, &mut records, snapshot).await;
        }
        if let Some(done) = finished(cx, &engine, &mut records, wanted).await? {
            return Ok(done);
        }
        let target = target(&records, wanted.to)?.clone();
        let snapshot = state_of(cx, &engine, &records, &target, wanted.keep_state).await?;
        announce(cx, &records, &target, snapshot.as_deref());
        warn_of_keys(cx, &target)?;
        if !wanted.yes && !question::agreed(cx, "go back?").await? {
            cx.reporter.line("nothing was changed");
            return Ok(Exit::Done);
        }
        let before = records.current().map(|it| it.id);
        let new = hooked(cx, &engine, &mut records, &target, snapshot.as_deref()).await;
        run_lock::warn_of_journal(cx);
        tell(cx, &records, &target, new?, before);
        Ok(Exit::Done)
    })
}

/// What runs now, and what is kept of release `before`.
fn tell(cx: &Context, records: &Records, target: &Release, new: u64, before: Option<u64>) {
    let kept = before.and_then(|id| records.held_of(id));
    cx.reporter.result(&json!({
        "exit": 0, "to": target.id, "release": new, "image": target.pinned, "kept": kept,
        "warnings": cx.reporter.warnings(), "error": null,
    }));
    cx.reporter.line(&format!(
        "release {} runs and answers: {} (as release {new})",
        target.id, target.pinned
    ));
    if let (Some(before), Some(kept)) = (before, kept) {
        cx.reporter.line(&format!(
            "the state as it was is kept as {kept}\n  to have it again    openclaw-deploy rollback --to {before}\n  \
             to let it go        openclaw-deploy rollback --forget {kept}"
        ));
    }
}

/// Keeps what answers of a run that was cut off. Where that was this very rollback, it is done: to go back once more
/// would be to go to the release that was left.
async fn finished(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    wanted: &Wanted<'_>,
) -> Result<Option<Exit>> {
    let pending = records.pending.clone();
    let is_kept = recover::keep_what_answers(cx, engine, records).await?;
    let Some(pending) = pending.filter(|_| is_kept) else {
        return Ok(None);
    };
    let same = |target: &&Release| wanted.to.is_none_or(|to| to == target.id);
    let target = pending.goes_back_to.and_then(|id| records.release(id));
    let from = pending.from.and_then(|id| records.release(id));
    match target.filter(same) {
        Some(target) if from.is_some_and(|it| it.image != target.image) => {
            tell(cx, records, target, pending.release.id, pending.from);
            Ok(Some(Exit::Done))
        }
        _ => Ok(None),
    }
}

/// The rollback, between its hooks.
async fn hooked(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    target: &Release,
    snapshot: Option<&str>,
) -> Result<u64> {
    let done = async {
        hooks::before(cx, Hooked::Rollback, &target.pinned).await?;
        rollback::run(cx, engine, records, target, snapshot).await
    };
    let done = done.await;
    let facts = vec![("IMAGE", target.pinned.clone())];
    hooks::after(cx, Hooked::Rollback, done.as_ref().err(), facts).await;
    done
}

/// Which moment comes back, and what goes.
fn announce(cx: &Context, records: &Records, target: &Release, snapshot: Option<&str>) {
    let at = short(target.pinned.rsplit('@').next().unwrap_or_default());
    let Some(snapshot) = snapshot else {
        cx.reporter.note(format!(
            "release {} ({at}) comes back; the state stays as it is",
            target.id
        ));
        return;
    };
    let pending = records.pending.as_ref().map(|it| &it.release);
    let mut releases = records.releases.iter().chain(pending);
    let after = releases.find(|it| it.snapshot.as_deref() == Some(snapshot));
    // Volumes are named by when they were made, directories by when they were copied.
    let named = snapshot.split(['.', '-']).next();
    let moment = after.map(|it| it.since);
    let moment = moment.or(named.and_then(|it| it.parse().ok())).unwrap_or(0);
    cx.reporter.note(format!(
        "release {} ({at}) comes back, with its state of {}",
        target.id,
        clock(moment)
    ));
    if state::of(&cx.settings).restores_in_place() {
        let parts = [cx.settings.state(), cx.settings.auth()];
        let written = parts.map(|path| disk::written_since(&cx.host.path(path), moment));
        let (files, bytes) = (written[0].0 + written[1].0, written[0].1 + written[1].1);
        cx.reporter.note(format!(
            "what was written since goes: {files} {}, {}",
            if files == 1 { "file" } else { "files" },
            size(bytes)
        ));
    } else {
        cx.reporter.note("what was written since goes");
    }
}

/// The keys that a later release has been given by the broker, and that have left `.env` since.
fn warn_of_keys(cx: &Context, target: &Release) -> Result<()> {
    if target.delivers() != Deliver::Env {
        return Ok(());
    }
    let absent = secrets::not_in_env(cx)?;
    if !absent.is_empty() {
        cx.reporter.warn(format!(
            "release {} has its keys from .env, and runs without these, which are not there: {}",
            target.id,
            absent.join(", ")
        ));
    }
    Ok(())
}

/// Lets go of a state that an earlier rollback took away.
async fn forget(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    snapshot: &str,
) -> Result<Exit> {
    if !records.let_go(snapshot) {
        let held: Vec<_> = records.held.iter().map(|it| it.snapshot.as_str()).collect();
        let known = match held.is_empty() {
            true => "none".to_owned(),
            false => held.join(", "),
        };
        return Err(
            Failure::new(format!("no state is kept as {snapshot}")).hint(format!("kept: {known}"))
        );
    }
    records.save(&cx.host, &cx.settings)?;
    state::prune(cx, engine, records).await;
    cx.reporter
        .result(&json!({"exit": 0, "forgotten": snapshot, "error": null}));
    cx.reporter.line(&format!(
        "{snapshot} is no longer kept for itself; it goes with the others"
    ));
    Ok(Exit::Done)
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
    let held = records.held_of(target.id).map(str::to_owned);
    let snapshot = after.next().and_then(|it| it.snapshot.clone());
    let snapshot = held.or(snapshot).or(pending);
    match snapshot {
        Some(id) if storage.has_snapshot(cx, engine, &id).await? => Ok(Some(id)),
        _ => Err(Failure::new(format!(
            "there is no snapshot of the state of release {}",
            target.id
        ))
        .hint("go back with the state as it is now: add --keep-state")),
    }
}

/// The release to go back to: `to`, or the newest with another image than the current one, or whose keys
/// come by another way.
fn target(records: &Records, to: Option<u64>) -> Result<&Release> {
    let found = match to {
        Some(id) => records.release(id),
        None => records.current().and_then(|current| {
            let differs =
                |it: &&Release| it.image != current.image || it.delivers() != current.delivers();
            records.releases.iter().rev().find(differs)
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
