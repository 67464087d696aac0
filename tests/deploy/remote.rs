//! The state on another machine's engine, which is in volumes.
//!
//! The other engine's data lie on this disk, so that what is in a volume can be looked at
//! without the engine.

use std::process::{Command, Stdio};

use crate::registry_proxy::Rule;
use crate::token::{Watch, forms};
use crate::world::{
    GOOD, PATH, Ran, World, answering, finish, hold, ran, same, sh, text, wait_for,
};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    after_exit_78_the_old_state_is_back_byte_for_byte,
    a_copy_is_complete_is_restored_and_only_the_newest_are_kept,
    a_copy_that_is_interrupted_is_finished_by_the_next_run,
    a_disk_that_fills_during_the_copy_leaves_the_old_version_running,
    the_copies_of_another_operator_are_left_alone,
];

/// Where it listens.
pub const ENGINE: &str = "tcp://127.0.0.1:2375";
/// The same engine, within [`with_ssh`].
pub const BY_SSH: &str = "ssh://root@127.0.0.1:2222";
/// What is kept here about that engine.
const RECORDS: &str = "/home/.local/state/openclaw-deploy/tcp%3A%2F%2F127.0.0.1%3A2375/var/lib/openclaw-deploy/records.json";

/// Runs `work` with a second engine, reached over TCP as another machine's would be. Its data
/// are on a disk of `size` (as `mount -t tmpfs` takes it), or of this machine where that is "".
pub fn with_engine(world: &World, size: &str, work: fn(&World) -> Outcome) -> Outcome {
    let data = world.scratch.join("second").display().to_string();
    sh(&format!(
        "rm -rf {data} /home/.local /root/.local; mkdir {data}"
    ))?;
    if !size.is_empty() {
        sh(&format!("mount -t tmpfs -o size={size} tmpfs {data}"))?;
    }
    sh(
        "ip link show br2 >/dev/null 2>&1 || { ip link add br2 type bridge && ip address add 10.201.0.1/24 dev br2 && ip link set br2 up; }",
    )?;
    let engine = Command::new("dockerd")
        .args(["--data-root", &data, "--exec-root", "/run/docker2"])
        .args(["--pidfile", "/run/docker2.pid", "-H", ENGINE, "-b", "br2"])
        .env("PATH", PATH)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut engine = engine.map_err(|why| why.to_string())?;
    let up = wait_for(20, || there("version").is_ok());
    let outcome = hold(up, "the second engine does not answer").and_then(|()| work(world));
    let _ = empty();
    let _ = sh(&format!("kill {}", engine.id()));
    let _ = engine.wait();
    let _ = sh(&format!(
        "mountpoint -q {data} && umount {data}; rm -rf {data}"
    ));
    outcome
}

/// Takes everything from the other engine.
pub fn empty() -> Outcome {
    sh(&format!(
        "d='docker -H {ENGINE}'; $d ps -aq | xargs -r $d rm -f >/dev/null; $d volume ls -q | xargs -r $d volume rm >/dev/null; \
         $d images -aq --no-trunc | sort -u | xargs -r $d rmi -f >/dev/null"
    ))
    .map(drop)
}

/// Runs `work` with an ssh server that lets root's key do what reaching an engine takes, no more.
pub fn with_ssh(work: impl FnOnce() -> Outcome) -> Outcome {
    let place = "/root/.ssh";
    sh(&format!(
        "mkdir -p {place} && mount -t tmpfs -o mode=700 tmpfs {place} && cd {place} && ssh-keygen -q -t ed25519 -N '' -f id_ed25519 && dropbearkey -t ed25519 -f host >/dev/null 2>&1 && \
         printf 'command=\"docker -H {ENGINE} system dial-stdio\" %s\n' \"$(cat id_ed25519.pub)\" > authorized_keys && printf 'StrictHostKeyChecking accept-new\n' > config && chmod 600 *"
    ))?;
    let server = Command::new("dropbear")
        .args(["-F", "-E", "-s", "-p", "127.0.0.1:2222"])
        .args(["-r", "/root/.ssh/host", "-P", "/run/dropbear.pid"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut server = server.map_err(|why| format!("dropbear: {why}"))?;
    let up = wait_for(10, || sh("ss -ltnH 'sport = :2222' | grep -q .").is_ok());
    let outcome = hold(up, "the ssh server does not answer").and_then(|()| work());
    let _ = server.kill();
    let _ = server.wait();
    sh(&format!("umount {place}"))?;
    outcome
}

/// The Docker client, told to use the other engine.
pub fn there(line: &str) -> Result<String, String> {
    sh(&format!("docker -H {ENGINE} {line}"))
}

/// The program, told to use the other engine.
fn command(world: &World, args: &[&str]) -> Command {
    let mut command = world.command(Some(GOOD), args);
    command.env("DOCKER_HOST", ENGINE).env("HOME", "/home");
    command
}

fn update(world: &World, tag: &str, more: &[&str]) -> Command {
    let image = world.image(tag);
    let mut args = vec!["bootstrap", "--image", &image, "--upstream-image", ""];
    args.extend(["--health-timeout", "30s"]);
    args.extend(more);
    command(world, &args)
}

fn deploy(world: &World, tag: &str) -> Ran {
    finish(update(world, tag, &[]))
}

/// Where a volume of the gateway's state is on this disk.
fn volume(world: &World, name: &str) -> String {
    let second = world
        .scratch
        .join("second/volumes")
        .join(name)
        .join("_data");
    second.display().to_string()
}

/// The volume that the gateway has now.
fn live() -> Result<String, String> {
    there(
        "inspect openclaw-openclaw-gateway-1 --format '{{range .Mounts}}{{.Name}} {{end}}' | tr ' ' '\\n' | grep state",
    )
}

/// Everything in a tree but what the gateway itself writes when it starts: names, kinds, modes,
/// owners, times to the second, sizes, links, contents.
fn listing(tree: &str) -> Result<String, String> {
    sh(&format!(
        "cd {tree} && find . -mindepth 1 ! -type s ! -path './state' ! -path './state/data' \\( -type d -printf '%p %y %m %U:%G %TY%Tm%Td%TH%TM%.2TS\\n' -o -printf '%p %y %m %U:%G %TY%Tm%Td%TH%TM%.2TS %s %n %l\\n' \\) | sort && \
         find . -type f ! -path './state/data' -print0 | sort -z | xargs -0 sha256sum"
    ))
}

/// A tree with all that a copy could get wrong, and so many megabytes of random data.
fn furnish(tree: &str, megabytes: usize) -> Outcome {
    sh(&format!(
        "cd {tree} && mkdir -p state deep/$(printf 'd%.0s' $(seq 120))/er 'with blank' && \
         echo ledger of v1 > state/ledger && touch empty && echo x > 'with blank/ü\n' && \
         head -c {megabytes}M /dev/urandom > large && truncate -s 40M sparse && echo end >> sparse && \
         echo one > first && ln first second && ln -s first link && ln -s /nowhere dangling && mkfifo pipe && \
         echo private > private && chmod 4750 private && touch -d 2001-02-03T04:05:06.789 private && \
         python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")' && \
         chown -hR 1000:1000 . && chown 1234:99 private empty && chmod 4750 private && chmod 1777 deep && touch -d 2002-02-03 deep"
    ))
    .map(drop)
}

/// Nothing of a copy is left: no helper, and no volumes but these many states.
fn nothing_left(states: usize) -> Outcome {
    let helpers = there("ps -aq --filter label=openclaw-deploy.helper")?;
    same("helpers", helpers.as_str(), "")?;
    let volumes = there("volume ls -q --filter label=openclaw-deploy.records")?;
    same(
        &format!("volumes ({})", volumes.replace('\n', " ")),
        volumes.lines().count(),
        2 * states,
    )
}

fn after_exit_78_the_old_state_is_back_byte_for_byte(world: &World) -> Outcome {
    with_engine(world, "", |world| {
        world.proxy.rule(Rule::Tokens {
            token: GOOD.to_owned(),
            public: false,
        });
        let watch = Watch::begin(forms(GOOD));
        deploy(world, "v1").exits(0)?;
        let (name, tree) = (live()?, volume(world, &live()?));
        same(
            "what v1 wrote",
            text(&format!("{tree}/state/data")).as_str(),
            "written by v1\n",
        )?;
        same(
            "owner and mode of the state",
            sh(&format!("stat -c '%u:%g %a' {tree}"))?.as_str(),
            "1000:1000 700",
        )?;
        hold(
            text(&format!("{tree}/openclaw.json")).contains("allowedOrigins"),
            "there is no configuration",
        )?;
        furnish(&tree, 20)?;
        let before = listing(&tree)?;
        // The control: without a way back, that version does spoil what it is given.
        there(&format!(
            "run --rm -v {name}:/control -v control:/home/node/.openclaw -u 0 --entrypoint /usr/local/bin/node -e GATEWAY_MODE=exit78 $(docker -H {ENGINE} images -q | head -1) >/dev/null 2>&1; test $? -eq 78"
        ))?;
        same(
            "the control",
            text(&format!("{}/state/ledger", volume(world, "control"))).as_str(),
            "spoiled\n",
        )?;
        let run = deploy(world, "v4");
        run.exits(5)?
            .says("exited with 78")?
            .says("runs again with its state and answers")?
            .never_says("warning")?;
        same("who answers", answering(), "v1".to_owned())?;
        same("the volume", live()?, name)?;
        same("the state", listing(&tree)?, before)?;
        nothing_left(1)?;
        watch.saw_nothing()?;
        let found = sh(&format!(
            "grep -rlF -- '{GOOD}' {}/second /root /home /run/docker2 2>/dev/null; true",
            world.scratch.display()
        ))?;
        same("files with the token", found.as_str(), "")
    })
}

/// The copy goes through us in pieces.
fn upgraded_in_little_memory(world: &World) -> Outcome {
    let upgrade = update(world, "v2", &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let upgrade = upgrade.map_err(|why| why.to_string())?;
    let status = format!("/proc/{}/status", upgrade.id());
    let mut peak = 0;
    while let Some(line) = text(&status).lines().find(|line| line.starts_with("VmHWM")) {
        let number = line.split_whitespace().nth(1);
        peak = number.map_or(0, |it| it.parse().unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = upgrade.wait_with_output().map_err(|why| why.to_string())?;
    ran(&output, 0.0).exits(0)?.says("copied 199.")?;
    hold(
        peak < 40 << 10,
        format!("the copy took {peak} kB of memory"),
    )
}

fn a_copy_is_complete_is_restored_and_only_the_newest_are_kept(world: &World) -> Outcome {
    with_engine(world, "", |world| {
        deploy(world, "v1").exits(0)?;
        let first = volume(world, &live()?);
        furnish(&first, 150)?;
        let before = listing(&first)?;
        let keys = |tree: &str| tree.replace("_state_", "_auth_") + "/keys";
        sh(&format!("echo of v1 > {}", keys(&first)))?;
        upgraded_in_little_memory(world)?;
        same("who answers", answering(), "v2".to_owned())?;
        let second = volume(world, &live()?);
        hold(first != second, "v2 has v1's own volume")?;
        same("the copy", listing(&second)?, before.clone())?;
        same("what it was copied from", listing(&first)?, before.clone())?;
        same(
            "v1's own line",
            text(&format!("{first}/state/data")).as_str(),
            "written by v1\n",
        )?;
        same("its keys", text(&keys(&second)).as_str(), "of v1\n")?;
        hold(
            !std::path::Path::new(&second).join("socket").exists(),
            "the socket was copied; say so in the README",
        )?;
        sh(&format!(
            "echo of v2 > {second}/of-v2; rm {second}/large; echo of v2 > {}",
            keys(&second)
        ))?;
        finish(command(world, &["rollback"])).exits(0)?;
        same("who answers after rollback", answering(), "v1".to_owned())?;
        same("the state", listing(&volume(world, &live()?))?, before)?;
        finish(command(world, &["rollback"])).exits(0)?;
        same("who answers after another", answering(), "v2".to_owned())?;
        let again = volume(world, &live()?);
        same(
            "v2's own file",
            text(&format!("{again}/of-v2")).as_str(),
            "of v2\n",
        )?;
        nothing_left(4)?;
        // What a rollback took away is kept beside the two, until it is let go.
        finish(update(world, "v5", &["--keep", "2"])).exits(0)?;
        nothing_left(4)?;
        finish(command(world, &["rollback", "--keep-state"])).exits(0)?;
        let kept = volume(world, &live()?);
        same(
            "the kept state",
            text(&format!("{kept}/of-v2")).as_str(),
            "of v2\n",
        )
    })
}

fn a_copy_that_is_interrupted_is_finished_by_the_next_run(world: &World) -> Outcome {
    with_engine(world, "", |world| {
        for (signal, moment, code) in [
            ("KILL", Moment::Copy, -9),
            ("TERM", Moment::Copy, 130),
            ("KILL", Moment::Started, -9),
        ] {
            let at = |what: &str| format!("{signal} in {moment:?}: {what}");
            deploy(world, "v1").exits(0)?;
            let (name, tree) = (live()?, volume(world, &live()?));
            furnish(&tree, 200)?;
            let before = listing(&tree)?;
            let struck = strike(world, update(world, "v2", &[]), signal, moment)?;
            same(&at("exit"), struck, code)?;
            same(&at("the state"), listing(&tree)?, before.clone())?;
            if signal == "TERM" {
                same(&at("who answers at once"), answering(), "v1".to_owned())?;
                same(&at("its volume"), live()?, name)?;
                nothing_left(1)?;
            }
            deploy(world, "v2").exits(0)?;
            same(&at("who answers"), answering(), "v2".to_owned())?;
            let copy = volume(world, &live()?);
            same(&at("the copy"), listing(&copy)?, before.clone())?;
            nothing_left(2)?;
            // The same on the way back that a person asks for.
            let struck = strike(world, command(world, &["rollback"]), "KILL", Moment::Copy)?;
            same("rollback: exit", struck, -9)?;
            finish(command(world, &["rollback", "--to", "1"])).exits(0)?;
            same(&at("who answers then"), answering(), "v1".to_owned())?;
            let copy = volume(world, &live()?);
            same(&at("the state then"), listing(&copy)?, before)?;
            nothing_left(3)?;
            there("rm -f openclaw-openclaw-gateway-1 >/dev/null")?;
            there(&format!(
                "volume ls -q | xargs docker -H {ENGINE} volume rm >/dev/null"
            ))?;
            sh("rm -r /home/.local")?;
        }
        Ok(())
    })
}

/// When a run is struck.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// A part of the state has been copied.
    Copy,
    /// The new version runs and was not yet found healthy.
    Started,
}

/// Sends `signal` at that moment. Returns the exit.
fn strike(
    world: &World,
    mut command: Command,
    signal: &str,
    moment: Moment,
) -> Result<i32, String> {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|why| why.to_string())?;
    let come = wait_for(60, || {
        let records: serde_json::Value = serde_json::from_str(&text(RECORDS)).unwrap_or_default();
        let Some(state) = records["pending"]["release"]["state"].as_str() else {
            return false;
        };
        let name = format!("openclaw_state_{state}");
        match moment {
            Moment::Copy => {
                let large = std::fs::metadata(volume(world, &name) + "/large");
                large.is_ok_and(|it| it.len() > 1_000_000)
            }
            Moment::Started => {
                live().is_ok_and(|live| live == name)
                    && there("ps -q").is_ok_and(|running| !running.is_empty())
            }
        }
    });
    sh(&format!("kill -{signal} {}", child.id())).map_err(|_| "it had ended already".to_owned())?;
    let output = child.wait_with_output().map_err(|why| why.to_string())?;
    let run = ran(&output, 0.0);
    hold(come, format!("{moment:?} did not come: {}", run.err))?;
    Ok(run.code)
}

fn a_disk_that_fills_during_the_copy_leaves_the_old_version_running(world: &World) -> Outcome {
    with_engine(world, "140m", |world| {
        deploy(world, "v1").exits(0)?;
        let (name, tree) = (live()?, volume(world, &live()?));
        furnish(&tree, 60)?;
        let before = listing(&tree)?;
        deploy(world, "v2")
            .exits(5)?
            .says("no space left on the engine's disk")?
            .says("docker system df")?
            .says("runs again")?;
        same("who answers", answering(), "v1".to_owned())?;
        same("its volume", live()?, name)?;
        same("the state", listing(&tree)?, before)?;
        nothing_left(1)?;
        // With room for it, the same version is taken: it was not to blame.
        sh(&format!("rm {tree}/large {tree}/sparse"))?;
        deploy(world, "v2").exits(0)?;
        same("who answers", answering(), "v2".to_owned())
    })
}

fn the_copies_of_another_operator_are_left_alone(world: &World) -> Outcome {
    with_engine(world, "", |world| {
        deploy(world, "v1").exits(0)?;
        let first = volume(world, &live()?);
        sh(&format!("echo precious > {first}/precious"))?;
        deploy(world, "v2").exits(0)?;
        let mut other = update(world, "v5", &["--keep", "1"]);
        finish({
            other.env("HOME", "/root");
            other
        })
        .exits(0)?;
        let live = volume(world, &live()?);
        same(
            "the state",
            text(&format!("{live}/precious")).as_str(),
            "precious\n",
        )?;
        same(
            "the first operator's copy",
            text(&format!("{first}/precious")).as_str(),
            "precious\n",
        )?;
        nothing_left(3)
    })
}
