//! A gateway that was changed by hand, and what a program reads of us.

use serde_json::Value;

use crate::swarm::{HERE, in_swarm};
use crate::world::{World, answering, hold, inspect, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    a_gateway_that_was_published_elsewhere_or_paused_is_put_right,
    compose_works_in_the_folder_and_its_file_is_put_right,
    one_that_was_taken_down_comes_back_where_the_next_version_fails,
    a_line_of_env_that_no_version_starts_with_is_named,
    an_image_written_into_env_is_taken_by_update,
    a_service_that_was_scaled_or_removed_is_put_right,
    a_changed_env_file_still_rolls_back_and_answers_in_json,
];

const PROJECT: &str = "/home/deploy/openclaw";

fn a_gateway_that_was_published_elsewhere_or_paused_is_put_right(world: &World) -> Outcome {
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

fn compose_works_in_the_folder_and_its_file_is_put_right(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let started = inspect("{{.State.StartedAt}}")?;
    let here = |line: &str| sh(&format!("cd {PROJECT} && docker compose {line}"));
    hold(here("ps")?.contains("openclaw-gateway"), "ps shows nothing")?;
    here("logs")?;
    here("exec -T openclaw-gateway node probe")?;
    for change in ["rm", "sed -i s/pids_limit/x_limit/"] {
        sh(&format!("{change} {PROJECT}/compose.yaml"))?;
        world
            .run(&["doctor"])
            .says("compose.yaml is missing or was edited")?;
        world.run(&["update"]).exits(0)?;
        hold(
            here("config")?.contains("pids_limit"),
            "it is not written again",
        )?;
    }
    same("not restarted", inspect("{{.State.StartedAt}}")?, started)?;
    here("down")?;
    here("up --detach")?;
    world.run(&["update"]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    let inside = world.run(&["exec", "--", "node", "say", "--json"]);
    inside.exits(7)?.says("say --json")?;
    let console = world.run(&["console", "say", "--help"]);
    console.exits(7)?.says("openclaw.mjs say --help").map(drop)
}

fn one_that_was_taken_down_comes_back_where_the_next_version_fails(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!("cd {PROJECT} && docker compose down"))?;
    let run = world.bootstrap("v4", &[]);
    run.exits(5)?
        .says("runs again with its state and answers")?;
    same("who answers", answering(), "v1".to_owned())?;
    let again = world.bootstrap("v4", &[]);
    again.exits(5)?.says("is not tried again").map(drop)
}

fn a_line_of_env_that_no_version_starts_with_is_named(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!("echo GATEWAY_MODE=exit78 >> {PROJECT}/.env"))?;
    let run = world.run(&["update"]);
    run.exits(6)?.says(&format!(
        "{PROJECT}/.env has changed since release 1 was started"
    ))?;
    let hint = run.err.split("undo it, then: openclaw-deploy ").nth(1);
    let hint: Vec<_> = hint.unwrap_or_default().split_whitespace().collect();
    sh(&format!("sed -i /GATEWAY_MODE/d {PROJECT}/.env"))?;
    world.run(hint.get(..3).unwrap_or_default()).exits(0)?;
    same("who answers", answering(), "v1".to_owned())
}

fn an_image_written_into_env_is_taken_by_update(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let write = format!("s|^OPENCLAW_IMAGE=.*|OPENCLAW_IMAGE={}|", world.image("v2"));
    sh(&format!("sed -i '{write}' {PROJECT}/.env"))?;
    world.run(&["update"]).exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    let pinned = world.images.digest("v2");
    hold(
        sh(&format!("cat {PROJECT}/.env"))?.contains(pinned),
        "it is not pinned",
    )?;
    world.run(&["update"]).exits(0)?;
    same("who answers after another", answering(), "v2".to_owned())
}

fn a_service_that_was_scaled_or_removed_is_put_right(world: &World) -> Outcome {
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

fn a_changed_env_file_still_rolls_back_and_answers_in_json(world: &World) -> Outcome {
    let json = |text: &str| -> Result<Value, String> {
        serde_json::from_str(text).map_err(|why| format!("{why}: {text}"))
    };
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("v2", &["--keep", "2"]).exits(0)?;
    for count in 0..3 {
        sh(&format!("echo KEY{count}=1 >> {PROJECT}/.env"))?;
        let run = world.bootstrap("v2", &["--keep", "2"]);
        run.exits(0)?.says("4/9  gateway     changed")?;
    }
    let run = world.run(&["rollback", "--json"]);
    let told = json(&run.exits(0)?.out)?;
    same("the image", &told["release"], &Value::from(6))?;
    same("who answers", answering(), "v1".to_owned())?;
    let refused = world.run(&["rollback", "--to", "99", "--json"]);
    let told = json(&refused.exits(1)?.out)?;
    same("the exit", &told["exit"], &Value::from(1))?;
    hold(
        told["error"]["what"]
            .as_str()
            .is_some_and(|it| it.contains("no such release")),
        format!("no error: {told}"),
    )?;
    sh("echo > /var/lib/openclaw-deploy/records.json")?;
    let doctor = world.run(&["doctor"]);
    doctor.exits(1)?.says("records.json is damaged")?;
    sh("rm /var/lib/openclaw-deploy/records.json; docker rm -f openclaw-openclaw-gateway-1")?;
    let doctor = world.run(&["doctor"]);
    doctor
        .exits(1)?
        .says("gateway    not found")?
        .says("free in /var")?;
    world
        .run(&["status", "--port", "0"])
        .exits(2)?
        .says("not a port: 0")?;
    // Nobody listens there: what is said of a remote engine's disk and backups needs none.
    let remote = "--docker-host=tcp://127.0.0.1:1";
    world
        .run(&["doctor", remote])
        .exits(1)?
        .never_says("free in")?
        .never_says("cannot ask")?;
    let backup = world.run(&["backup", remote]);
    backup
        .exits(1)?
        .says("a remote engine has volumes instead")
        .map(drop)
}
