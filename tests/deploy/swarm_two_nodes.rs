//! A swarm of two nodes: the gateway stays on the node that has its state.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::world::{
    GOOD, PATH, PROGRAM, Ran, STEPS, World, answering, finish, hold, same, sh, text, wait_for,
};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    the_gateway_stays_on_the_node_that_has_its_state,
    the_gateway_of_another_node_is_left_alone,
];

const DATA: &str = "/home/deploy/.openclaw/state/kept";
/// The client of the second node's engine.
const OTHER: &str = "docker -H unix:///run/other.sock";

/// An engine of its own in a network of its own, on a wire to this one's: we are 10.78.0.1, it is 10.78.0.2.
struct Node {
    engine: Child,
    network: Child,
}

impl Node {
    fn start(world: &World) -> Result<Self, String> {
        let network = Command::new("unshare")
            .args(["--net", "--", "sleep", "1000"])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|why| why.to_string())?;
        let pid = network.id();
        let own = fs::read_link("/proc/self/ns/net").unwrap_or_default();
        let place = format!("/proc/{pid}/ns/net");
        wait_for(5, || fs::read_link(&place).is_ok_and(|it| it != own));
        sh(&format!(
            "ip link add wire type veth peer name wire netns {pid} && ip address add 10.78.0.1/24 dev wire && ip link set wire up && \
             nsenter --target {pid} --net -- sh -c 'ip link set lo up; ip address add 10.78.0.2/24 dev wire && ip link set wire up'"
        ))?;
        let log =
            fs::File::create(world.scratch.join("other.log")).map_err(|why| why.to_string())?;
        let engine = Command::new("nsenter")
            .args(["--target", &pid.to_string(), "--net", "--", "dockerd"])
            .arg("--data-root")
            .arg(world.scratch.join("other"))
            .args(["--exec-root", "/run/other", "--pidfile", "/run/other.pid"])
            .args(["-H", "unix:///run/other.sock"])
            .env("PATH", PATH)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|why| why.to_string())?;
        let node = Self { engine, network };
        let up = wait_for(30, || sh(&format!("{OTHER} version")).is_ok());
        hold(up, "the second engine does not answer; see its log").map(|()| node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The engine by its signal, so that its tasks and its mounts go with it.
        let _ = sh(&format!(
            "{OTHER} swarm leave --force; kill {}",
            self.engine.id()
        ));
        let _ = self.engine.wait();
        let _ = self.network.kill();
        let _ = self.network.wait();
        let _ = sh("docker swarm leave --force; ip link delete wire");
    }
}

fn deploy(world: &World, word: &str, tag: &str) -> Ran {
    let image = world.image(tag);
    let args = [word, "--image", &image, "--health-timeout", "8s", "--swarm"];
    let more = ["--upstream-image", "", "--only", STEPS];
    let more = if word == "bootstrap" {
        &more[..]
    } else {
        &more[..2]
    };
    finish(world.command(Some(GOOD), &[&args, more].concat()))
}

/// Both nodes are there, and both would take a task.
fn joined() -> Outcome {
    sh("docker swarm init --advertise-addr 10.78.0.1 --listen-addr 10.78.0.1:2377")?;
    sh(&format!(
        "{OTHER} swarm join --advertise-addr 10.78.0.2 --token $(docker swarm join-token -q worker) 10.78.0.1:2377"
    ))?;
    let nodes = || {
        sh("docker node ls --format '{{.Status}} {{.Availability}} {{.ManagerStatus}}' | sed 's, *$,,' | sort")
            .unwrap_or_default()
    };
    wait_for(20, || nodes() == "Ready Active\nReady Active Leader");
    same(
        "the nodes",
        nodes().as_str(),
        "Ready Active\nReady Active Leader",
    )
}

/// The version that answers, and that the other node runs no task of the gateway.
fn here(version: &str) -> Outcome {
    same("who answers", answering(), version.to_owned())?;
    let there = sh(&format!(
        "{OTHER} ps -aq --filter label=com.docker.swarm.service.name=openclaw_gateway"
    ))?;
    same("the gateway's tasks on the other node", there.as_str(), "")
}

/// With its node closed, a service that may go elsewhere goes, and the gateway waits for its node.
fn closed(world: &World) -> Outcome {
    let image = "127.0.0.1:5000/me/openclaw:v5-amd64";
    sh(&format!(
        "docker pull -q {image} && docker save {image} | {OTHER} load && docker service create --quiet --detach --no-resolve-image --name free {image}"
    ))?;
    sh("docker node update --availability drain $(docker info --format '{{.Swarm.NodeID}}')")?;
    let free = || {
        sh(&format!(
            "{OTHER} ps -q --filter label=com.docker.swarm.service.name=free"
        ))
        .unwrap_or_default()
    };
    hold(
        wait_for(30, || !free().is_empty()),
        "the control: what is free did not move to the other node",
    )?;
    hold(
        wait_for(10, || answering() == "nothing"),
        "the gateway answers on a node that is closed",
    )?;
    let tasks =
        sh("docker service ps --format '{{.Node}} {{.CurrentState}} {{.Error}}' openclaw_gateway")?;
    hold(
        tasks.contains("Pending"),
        format!("the gateway does not wait: {tasks}"),
    )?;
    world.run(&["status"]).exits(1)?;
    here("nothing")?;
    sh(
        "docker service rm free; docker node update --availability active $(docker info --format '{{.Swarm.NodeID}}')",
    )?;
    hold(
        wait_for(30, || answering() == "v1"),
        "the gateway does not come back with its node",
    )
}

fn the_gateway_stays_on_the_node_that_has_its_state(world: &World) -> Outcome {
    let node = Node::start(world)?;
    joined()?;
    deploy(world, "bootstrap", "v1").exits(0)?;
    here("v1")?;
    sh(&format!("echo precious > {DATA}; chown 1000:1000 {DATA}"))?;
    deploy(world, "update", "v2").exits(0)?;
    here("v2")?;
    deploy(world, "update", "v3")
        .exits(5)?
        .says("runs again with its state")?;
    here("v2")?;
    same("the state", text(DATA).as_str(), "precious\n")?;
    world.run(&["rollback", "--yes"]).exits(0)?;
    here("v1")?;
    closed(world)?;
    here("v1")?;
    // A worker cannot be asked, and is not touched.
    let args = ["bootstrap", "--only", STEPS, "--swarm", "--image"];
    let mut command = Command::new("nsenter");
    command
        .args([
            "--target",
            &node.network.id().to_string(),
            "--net",
            "--",
            PROGRAM,
        ])
        .args(args)
        .arg(world.image("v1"))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("DOCKER_HOST", "unix:///run/other.sock");
    finish(command)
        .exits(3)?
        .says("this engine is a worker of its swarm")?
        .says("run this against a manager")?;
    drop(node);
    Ok(())
}

/// The other node has a gateway of its own, with a secret: ours, under Compose, takes neither away, and as a service
/// it would be the same.
fn the_gateway_of_another_node_is_left_alone(world: &World) -> Outcome {
    let _node = Node::start(world)?;
    joined()?;
    let image = "127.0.0.1:5000/me/openclaw:v5-amd64";
    sh(&format!(
        "printf key | docker secret create openclaw_KEY_v1 - && docker service create --quiet --detach --no-resolve-image --name openclaw_gateway \
         --secret openclaw_KEY_v1 --constraint node.id==$({OTHER} info --format '{{{{.Swarm.NodeID}}}}') {image}"
    ))?;
    let theirs = || {
        sh(
            "docker service inspect openclaw_gateway --format '{{.ID}} {{.Version.Index}} {{.Spec.Mode.Replicated.Replicas}}'; docker secret ls -q",
        )
    };
    let before = theirs()?;
    world.bootstrap("v1", &[]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    world.bootstrap("v2", &[]).exits(0)?;
    world.run(&["rollback"]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    same("theirs", theirs()?, before.clone())?;
    let refused = deploy(world, "bootstrap", "v2");
    refused.exits(3)?.says("is the gateway of another node")?;
    same("who answers", answering(), "v1".to_owned())?;
    same("theirs", theirs()?, before)
}
