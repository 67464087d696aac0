//! The token of the registry, which Swarm is never given, and which it does not keep where an
//! earlier version gave it.
//!
//! What Swarm holds it shows to nobody. So its node loses the image, and a new task has to pull it.

use crate::registry_proxy::Rule;
use crate::swarm::{HERE, files_with, in_swarm};
use crate::token::{Watch, forms};
use crate::world::{GOOD, Ran, STEPS, World, answering, finish, hold, same, sh, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![swarm_is_never_given_the_token_of_the_registry];

fn swarm_is_never_given_the_token_of_the_registry(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    in_swarm(HERE, world, |world| {
        never_given(world)?;
        given_before(world)
    })
}

fn never_given(world: &World) -> Outcome {
    let v1 = world.image("v1");
    deploy(world, Some(GOOD), &v1, &["--swarm", "--with-registry-auth"]).exits(2)?;
    let watch = Watch::begin(forms(GOOD));
    let run = deploy(world, Some(GOOD), &v1, &["--swarm"]);
    watch.saw_nothing()?;
    run.exits(0)?;
    nobody_has_it(world, &run)?;
    stays_away(world, "never given")?;
    deploy(world, Some(GOOD), &v1, &[]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())
}

/// As an earlier version gave it: with its label, and by Docker's own client here.
fn given_before(world: &World) -> Outcome {
    let pair = crate::registry_proxy::base64(&format!("x:{GOOD}"));
    let login = format!("{{\"auths\":{{\"127.0.0.1:5001\":{{\"auth\":\"{pair}\"}}}}}}");
    crate::world::put("/run/config.json", &login)?;
    sh(
        "DOCKER_CONFIG=/run docker service update --detach --quiet --with-registry-auth \
         --label-add 'openclaw-deploy.registry-auth=127.0.0.1:5001 x' openclaw_gateway; rm /run/config.json",
    )?;
    // The control: with the token Swarm gets the image by itself.
    begin_anew()?;
    hold(
        wait_for(40, || answering() == "v1"),
        "Swarm was not given the token",
    )?;
    let run = deploy(world, Some(GOOD), &world.image("v2"), &[]);
    run.exits(0)?
        .says("Swarm no longer holds the registry's token")?;
    same("who answers", answering(), "v2".to_owned())?;
    let labels = sh("docker service inspect --format '{{json .Spec.Labels}}' openclaw_gateway")?;
    hold(
        !labels.contains("registry-auth"),
        "its label is still there, so that it would be taken back again",
    )?;
    stays_away(world, "taken back")?;
    let run = deploy(world, Some(GOOD), &world.image("v2"), &[]);
    run.exits(0)?.never_says("no longer holds").map(drop)
}

/// Bootstraps `image` with this token or none.
pub fn deploy(world: &World, token: Option<&str>, image: &str, more: &[&str]) -> Ran {
    let mut args = vec!["bootstrap", "--only", STEPS, "--image", image];
    args.extend(["--health-timeout", "20s", "--upstream-image", ""]);
    finish(world.command(token, &[&args, more].concat()))
}

/// Takes the image away and has Swarm make a new task.
pub fn begin_anew() -> Outcome {
    sh("docker service scale --detach openclaw_gateway=0")?;
    let gone = wait_for(30, || sh("docker ps -q").is_ok_and(|it| it.is_empty()));
    hold(gone, "the task does not end")?;
    sh("docker container prune --force >/dev/null && docker images -aq --no-trunc | sort -u | xargs -r docker rmi -f && docker service scale --detach openclaw_gateway=1")
        .map(drop)
}

fn stays_away(world: &World, when: &str) -> Outcome {
    world.proxy.requests();
    let tasks =
        || sh("docker service ps --no-trunc --format '{{.ID}} {{.Error}}' openclaw_gateway");
    let before = tasks()?;
    begin_anew()?;
    let is_new = |line: &str| line.contains("No such image") && !before.contains(line);
    let rejected = wait_for(40, || tasks().is_ok_and(|it| it.lines().any(is_new)));
    hold(rejected, format!("{when}: {:?}", tasks()))?;
    same(when, answering(), "nothing".to_owned())?;
    let asked = world.proxy.requests();
    hold(
        !asked.is_empty(),
        format!("{when}: the registry was not asked"),
    )
}

/// Nobody shows it, and no file of Docker's has it.
fn nobody_has_it(world: &World, run: &Ran) -> Outcome {
    let needles = forms(GOOD);
    let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
    let inspected = sh(
        "docker inspect $(docker ps -aq); docker service inspect openclaw_gateway; docker inspect --type task $(docker service ps -q openclaw_gateway)",
    )?;
    for text in [&inspected, &run.out, &run.err] {
        let found = needles.iter().find(|it| text.contains(**it));
        hold(found.is_none(), format!("{found:?} is shown"))?;
    }
    same("files with it", files_with(world, &needles)?.as_str(), "")
}
