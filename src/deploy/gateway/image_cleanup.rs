//! Removes images that no release needs any more: those that we pulled or built, and no others.
//!
//! A version that failed was pulled as well and becomes no release. The last one stays, to be
//! looked at or tried again; it is removed when a version answers, or when another one fails.

use super::records::{Records, Release};
use super::state;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::image_reference::short;

/// The repository of the tags that keep our images from being pruned by others.
const KEPT: &str = "openclaw-deploy/kept";

/// Keeps the image of a release from being pruned by others.
pub(crate) async fn tag(engine: &Engine, release: &Release) -> Result<()> {
    engine
        .tag(&release.image, KEPT, short(&release.image))
        .await
}

/// Removes releases, images and snapshots beyond `--keep`.
pub(crate) async fn prune(cx: &Context, engine: &Engine, records: &mut Records) -> Result<()> {
    let gone = records.prune(cx.settings.keep);
    records.save(&cx.host, &cx.settings)?;
    for release in &gone {
        engine
            .untag(&format!("{KEPT}:{}", short(&release.image)))
            .await?;
    }
    remove_unneeded(cx, engine, records, None).await?;
    state::prune(cx, engine, records).await;
    Ok(())
}

/// Removes the images that we pulled or built and no release needs, but for that of `last`.
pub(crate) async fn remove_unneeded(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    last: Option<&Release>,
) -> Result<()> {
    for pinned in records.unneeded(last) {
        // One that a container uses stays, and is tried again the next time.
        if engine.untag(&pinned).await? {
            records.brought.retain(|it| it.pinned != pinned);
        }
    }
    records.save(&cx.host, &cx.settings)
}
