//! What a terminal does to all that runs in it. Ctrl-C, and a connection that is lost,
//! signal every process of its foreground, the Docker client and what it started among them.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::remote::{ENGINE, empty, with_engine};
use crate::world::{GOOD, World, answering, hold, ran, same, sh, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] =
    checks![ctrl_c_again_and_again_and_a_terminal_that_is_gone_end_a_run_in_order,];

fn ctrl_c_again_and_again_and_a_terminal_that_is_gone_end_a_run_in_order(world: &World) -> Outcome {
    for signal in ["INT", "HUP"] {
        life(world, signal, "unix:///var/run/docker.sock")?;
        world.reset()?;
    }
    with_engine(world, "", |world| {
        for signal in ["INT", "HUP"] {
            life(world, signal, ENGINE)?;
            empty()?;
            sh("rm -rf /home/.local")?;
        }
        Ok(())
    })
}

fn update(world: &World, host: &str, tag: &str) -> Command {
    let mut command =
        world.bootstrapping(Some(GOOD), &world.image(tag), &["--health-timeout", "60s"]);
    command
        .env("DOCKER_HOST", host)
        .env("HOME", "/home")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

/// An upgrade that is broken off, with the same signal every few milliseconds until it has ended.
fn life(world: &World, signal: &str, host: &str) -> Outcome {
    let what = |why: String| format!("{signal}, {host}: {why}");
    let first = update(world, host, "v1").output();
    let first = first.map_err(|why| why.to_string())?;
    ran(&first, 0.0).exits(0).map_err(what)?;
    let child = update(world, host, "v3").spawn();
    let mut child = child.map_err(|why| why.to_string())?;
    let runs = || {
        let running = sh(&format!(
            "docker -H {host} ps --no-trunc --format '{{{{.Image}}}}'"
        ));
        running.is_ok_and(|it| it.contains(world.images.digest("v3")))
    };
    hold(wait_for(30, runs), what("v3 was never started".to_owned()))?;
    let group = format!("-{}", child.id());
    while child.try_wait().map_err(|why| why.to_string())?.is_none() {
        let _ = Command::new("kill")
            .args(["-s", signal, "--", &group])
            .status();
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    ran(&output, 0.0).exits(130).map_err(what)?;
    same("who answers", answering(), "v1".to_owned()).map_err(what)?;
    let left = wait_for(10, || {
        sh("pgrep -af 'docker.*(compose|dial-stdio)'").is_err()
    });
    hold(left, what(format!("left: {:?}", sh("pgrep -af docker"))))
}
