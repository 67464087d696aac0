//! Check 55: the node of a service has lost its image. Swarm would pull it at the same time as we.

use crate::cut::strike;
use crate::gate::Harm;
use crate::lent::{GIVE, begin_anew, deploy, tokens};
use crate::swarm::{HERE, in_swarm, task};
use crate::world::{GOOD, STEPS, World, answering, hold, same, sh, wait_for};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[check(
    55,
    "Swarm: an image that its node has lost, whatever befalls our run",
    lost,
)];

fn lost(world: &World) -> Outcome {
    world.gate.rule(tokens(GOOD));
    in_swarm(HERE, world, |world| {
        let big = world.image("big");
        deploy(world, Some(GOOD), &big, &["--swarm", GIVE]).exits(0)?;
        world.gate.harm(Harm::Down);
        begin_anew()?;
        deploy(world, Some(GOOD), &big, &[]).exits(4)?;
        replicas("after a pull that failed", "1")?;
        killed(world, &big)?;
        condemned(world)
    })
}

fn replicas(when: &str, wanted: &str) -> Outcome {
    let seen = sh(
        "docker service inspect --format '{{.Spec.Mode.Replicated.Replicas}}' openclaw_gateway",
    )?;
    same(when, seen.as_str(), wanted)
}

/// Swarm does not try while we pull. When we are killed the next run lets it, even one that fails.
fn killed(world: &World, image: &str) -> Outcome {
    world.gate.harm(Harm::Slow(4_000_000));
    world.gate.requests();
    let args = ["bootstrap", "--only", STEPS, "--image", image];
    let pulls = || {
        let asked = world.gate.requests();
        asked.iter().any(|it| it.contains("/blobs/")) && replicas("", "0").is_ok()
    };
    let run = strike(world.command(Some(GOOD), &args), "KILL", pulls)?;
    run.exits(-9)?;
    replicas("while we pull", "0")?;
    world.gate.harm(Harm::Down);
    deploy(world, Some(GOOD), image, &[]).exits(4)?;
    replicas("after the next run", "1")?;
    world.gate.harm(Harm::None);
    hold(
        wait_for(60, || answering() == "big"),
        "Swarm does not pull it by itself",
    )
}

/// A gateway that has crashed has its image: a version that is refused does not keep it down.
fn condemned(world: &World) -> Outcome {
    let v4 = world.image("v4");
    deploy(world, Some(GOOD), &v4, &[]).exits(5)?;
    sh(&format!("kill -9 {}", task(HERE, "{{.State.Pid}}")?))?;
    deploy(world, Some(GOOD), &v4, &[])
        .exits(6)?
        .says("not tried again")?;
    replicas("after a refusal", "1")?;
    hold(
        wait_for(30, || answering() == "big"),
        "Swarm does not start it again",
    )
}
