//! Checks 23, 24 and 34, and the fleet: other engines, other hosts.

use std::io::{Read, Write};

use crate::world::{GOOD, STEPS, World, finish, hold, same, sh};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[
    check(
        23,
        "Docker missing, down, not permitted, of another age",
        engines,
    ),
    check(24, "Compose: none, only v1, not executable", compose),
    check(35, "fleet: steps 3 and 4 against another engine", fleet),
];

fn engines(world: &World) -> Outcome {
    let image = world.image("v1");
    let at = |host: &str| {
        let mut command = world.command(
            Some(GOOD),
            &["bootstrap", "--only", STEPS, "--image", &image],
        );
        command.env("DOCKER_HOST", host);
        finish(command)
    };
    at("unix:///run/none.sock")
        .exits(3)?
        .says("/run/none.sock is not there")?;
    let dead =
        std::os::unix::net::UnixListener::bind("/run/dead.sock").map_err(|why| why.to_string())?;
    drop(dead);
    at("unix:///run/dead.sock")
        .exits(3)?
        .says("is not running")?
        .says("systemctl start docker")?;
    at("nonsense").exits(2)?.says("not an engine")?;
    // As nobody: the socket is root's.
    sh("chmod 660 /run/docker.sock")?;
    let nobody = sh(&format!(
        "cp {} /run/program && chmod 755 /run/program && setpriv --reuid 65534 --regid 65534 --clear-groups /run/program status; test $? -eq 3",
        crate::world::PROGRAM
    ));
    nobody?;
    // Engines of another age.
    for (least, most, code) in [("1.12", "1.24", 3), ("1.99", "1.99", 3)] {
        let path = format!("/run/age-{most}.sock");
        let _ = std::fs::remove_file(&path);
        let listener =
            std::os::unix::net::UnixListener::bind(&path).map_err(|why| why.to_string())?;
        let body = format!(
            "{{\"Version\":\"x\",\"ApiVersion\":\"{most}\",\"MinAPIVersion\":\"{least}\",\"Os\":\"linux\",\"Arch\":\"amd64\"}}"
        );
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        at(&format!("unix://{path}")).exits(code)?.says("API")?;
    }
    hold(
        sh("docker ps -aq; ls -A /home/deploy")?.is_empty(),
        "something was changed",
    )
}

fn compose(world: &World) -> Outcome {
    let plugin = "/usr/local/lib/docker/cli-plugins/docker-compose";
    let others = sh(
        "for p in /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins; do test -d $p && echo $p; done; true",
    )?;
    for place in others.lines() {
        sh(&format!("mount -t tmpfs tmpfs {place}"))?;
    }
    // Without apt, so that nothing is installed on this machine.
    sh(
        "touch /run/empty && for p in /usr/bin/apt-get /bin/apt-get; do test -e $p && mount --bind /run/empty $p; done; true",
    )?;
    sh(&format!("chmod 644 {plugin}"))?;
    let unusable = world.bootstrap("v1", &[]);
    sh(&format!("mv {plugin} /run/plugin"))?;
    sh(
        "printf '#!/bin/sh\\necho 1.29.2\\n' > /usr/local/lib/docker/cli-plugins/x; mkdir -p /run/bin; true",
    )?;
    let none = world.bootstrap("v1", &[]);
    sh(&format!(
        "mv /run/plugin {plugin} && chmod 755 {plugin}; umount /usr/bin/apt-get 2>/dev/null; umount /bin/apt-get 2>/dev/null; true"
    ))?;
    for place in others.lines() {
        sh(&format!("umount {place}"))?;
    }
    unusable.exits(3)?.says("cannot be run")?;
    none.exits(3)?;
    hold(
        none.err.contains("not installed") || none.err.contains("only Compose v1"),
        format!("unnamed: {}", none.err),
    )?;
    same(
        "what was changed",
        sh("docker ps -aq; ls -A /home/deploy")?.as_str(),
        "",
    )?;
    world.bootstrap("v1", &[]).exits(0).map(drop)
}

fn fleet(world: &World) -> Outcome {
    crate::remote::with_engine(world, "", remote)
}

fn remote(world: &World) -> Outcome {
    world.gate.rule(crate::gate::Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    let at = |tag: &str, more: &[&str]| {
        let image = world.image(tag);
        let mut args = vec![
            "bootstrap",
            "--image",
            &image,
            "--upstream-image",
            "",
            "--health-timeout",
            "20s",
        ];
        args.extend(more);
        let mut command = world.command(Some(GOOD), &args);
        command
            .env("DOCKER_HOST", "tcp://127.0.0.1:2375")
            .env("HOME", "/home");
        finish(command)
    };
    at("v1", &[])
        .exits(0)?
        .says("the engine is on another machine")?;
    same("who answers", crate::world::answering(), "v1".to_owned())?;
    hold(
        sh("docker ps -aq")?.is_empty(),
        "the engine of this machine was used",
    )?;
    hold(
        sh("docker -H tcp://127.0.0.1:2375 ps -q")?.lines().count() == 1,
        "the other engine was not used",
    )?;
    at("v1", &[]).exits(0)?.says("gateway     unchanged")?;
    at("v2", &[]).exits(0)?;
    same("who answers", crate::world::answering(), "v2".to_owned())?;
    at("v4", &[]).exits(5)?;
    same(
        "who answers after the way back",
        crate::world::answering(),
        "v2".to_owned(),
    )?;
    let found = sh(&format!(
        "grep -rlF -- '{GOOD}' /root /home /run/openclaw* /etc/docker 2>/dev/null; true"
    ))?;
    same("files with the token", found.as_str(), "")
}
