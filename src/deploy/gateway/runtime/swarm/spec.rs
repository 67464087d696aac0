//! What Swarm is told: the service as JSON, in the two stages in which it becomes known.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deploy::context::Context;
use crate::deploy::docker::images::Image;
use crate::deploy::env_file::EnvFile;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::records::Release;
use crate::deploy::gateway::runtime::compose::{self, PROJECT, fingerprint};
use crate::deploy::gateway::runtime::swarm::{NAME, PAUSE};
use crate::deploy::gateway::{env, runtime};
use crate::deploy::settings::Settings;

/// The service for this image, without what is known only when it starts: variables of `.env`,
/// secrets, the node, the volumes of a remote engine.
pub(crate) fn render(settings: &Settings, image: &Image, pinned: &str, source: &str) -> String {
    let mut spec = json!({
        "Name": NAME,
        "Labels": {"com.docker.stack.namespace": PROJECT, "openclaw-deploy.source": source},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": pinned,
                "Args": compose::command(&image.command, "loopback", settings.port),
                "Labels": {
                    "com.docker.stack.namespace": PROJECT,
                    (runtime::PORT): settings.port.to_string(),
                },
                "Env": [
                    "HOME=/home/node",
                    "OPENCLAW_GATEWAY_BIND=loopback",
                    format!("OPENCLAW_GATEWAY_PORT={}", settings.port),
                    "OPENCLAW_NO_AUTO_UPDATE=1",
                ],
                "Mounts": directories(settings),
                "CapabilityDrop": ["ALL"],
                "Privileges": {"NoNewPrivileges": true},
                "Init": true,
                "StopGracePeriod": nanoseconds(Duration::from_secs(runtime::GRACE.into())),
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
    if image.has_health_check {
        spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = health_check(settings.port);
    }
    let mark = fingerprint(spec.to_string().as_bytes());
    spec["TaskTemplate"]["ContainerSpec"]["Labels"]["openclaw-deploy.render"] = mark.into();
    spec.to_string()
}

/// The image's own check knows one port. On another it would fail, and Swarm end the gateway.
fn health_check(port: u16) -> Value {
    if port != compose::INSIDE {
        return json!({"Test": ["NONE"]});
    }
    let seconds = |count| nanoseconds(Duration::from_secs(count));
    json!({"Interval": seconds(10), "Timeout": seconds(5), "StartPeriod": seconds(20), "Retries": 5})
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_secs() * 1_000_000_000
}

/// The same directories as Compose mounts; none on a remote engine, which has volumes.
fn directories(settings: &Settings) -> Vec<Value> {
    if settings.engine.is_remote() {
        return Vec::new();
    }
    let bind = |(path, inside): (std::path::PathBuf, &str)| json!({"Type": "bind", "Source": compose::settings_path(settings, &path), "Target": inside});
    compose::mounts(settings).into_iter().map(bind).collect()
}

/// The volumes of a state on a remote engine. They are there already.
fn volumes(state: &str) -> Vec<Value> {
    let volume = |(part, inside): (&str, &str)| json!({"Type": "volume", "Source": compose::volume(part, state), "Target": inside});
    compose::volumes().into_iter().map(volume).collect()
}

/// The rendered service with all that is known now.
///
/// # Errors
/// When `.env` cannot be read.
pub(super) fn complete(
    cx: &Context,
    release: &Release,
    node: &str,
    secrets: Vec<Value>,
) -> Result<Value> {
    let mut spec: Value = serde_json::from_str(&release.compose).map_err(|_| {
        Failure::new("the service of this release cannot be read")
            .hint("make a new release: openclaw-deploy bootstrap --image …")
    })?;
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
    if !release.state.is_empty() {
        container["Mounts"] = volumes(&release.state).into();
        container["Labels"]["openclaw-deploy.state"] = release.state.as_str().into();
    }
    spec["TaskTemplate"]["Placement"] = json!({"Constraints": [format!("node.id=={node}")]});
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::gateway::runtime::compose::label_of;
    use crate::deploy::settings::{File, Flags};

    fn rendered(port: u16, pinned: &str) -> String {
        let flags = Flags {
            port: Some(port),
            ..Flags::default()
        };
        let settings = Settings::decide(flags, File::default()).expect("they are good");
        let image = Image {
            command: ["node", "openclaw.mjs", "gateway"]
                .map(str::to_owned)
                .to_vec(),
            has_health_check: true,
            ..Image::default()
        };
        render(&settings, &image, pinned, "pulled")
    }

    #[test]
    fn nothing_is_published_and_loopback_is_listened_on() {
        let spec: Value = serde_json::from_str(&rendered(18789, "r/x@sha256:00")).expect("JSON");
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
    fn another_service_has_another_label() {
        let of = |port, pinned| label_of(&rendered(port, pinned)).to_owned();
        assert_eq!(of(1, "a").len(), 16);
        assert_eq!(of(1, "a"), of(1, "a"));
        assert_ne!(of(1, "a"), of(1, "b"));
        assert_ne!(of(1, "a"), of(2, "a"));
    }

    #[test]
    fn the_images_check_is_left_out_where_it_would_look_at_another_port() {
        assert!(rendered(18789, "a").contains("StartPeriod"));
        assert!(rendered(1, "a").contains("NONE"));
    }
}
