//! Full disks.

use crate::registry_proxy::Harm;
use crate::world::{GOOD, Ran, World, answering, finish, hold, inspect, put, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![a_full_disk_costs_neither_the_state_nor_the_gateway,];

const SNAPSHOTS: &str = "/var/lib/openclaw-deploy/snapshots";
const RUNS: &str = "{{.Id}} {{.State.StartedAt}}";

fn a_full_disk_costs_neither_the_state_nor_the_gateway(world: &World) -> Outcome {
    state(world)?;
    state_in_the_middle(world)?;
    etc(world)?;
    data_root(world)
}

/// The state is larger than what is free: refused before the gateway is stopped.
fn state(world: &World) -> Outcome {
    world.reset()?;
    world.bootstrap("v1", &[]).exits(0)?;
    sh(
        "head -c 30M /dev/zero > /home/deploy/.openclaw/large; chown 1000:1000 /home/deploy/.openclaw/large",
    )?;
    let before = inspect(RUNS)?;
    sh(&format!("mount -t tmpfs -o size=20m tmpfs {SNAPSHOTS}"))?;
    let run = world.bootstrap("v2", &[]);
    sh(&format!("umount {SNAPSHOTS}"))?;
    run.exits(1)?
        .says("no space for a snapshot of the state and the way back: 3")?
        .says(" MB needed, 2")?
        .says(" MB free; the gateway was not touched")?
        .says("hint: free some space on the disk of /var/lib/openclaw-deploy/snapshots")?;
    same("the gateway", inspect(RUNS)?, before)
}

/// There is space, but no room for so many files, which nobody foresees: the old version starts again.
fn state_in_the_middle(world: &World) -> Outcome {
    world.reset()?;
    world.bootstrap("v1", &[]).exits(0)?;
    sh("cd /home/deploy/.openclaw/state && touch {1..40} && chown 1000:1000 *")?;
    let before = inspect(RUNS)?;
    sh(&format!(
        "mount -t tmpfs -o size=100m,nr_inodes=20 tmpfs {SNAPSHOTS}"
    ))?;
    let run = world.bootstrap("v2", &[]);
    let left = sh(&format!("ls -A {SNAPSHOTS}"));
    sh(&format!("umount {SNAPSHOTS}"))?;
    run.exits(5)?
        .says("No space left on device")?
        .says("runs again")?;
    hold(
        inspect(RUNS)? != before,
        "it was refused before the stop, so this proves nothing",
    )?;
    same("who answers", answering(), "v1".to_owned())?;
    same(
        "the files of the state",
        sh("ls /home/deploy/.openclaw/state | wc -l")?.as_str(),
        "41",
    )?;
    world.bootstrap("v2", &[]).exits(0)?;
    same(
        "left of the snapshot",
        left?.lines().filter(|it| !it.starts_with('.')).count(),
        0,
    )
}

/// `/etc` has no room for another user, nor for a file of ours.
const FILES_OF_ETC: &str =
    "cd /etc && find . -type f ! -name fill | sort | xargs -d '\\n' sha256sum; find . | sort";

fn etc(world: &World) -> Outcome {
    world.reset()?;
    world.bootstrap("v1", &[]).exits(0)?;
    let before = inspect(RUNS)?;
    // sudo, as far as step 2 asks for it: this machine's own is not to be changed.
    sh(
        "mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin && printf '#!/bin/sh\\ncat >/dev/null\\n' > /usr/local/sbin/visudo && \
        printf '#!/bin/sh\\n' > /usr/local/sbin/sudo && chmod 755 /usr/local/sbin/*",
    )?;
    sh(
        "mkdir /run/etc && cp -a /etc/. /run/etc && mount -t tmpfs -o size=32m tmpfs /etc && cp -a /run/etc/. /etc && rm -r /run/etc",
    )?;
    let outcome = (|| {
        sh("mkdir -p /etc/sudoers.d; dd if=/dev/zero of=/etc/fill bs=4k 2>/dev/null; true")?;
        let files = || sh(FILES_OF_ETC);
        let there = files()?;
        put(
            "/run/new-user.toml",
            "user = \"worker\"\n[host]\nsudo = false\n",
        )?;
        let image = world.image("v2");
        let with = |more: &[&str]| -> Ran {
            let args = [
                &[
                    "bootstrap",
                    "--only",
                    "docker,user,files,gateway",
                    "--image",
                    &image,
                ],
                more,
            ];
            finish(world.command(Some(GOOD), &args.concat()))
        };
        with(&["--config", "/run/new-user.toml"])
            .exits(1)?
            .says("no space in /etc to create a user: 1.0 MB needed, 0 kB free")?
            .says("hint: free some space: df -h /etc")?;
        with(&[])
            .exits(1)?
            .says("cannot write /etc/sudoers.d/openclaw-deploy: No space left on device")?
            .says("hint: free some space: df -h /etc/sudoers.d")?;
        same("/etc", files()?, there)?;
        same("homes", sh("ls /home")?.as_str(), "deploy")?;
        same("the gateway", inspect(RUNS)?, before)?;
        // The control: with some space, the same command gets further.
        sh("rm /etc/fill")?;
        with(&[]).exits(0)?.says("2/9  user        changed")?;
        hold(
            std::path::Path::new("/etc/sudoers.d/openclaw-deploy").exists(),
            "no rule was written",
        )
    })();
    sh("umount /etc && umount /usr/local/sbin")?;
    outcome
}

/// The engine's own disk: 60 MB, which v1 fits into.
fn data_root(world: &World) -> Outcome {
    world.reset()?;
    world.stop_engine();
    let root = world.scratch.join("docker").display().to_string();
    sh(&format!(
        "mv {root} {root}.aside; mkdir {root}; mount -t tmpfs -o size=60m tmpfs {root}"
    ))?;
    world.start_engine()?;
    world.proxy.harm(Harm::None);
    let small = world.bootstrap("v1", &[]);
    let before = inspect(RUNS);
    let run = world.bootstrap("big", &[]);
    let after = inspect(RUNS);
    // There is nothing half: what fits can still be had.
    let next = world.bootstrap("v2", &[]);
    world.stop_engine();
    sh(&format!(
        "umount {root}; rmdir {root}; mv {root}.aside {root}"
    ))?;
    world.start_engine()?;
    small.exits(0)?;
    run.exits(4)?
        .says("disk:")?
        .says("its layers are 9")?
        .says(&format!(" MB free at {root}"))?
        .says("hint: free some space: docker system df")?
        .says("still runs")?;
    same("the gateway", after?, before?)?;
    next.exits(0).map(drop)
}
