//! How Swarm is made to run a release, and when it does.

use std::time::Instant;

use serde_json::Value;

use super::service::{self, EVERY, PATIENCE};
use super::{secrets, spec};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::swarm::Task;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::labels::SWARM_SERVICE;
use crate::deploy::gateway::records::Release;
use crate::deploy::gateway::state;

/// The label by which an earlier version of this program knew that Swarm holds the registry's token.
const HOLDS_TOKEN: &str = "openclaw-deploy.registry-auth";

/// Has Swarm run `release`, and waits for its first container. Returns the container's id.
pub(super) async fn start(cx: &Context, engine: &Engine, release: &Release) -> Result<String> {
    let node = service::node(engine).await?;
    let secrets = secrets::mount(cx, engine, &release.secrets).await?;
    let spec = spec::complete(cx, release, &node, secrets)?;
    let storage = state::of(&cx.settings);
    storage.prepare_for_service(cx, engine, release).await?;
    let there = engine.service(SWARM_SERVICE).await?;
    let before = match there {
        Some(_) => engine.tasks(SWARM_SERVICE).await?,
        None => Vec::new(),
    };
    if there.is_some_and(|it| !it.spec["Labels"][HOLDS_TOKEN].is_null()) {
        take_token_back(cx, engine).await?;
    }
    service::put(engine, None, |_| spec.clone()).await?;
    first_container(cx, engine, &before).await
}

/// Takes the registry's token back, which an earlier version of this program gave to Swarm. The service
/// is stopped, and is updated twice: Swarm also keeps what it was before its last update. The label goes
/// with the second, so that the next run does this again should we be killed.
async fn take_token_back(cx: &Context, engine: &Engine) -> Result<()> {
    let same = |there: Option<&Value>| there.cloned().unwrap_or_default();
    service::put(engine, Some(&Auth::none()), same).await?;
    service::put(engine, None, |there| {
        let mut spec = same(there);
        if let Some(labels) = spec["Labels"].as_object_mut() {
            labels.remove(HOLDS_TOKEN);
        }
        spec
    })
    .await?;
    cx.reporter.warn(
        "Swarm no longer holds the registry's token, which an earlier version gave it; \
         it was on its disk in plain: revoke it",
    );
    Ok(())
}

/// The container of the first task that is not in `before`, once it was started.
async fn first_container(cx: &Context, engine: &Engine, before: &[Task]) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tasks = engine.tasks(SWARM_SERVICE).await?.into_iter();
        // Another one after the first would be Swarm's second try.
        let mut new = tasks.filter(|task| before.iter().all(|it| it.id != task.id));
        let task = new.next();
        let container = match task.as_ref().and_then(|it| it.container.as_deref()) {
            None => None,
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
    let state = task.map_or("it created no task".to_owned(), |task| {
        let error = cx.redact().text(&task.error);
        format!("its task is {}: {error}", task.state)
    });
    service::failed(&format!("Swarm did not start the gateway, {state}"))
}
