//! The one service: what is asked of Swarm about it, how many replicas it has, and how it stops.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::deploy::docker::Engine;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::swarm::{Service, Task};
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::gateway::container;
use crate::deploy::gateway::labels::{GRACE, SWARM_SERVICE};
use crate::deploy::settings::RuntimeKind;

/// The label of a service that was stopped while we pull an image that its node has lost.
const PAUSED: &str = "openclaw-deploy.waits";
/// How long Swarm may take for what it does itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// The id of this node.
///
/// # Errors
/// Exit 3 when it does not manage a swarm.
pub(super) async fn node(engine: &Engine) -> Result<String> {
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
            .cause(Cause::Swarm)
    })
}

/// Our service; none where there is none, and where it is the gateway of another node of the swarm, which is left alone.
async fn ours(engine: &Engine) -> Result<Option<Service>> {
    match engine.service(SWARM_SERVICE).await? {
        Some(it) if node_elsewhere(engine, &it).await?.is_some() => Ok(None),
        service => Ok(service),
    }
}

/// The other node of the swarm whose gateway the service is, if it is one.
async fn elsewhere(engine: &Engine) -> Result<Option<String>> {
    match engine.service(SWARM_SERVICE).await? {
        Some(it) => node_elsewhere(engine, &it).await,
        None => Ok(None),
    }
}

/// The other node of the swarm on which this service has its state, if there is one.
async fn node_elsewhere(engine: &Engine, service: &Service) -> Result<Option<String>> {
    let Some(node) = pinned(&service.spec) else {
        return Ok(None);
    };
    let Ok(own) = engine.swarm().await? else {
        return Ok(None);
    };
    // A node that left and joined again has another id, and the old one is gone.
    let is_there = node != own && engine.has_node(node).await?;
    Ok(is_there.then(|| node.to_owned()))
}

fn pinned(spec: &Value) -> Option<&str> {
    let all = spec["TaskTemplate"]["Placement"]["Constraints"].as_array()?;
    let mut all = all.iter().filter_map(Value::as_str);
    all.find_map(|it| it.strip_prefix("node.id=="))
}

/// Whether the service is the gateway of another node.
pub(super) async fn is_elsewhere(engine: &Engine) -> Result<bool> {
    Ok(elsewhere(engine).await?.is_some())
}

/// Refuses to have a service where another node has its own: a swarm has one of a name.
pub(super) async fn refuse_elsewhere(engine: &Engine) -> Result<()> {
    let Some(node) = elsewhere(engine).await? else {
        return Ok(());
    };
    Err(Failure::new(format!(
        "{SWARM_SERVICE} of this swarm is the gateway of another node, {node}"
    ))
    .hint(format!(
        "run this there, or run it under Compose here: --swarm=false; its node: docker node inspect --pretty {node}"
    ))
    .exit(Exit::Docker)
    .cause(Cause::Swarm))
}

/// Creates or updates the service; `spec` is given what it is now.
pub(super) async fn put(
    engine: &Engine,
    auth: Option<&Auth>,
    spec: impl Fn(Option<&Value>) -> Value,
) -> Result<()> {
    loop {
        let there = engine.service(SWARM_SERVICE).await?;
        let next = spec(there.as_ref().map(|it| &it.spec));
        let outcome = engine.put_service(there.as_ref(), &next, auth).await;
        let version = |service: Option<Service>| service.map(|it| it.version);
        // An update has to name the version, and Swarm itself may have changed it meanwhile.
        if outcome.is_ok() || version(engine.service(SWARM_SERVICE).await?) == version(there) {
            return outcome;
        }
    }
}

/// Gives the service so many replicas, and the label that it is paused for a pull, or not.
async fn scale(engine: &Engine, replicas: u8, is_paused: bool) -> Result<()> {
    put(engine, None, |there| {
        let mut spec = there.cloned().unwrap_or_default();
        spec["Mode"] = json!({"Replicated": {"Replicas": replicas}});
        if is_paused {
            spec["Labels"][PAUSED] = json!("");
        } else if let Some(labels) = spec["Labels"].as_object_mut() {
            labels.remove(PAUSED);
        }
        spec
    })
    .await
}

/// Scales the service to 0 replicas, and waits until its last process has ended.
///
/// Swarm itself stops a container some seconds later, when the load balancer, which we do not use,
/// has dropped it; we stop it at once.
pub(super) async fn stop(engine: &Engine, seconds: u32) -> Result<()> {
    let service = ours(engine).await?;
    if service.as_ref().is_some_and(|it| !is_stopped(&it.spec)) {
        scale(engine, 0, false).await?;
    }
    // Also where the service was removed by hand: its last container outlives it by seconds.
    for id in container::all_of(engine, RuntimeKind::Swarm).await? {
        engine.stop(&id, seconds).await?;
    }
    if service.is_none() {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let tasks = engine.tasks(SWARM_SERVICE).await?;
        if tasks.iter().all(Task::is_over) {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
    Err(failed("Swarm did not stop the gateway in time"))
}

/// Scales the service to one replica, after [`stop`].
pub(crate) async fn start_again(engine: &Engine) -> Result<()> {
    match ours(engine).await? {
        None => Ok(()),
        Some(_) => scale(engine, 1, false).await,
    }
}

/// Whether there is a service that is not stopped.
pub(crate) async fn is_up(engine: &Engine) -> Result<bool> {
    let service = ours(engine).await?;
    Ok(service.is_some_and(|service| !is_stopped(&service.spec)))
}

/// Where the node has lost the image, stops Swarm's own attempts to pull it, until
/// [`resume_after_pull`] or the next start: the engine downloads a layer once for all who want it at a
/// time, and without credentials that fails for all. A label remembers it, should we be killed. Returns
/// whether the service is paused.
pub(super) async fn pause_for_pull(engine: &Engine) -> Result<bool> {
    let Some(service) = ours(engine).await? else {
        return Ok(false);
    };
    if is_stopped(&service.spec) {
        return Ok(!service.spec["Labels"][PAUSED].is_null());
    }
    if engine.image(service.image()).await?.is_some() {
        return Ok(false);
    }
    scale(engine, 0, true).await?;
    let ended = stop(engine, GRACE).await;
    if ended.is_err() {
        resume_after_pull(engine).await?;
    }
    ended.map(|()| true)
}

/// Lets Swarm try again, where it is still paused.
pub(super) async fn resume_after_pull(engine: &Engine) -> Result<()> {
    let service = ours(engine).await?;
    match service.filter(|it| !it.spec["Labels"][PAUSED].is_null()) {
        Some(_) => scale(engine, 1, false).await,
        None => Ok(()),
    }
}

/// Whether there is a service, and it wants one gateway: two would share one state.
pub(super) async fn has_one_replica(engine: &Engine) -> Result<bool> {
    let service = ours(engine).await?;
    Ok(service.is_some_and(|service| replicas(&service.spec) == Some(1)))
}

fn is_stopped(spec: &Value) -> bool {
    replicas(spec) == Some(0)
}

fn replicas(spec: &Value) -> Option<u64> {
    spec["Mode"]["Replicated"]["Replicas"].as_u64()
}

pub(super) fn failed(what: &str) -> Failure {
    Failure::new(what)
        .hint(format!(
            "see what Swarm says: docker service ps --no-trunc {SWARM_SERVICE}"
        ))
        .cause(Cause::Swarm)
}
