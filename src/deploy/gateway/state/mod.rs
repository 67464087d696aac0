//! The state of the gateway from one release to the next, and its snapshots.
//!
//! On this machine the state is in directories: a snapshot is a copy, of which a copy is put back
//! ([`directories`]). On a remote engine every release has volumes of its own: a new one starts
//! with a copy, and what it was copied from is the snapshot, untouched ([`volumes`]). Which of them
//! it is follows from the engine, and is decided in [`of`] alone. A snapshot is taken while the
//! gateway is stopped, and counts once the records name it.

mod interface;
pub(crate) mod snapshot;
mod preflight;
mod directories;
pub(crate) mod volumes;

use self::interface::{Copies, INSIDE, Storage};
pub(crate) use self::snapshot::put_back;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::settings::Settings;

/// Where the state lies with these settings.
pub(crate) fn of(settings: &Settings) -> &'static dyn Storage {
    match settings.engine.is_remote() {
        true => &volumes::Volumes,
        false => &directories::Directories,
    }
}

/// Refuses to replace a gateway whose state lies elsewhere than ours would look for it: the new one would begin with
/// none, and so would the old one if it had to come back.
pub(crate) fn refuse_elsewhere(cx: &Context, there: &Container) -> Result<()> {
    let storage = of(&cx.settings);
    let state = there.mounts.iter().find(|(target, _)| target == INSIDE);
    let Some((_, source)) = state.filter(|(_, it)| !storage.is_ours(&cx.settings, it)) else {
        return Ok(());
    };
    let id = there.id.get(..12).unwrap_or_default();
    Err(Failure::new(format!(
        "the gateway that is here has its state in {source}, where ours would not look for it; it was not touched"
    ))
    .hint(storage.to_take_over(&cx.settings, id))
    .cause(Cause::Mount))
}

/// Takes a snapshot of the state of the stopped gateway, and writes down that `release` and the
/// change in flight have it.
pub(crate) async fn snapshot(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: &mut Release,
    state: Option<&str>,
) -> Result<()> {
    let snapshot = of(&cx.settings).snapshot(cx, engine, records, release, state);
    release.snapshot = snapshot.await?;
    if let Some(pending) = &mut records.pending {
        pending.snapshot.clone_from(&release.snapshot);
    }
    records.save(&cx.host, &cx.settings)
}

/// Puts the state of snapshot `id` in the place of what is there, unless a release has volumes of its own.
pub(crate) async fn restore(cx: &Context, id: &str) -> Result<()> {
    let copies = of(&cx.settings).copy_back(cx, id).await?;
    put_back(cx, copies).await
}

/// The first half of [`restore`], if there is a snapshot; [`put_back`] is the other.
pub(crate) async fn copy_back(cx: &Context, id: Option<&str>) -> Result<Option<Copies>> {
    match id {
        Some(id) => of(&cx.settings).copy_back(cx, id).await.map(Some),
        None => Ok(None),
    }
}

/// Removes all snapshots but `--keep` of them, and what an unfinished change had made. A snapshot is
/// removed only when no records on the disk name it any more.
pub(crate) async fn prune(cx: &Context, engine: &Engine, records: &mut Records) {
    let mut keep = records.keep_snapshots(cx.settings.keep);
    if records.save(&cx.host, &cx.settings).is_err() {
        return;
    }
    let pending = records.pending.as_ref();
    keep.extend(pending.and_then(|it| it.snapshot.clone()));
    let pruned = of(&cx.settings).prune(cx, engine, records, keep).await;
    if let Err(why) = pruned {
        cx.reporter
            .warn(format!("old snapshots were not removed: {why}"));
    }
}
