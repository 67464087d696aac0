//! Checks 49 and 50: a gateway that was changed by hand.

use crate::swarm::{HERE, in_swarm};
use crate::world::{World, answering, hold, inspect, same, sh};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[
    check(
        49,
        "published elsewhere or paused by hand: the next run puts it right",
        compose,
    ),
    check(
        50,
        "Swarm: scaled or removed by hand: the next run puts it right",
        swarm,
    ),
];

const PROJECT: &str = "/home/deploy/openclaw";

fn compose(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    for port in ["0.0.0.0:18789:18789", "127.0.0.1:28789:18789"] {
        sh(&format!(
            "sed -i 's/127.0.0.1:18789:18789/{port}/' {PROJECT}/compose.yaml && docker compose -f {PROJECT}/compose.yaml up -d"
        ))?;
        let ports = "{{json .HostConfig.PortBindings}}";
        let before = inspect(ports)?;
        let run = world.bootstrap("v1", &[]);
        run.exits(0)?.says("4/9  gateway     changed")?;
        same("who answers", answering(), "v1".to_owned())?;
        let after = inspect(ports)?;
        hold(before != after, "the control: nothing was changed by hand")?;
        same(
            "what is published",
            after.as_str(),
            r#"{"18789/tcp":[{"HostIp":"127.0.0.1","HostPort":"18789"}]}"#,
        )?;
    }
    sh("docker pause openclaw-openclaw-gateway-1")?;
    world.bootstrap("v1", &[]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    world
        .bootstrap("v1", &[])
        .exits(0)?
        .says("4/9  gateway     unchanged")
        .map(drop)
}

fn swarm(world: &World) -> Outcome {
    in_swarm(HERE, world, |world| {
        world.bootstrap("v1", &["--swarm"]).exits(0)?;
        let lines = [
            "docker service scale -d openclaw_gateway=2",
            // Its container outlives it by seconds.
            "docker service rm openclaw_gateway",
        ];
        for line in lines {
            sh(line)?;
            world.bootstrap("v1", &[]).exits(0)?;
            same("who answers", answering(), "v1".to_owned())?;
            let wanted = "{{.Spec.Mode.Replicated.Replicas}}";
            let saw = sh(&format!(
                "docker service inspect openclaw_gateway --format '{wanted}'"
            ))?;
            same(line, saw.as_str(), "1")?;
            let running =
                sh("docker ps -q --filter label=com.docker.swarm.service.name=openclaw_gateway")?;
            same("how many run", running.lines().count(), 1)?;
        }
        Ok(())
    })
}
