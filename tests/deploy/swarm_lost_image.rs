//! The node of a service has lost its image. Swarm would pull it at the same time as we.

use crate::interruption::strike;
use crate::registry_proxy::Harm;
use crate::registry_proxy::Rule;
use crate::swarm::{HERE, in_swarm, task};
use crate::swarm_registry::{begin_anew, deploy};
use crate::world::{GOOD, STEPS, World, answering, hold, same, sh, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] =
    checks![an_image_that_its_node_has_lost_comes_back_whatever_befalls_a_run,];

fn an_image_that_its_node_has_lost_comes_back_whatever_befalls_a_run(world: &World) -> Outcome {
    // Swarm holds no token, so that by itself it pulls what is public.
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: true,
    });
    in_swarm(HERE, world, |world| {
        let big = world.image("big");
        deploy(world, Some(GOOD), &big, &["--swarm"]).exits(0)?;
        world.proxy.harm(Harm::Down);
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
    world.proxy.harm(Harm::Slow(4_000_000));
    world.proxy.requests();
    let args = ["bootstrap", "--only", STEPS, "--image", image];
    let pulls = || {
        let asked = world.proxy.requests();
        asked.iter().any(|it| it.contains("/blobs/")) && replicas("", "0").is_ok()
    };
    let run = strike(world.command(Some(GOOD), &args), "KILL", pulls)?;
    run.exits(-9)?;
    replicas("while we pull", "0")?;
    world.proxy.harm(Harm::Down);
    deploy(world, Some(GOOD), image, &[]).exits(4)?;
    replicas("after the next run", "1")?;
    world.proxy.harm(Harm::None);
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
