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

pub(crate) mod fingerprint;
pub(crate) mod secrets;
mod spec;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::deploy::gateway::records::Release;

use super::{Form, Runtime};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::containers::Container;
use crate::deploy::docker::swarm::{Service, Task};
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::gateway::container;
use crate::deploy::gateway::labels;
use crate::deploy::gateway::state::{self, Wait};
use crate::deploy::settings::Shape;

/// The label of a service that was stopped while we pull an image that its node has lost.
const WAITS: &str = "openclaw-deploy.waits";
/// The label by which an earlier version knew that Swarm holds the registry's token.
const HELD_TOKEN: &str = "openclaw-deploy.registry-auth";
/// How long Swarm waits before it starts a gateway again that has ended.
const PAUSE: Duration = Duration::from_secs(10);
/// How long Swarm may take for what it does itself.
const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(100);

/// Swarm.
pub(super) struct Swarm;

impl Runtime for Swarm {
    fn mark(&self, release: &Release) -> String {
        spec::mark(release)
    }

    fn form<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Wait<'a, Form> {
        Box::pin(async move {
            node(engine).await.map_err(|why| Failure {
                what: format!("{}; the gateway was not touched", why.what),
                ..why
            })?;
            let (secrets, fresh) = secrets::wanted(cx, engine).await?;
            let shape = Shape::Swarm;
            Ok(Form {
                shape,
                secrets,
                fresh,
            })
        })
    }

    fn foresee<'a>(&self, _: &'a Context, _: &'a Release) -> Wait<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn stop<'a>(&self, engine: &'a Engine, seconds: u32) -> Wait<'a, ()> {
        Box::pin(stop(engine, seconds))
    }

    fn start<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Wait<'a, String> {
        Box::pin(start(cx, engine, release))
    }

    fn resume<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        container: &'a Container,
        release: &'a Release,
    ) -> Wait<'a, String> {
        Box::pin(async move {
            if container.running {
                return Ok(container.id.clone());
            }
            stop(engine, labels::GRACE).await?;
            start(cx, engine, release).await
        })
    }

    fn keep<'a>(&self, engine: &'a Engine, release: &'a Release) -> Wait<'a, ()> {
        Box::pin(secrets::prune(engine, &release.secrets))
    }

    fn retire<'a>(&self, _: &'a Context, engine: &'a Engine) -> Wait<'a, ()> {
        Box::pin(async move {
            engine
                .remove(&format!("/services/{}", labels::SWARM_SERVICE))
                .await?;
            secrets::prune(engine, &[]).await
        })
    }

    fn is_altered<'a>(&self, engine: &'a Engine) -> Wait<'a, bool> {
        Box::pin(async move { Ok(!is_one(engine).await?) })
    }

    fn can_be_adopted(&self) -> bool {
        false
    }

    fn left_behind(&self) -> &'static str {
        "its service is left without a task"
    }
}

/// See [`spec::render`].
#[cfg(test)]
pub(super) fn rendered(release: &Release) -> String {
    spec::render(release).to_string()
}

/// The id of this node.
///
/// # Errors
/// Exit 3 when it does not manage a swarm.
pub(crate) async fn node(engine: &Engine) -> Result<String> {
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

/// Has Swarm run `release`, and waits for its first container. Returns the container's id.
async fn start(cx: &Context, engine: &Engine, release: &Release) -> Result<String> {
    let node = node(engine).await?;
    let secrets = secrets::mount(cx, engine, &release.secrets).await?;
    let spec = spec::complete(cx, release, &node, secrets)?;
    state::of(&cx.settings)
        .settle_service(cx, engine, release)
        .await?;
    let there = engine.service(labels::SWARM_SERVICE).await?;
    let before = match there {
        Some(_) => engine.tasks(labels::SWARM_SERVICE).await?,
        None => Vec::new(),
    };
    put(engine, None, |_| spec.clone()).await?;
    if there.is_some_and(|it| holds_token(&it.spec)) {
        drop_token(cx, engine, &spec).await?;
    }
    first_container(cx, engine, &before).await
}

/// Whether an earlier version of this program gave Swarm the registry's token.
fn holds_token(spec: &Value) -> bool {
    !spec["Labels"][HELD_TOKEN].is_null()
}

/// Takes the token back. Twice, for Swarm also keeps what a service was before its last change.
async fn drop_token(cx: &Context, engine: &Engine, spec: &Value) -> Result<()> {
    for _ in 0..2 {
        put(engine, Some(&Auth::none()), |_| spec.clone()).await?;
    }
    cx.reporter.warn(
        "Swarm no longer holds the registry's token, which an earlier version gave it; \
         it was on its disk in plain: revoke it",
    );
    Ok(())
}

/// Makes the service into what `spec` says, given what it is.
pub(crate) async fn put(
    engine: &Engine,
    auth: Option<&Auth>,
    spec: impl Fn(Option<&Value>) -> Value,
) -> Result<()> {
    loop {
        let there = engine.service(labels::SWARM_SERVICE).await?;
        let next = spec(there.as_ref().map(|it| &it.spec));
        let outcome = engine.put_service(there.as_ref(), &next, auth).await;
        let version = |service: Option<Service>| service.map(|it| it.version);
        // An update has to name the version, and Swarm itself may have changed it meanwhile.
        if outcome.is_ok()
            || version(engine.service(labels::SWARM_SERVICE).await?) == version(there)
        {
            return outcome;
        }
    }
}

/// So many replicas of the service as it is, and whether that [waits](hold_back) for an image.
async fn scale(engine: &Engine, replicas: u8, waits: bool) -> Result<()> {
    put(engine, None, |there| {
        let mut spec = there.cloned().unwrap_or_default();
        spec["Mode"] = json!({"Replicated": {"Replicas": replicas}});
        if waits {
            spec["Labels"][WAITS] = json!("");
        } else if let Some(labels) = spec["Labels"].as_object_mut() {
            labels.remove(WAITS);
        }
        spec
    })
    .await
}

/// The container of the first task that is not in `before`, once it was started.
async fn first_container(cx: &Context, engine: &Engine, before: &[Task]) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tasks = engine.tasks(labels::SWARM_SERVICE).await?.into_iter();
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
            "see what Swarm says: docker service ps --no-trunc {}",
            labels::SWARM_SERVICE
        ))
        .cause(Cause::Swarm)
}

/// Takes the service to no replicas, and waits until its last process has ended.
///
/// Swarm itself ends a process seconds later, when a load balancer that we do not use has
/// forgotten it; with no replica wanted it may as well be stopped at once.
async fn stop(engine: &Engine, seconds: u32) -> Result<()> {
    let service = engine.service(labels::SWARM_SERVICE).await?;
    if service.as_ref().is_some_and(|it| !is_stopped(&it.spec)) {
        scale(engine, 0, false).await?;
    }
    // Also where the service was removed by hand: its last container outlives it by seconds.
    for id in container::all_of(engine, Shape::Swarm).await? {
        engine.stop(&id, seconds).await?;
    }
    if service.is_none() {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let tasks = engine.tasks(labels::SWARM_SERVICE).await?;
        if tasks.iter().all(Task::is_over) {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
    Err(swarm_failed("Swarm did not stop the gateway in time"))
}

/// Starts the service as it is, with one replica. For [`stop`] and nothing changed since.
pub(crate) async fn go_on(engine: &Engine) -> Result<()> {
    match engine.service(labels::SWARM_SERVICE).await? {
        None => Ok(()),
        Some(_) => scale(engine, 1, false).await,
    }
}

/// Whether there is a service that is not stopped.
pub(crate) async fn is_up(engine: &Engine) -> Result<bool> {
    let service = engine.service(labels::SWARM_SERVICE).await?;
    Ok(service.is_some_and(|service| !is_stopped(&service.spec)))
}

/// Ends Swarm's own tries at an image that its node has lost, until [`let_go`] or the next start;
/// a label keeps that in mind should we be killed. Returns whether the service waits.
pub(crate) async fn hold_back(engine: &Engine) -> Result<bool> {
    let Some(service) = engine.service(labels::SWARM_SERVICE).await? else {
        return Ok(false);
    };
    if is_stopped(&service.spec) {
        return Ok(!service.spec["Labels"][WAITS].is_null());
    }
    if engine.image(service.image()).await?.is_some() {
        return Ok(false);
    }
    scale(engine, 0, true).await?;
    let ended = stop(engine, labels::GRACE).await;
    if ended.is_err() {
        let_go(engine).await?;
    }
    ended.map(|()| true)
}

/// Lets Swarm try again, where it still waits.
pub(crate) async fn let_go(engine: &Engine) -> Result<()> {
    let service = engine.service(labels::SWARM_SERVICE).await?;
    match service.filter(|it| !it.spec["Labels"][WAITS].is_null()) {
        Some(_) => scale(engine, 1, false).await,
        None => Ok(()),
    }
}

/// Whether there is a service, and it wants one gateway: two would share one state.
async fn is_one(engine: &Engine) -> Result<bool> {
    let service = engine.service(labels::SWARM_SERVICE).await?;
    Ok(service.is_some_and(|service| replicas(&service.spec) == Some(1)))
}

fn is_stopped(spec: &Value) -> bool {
    replicas(spec) == Some(0)
}

fn replicas(spec: &Value) -> Option<u64> {
    spec["Mode"]["Replicated"]["Replicas"].as_u64()
}
