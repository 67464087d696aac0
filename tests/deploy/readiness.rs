//! A gateway that answers and cannot do its work.

use crate::world::{World, answering, hold, same, sh, text};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] =
    checks![a_refused_database_is_a_failure_and_a_channel_that_is_down_a_warning,];

/// A database that was refused before is nobody's fault now: it must not stand in the way of the version
/// that would mend it.
fn known(world: &World) -> Outcome {
    world.reset()?;
    let warning = "is not ready: agent-database:main";
    world.bootstrap("refused", &[]).exits(0)?.says(warning)?;
    world.bootstrap("refused2", &[]).exits(0)?.says(warning)?;
    same("who answers", answering(), "refused2".to_owned())?;
    world
        .bootstrap("v1", &[])
        .exits(0)?
        .never_says("not ready")?;
    world.bootstrap("refused2", &[]).exits(5)?;
    world.bootstrap("channel", &[]).exits(0).map(drop)
}

fn a_refused_database_is_a_failure_and_a_channel_that_is_down_a_warning(world: &World) -> Outcome {
    world
        .bootstrap("v1", &[])
        .exits(0)?
        .never_says("not ready")?;
    world
        .bootstrap("refused", &[])
        .exits(5)?
        .says("its state cannot be used by this version: agent-database:main")?
        .says("runs again with its state")?;
    same("who answers", answering(), "v1".to_owned())?;
    world
        .bootstrap("refused", &[])
        .exits(5)?
        .says("not tried again")?;
    let journal = text("/var/lib/openclaw-deploy/journal.jsonl");
    hold(
        journal.contains("\"cause\":\"state\""),
        "the journal has no cause",
    )?;
    world
        .bootstrap("channel", &[])
        .exits(0)?
        .says("is not ready: telegram")?;
    same("who answers", answering(), "channel".to_owned())?;
    known(world)?;
    // The control: without the gateway's own token it says no more than that it is not ready.
    let untold = sh("curl -s 127.0.0.1:18789/readyz")?;
    same("what others are told", untold.as_str(), "{\"ready\":false}")
}
