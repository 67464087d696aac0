//! Images that no release needs any more: of those that we brought, and of no others.
//!
//! A version that failed is brought as well and becomes no release. The last one stays, to be
//! looked at or tried again; it goes when a version answers, or when another one fails.

use super::records::{Records, Release};
use super::state;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::image_reference::short;

/// The repository of the tags that keep our images from being pruned by others.
const KEPT: &str = "openclaw-deploy/kept";

/// Keeps the image of a release from being pruned by others.
pub(crate) async fn keep(engine: &Engine, release: &Release) -> Result<()> {
    engine
        .tag(&release.image, KEPT, short(&release.image))
        .await
}

/// Lets go of releases, images and snapshots beyond `--keep`.
pub(crate) async fn prune(cx: &Context, engine: &Engine, records: &mut Records) -> Result<()> {
    let gone = records.prune(cx.settings.keep);
    records.save(&cx.host, &cx.settings)?;
    for release in &gone {
        engine
            .untag(&format!("{KEPT}:{}", short(&release.image)))
            .await?;
    }
    remove(cx, engine, records, None).await?;
    state::prune(cx, engine, records).await;
    Ok(())
}

/// Removes what we brought and no release needs, but for the image `last`.
pub(crate) async fn remove(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    last: Option<&Release>,
) -> Result<()> {
    for pinned in records.needless(last) {
        // One that a container uses is asked for again the next time.
        if engine.untag(&pinned).await? {
            records.brought.retain(|it| it.pinned != pinned);
        }
    }
    records.save(&cx.host, &cx.settings)
}
