//! The real OpenClaw gateway, in an image of its own, through a whole life.
//!
//! Needs `OC_REAL_GATEWAY`, the directory that `tests/deploy/real-gateway` prints; `tests/deploy/run --all` says it.
//! Without it the checks are not in the list.

use crate::images::push_index;
use crate::world::{GOOD, Ran, STEPS, World, finish, hold, same, sh};
use crate::{Check, Outcome, checks};

/// The checks, if they can run.
pub fn checks() -> &'static [Check] {
    let there = std::env::var_os("OC_REAL_GATEWAY").is_some();
    let list: &[Check] = checks![
        the_real_gateway_is_installed_upgraded_and_rolled_back,
        a_pull_of_the_real_gateway_beside_a_local_build,
    ];
    if there { list } else { &[] }
}

fn the_real_gateway_is_installed_upgraded_and_rolled_back(world: &World) -> Outcome {
    publish(world)?;
    world.reset()?;
    let boot = |tag: &str| boot(world, tag);
    let first = boot("real-a");
    first.exits(0)?;
    println!(
        "        the real gateway answered {:.1} s after an empty engine",
        first.took
    );
    hold(
        sh("curl -sf 127.0.0.1:18789/healthz")?.contains("\"live\""),
        "it is not OpenClaw",
    )?;
    let database =
        sh("find /home/deploy/.openclaw/state -name '*.sqlite*' -o -name '*.db' | head -1")?;
    hold(!database.is_empty(), "there is no state")?;
    sh(
        "echo precious > /home/deploy/.openclaw/workspace/note; chown 1000:1000 /home/deploy/.openclaw/workspace/note",
    )?;
    boot("real-b").exits(0)?;
    sh("rm /home/deploy/.openclaw/workspace/note")?;
    let back = finish(world.command(None, &["rollback", "--health-timeout", "120s"]));
    back.exits(0)?;
    same(
        "the state",
        sh("cat /home/deploy/.openclaw/workspace/note")?.as_str(),
        "precious",
    )?;
    hold(
        sh("curl -sf 127.0.0.1:18789/startupz")?.contains("\"started\""),
        "it does not answer after the rollback",
    )
}

fn boot(world: &World, tag: &str) -> Ran {
    let image = world.image(tag);
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        &image,
        "--health-timeout",
        "120s",
    ];
    finish(world.command(Some(GOOD), &args))
}

/// From an empty engine by a pull, and again by a local build. The folder that is built has all that upstream's Dockerfile would first
/// fetch and compile, so the figure is what remains of a build after that.
fn a_pull_of_the_real_gateway_beside_a_local_build(world: &World) -> Outcome {
    publish(world)?;
    world.reset()?;
    boot(world, "real-a").exits(0)?;
    let journal = "/var/lib/openclaw-deploy/journal.jsonl";
    sh(&format!("cp {journal} /run/journal"))?;
    world.reset()?;
    sh(&format!(
        "docker builder prune -af; install -m 600 /run/journal {journal}"
    ))?;
    let place = world.scratch.join("real").display().to_string();
    let args = ["bootstrap", "--only", STEPS, "--image", "openclaw:latest"];
    let more = [
        "--build-context",
        &place,
        "--allow-local-build",
        "--health-timeout",
        "120s",
    ];
    finish(world.command(None, &[&args[..], &more].concat())).exits(0)?;
    let plan = world.run(&["stats", "--plan"]);
    plan.exits(0)?.says("half of a local build")?;
    hold(
        !plan.out.contains("half of a local build  -"),
        format!("the build is not in the figures: {}", plan.out),
    )?;
    plan.out.lines().for_each(|line| println!("        {line}"));
    Ok(())
}

/// Two images with the real gateway, which differ by a label.
fn publish(world: &World) -> Outcome {
    let place = world.scratch.join("real").display().to_string();
    sh(&format!(
        "rm -rf {place}; {}/tests/deploy/real-gateway {place}/root",
        env!("CARGO_MANIFEST_DIR")
    ))?;
    for tag in ["real-a", "real-b"] {
        sh(&format!(
            "cd {place} && printf 'FROM scratch\\nCOPY root /\\nCOPY --chown=1000:1000 root/home /home\\nENV PATH=/bin HOME=/home/node\\nWORKDIR /app\\nLABEL tag={tag}\\nUSER 1000:1000\\nCMD [\"node\",\"node_modules/openclaw/openclaw.mjs\",\"gateway\"]\\n' > Dockerfile && \
             DOCKER_BUILDKIT=0 docker build -q -t 127.0.0.1:5000/me/openclaw:{tag}-amd64 . && docker push -q 127.0.0.1:5000/me/openclaw:{tag}-amd64"
        ))?;
        push_index(
            &world.scratch.join("images"),
            tag,
            &format!("{tag}-amd64"),
            "amd64",
        )?;
    }
    Ok(())
}
