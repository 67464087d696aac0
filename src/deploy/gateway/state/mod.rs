//! The state of the gateway from one release to the next, and the way back to it.
//!
//! On this machine the state is in directories: a snapshot is a copy, which is put back
//! ([`directories`]). On a remote engine every release has volumes of its own: a new one starts
//! with a copy, and what it was copied from is the snapshot, untouched ([`volumes`]). Which of them
//! it is follows from the engine, and is decided in [`of`] alone. A snapshot is taken while the
//! gateway is stopped, and counts once the records name it.

pub(crate) mod directories;
pub(crate) mod volumes;

use futures_util::future::LocalBoxFuture;

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::spec::Mount;
use crate::deploy::settings::Settings;

/// What is waited for.
pub(crate) type Wait<'a, T> = LocalBoxFuture<'a, Result<T>>;

/// Where the state lies.
pub(crate) trait State {
    /// Where release `id` will have it: a name for its volumes, or "" for the directories.
    fn place(&self, id: u64) -> String;

    /// The directories that the gateway is given.
    fn mounts(&self, settings: &Settings) -> Vec<Mount>;

    /// Refuses, before the gateway is stopped, when it can be foreseen that [`take`] would fail. An
    /// engine does not tell how much its disk has left.
    fn preflight(&self, cx: &Context) -> Result<()>;

    /// Whether snapshot `id` is there.
    fn is_there<'a>(&self, cx: &'a Context, engine: &'a Engine, id: &'a str) -> Wait<'a, bool>;

    /// Keeps the state of the stopped gateway; the name of the snapshot, if there was anything to
    /// keep. With volumes, `release` then has a copy of `state`, or of what the gateway had.
    fn take<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        records: &'a Records,
        release: &'a Release,
        state: Option<&'a str>,
    ) -> Wait<'a, Option<String>>;

    /// Puts back the state of snapshot `id`, unless a release has its own anyway.
    fn restore<'a>(&self, cx: &'a Context, id: &'a str) -> Wait<'a, ()>;

    /// Whether [`State::restore`] writes over what is there.
    fn is_put_back(&self) -> bool;

    /// Whether a gateway that we did not start has it where we would have put it.
    fn can_be_adopted(&self) -> bool;

    /// Gives a container that was made and not started a state that the gateway may write.
    fn settle<'a>(&self, cx: &'a Context, engine: &'a Engine, container: &'a str) -> Wait<'a, ()>;

    /// [`State::settle`] for a service, of which no container is made before it starts.
    fn settle_service<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Wait<'a, ()>;

    /// Mends what a run left that was killed while it put a snapshot back.
    fn mend(&self, cx: &Context) -> Result<()>;

    /// Removes all snapshots but those of `keep` and those that the records need.
    fn prune<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        records: &'a Records,
        keep: Vec<String>,
    ) -> Wait<'a, ()>;
}

/// Where the state lies with these settings.
pub(crate) fn of(settings: &Settings) -> &'static dyn State {
    match settings.engine.is_remote() {
        true => &volumes::Volumes,
        false => &directories::Directories,
    }
}

/// Keeps the state of the stopped gateway, and writes down which snapshot of it `release` and
/// the change in flight have.
pub(crate) async fn take(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: &mut Release,
    state: Option<&str>,
) -> Result<()> {
    let snapshot = of(&cx.settings).take(cx, engine, records, release, state);
    release.snapshot = snapshot.await?;
    if let Some(pending) = &mut records.pending {
        pending.snapshot.clone_from(&release.snapshot);
    }
    records.save(&cx.host, &cx.settings)
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
    let pruned = of(&cx.settings).prune(cx, engine, records, keep).await;
    if let Err(why) = pruned {
        cx.reporter
            .warn(format!("old snapshots are still there: {why}"));
    }
}
