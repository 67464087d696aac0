//! Check 52: the registry's credentials, which Swarm holds only where it is asked to.
//!
//! What it holds it shows to nobody. So its node loses the image, and a new task has to pull it.

use crate::gate::Rule;
use crate::swarm::{HERE, files_with, in_swarm, task};
use crate::token::{Watch, forms};
use crate::world::{GOOD, Ran, STEPS, World, answering, finish, hold, same, sh, wait_for};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[check(
    52,
    "Swarm: --with-registry-auth lends, renews, takes back",
    lent,
)];

/// The token that takes the place of the good one.
const NEXT: &str = "ghp_next56789abcdefghijABCDEFGHIJ012345";
/// Lends.
pub const GIVE: &str = "--with-registry-auth";
const TAKE: &str = "--with-registry-auth=false";
const HELD: &str = "registry    Swarm holds the credentials of 127.0.0.1:5001";

fn lent(world: &World) -> Outcome {
    world.gate.rule(tokens(GOOD));
    in_swarm(HERE, world, |world| {
        refused(world)?;
        let run = watched(|| {
            unasked(world)?;
            given(world)?;
            renewed(world)
        })?;
        only_swarm_has_them(world, &run)?;
        watched(|| {
            taken_back(world)?;
            elsewhere(world)
        })
    })
}

/// Whatever is done there, no process has a token among its arguments.
fn watched<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let watch = Watch::begin([forms(GOOD), forms(NEXT)].concat());
    let outcome = work();
    watch.saw_nothing()?;
    outcome
}

/// A registry as GHCR is, for this token alone.
pub fn tokens(token: &str) -> Rule {
    Rule::Tokens {
        token: token.to_owned(),
        public: false,
    }
}

/// Bootstraps `image` with this token or none.
pub fn deploy(world: &World, token: Option<&str>, image: &str, more: &[&str]) -> Ran {
    let mut args = vec!["bootstrap", "--only", STEPS, "--image", image];
    args.extend(["--health-timeout", "20s", "--upstream-image", ""]);
    finish(world.command(token, &[&args, more].concat()))
}

fn v1(world: &World, token: &str, more: &[&str]) -> Ran {
    deploy(world, Some(token), &world.image("v1"), more)
}

fn refused(world: &World) -> Outcome {
    v1(world, GOOD, &[GIVE]).exits(2)?.says(
        "--with-registry-auth is for a gateway under Swarm; this one would be run by Compose",
    )?;
    deploy(world, None, &world.image("v1"), &["--swarm", GIVE])
        .exits(2)?
        .says("--with-registry-auth has no credentials to give: there is no GHCR_TOKEN")?;
    let made = sh("docker service ls -q; docker secret ls -q; docker ps -aq")?;
    same("what was made", made.as_str(), "")
}

/// The control: without credentials a node without the image gets it no more.
fn unasked(world: &World) -> Outcome {
    v1(world, GOOD, &["--swarm"]).exits(0)?;
    shows(world, false)?;
    stays_away(world, "never given")?;
    v1(world, GOOD, &[]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())
}

fn given(world: &World) -> Outcome {
    let before = task(HERE, "{{.Id}} {{.State.StartedAt}}")?;
    let runs_on = |what: &str| {
        same(
            what,
            task(HERE, "{{.Id}} {{.State.StartedAt}}")?,
            before.clone(),
        )
    };
    v1(world, GOOD, &[GIVE, "--dry-run"])
        .exits(0)?
        .says("- give Swarm the registry's credentials")?
        .never_says("replace")?;
    shows(world, false)?;
    v1(world, GOOD, &[GIVE])
        .exits(0)?
        .says("Swarm holds the credentials of 127.0.0.1:5001 now, in plain on its disk")?;
    runs_on("the gateway when they were given")?;
    shows(world, true)?;
    for more in [&[GIVE][..], &[]] {
        v1(world, GOOD, more)
            .exits(0)?
            .says("gateway     unchanged")?;
    }
    runs_on("the gateway afterwards")?;
    world.gate.passwords();
    comes_back("given")?;
    let given = world.gate.passwords();
    hold(
        given.contains(&GOOD.to_owned()),
        "the gate sees no password",
    )?;
    // By its digest the image is here, and the registry would not be asked about it.
    let digest = format!("127.0.0.1:5001/me/openclaw@{}", world.images.digest("v1"));
    deploy(world, Some(GOOD), &digest, &[]).exits(0)?;
    deploy(world, Some(NEXT), &digest, &[])
        .exits(0)?
        .says("Swarm is not given the credentials of 127.0.0.1:5001: ")?;
    comes_back("after a token that is none")?;
    // Another version, and the way back from a bad one, lose nothing.
    deploy(world, Some(GOOD), &world.image("v2"), &[]).exits(0)?;
    deploy(world, Some(GOOD), &world.image("v4"), &[]).exits(5)?;
    shows(world, true)?;
    comes_back("after an upgrade and a way back")
}

/// A new token takes the place of the old one by itself, and a run without one changes nothing.
fn renewed(world: &World) -> Result<Ran, String> {
    deploy(world, None, &world.image("v2"), &[]).exits(0)?;
    shows(world, true)?;
    world.gate.rule(tokens(NEXT));
    stays_away(world, "an old token")?;
    let run = deploy(world, Some(NEXT), &world.image("v2"), &[]);
    run.exits(0)?
        .says("Swarm holds the credentials of 127.0.0.1:5001 now, in plain on its disk")?;
    comes_back("a new token")?;
    Ok(run)
}

fn taken_back(world: &World) -> Outcome {
    let before = task(HERE, "{{.Id}}")?;
    let v2 = world.image("v2");
    deploy(world, Some(NEXT), &v2, &[TAKE, "--dry-run"])
        .exits(0)?
        .says("- take the registry's credentials back from Swarm")?;
    deploy(world, None, &v2, &[TAKE]).exits(0)?;
    same("the gateway", task(HERE, "{{.Id}}")?, before)?;
    shows(world, false)?;
    deploy(world, Some(NEXT), &v2, &[TAKE])
        .exits(0)?
        .says("gateway     unchanged")?;
    // Neither the service nor what it was before has them.
    let service = sh("docker service inspect openclaw_gateway")?;
    hold(
        service.contains("PreviousSpec") && !service.contains("registry-auth"),
        "what it was before still has them",
    )?;
    sh("docker service rollback --detach --quiet openclaw_gateway")?;
    hold(
        wait_for(20, || answering() == "v2"),
        "docker's own rollback ended it",
    )?;
    stays_away(world, "taken back")?;
    deploy(world, Some(NEXT), &v2, &[]).exits(0).map(drop)
}

/// A bad version keeps nobody from taking back; and no other registry is offered them.
fn elsewhere(world: &World) -> Outcome {
    let (v2, v4) = (world.image("v2"), world.image("v4"));
    deploy(world, Some(NEXT), &v2, &[GIVE]).exits(0)?;
    deploy(world, Some(NEXT), &v4, &["--retry"]).exits(5)?;
    shows(world, true)?;
    deploy(world, Some(NEXT), &v4, &[TAKE]).exits(5)?;
    shows(world, false)?;
    deploy(world, Some(NEXT), &v2, &[GIVE]).exits(0)?;
    // The same gate by another name, which is another registry.
    let other = "localhost:5001/me/openclaw:v1";
    deploy(world, Some(NEXT), other, &[])
        .exits(0)?
        .says("the credentials of 127.0.0.1:5001 are taken back from Swarm")?;
    same("who answers", answering(), "v1".to_owned())?;
    shows(world, false)?;
    world.gate.passwords();
    stays_away(world, "at another registry")?;
    let offered = world.gate.passwords();
    hold(offered.is_empty(), format!("it was offered {offered:?}"))?;
    sh(
        "docker service rollback --detach --quiet openclaw_gateway && docker service scale --detach openclaw_gateway=0",
    )?;
    stays_away(world, "after docker's own rollback")?;
    let offered = world.gate.passwords();
    hold(offered.is_empty(), format!("it was offered {offered:?}"))
}

/// Takes the image away and has Swarm make a new task.
pub fn begin_anew() -> Outcome {
    sh("docker service scale --detach openclaw_gateway=0")?;
    let gone = wait_for(30, || sh("docker ps -q").is_ok_and(|it| it.is_empty()));
    hold(gone, "the task does not end")?;
    sh("docker ps -aq | xargs -r docker rm && docker images -aq --no-trunc | sort -u | xargs -r docker rmi -f && docker service scale --detach openclaw_gateway=1")
        .map(drop)
}

fn comes_back(when: &str) -> Outcome {
    let before = answering();
    begin_anew()?;
    hold(
        wait_for(40, || answering() == before),
        format!("{when}: Swarm cannot pull the image"),
    )
}

fn stays_away(world: &World, when: &str) -> Outcome {
    world.gate.requests();
    let tasks =
        || sh("docker service ps --no-trunc --format '{{.ID}} {{.Error}}' openclaw_gateway");
    let before = tasks()?;
    begin_anew()?;
    let is_new = |line: &str| line.contains("No such image") && !before.contains(line);
    let rejected = wait_for(40, || tasks().is_ok_and(|it| it.lines().any(is_new)));
    hold(rejected, format!("{when}: {:?}", tasks()))?;
    same(when, answering(), "nothing".to_owned())?;
    let asked = world.gate.requests();
    hold(
        !asked.is_empty(),
        format!("{when}: the registry was not asked"),
    )
}

/// What `status` and Docker's own client tell.
fn shows(world: &World, held: bool) -> Outcome {
    let status = world.run(&["status"]);
    status.exits(0)?;
    same("status", status.out.contains(HELD), held)?;
    let json = world.run(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).map_err(|why| why.to_string())?;
    let registry = held.then_some("127.0.0.1:5001");
    same("status --json", json["registry_auth"].as_str(), registry)?;
    let labels = sh("docker service inspect --format '{{json .Spec.Labels}}' openclaw_gateway")?;
    let label = "\"openclaw-deploy.registry-auth\":\"127.0.0.1:5001 ";
    same("the label", labels.contains(label), held)
}

/// Nobody shows a token, and but one file has any: the one of which the README warns.
fn only_swarm_has_them(world: &World, run: &Ran) -> Outcome {
    let needles = [forms(GOOD), forms(NEXT)].concat();
    let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
    let inspected = sh(
        "docker inspect $(docker ps -aq); docker service inspect openclaw_gateway; docker inspect --type task $(docker service ps -q openclaw_gateway)",
    )?;
    for text in [&inspected, &run.out, &run.err] {
        let found = needles.iter().find(|it| text.contains(**it));
        hold(found.is_none(), format!("{found:?} is shown"))?;
    }
    let tasks = world.scratch.join("docker/swarm/worker/tasks.db");
    same(
        "files with them",
        files_with(world, &needles)?,
        tasks.display().to_string(),
    )
}
