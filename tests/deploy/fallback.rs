//! Where an image comes from that cannot be pulled: what is here, upstream, what runs, a build.

use crate::images::Images;
use crate::registry_proxy::Rule;
use crate::world::{GOOD, STEPS, World, answering, finish, hold, inspect, put, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    what_cannot_be_pulled_comes_from_upstream_or_is_built,
    a_first_install_of_latest_takes_upstreams_latest,
    the_version_that_answers_is_not_taken_from_elsewhere,
    openclaw_latest_is_built_from_git_and_no_registry_is_asked,
    without_an_image_a_run_asks_for_what_it_asked_for_before,
];

/// Nobody gets ours without the good token.
fn private() -> Rule {
    Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    }
}

/// A configuration that has a local build fetch this repository.
fn source(world: &World, repository: &str) -> Result<String, String> {
    let path = world.scratch.join("build.toml").display().to_string();
    put(&path, &format!("build_source = \"{repository}\"\n"))?;
    Ok(path)
}

fn a_first_install_of_latest_takes_upstreams_latest(world: &World) -> Outcome {
    Images::move_tag("latest", "v5")?;
    world.proxy.rule(private());
    let image = world.image("latest");
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        &image,
        "--upstream-image",
        "127.0.0.1:5000/me/openclaw",
    ];
    let run = finish(world.command(None, &args));
    run.exits(0)?
        .says("trying upstream's 127.0.0.1:5000/me/openclaw:latest")?;
    same("who answers", answering(), "v5".to_owned())
}

fn the_version_that_answers_is_not_taken_from_elsewhere(world: &World) -> Outcome {
    world.bootstrap("2026.9.6", &[]).exits(0)?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    let elsewhere = "127.0.0.1:5001/you/openclaw:2026.9.6";
    let args = ["--upstream-image", "127.0.0.1:5000/me/openclaw"];
    let run = finish(world.bootstrapping(Some(GOOD), elsewhere, &[]));
    run.exits(4)?
        .says("upstream: not asked, for upstream_image is")?;
    let run = finish(world.command(
        Some(GOOD),
        &[&["update", "--image", elsewhere], &args[..]].concat(),
    ));
    run.exits(4)?
        .says("already here: no")?
        .says("upstream: not taken, for the gateway that runs is 2026.9.6 already")?
        .says("local build: not tried, for the gateway that runs answers")?
        .says("still runs")?;
    let now = inspect("{{.Id}} {{.State.StartedAt}}")?;
    same("the container and its start", now, before)
}

fn openclaw_latest_is_built_from_git_and_no_registry_is_asked(world: &World) -> Outcome {
    let pinned = include_str!("../../.github/openclaw.ref");
    let pinned = pinned.lines().last().unwrap_or_default();
    let place = world.scratch.join("git").display().to_string();
    let images = world.scratch.join("images").display().to_string();
    sh(&format!(
        "rm -rf {place}; mkdir -p {place}/source && cp {images}/node {images}/Dockerfile {place}/source && cd {place}/source && \
         git init -q && git add . && git -c user.name=t -c user.email=t@t commit -qm source && git tag {pinned} && \
         git clone -q --bare . ../openclaw.git && git daemon --detach --export-all --base-path={place}"
    ))?;
    let config = source(world, "git://127.0.0.1/openclaw.git")?;
    world.proxy.requests();
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        "openclaw:latest",
        "--allow-local-build",
        "--config",
        &config,
    ];
    world.run(&args).exits(0)?.says("local-build")?;
    same("who answers", answering(), "2026.9.6".to_owned())?;
    let requests = world.proxy.requests();
    hold(requests.is_empty(), format!("asked: {requests:?}"))?;
    world
        .run(&args)
        .exits(0)?
        .says("4/9  gateway     unchanged")?;
    let status = world.run(&["status"]);
    status.exits(0)?.says("source      local-build")?;
    status.says("built       20").map(drop)
}

fn without_an_image_a_run_asks_for_what_it_asked_for_before(world: &World) -> Outcome {
    Images::move_tag("stable", "v1")?;
    world.bootstrap("stable", &[]).exits(0)?;
    let check = || world.run(&["status", "--check"]);
    check().exits(0)?.says("newer       none")?;
    Images::move_tag("stable", "v2")?;
    check()
        .exits(0)?
        .says("newer       a newer one is there: ")?;
    world.run(&["status"]).never_says("newer one")?;
    let rest = ["--upstream-image", "", "--health-timeout", "8s"];
    world.run(&[&["update"], &rest[..]].concat()).exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    let again = [&["bootstrap", "--only", STEPS], &rest[..]].concat();
    let again = world.run(&again);
    again.exits(0)?.says("4/9  gateway     unchanged").map(drop)
}

fn what_cannot_be_pulled_comes_from_upstream_or_is_built(world: &World) -> Outcome {
    from_upstream(world)?;
    world.reset()?;
    built_here(world)
}

/// Upstream's image of the same version is public; ours is private.
fn from_upstream(world: &World) -> Outcome {
    world.proxy.rule(private());
    let wanted = "127.0.0.1:5001/me/openclaw:2026.9.6";
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        wanted,
        "--upstream-image",
        "127.0.0.1:5000/me/openclaw",
    ];
    let run = finish(world.command(Some("ghp_expired"), &args));
    run.exits(0)?
        .says("auth")?
        .says("trying upstream's 127.0.0.1:5000/me/openclaw:2026.9.6")?
        .says("(upstream)")?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      upstream")?;
    // Ours is back: it takes the place.
    finish(world.command(Some(GOOD), &args)).exits(0)?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      pulled")
        .map(drop)
}

/// Nothing but a build is left.
fn built_here(world: &World) -> Outcome {
    let missing = world.image("missing");
    let place = world.scratch.join("images").display().to_string();
    let config = source(world, "git://127.0.0.1/none.git")?;
    let build = |more: &[&str]| {
        let mut args = vec![
            "bootstrap",
            "--only",
            STEPS,
            "--image",
            &missing,
            "--upstream-image",
            "127.0.0.1:5000/me/none:1",
            "--config",
            &config,
        ];
        args.extend(more);
        finish(world.command(Some(GOOD), &args))
    };
    build(&[])
        .exits(4)?
        .says("not-found")?
        .says("already here: no")?
        .says("upstream: 127.0.0.1:5000/me/none:1: ")?
        .says("local build: git exited")?;
    // Little memory: on a machine that has less, as this file says.
    let little = world.scratch.join("meminfo");
    std::fs::write(&little, "MemTotal: 4000000 kB\nSwapTotal: 0 kB\n")
        .map_err(|why| why.to_string())?;
    sh(&format!("mount --bind {} /proc/meminfo", little.display()))?;
    let refused = build(&["--build-context", &place]);
    let broken = world.scratch.join("broken");
    sh(&format!(
        "mkdir -p {0}; echo 'FROM scratch\nCOPY none /' > {0}/Dockerfile",
        broken.display()
    ))?;
    let failed = build(&[
        "--build-context",
        &broken.display().to_string(),
        "--allow-local-build",
    ]);
    let built = build(&["--build-context", &place, "--allow-local-build"]);
    sh("umount /proc/meminfo")?;
    refused.exits(4)?.says("6.0 GB")?.says("4.0 GB")?;
    failed
        .exits(4)?
        .says("not-found")?
        .says("local build: docker exited")?;
    built.exits(0)?.says("local-build")?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      local-build")?;
    // A pull that works replaces it.
    world.bootstrap("v1", &[]).exits(0)?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      pulled")
        .map(drop)
}
