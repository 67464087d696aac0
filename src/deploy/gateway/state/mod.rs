//! The state of the gateway from one release to the next, and the way back to it.
//!
//! On this machine the state is in directories: a snapshot is a copy, which is put back
//! ([`directories`]). On a remote engine every release has volumes of its own: a new one starts
//! with a copy, and what it was copied from is the snapshot, untouched ([`volumes`]). A snapshot
//! is taken while the gateway is stopped, and counts once the records name it.

mod directories;
mod volumes;

use super::records::{Records, Release};
use crate::base::units::now;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;

/// Where release `id` will have its state: a name for its volumes, or "" for the directories.
pub(crate) fn place(cx: &Context, id: u64) -> String {
    match cx.settings.engine.is_remote() {
        true => format!("{}-{id}", now()),
        false => String::new(),
    }
}

/// Refuses, before the gateway is stopped, when it can be foreseen that [`take`] would fail.
///
/// # Errors
/// With what is needed and what is free. An engine does not tell how much its disk has left.
pub(crate) fn preflight(cx: &Context) -> Result<()> {
    match cx.settings.engine.is_remote() {
        true => Ok(()),
        false => directories::preflight(cx),
    }
}

/// Whether snapshot `id` is there.
pub(crate) async fn is_there(cx: &Context, engine: &Engine, id: &str) -> Result<bool> {
    match cx.settings.engine.is_remote() {
        true => volumes::are_there(engine, id).await,
        false => Ok(directories::is_there(cx, id)),
    }
}

/// Keeps the state of the stopped gateway, and writes down which snapshot of it `release` and
/// the change in flight have. With volumes, `release` then has a copy of `state`, or of what the
/// gateway had.
pub(crate) async fn take(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: &mut Release,
    state: Option<&str>,
) -> Result<()> {
    release.snapshot = match cx.settings.engine.is_remote() {
        true => volumes::take(cx, engine, records, release, state).await?,
        false => Some(directory_of(cx, records, release.id).await?),
    };
    if let Some(pending) = &mut records.pending {
        pending.snapshot.clone_from(&release.snapshot);
    }
    records.save(&cx.host, &cx.settings)
}

/// The snapshot of the last version that answered: one of now, unless the change before failed,
/// and its way back too. Then that is what it had.
async fn directory_of(cx: &Context, records: &Records, release: u64) -> Result<String> {
    let before = records.pending.as_ref().and_then(|it| it.snapshot.clone());
    if let Some(id) = before.filter(|id| directories::is_there(cx, id)) {
        return Ok(id);
    }
    let id = directories::name(cx, now(), release);
    directories::take(cx, &id).await?;
    Ok(id)
}

/// Puts back the state of snapshot `id`. A release with volumes of its own has it already.
pub(crate) async fn restore(cx: &Context, id: &str) -> Result<()> {
    match cx.settings.engine.is_remote() {
        true => Ok(()),
        false => directories::restore(cx, id).await,
    }
}

/// Gives a container that was made and not started a state that the gateway may write.
pub(crate) async fn settle(cx: &Context, engine: &Engine, container: &str) -> Result<()> {
    match cx.settings.engine.is_remote() {
        true => volumes::settle(cx, engine, container).await,
        false => Ok(()),
    }
}

/// [`settle`] for a service, of which no container is made before it starts.
pub(crate) async fn settle_volumes(cx: &Context, engine: &Engine, release: &Release) -> Result<()> {
    match cx.settings.engine.is_remote() {
        true => volumes::settle_by_helper(cx, engine, release).await,
        false => Ok(()),
    }
}

/// Mends what a run left that was killed while it put a snapshot back.
pub(crate) fn mend(cx: &Context) -> Result<()> {
    match cx.settings.engine.is_remote() {
        true => Ok(()),
        false => directories::mend(cx),
    }
}

/// Lets go of all snapshots but `--keep` of them, and of what a change that did not come to its
/// end had made. A snapshot goes only when no records on the disk name it any more.
pub(crate) async fn prune(cx: &Context, engine: &Engine, records: &mut Records) {
    let mut keep = records.keep_snapshots(cx.settings.keep);
    if records.save(&cx.host, &cx.settings).is_err() {
        return;
    }
    let pending = records.pending.as_ref();
    keep.extend(pending.and_then(|it| it.snapshot.clone()));
    if !cx.settings.engine.is_remote() {
        return directories::prune(cx, &keep);
    }
    keep.extend(records.current().map(|it| it.state.clone()));
    keep.extend(pending.map(|it| it.release.state.clone()));
    if let Err(why) = volumes::prune(engine, records, &keep).await {
        cx.talk.warn(format!("old volumes are still there: {why}"));
    }
}
