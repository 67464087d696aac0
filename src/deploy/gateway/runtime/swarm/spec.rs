//! What Swarm is told: the service as JSON, in the two stages in which it becomes known.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::checksum::fnv1a;
use crate::deploy::context::Context;
use crate::deploy::env_file::EnvFile;
use crate::deploy::error::Result;
use crate::deploy::gateway::env;
use crate::deploy::gateway::labels::{self, INSIDE, PROJECT};
use crate::deploy::gateway::records::Release;
use crate::deploy::gateway::spec::{Mount, Spec};
use crate::deploy::gateway::state::volumes;

/// How long Swarm waits before it starts a gateway again that has ended.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// The service of this release, without what is known only when it starts: variables of `.env`,
/// secrets, the node, the volumes of a remote engine.
pub(super) fn render(release: &Release) -> Value {
    let mut spec = service(release);
    spec["TaskTemplate"]["ContainerSpec"]["Labels"][labels::RENDER] = fingerprint(release).into();
    spec
}

/// The fingerprint of all that the gateway is made from.
pub(super) fn fingerprint(release: &Release) -> String {
    fnv1a(service(release).to_string().as_bytes())
}

fn service(release: &Release) -> Value {
    let spec = &release.spec;
    let port = spec.port;
    let mut service = json!({
        "Name": labels::SWARM_SERVICE,
        "Labels": {"com.docker.stack.namespace": PROJECT, (labels::SOURCE): release.source.word()},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": release.pinned,
                "Args": spec.command("loopback", port),
                "Labels": {
                    "com.docker.stack.namespace": PROJECT,
                    (labels::PORT): port.to_string(),
                },
                "Env": [
                    "HOME=/home/node",
                    "OPENCLAW_GATEWAY_BIND=loopback",
                    format!("OPENCLAW_GATEWAY_PORT={port}"),
                    "OPENCLAW_NO_AUTO_UPDATE=1",
                ],
                "Mounts": directories(spec),
                "CapabilityDrop": ["ALL"],
                "Privileges": {"NoNewPrivileges": true},
                "Init": true,
                "StopGracePeriod": nanoseconds(Duration::from_secs(labels::GRACE.into())),
            },
            "Resources": {"Limits": {"Pids": 512}},
            "RestartPolicy": {"Condition": "any", "Delay": nanoseconds(PAUSE)},
            "Networks": [{"Target": "host"}],
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        // Never two gateways on one state, whoever updates it.
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "pause"},
        "RollbackConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "pause"},
    });
    if spec.health_check {
        service["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = health_check(port);
    }
    service
}

/// The image's own check knows one port. On another it would fail, and Swarm end the gateway.
fn health_check(port: u16) -> Value {
    if port != INSIDE {
        return json!({"Test": ["NONE"]});
    }
    let seconds = |count| nanoseconds(Duration::from_secs(count));
    json!({"Interval": seconds(10), "Timeout": seconds(5), "StartPeriod": seconds(20), "Retries": 5})
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_secs() * 1_000_000_000
}

/// The same directories as Compose mounts; none on a remote engine, which has volumes.
fn directories(spec: &Spec) -> Vec<Value> {
    let bind = |it: &Mount| json!({"Type": "bind", "Source": it.source, "Target": it.target});
    spec.mounts.iter().map(bind).collect()
}

/// The volumes of a state on a remote engine. They are there already.
fn volumes_of(state: &str) -> Vec<Value> {
    let volume = |(part, inside): (&str, &str)| json!({"Type": "volume", "Source": volumes::name(part, state), "Target": inside});
    volumes::PARTS.map(volume).into()
}

/// The service with all that is known now.
///
/// # Errors
/// When `.env` cannot be read.
pub(super) fn complete(
    cx: &Context,
    release: &Release,
    node: &str,
    secrets: Vec<Value>,
) -> Result<Value> {
    let mut spec = render(release);
    let text = env::read(cx, env::owner(cx)?)?;
    let file = EnvFile::parse(&text);
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    let ours = container["Env"].take();
    let ours = ours.as_array().into_iter().flatten();
    let mut variables: BTreeMap<&str, &str> = file.pairs().collect();
    variables.extend(ours.filter_map(|it| it.as_str()?.split_once('=')));
    container["Env"] = variables
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    container["Secrets"] = secrets.into();
    if let Some(state) = &release.state {
        container["Mounts"] = volumes_of(state).into();
        container["Labels"][labels::STATE] = state.as_str().into();
    }
    spec["TaskTemplate"]["Placement"] = json!({"Constraints": [format!("node.id=={node}")]});
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::gateway::records::tests::release;

    fn of(port: u16, pinned: &str) -> Release {
        let mut it = release(1, "sha256:00");
        it.pinned = pinned.to_owned();
        it.spec.command = ["node", "openclaw.mjs", "gateway"]
            .map(str::to_owned)
            .to_vec();
        it.spec.port = port;
        it.spec.health_check = true;
        it
    }

    #[test]
    fn nothing_is_published_and_loopback_is_listened_on() {
        let spec = render(&of(18789, "r/x@sha256:00"));
        let task = &spec["TaskTemplate"];
        let args = json!([
            "node",
            "openclaw.mjs",
            "gateway",
            "--bind",
            "loopback",
            "--port",
            "18789"
        ]);
        assert_eq!(task["ContainerSpec"]["Args"], args);
        assert_eq!(task["Networks"], json!([{"Target": "host"}]));
        assert_eq!(task["ContainerSpec"]["CapabilityDrop"], json!(["ALL"]));
        assert!(spec["EndpointSpec"].is_null());
    }

    #[test]
    fn another_service_has_another_fingerprint() {
        let print = |port, pinned| fingerprint(&of(port, pinned));
        assert_eq!(print(1, "a").len(), 16);
        assert_eq!(print(1, "a"), print(1, "a"));
        assert_ne!(print(1, "a"), print(1, "b"));
        assert_ne!(print(1, "a"), print(2, "a"));
    }

    #[test]
    fn the_images_check_is_left_out_where_it_would_look_at_another_port() {
        assert!(render(&of(18789, "a")).to_string().contains("StartPeriod"));
        assert!(render(&of(1, "a")).to_string().contains("NONE"));
    }
}
