//! State in the volumes of an engine that is not this machine's.
//!
//! `openclaw_state_ID` and `openclaw_auth_ID` are one state. They carry the mark of our records,
//! so that those of another operator of the same engine are left alone, and what our records
//! do not name can go. A copy keeps owners, modes, links and times to the second; it fills holes,
//! and leaves out sockets and attributes other than capabilities.

use std::time::Instant;

use super::Release;
use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::volumes::{Mount, tar};
use crate::deploy::error::{Cause, Result};
use crate::deploy::gateway::config;
use crate::deploy::gateway::records::Records;
use crate::deploy::gateway::runtime::compose::{volume, volumes};
use crate::deploy::settings::STATE_OWNER;

/// The label of volumes; its value says whose records know them.
const MARK: &str = "openclaw-deploy.records";
/// The label of the containers through which a copy goes.
const HELPER: &str = "openclaw-deploy.helper";

/// Whether all volumes of `state` are there.
pub(super) async fn are_there(engine: &Engine, state: &str) -> Result<bool> {
    for (part, _) in volumes() {
        if !engine.has_volume(&volume(part, state)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes the volumes of `release`, with a copy of `state` or of what the gateway had, or empty
/// ones for the first. Returns what the gateway had.
pub(super) async fn take(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    release: &Release,
    state: Option<&str>,
) -> Result<Option<String>> {
    let had = current(cx, engine, records).await?;
    for (part, _) in volumes() {
        let name = volume(part, &release.state);
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
    let container = engine.gateway().await?.map(|it| it.state);
    let release = || records.current().map(|it| it.state.clone());
    let Some(state) = container.or_else(release).filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    if are_there(engine, &state).await? {
        return Ok(Some(state));
    }
    cx.talk.warn(format!(
        "the volumes of state {state} are gone; there is nothing of it to keep"
    ));
    Ok(None)
}

async fn copy(cx: &Context, engine: &Engine, release: &Release, from: &str) -> Result<()> {
    let start = Instant::now();
    cx.talk.note("copying its state");
    let source = helper(engine, release, from).await?;
    let target = helper(engine, release, &release.state).await?;
    let mut done = 0;
    for (_, inside) in volumes() {
        let parent = inside.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let each = |bytes| {
            cx.talk
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
    cx.talk
        .note(format!("copied {} in {seconds:.1} s", size(done)));
    Ok(())
}

/// A container with the volumes of `state`, from an image that is there.
async fn helper(engine: &Engine, release: &Release, state: &str) -> Result<String> {
    let mounts: Vec<Mount<'_>> = volumes()
        .map(|(part, inside)| (volume(part, state), inside))
        .into();
    engine.make_helper(&release.image, HELPER, &mounts).await
}

/// The volumes belong to the gateway's user, as the directories of a local one do, and hold a
/// configuration with which it starts.
pub(super) async fn settle(cx: &Context, engine: &Engine, container: &str) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    let inside = volumes().map(|(_, inside)| inside);
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

/// [`settle`] in a container that is made for it.
pub(super) async fn settle_by_helper(
    cx: &Context,
    engine: &Engine,
    release: &Release,
) -> Result<()> {
    let id = helper(engine, release, &release.state).await?;
    let settled = settle(cx, engine, &id).await;
    engine.remove_helpers(HELPER).await?;
    settled
}

/// Removes the containers of copies, and our volumes but those of the states in `keep`.
pub(super) async fn prune(engine: &Engine, records: &Records, keep: &[String]) -> Result<()> {
    engine.remove_helpers(HELPER).await?;
    let kept: Vec<String> = keep
        .iter()
        .flat_map(|state| volumes().map(|(part, _)| volume(part, state)))
        .collect();
    for name in engine.volumes_of((MARK, &records.mark)).await? {
        if !kept.contains(&name) {
            engine.remove_volume(&name).await?;
        }
    }
    Ok(())
}
