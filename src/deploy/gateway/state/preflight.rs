//! Whether a snapshot can be taken and restored, before the gateway is stopped for it.

use std::path::Path;

use super::snapshot;
use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::disk::{free, is_one_disk, mount_within, weigh};

/// Refuses when the snapshot would not fit, or could not be put back: that takes a second copy,
/// beside the state, and a directory that can be renamed.
///
/// # Errors
/// With what is needed and what is free, or with the mount that is in the way.
pub(super) fn check(cx: &Context) -> Result<()> {
    let snapshots = snapshot::directory(cx)?;
    for (path, _) in snapshot::parts(cx) {
        if let Some(mount) = mount_within(&cx.host.path(&path)) {
            return Err(Failure::new(format!(
                "{mount} is a mount of its own, and could not be put back with the state; the gateway was not touched"
            ))
            .hint(format!("mount that disk at {} instead, or above it", cx.settings.home().display()))
            .cause(Cause::Mount));
        }
    }
    let weights = snapshot::parts(cx).map(|(path, _)| weigh(&cx.host.path(path)));
    // A reserve, so that the records and the journal can still be written.
    let need = |bytes: u64| bytes + bytes / 20 + (4 << 20);
    let copy = need(weights.iter().sum());
    let state = cx.settings.home();
    if is_one_disk(&cx.host.path(&snapshots), &cx.host.path(&state)) {
        return fits(cx, &snapshots, 2 * copy);
    }
    fits(cx, &snapshots, copy)?;
    // Put back one after the other, each beside what is there.
    fits(cx, &state, need(weights.into_iter().max().unwrap_or(0)))
}

fn fits(cx: &Context, place: &Path, need: u64) -> Result<()> {
    let free = free(&cx.host.path(place))?;
    if free >= need {
        return Ok(());
    }
    Err(Failure::new(format!(
        "no space for a snapshot of the state and the way back: {} needed, {} free; the gateway was not touched",
        size(need),
        size(free)
    ))
    .hint(format!("free some space on the disk of {}", place.display()))
    .cause(Cause::Disk))
}
