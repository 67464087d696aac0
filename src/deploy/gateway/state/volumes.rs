//! State in the volumes of an engine that is not this machine's.
//!
//! `openclaw_state_ID` and `openclaw_auth_ID` are one state. They carry the mark of our records,
//! so that those of another operator of the same engine are left alone, and what our records
//! do not name can go. A copy keeps owners, modes, links and times to the second; it fills holes,
//! and leaves out sockets and attributes other than capabilities.

use std::path::PathBuf;
use std::time::Instant;

use super::interface::{Copies, INSIDE, Storage};
use crate::base::units::{now, size};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::volumes::{VolumeMount, tar};
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::boxed::Boxed;
use crate::deploy::gateway::config;
use crate::deploy::gateway::container;
use crate::deploy::gateway::labels::PROJECT;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::spec::Mount;
use crate::deploy::settings::{STATE_OWNER, Settings};

/// The parts of a state, and where the gateway sees them.
pub(crate) const PARTS: [(&str, &str); 2] =
    [("state", INSIDE), ("auth", "/home/node/.config/openclaw")];

/// The name of a volume.
pub(crate) fn name(part: &str, state: &str) -> String {
    format!("{PROJECT}_{part}_{state}")
}

/// The label of volumes; its value says whose records know them.
const MARK: &str = "openclaw-deploy.records";
/// The label of the containers through which a copy goes.
const HELPER: &str = "openclaw-deploy.helper";

/// State in volumes.
pub(super) struct Volumes;

impl Storage for Volumes {
    fn name_for(&self, id: u64) -> Option<String> {
        Some(format!("{}-{id}", now()))
    }

    fn directories(&self, _: &Settings) -> Vec<PathBuf> {
        Vec::new()
    }

    fn mounts(&self, _: &Settings) -> Vec<Mount> {
        Vec::new()
    }

    fn preflight(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    fn has_snapshot<'a>(&self, _: &'a Context, engine: &'a Engine, id: &'a str) -> Boxed<'a, bool> {
        Box::pin(are_there(engine, id))
    }

    fn snapshot<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        records: &'a Records,
        release: &'a Release,
        state: Option<&'a str>,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(snapshot(cx, engine, records, release, state))
    }

    fn keep_before<'a>(
        &self,
        _: &'a Context,
        release: &'a Release,
        _: &'a str,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(async { Ok(release.state.clone()) })
    }

    fn copy_back<'a>(&self, _: &'a Context, _: &'a str) -> Boxed<'a, Copies> {
        Box::pin(async { Ok(Copies::default()) })
    }

    fn restores_in_place(&self) -> bool {
        false
    }

    fn is_ours(&self, _: &Settings, source: &str) -> bool {
        source.starts_with(&name(PARTS[0].0, ""))
    }

    fn to_take_over(&self, _: &Settings, _: &str) -> String {
        "run this on that machine itself, without DOCKER_HOST and --context".to_owned()
    }

    fn can_be_adopted(&self) -> bool {
        false
    }

    fn prepare<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        container: &'a str,
    ) -> Boxed<'a, ()> {
        Box::pin(prepare(cx, engine, container))
    }

    fn prepare_for_service<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Boxed<'a, ()> {
        Box::pin(prepare_by_helper(cx, engine, release))
    }

    fn repair(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    fn prune<'a>(
        &self,
        _: &'a Context,
        engine: &'a Engine,
        records: &'a Records,
        mut keep: Vec<String>,
    ) -> Boxed<'a, ()> {
        let pending = records.pending.as_ref().map(|it| &it.release);
        let needed = records.current().into_iter().chain(pending);
        keep.extend(needed.filter_map(|it| it.state.clone()));
        Box::pin(async move { prune(engine, records, &keep).await })
    }
}

/// The name of a release's own volumes.
fn own(release: &Release) -> Result<&str> {
    release.state.as_deref().ok_or_else(|| {
        Failure::new(format!(
            "release {} has its state in directories, which this engine cannot reach",
            release.id
        ))
        .hint("choose another version with --image")
    })
}

/// Whether all volumes of `state` are there.
async fn are_there(engine: &Engine, state: &str) -> Result<bool> {
    for (part, _) in PARTS {
        if !engine.has_volume(&name(part, state)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes the volumes of `release`, with a copy of `state` or of what the gateway had, or empty
/// ones for the first. Returns what the gateway had.
async fn snapshot(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    release: &Release,
    state: Option<&str>,
) -> Result<Option<String>> {
    let had = current(cx, engine, records).await?;
    for (part, _) in PARTS {
        let name = name(part, own(release)?);
        engine.make_volume(&name, (MARK, &records.mark)).await?;
    }
    if let Some(from) = state.or(had.as_deref()) {
        engine.remove_helpers(HELPER).await?;
        let copied = copy(cx, engine, release, from).await;
        engine.remove_helpers(HELPER).await?;
        copied?;
    }
    Ok(had)
}

/// The state of the container that is there, or else of the release that should be.
async fn current(cx: &Context, engine: &Engine, records: &Records) -> Result<Option<String>> {
    let container = container::find(engine).await?;
    let state = match &container {
        Some(container) => container::state(container).map(str::to_owned),
        None => records.current().and_then(|it| it.state.clone()),
    };
    let Some(state) = state else {
        return Ok(None);
    };
    if are_there(engine, &state).await? {
        return Ok(Some(state));
    }
    cx.reporter.warn(format!(
        "the volumes of state {state} were not found; there is nothing of it to keep"
    ));
    Ok(None)
}

async fn copy(cx: &Context, engine: &Engine, release: &Release, from: &str) -> Result<()> {
    let start = Instant::now();
    cx.reporter.note("copying its state");
    let source = helper(engine, release, from).await?;
    let target = helper(engine, release, own(release)?).await?;
    let mut done = 0;
    for (_, inside) in PARTS {
        let parent = inside.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let each = |bytes| {
            cx.reporter
                .progress(|| format!("copying its state: {}", size(done + bytes)));
        };
        done += engine
            .copy((&source, inside), (&target, parent), each)
            .await
            .map_err(|why| match why.cause {
                Cause::Disk => why.hint("free some space there: docker system df"),
                _ => why,
            })?;
    }
    let seconds = start.elapsed().as_secs_f64();
    cx.reporter
        .note(format!("copied {} in {seconds:.1} s", size(done)));
    Ok(())
}

/// A container with the volumes of `state`, from an image that is there.
async fn helper(engine: &Engine, release: &Release, state: &str) -> Result<String> {
    let mounts: Vec<VolumeMount<'_>> = PARTS
        .map(|(part, inside)| (name(part, state), inside))
        .into();
    engine.make_helper(&release.image, HELPER, &mounts).await
}

/// The volumes belong to the gateway's user, as the directories of a local one do, and hold a
/// configuration with which it starts.
async fn prepare(cx: &Context, engine: &Engine, container: &str) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    let inside = PARTS.map(|(_, inside)| inside);
    names.extend(inside.map(|it| format!("{}/", it.trim_start_matches('/'))));
    let mut entries: Vec<(&str, u32, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), 0o700, &b""[..]))
        .collect();
    let config = format!("{}/openclaw.json", inside[0]);
    let text = config::text(cx.settings.port);
    if !engine.has_file(container, &config).await? {
        entries.push((config.trim_start_matches('/'), 0o600, text.as_bytes()));
    }
    engine.put(container, "/", tar(STATE_OWNER, &entries)).await
}

/// [`prepare`] in a container that is created for it.
async fn prepare_by_helper(cx: &Context, engine: &Engine, release: &Release) -> Result<()> {
    let id = helper(engine, release, own(release)?).await?;
    let prepared = prepare(cx, engine, &id).await;
    engine.remove_helpers(HELPER).await?;
    prepared
}

/// Removes the containers of copies, and our volumes but those of the states in `keep`.
async fn prune(engine: &Engine, records: &Records, keep: &[String]) -> Result<()> {
    engine.remove_helpers(HELPER).await?;
    let kept: Vec<String> = keep
        .iter()
        .flat_map(|state| PARTS.map(|(part, _)| name(part, state)))
        .collect();
    for name in engine.volumes_of((MARK, &records.mark)).await? {
        if !kept.contains(&name) {
            engine.remove_volume(&name).await?;
        }
    }
    Ok(())
}
