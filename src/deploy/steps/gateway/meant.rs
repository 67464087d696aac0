//! What the wanted name means here: not always what its registry has by that name.

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::image::resolve::{Resolution, ResolvedImage, resolve};
use crate::deploy::image_reference::ImageRef;

/// Looks up the wanted image.
pub(super) async fn resolved(
    cx: &Context,
    engine: &Engine,
    records: &Records,
) -> Result<ResolvedImage> {
    if let Some(of_backup) = of_backup(cx, engine, records).await? {
        return Ok(of_backup);
    }
    let resolved = resolve(cx, engine, &cx.settings.image).await?;
    unless_left(cx, engine, records, resolved).await
}

/// On a host that came from a backup, the very image that its state belongs to, while the registry has it.
async fn of_backup(
    cx: &Context,
    engine: &Engine,
    records: &Records,
) -> Result<Option<ResolvedImage>> {
    let wanted = &cx.settings.image;
    let current = records.current().filter(|_| records.restored);
    let Some(pinned) = current.and_then(|it| pinned(cx, it)) else {
        return Ok(None);
    };
    let resolved = resolve(cx, engine, &pinned).await?;
    if let Resolution::Unavailable(why) = &resolved.resolution {
        cx.reporter.warn(format!(
            "the image that the restored state belongs to cannot be had ({why}); taking what {wanted} is now"
        ));
        return Ok(None);
    }
    Ok(Some(ResolvedImage {
        wanted: wanted.clone(),
        ..resolved
    }))
}

/// The image of a release that was asked for by the name that is wanted now, unless somebody asks for it in this run.
fn pinned(cx: &Context, release: &Release) -> Option<ImageRef> {
    let wanted = &cx.settings.image;
    if cx.settings.image_is_named || release.requested != wanted.to_string() {
        return None;
    }
    let pinned = ImageRef::parse(&release.pinned).ok()?;
    let is_of_name = wanted.at(pinned.digest()?).to_string() == release.pinned;
    is_of_name.then_some(pinned)
}

/// An image that a person has gone back from is installed only where they ask for it: else what runs stays.
async fn unless_left(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    resolved: ResolvedImage,
) -> Result<ResolvedImage> {
    let (id, pinned) = match &resolved.resolution {
        Resolution::OnEngine { image, pinned } => (image.id.as_str(), pinned.clone()),
        Resolution::InRegistry { distribution } => {
            ("", resolved.wanted.at(&distribution.digest).to_string())
        }
        Resolution::NotBuilt | Resolution::Unavailable(_) => return Ok(resolved),
    };
    let is_left = records.left.iter().any(|it| it == id || *it == pinned);
    if !is_left || cx.settings.retry || cx.settings.image_is_named {
        return Ok(resolved);
    }
    let Some(current) = records.current() else {
        return Ok(resolved);
    };
    let Some(image) = engine.image(&current.pinned).await? else {
        return Ok(resolved);
    };
    cx.reporter.warn(format!(
        "{pinned} was rolled back from: release {} stays; to have it again: openclaw-deploy update --retry",
        current.id
    ));
    Ok(ResolvedImage {
        resolution: Resolution::OnEngine {
            image,
            pinned: current.pinned.clone(),
        },
        ..resolved
    })
}
