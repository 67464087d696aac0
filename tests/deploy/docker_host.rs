//! The fleet: an engine on another machine, by every way that reaches one.

use crate::registry_proxy::Rule;
use crate::remote::{BY_SSH, empty, there, with_engine, with_ssh};
use crate::token::{PLACES, Watch, forms};
use crate::world::{GOOD, Ran, World, answering, finish, put, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![another_engine_is_reached_by_tcp_by_ssh_and_by_a_context,];

/// Name and value of a variable that names the engine.
type Way = (&'static str, &'static str);

fn another_engine_is_reached_by_tcp_by_ssh_and_by_a_context(world: &World) -> Outcome {
    with_engine(world, "", |world| {
        let watch = Watch::begin(forms(GOOD));
        life(world, ("DOCKER_HOST", "tcp://127.0.0.1:2375"))?;
        with_ssh(|| {
            life(world, ("DOCKER_HOST", BY_SSH))?;
            sh(&format!(
                "HOME=/home docker context create vps --docker host={BY_SSH}"
            ))?;
            life(world, ("DOCKER_CONTEXT", "vps"))?;
            // A flag beats the environment, and an empty variable is none, as with docker.
            let away = ("DOCKER_HOST", "tcp://127.0.0.1:1");
            run(world, away, &["status"]).exits(3)?;
            run(world, away, &["status", "--context", "vps"])
                .exits(1)?
                .says("gateway     absent")?;
            let mut command = world.command(None, &["status"]);
            command
                .env("DOCKER_HOST", "")
                .env("DOCKER_CONTEXT", "vps")
                .env("HOME", "/home");
            finish(command)
                .exits(1)?
                .says("of the engine's machine")
                .map(drop)
        })?;
        watch.saw_nothing()
    })
}

/// First, again, next, a bad one; nothing on this machine but what is kept about that engine.
fn life(world: &World, way: Way) -> Outcome {
    stages(world, way).map_err(|why| format!("{way:?}: {why}"))?;
    empty()
}

fn stages(world: &World, way: Way) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    let run = |args: &[&str]| run(world, way, args);
    let at = |tag: &str| {
        let image = world.image(tag);
        let args = ["bootstrap", "--image", &image, "--upstream-image", ""];
        run(&[&args[..], &["--health-timeout", "20s"]].concat())
    };
    at("v1")
        .exits(0)?
        .says("the engine is on another machine")?;
    same("who answers", answering(), "v1".to_owned())?;
    let here = sh("docker ps -aq; docker images -q; docker volume ls -q")?;
    same("what this machine's engine has", here.as_str(), "")?;
    let running = there("ps -q")?.lines().count();
    same("what runs on the other engine", running, 1)?;
    at("v1").exits(0)?.says("gateway     unchanged")?;
    at("v2").exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    at("v4").exits(5)?;
    same("after the way back", answering(), "v2".to_owned())?;
    run(&["status"]).exits(0)?.says("of the engine's machine")?;
    run(&["logs"]).exits(0)?.says("gateway v2 mode good")?;
    run(&["rollback"]).exits(0)?;
    same("after the rollback", answering(), "v1".to_owned())?;
    no_file(world)
}

fn run(world: &World, (name, value): Way, args: &[&str]) -> Ran {
    let mut command = world.command(Some(GOOD), args);
    command.env(name, value).env("HOME", "/home");
    finish(command)
}

/// The token is in no file of this machine or of the other engine; a planted one is found.
fn no_file(world: &World) -> Outcome {
    let places = format!("{PLACES} {}/second", world.scratch.display());
    let found = || world.files_with(&forms(GOOD), &places);
    same("files with the token", found()?.as_str(), "")?;
    let planted = world.scratch.join("second/planted").display().to_string();
    put(&planted, &format!("x{}x", forms(GOOD)[0]))?;
    same("the control", found()?, planted.clone())?;
    sh(&format!("rm {planted}")).map(drop)
}
