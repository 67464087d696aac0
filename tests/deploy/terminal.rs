//! What a terminal does to all that runs in it. Ctrl-C, and a connection that is lost,
//! signal every process of its foreground, the Docker client and what it started among them.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::remote::{ENGINE, empty, with_engine};
use crate::world::{GOOD, PROGRAM, World, answering, hold, put, ran, same, sh, text, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    ctrl_c_again_and_again_and_a_terminal_that_is_gone_end_a_run_in_order,
    a_rollback_and_a_restore_are_asked_for_on_a_terminal,
];

fn ctrl_c_again_and_again_and_a_terminal_that_is_gone_end_a_run_in_order(world: &World) -> Outcome {
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        life(world, signal, "unix:///var/run/docker.sock")?;
        world.reset()?;
    }
    with_engine(world, "", |world| {
        for signal in [Signal::SIGINT, Signal::SIGHUP] {
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
fn life(world: &World, signal: Signal, host: &str) -> Outcome {
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
    let group = Pid::from_raw(child.id().cast_signed());
    while child.try_wait().map_err(|why| why.to_string())?.is_none() {
        killpg(group, signal).map_err(|why| what(format!("the group: {why}")))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    ran(&output, 0.0).exits(130).map_err(what)?;
    same("who answers", answering(), "v1".to_owned()).map_err(what)?;
    // What another test's killed run had started stays as a zombie, which nobody here waits for.
    let left = "ps -eo stat=,args= | grep -E '^[^Z].*[d]ocker.*(compose|dial-stdio)'";
    let ends = wait_for(10, || sh(left).is_err());
    hold(ends, what(format!("left: {:?}", sh(left))))
}

fn a_rollback_and_a_restore_are_asked_for_on_a_terminal(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("v2", &[]).exits(0)?;
    world.run(&["backup"]).exits(0)?;
    for command in ["rollback", "restore"] {
        for (keys, code) in [
            ("n\r", 0),
            ("\r", 0),
            ("yesterday\r", 0),
            ("\x04", 0),
            ("\x03", 130),
        ] {
            let what = |why: String| format!("{command}, {keys:?}: {why}");
            let screen = asked(command, keys, code).map_err(what)?;
            let (_, answer) = screen.split_once("[y/N] ").unwrap_or_default();
            let said = match code {
                0 => "\r\nnothing was changed\r\n",
                _ => "\r\nopenclaw-deploy: error: interrupted by a signal",
            };
            hold(answer.contains(said), what(format!("it says {screen}")))?;
            same("who answers", answering(), "v2".to_owned()).map_err(what)?;
        }
    }
    asked("rollback", "y\r", 0)?;
    same("who answers", answering(), "v1".to_owned())?;
    let screen = asked("restore", "y\r", 0)?;
    hold(
        screen.contains(" is back, and the gateway answers"),
        format!("it says {screen}"),
    )?;
    // The control: who has agreed is not asked.
    let unasked = asked("rollback --to 2 --yes", "", 0).expect_err("it asked");
    same("the control", unasked.as_str(), "it did not ask")?;
    same("who answers", answering(), "v2".to_owned())
}

/// What a terminal shows of a command that is answered by `keys` when it asks, and ends with `code` within a minute.
fn asked(command: &str, keys: &str, code: i32) -> Result<String, String> {
    let screen = "/run/screen";
    put(screen, "")?;
    let line = format!("{PROGRAM} {command}");
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--flush", "--command", &line, screen]);
    terminal
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = terminal.spawn().map_err(|why| why.to_string())?;
    let mut keyboard = child.stdin.take().ok_or("no keyboard")?;
    let asks = || text(screen).contains("[y/N] ");
    if wait_for(20, || asks() || matches!(child.try_wait(), Ok(Some(_)))) && asks() {
        let typed = keyboard.write_all(keys.as_bytes());
        typed.map_err(|why| why.to_string())?;
    }
    let ended = wait_for(60, || matches!(child.try_wait(), Ok(Some(_))));
    if !ended {
        let _ = child.kill();
    }
    drop(keyboard);
    let status = child.wait().map_err(|why| why.to_string())?;
    let seen = text(screen);
    hold(ended, format!("it waits: {seen}"))?;
    hold(status.code() == Some(code), format!("{status}: {seen}"))?;
    hold(seen.contains("[y/N] "), "it did not ask")?;
    Ok(seen)
}
