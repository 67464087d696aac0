//! What a place for the gateway's state has to do.

use std::fs::File;
use std::path::PathBuf;

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::gateway::boxed::Boxed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::spec::Mount;
use crate::deploy::settings::Settings;

/// Where the gateway sees its state.
pub(super) const INSIDE: &str = "/home/node/.openclaw";

/// The parts of a state that are to take the place of what is there: where that is, the name that the copy has, and the
/// directory in which it lies. They lie in the deploy user's home, so that is one that nobody else can enter, wherever
/// they may move it.
#[derive(Default)]
pub(crate) struct Copies(pub(super) Vec<(PathBuf, &'static str, File)>);

/// Where the state lies.
pub(crate) trait Storage {
    /// The name of the volumes that release `id` will have; none where the state is in directories.
    fn name_for(&self, id: u64) -> Option<String>;

    /// The directories on this machine that hold it, each with all that is below.
    fn directories(&self, settings: &Settings) -> Vec<PathBuf>;

    /// The directories that the gateway is given.
    fn mounts(&self, settings: &Settings) -> Vec<Mount>;

    /// Refuses, before the gateway is stopped, when it can be foreseen that [`Storage::snapshot`] would
    /// fail. An engine does not tell how much its disk has left.
    fn preflight(&self, cx: &Context) -> Result<()>;

    /// Whether snapshot `id` is there.
    fn has_snapshot<'a>(&self, cx: &'a Context, engine: &'a Engine, id: &'a str)
    -> Boxed<'a, bool>;

    /// Keeps the state of the stopped gateway, and returns the snapshot's id, if there was anything to
    /// keep. With volumes, `release` then has a copy of `state`, or else of what the gateway had.
    fn snapshot<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        records: &'a Records,
        release: &'a Release,
        state: Option<&'a str>,
    ) -> Boxed<'a, Option<String>>;

    /// Keeps the state of `release`, which snapshot `other` is to take the place of, and returns the id of what has it then,
    /// if anything does.
    fn keep_before<'a>(
        &self,
        cx: &'a Context,
        release: &'a Release,
        other: &'a str,
    ) -> Boxed<'a, Option<String>>;

    /// Copies the state of snapshot `id` beside what is there; nothing where a release has volumes of its own.
    fn copy_back<'a>(&self, cx: &'a Context, id: &'a str) -> Boxed<'a, Copies>;

    /// Whether a snapshot that is put back replaces the state that is there.
    fn restores_in_place(&self) -> bool;

    /// Whether a directory or a volume of this name is the state of a gateway that we have started, or would.
    fn is_ours(&self, settings: &Settings, source: &str) -> bool;

    /// The hint that brings the state of another gateway, the container `id`, to where ours would look for it.
    fn to_take_over(&self, settings: &Settings, id: &str) -> String;

    /// Whether a gateway that we did not start can be remembered as a release.
    fn can_be_adopted(&self) -> bool;

    /// Makes the state one that the gateway can write, through a container that was created and not
    /// started.
    fn prepare<'a>(&self, cx: &'a Context, engine: &'a Engine, container: &'a str)
    -> Boxed<'a, ()>;

    /// [`Storage::prepare`] for a service, of which no container is created before it starts.
    fn prepare_for_service<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Boxed<'a, ()>;

    /// Finishes what was left by a run that was killed while it restored a snapshot.
    fn repair(&self, cx: &Context) -> Result<()>;

    /// Removes all snapshots but those of `keep` and those that the records need.
    fn prune<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        records: &'a Records,
        keep: Vec<String>,
    ) -> Boxed<'a, ()>;
}
