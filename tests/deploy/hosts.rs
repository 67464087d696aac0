//! The fleet: an engine on another machine.

use crate::world::{GOOD, World, finish, hold, same, sh};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[check(
    35,
    "fleet: steps 3 and 4 against another engine",
    fleet,
)];

fn fleet(world: &World) -> Outcome {
    crate::remote::with_engine(world, "", remote)
}

fn remote(world: &World) -> Outcome {
    world.gate.rule(crate::gate::Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    let at = |tag: &str, more: &[&str]| {
        let image = world.image(tag);
        let mut args = vec![
            "bootstrap",
            "--image",
            &image,
            "--upstream-image",
            "",
            "--health-timeout",
            "20s",
        ];
        args.extend(more);
        let mut command = world.command(Some(GOOD), &args);
        command
            .env("DOCKER_HOST", "tcp://127.0.0.1:2375")
            .env("HOME", "/home");
        finish(command)
    };
    at("v1", &[])
        .exits(0)?
        .says("the engine is on another machine")?;
    same("who answers", crate::world::answering(), "v1".to_owned())?;
    hold(
        sh("docker ps -aq")?.is_empty(),
        "the engine of this machine was used",
    )?;
    hold(
        sh("docker -H tcp://127.0.0.1:2375 ps -q")?.lines().count() == 1,
        "the other engine was not used",
    )?;
    at("v1", &[]).exits(0)?.says("gateway     unchanged")?;
    at("v2", &[]).exits(0)?;
    same("who answers", crate::world::answering(), "v2".to_owned())?;
    at("v4", &[]).exits(5)?;
    same(
        "who answers after the way back",
        crate::world::answering(),
        "v2".to_owned(),
    )?;
    let found = sh(&format!(
        "grep -rlF -- '{GOOD}' /root /home /run/openclaw* /etc/docker 2>/dev/null; true"
    ))?;
    same("files with the token", found.as_str(), "")
}
