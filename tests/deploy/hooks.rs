//! Hooks around a run: what they are told, what they never see, and what a failing one stops.

use crate::world::{GOOD, World, answering, hold, put, same, sh, text};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![hooks_are_told_what_happens_and_can_stop_it];

const PLACE: &str = "/etc/openclaw-deploy/hooks";

fn hooks_are_told_what_happens_and_can_stop_it(world: &World) -> Outcome {
    // /etc is the machine's own.
    let folder = "/etc/openclaw-deploy";
    sh(&format!(
        "mkdir -p {folder} && mount -t tmpfs -o mode=755 tmpfs {folder} && mkdir {PLACE}"
    ))?;
    let outcome = told(world).and_then(|()| stopped(world));
    sh(&format!("umount {folder} && rmdir {folder}"))?;
    outcome
}

/// Hooks are told what happens, and see no token.
fn told(world: &World) -> Outcome {
    let script = "#!/bin/sh\nenv >>/root/hooks; echo \"ran $(basename $0)\" >>/root/hooks\n\
        docker ps -lq >/root/running-${0##*/}\n";
    for name in [
        "pre-bootstrap",
        "post-bootstrap",
        "pre-rollback",
        "post-rollback",
        "pre-failure",
        "post-failure",
    ] {
        put(&format!("{PLACE}/{name}"), script)?;
    }
    sh(&format!("chmod 755 {PLACE}/*"))?;
    let log_of = || {
        let log = text("/root/hooks");
        sh("rm -f /root/hooks /root/running-*")?;
        hold(!log.contains(GOOD), "a hook saw the token")?;
        Ok::<_, String>(log)
    };
    let ran = |log: &str| {
        let names = log.lines().filter_map(|line| line.strip_prefix("ran "));
        names.collect::<Vec<_>>().join(" ")
    };
    world.bootstrap("v1", &[]).exits(0)?;
    let log = log_of()?;
    same(
        "hooks",
        ran(&log),
        "pre-bootstrap post-bootstrap".to_owned(),
    )?;
    for fact in ["OPENCLAW_EVENT=bootstrap-done", "OPENCLAW_CHANGED=true"] {
        hold(log.contains(fact), format!("no {fact}: {log}"))?;
    }
    let pinned = format!("@{}\n", world.images.digest("v1"));
    hold(log.contains(&pinned), format!("no {pinned}: {log}"))?;
    // One that fails: what did not work can still be looked at, and what ran is back when it is told.
    world.bootstrap("v4", &[]).exits(5)?;
    let now = sh("cat /root/running-pre-failure /root/running-post-failure")?;
    let (failing, back) = now.split_once('\n').unwrap_or_default();
    hold(
        failing != back,
        format!("before and after the way back: {now}"),
    )?;
    let log = log_of()?;
    let names = "pre-bootstrap pre-failure post-failure".to_owned();
    same("hooks", ran(&log), names)?;
    for fact in ["OPENCLAW_EVENT=version-failed", "OPENCLAW_EXIT=5"] {
        hold(log.contains(fact), format!("no {fact}: {log}"))?;
    }
    world.bootstrap("v2", &[]).exits(0)?;
    world.run(&["rollback"]).exits(0)?;
    let log = log_of()?;
    hold(ran(&log).ends_with("pre-rollback post-rollback"), ran(&log))
}

/// A hook that says no, and one that is not to be trusted, end the run before anything is changed.
fn stopped(world: &World) -> Outcome {
    let pre = format!("{PLACE}/pre-bootstrap");
    put(&pre, "#!/bin/sh\necho not on a Friday >&2\nexit 1\n")?;
    sh(&format!("chmod 755 {pre}"))?;
    world
        .bootstrap("v2", &[])
        .exits(1)?
        .says("the hook pre-bootstrap exited with 1: not on a Friday; nothing was changed")?;
    same("who answers", answering(), "v1".to_owned())?;
    put(&pre, "#!/bin/sh\n: >/root/it-ran\n")?;
    sh(&format!("chmod 777 {pre}"))?;
    world
        .bootstrap("v2", &[])
        .exits(1)?
        .says("can be written by others")?;
    hold(sh("test ! -e /root/it-ran").is_ok(), "it was run")?;
    // A dry run runs none.
    sh("rm -f /root/hooks")?;
    world.bootstrap("v2", &["--dry-run"]).exits(0)?;
    hold(text("/root/hooks").is_empty(), "a dry run ran a hook")
}
