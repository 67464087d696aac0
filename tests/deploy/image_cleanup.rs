//! The disk of a host that is given bad versions does not fill with their images.

use crate::world::{GOOD, World, answering, finish, hold, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![images_of_failed_versions_go_and_those_of_others_stay,];

fn images_of_failed_versions_go_and_those_of_others_stay(world: &World) -> Outcome {
    let name = |port: u16, tag: &str| {
        let digest = world.images.digest(tag);
        format!("127.0.0.1:{port}/me/openclaw@{digest}")
    };
    let ours = |tag: &str| is_here(&name(world.proxy.port, tag));
    // As the first on this host, too.
    world.bootstrap("v4", &[]).exits(6)?;
    world
        .bootstrap("v3", &["--health-timeout", "2s"])
        .exits(6)?;
    hold(
        !ours("v4") && ours("v3"),
        "a first version that failed stays, or the last is gone",
    )?;
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("v4", &["--retry"]).exits(5)?;
    hold(
        ours("v4"),
        "the one that failed is not there to be looked at",
    )?;
    world
        .bootstrap("v3", &["--retry", "--health-timeout", "3s"])
        .exits(5)?;
    hold(!ours("v4"), "one that failed before stays")?;
    hold(
        ours("v3") && ours("v1"),
        "the last or the one that runs is gone",
    )?;
    // What is refused as bad is not pulled for ever either.
    world
        .bootstrap("v4", &[])
        .exits(5)?
        .says("not tried again")?;
    world.bootstrap("v2", &[]).exits(0)?;
    hold(
        !ours("v3") && !ours("v4"),
        "a version answers, and they stay",
    )?;
    hold(ours("v1") && ours("v2"), "the way back is gone")?;
    // The control: the same, but somebody else had pulled it before.
    let theirs = name(5000, "v4");
    sh(&format!("docker pull -q {theirs}"))?;
    let image = "127.0.0.1:5000/me/openclaw:v4";
    let more = ["--retry", "--health-timeout", "8s"];
    finish(world.bootstrapping(Some(GOOD), image, &more)).exits(5)?;
    world.bootstrap("v5", &["--keep", "1"]).exits(0)?;
    hold(!ours("v1") && !ours("v2"), "more than one of ours stays")?;
    hold(is_here(&theirs), "an image of others was removed")?;
    same("who answers", answering(), "v5".to_owned())
}

fn is_here(image: &str) -> bool {
    sh(&format!("docker image inspect {image} >/dev/null")).is_ok()
}
