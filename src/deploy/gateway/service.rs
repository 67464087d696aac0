//! The gateway as the service of a Swarm stack, through the Engine API that
//! `docker stack deploy` speaks too: `docker stack ls|ps|services|rm openclaw` know it.
//!
//! - Swarm publishes on every address of the host, never on loopback alone. So the service
//!   publishes nothing, shares the host's network and is told to listen on loopback.
//! - It is pinned to this node, where its state is, and where the image has been pulled already,
//!   by digest. So as long as that is there, Swarm asks no registry and needs no credentials.
//! - A task's restart policy cannot be changed without replacing the task, so there is but one:
//!   `any`, after [`PAUSE`]. A version that is being tried is watched; at its first exit the
//!   service goes to no replicas, before that pause is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::compose::{self, PROJECT, fingerprint};
use super::records::Release;
use super::{app_secrets, env, registry_auth, shape, snapshot};
use crate::deploy::engine::Engine;
use crate::deploy::engine::auth::Auth;
use crate::deploy::engine::images::Image;
use crate::deploy::engine::swarm::{Service, Task};
use crate::deploy::env_file::EnvFile;
use crate::deploy::exit::{Exit, Failure, Result};
use crate::deploy::run::Context;
use crate::deploy::settings::{Settings, Shape};

/// The service.
pub const NAME: &str = "openclaw_gateway";
/// How long Swarm waits before it starts a gateway again that has ended.
const PAUSE: Duration = Duration::from_secs(10);
/// How long Swarm may take for what it does itself.
const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(100);

/// The id of this node.
///
/// # Errors
/// Exit 3 when it does not manage a swarm.
pub async fn node(engine: &Engine) -> Result<String> {
    engine.swarm().await?.map_err(|state| {
        let (what, hint) = match state.as_str() {
            "worker" => (
                "this engine is a worker of its swarm",
                "run this against a manager: --docker-host ssh://root@manager",
            ),
            "locked" => ("this engine's swarm is locked", "docker swarm unlock"),
            _ => (
                "this engine manages no swarm",
                "docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377; \
                 or run it under Compose: --swarm=false",
            ),
        };
        Failure::new(what)
            .hint(hint)
            .exit(Exit::Docker)
            .cause("swarm")
    })
}

/// The service for this image, without what is known only when it starts: variables of `.env`,
/// secrets, the node, the volumes of a remote engine.
#[must_use]
pub fn render(settings: &Settings, image: &Image, pinned: &str, source: &str) -> String {
    let mut spec = json!({
        "Name": NAME,
        "Labels": {"com.docker.stack.namespace": PROJECT, "openclaw-deploy.source": source},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": pinned,
                "Args": compose::command(&image.command, "loopback", settings.port),
                "Labels": {
                    "com.docker.stack.namespace": PROJECT,
                    (shape::PORT): settings.port.to_string(),
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
                "StopGracePeriod": nanoseconds(Duration::from_secs(shape::GRACE.into())),
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
fn complete(cx: &Context, release: &Release, node: &str, secrets: Vec<Value>) -> Result<Value> {
    let mut spec: Value = serde_json::from_str(&release.compose)
        .map_err(|_| Failure::new("the service of this release cannot be read"))?;
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

/// Has Swarm run `release`, and waits for its first container. Returns the container's id.
///
/// # Errors
/// When Swarm cannot.
pub async fn start(cx: &Context, engine: &Engine, release: &Release) -> Result<String> {
    let node = node(engine).await?;
    let secrets = app_secrets::mount(cx, engine, &release.secrets).await?;
    let mut spec = complete(cx, release, &node, secrets)?;
    snapshot::settle_volumes(cx, engine, release).await?;
    let there = engine.service(NAME).await?;
    let before = match there {
        Some(_) => engine.tasks(NAME).await?,
        None => Vec::new(),
    };
    let auth = registry_auth::carry(cx, there.as_ref(), &release.pinned, &mut spec);
    put(engine, auth.as_ref(), |_| spec.clone()).await?;
    first_container(cx, engine, &before).await
}

/// Makes the service into what `spec` says, given what it is.
///
/// # Errors
/// When Swarm refuses.
pub async fn put(
    engine: &Engine,
    auth: Option<&Auth>,
    spec: impl Fn(Option<&Value>) -> Value,
) -> Result<()> {
    loop {
        let there = engine.service(NAME).await?;
        let next = spec(there.as_ref().map(|it| &it.spec));
        let outcome = engine.put_service(there.as_ref(), &next, auth).await;
        let version = |service: Option<Service>| service.map(|it| it.version);
        // An update has to name the version, and Swarm itself may have changed it meanwhile.
        if outcome.is_ok() || version(engine.service(NAME).await?) == version(there) {
            return outcome;
        }
    }
}

/// So many replicas of the service as it is.
async fn scale(engine: &Engine, replicas: u8) -> Result<()> {
    put(engine, None, |there| {
        let mut spec = there.cloned().unwrap_or_default();
        spec["Mode"] = json!({"Replicated": {"Replicas": replicas}});
        spec
    })
    .await
}

/// The container of the first task that is not in `before`, once it was started.
async fn first_container(cx: &Context, engine: &Engine, before: &[Task]) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tasks = engine.tasks(NAME).await?.into_iter();
        // Another one after the first would be Swarm's second try.
        let mut new = tasks.filter(|task| before.iter().all(|it| it.id != task.id));
        let task = new.next();
        let container = match task.as_ref().map(|it| it.container.as_str()) {
            None | Some("") => None,
            Some(id) => engine.container(id).await?,
        };
        if let Some(container) = container.filter(|it| it.status != "created") {
            return Ok(container.id);
        }
        let over = task.as_ref().is_some_and(Task::is_over);
        if over || Instant::now() >= deadline {
            return Err(not_started(cx, task.as_ref()));
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn not_started(cx: &Context, task: Option<&Task>) -> Failure {
    let state = task.map_or("it made no task".to_owned(), |task| {
        let error = cx.redact().text(&task.error);
        format!("its task is {}: {error}", task.state)
    });
    swarm_failed(&format!("Swarm did not start the gateway, {state}"))
}

fn swarm_failed(what: &str) -> Failure {
    Failure::new(what)
        .hint(format!(
            "see what Swarm says: docker service ps --no-trunc {NAME}"
        ))
        .cause("swarm")
}

/// Takes the service to no replicas, and waits until its last process has ended.
///
/// Swarm itself ends a process seconds later, when a load balancer that we do not use has
/// forgotten it; with no replica wanted it may as well be stopped at once.
///
/// # Errors
/// When it does not end in time.
pub async fn stop(engine: &Engine, seconds: u32) -> Result<()> {
    let service = engine.service(NAME).await?;
    if service.as_ref().is_some_and(|it| !is_stopped(&it.spec)) {
        scale(engine, 0).await?;
    }
    // Also where the service was removed by hand: its last container outlives it by seconds.
    for (id, shape) in engine.gateways().await? {
        if shape == Shape::Swarm {
            engine.stop(&id, seconds).await?;
        }
    }
    if service.is_none() {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let tasks = engine.tasks(NAME).await?;
        if tasks.iter().all(Task::is_over) {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
    Err(swarm_failed("Swarm did not stop the gateway in time"))
}

/// Starts the service as it is, with one replica. For [`stop`] and nothing changed since.
///
/// # Errors
/// When the engine fails.
pub async fn go_on(engine: &Engine) -> Result<()> {
    match engine.service(NAME).await? {
        None => Ok(()),
        Some(_) => scale(engine, 1).await,
    }
}

/// Whether there is a service that is not stopped.
///
/// # Errors
/// When the engine fails.
pub async fn is_up(engine: &Engine) -> Result<bool> {
    let service = engine.service(NAME).await?;
    Ok(service.is_some_and(|service| !is_stopped(&service.spec)))
}

/// Whether there is a service, and it wants one gateway: two would share one state.
///
/// # Errors
/// When the engine fails.
pub async fn is_one(engine: &Engine) -> Result<bool> {
    let service = engine.service(NAME).await?;
    Ok(service.is_some_and(|service| replicas(&service.spec) == Some(1)))
}

fn is_stopped(spec: &Value) -> bool {
    replicas(spec) == Some(0)
}

fn replicas(spec: &Value) -> Option<u64> {
    spec["Mode"]["Replicated"]["Replicas"].as_u64()
}

/// Removes the service.
///
/// # Errors
/// When the engine fails.
pub async fn remove(engine: &Engine) -> Result<()> {
    engine.remove(&format!("/services/{NAME}")).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::gateway::compose::label_of;
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
