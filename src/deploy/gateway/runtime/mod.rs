//! The gateway in its two shapes: the container of a Compose project, the service of a Swarm
//! stack. Nothing outside of this file asks which of them it has before it.
//!
//! A release keeps the shape in which it ran, so the way back leads back to that too. Both
//! shapes have one state: both are stopped before either is started.

pub(crate) mod client;
pub(crate) mod compose;
pub(crate) mod swarm;

use serde_json::Value;

use super::records::{Records, Release};
use super::runtime::swarm::secrets;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::{Observed, state};
use crate::deploy::image::fallback::Acquired;
use crate::deploy::settings::Shape;

/// How long, in seconds, a gateway may take to end.
pub(crate) const GRACE: u32 = 30;
/// The label with the port on which a service was told to listen.
pub(crate) const PORT: &str = "openclaw-deploy.port";

/// How the gateway is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Its shape.
    pub shape: Shape,
    /// The names of the secrets of the swarm that it is given.
    pub secrets: Vec<String>,
    /// Those of them that have to be made.
    pub fresh: Vec<String>,
}

/// Whose container has these labels; `None`: not the gateway's.
pub(crate) fn of(labels: &Value) -> Option<Shape> {
    let is = |name: &str, word: &str| labels[name] == word;
    if is("com.docker.swarm.service.name", swarm::NAME) {
        return Some(Shape::Swarm);
    }
    let compose = is("com.docker.compose.project", compose::PROJECT)
        && is("com.docker.compose.service", compose::SERVICE)
        && is("com.docker.compose.oneoff", "False");
    compose.then_some(Shape::Compose)
}

/// How the gateway is to run: as it was asked for, or else as it runs.
///
/// # Errors
/// Exit 3 when a service is wanted of an engine that manages no swarm.
pub(crate) async fn wanted(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    observed: &Observed,
) -> Result<Form> {
    let running = observed.container.as_ref().map(|it| it.shape);
    let current = records.current().map(|it| it.shape);
    let shape = cx
        .settings
        .shape
        .or(running)
        .or(current)
        .unwrap_or_default();
    form(cx, engine, shape).await
}

/// What this shape needs.
///
/// # Errors
/// Exit 3 when it is a service and the engine manages no swarm.
pub(crate) async fn form(cx: &Context, engine: &Engine, shape: Shape) -> Result<Form> {
    let mut form = Form {
        shape,
        ..Form::default()
    };
    if shape == Shape::Swarm {
        swarm::node(engine).await.map_err(|why| Failure {
            what: format!("{}; the gateway was not touched", why.what),
            ..why
        })?;
        (form.secrets, form.fresh) = secrets::wanted(cx, engine).await?;
    }
    Ok(form)
}

/// The text from which a release in this shape is made.
pub(crate) fn render(cx: &Context, shape: Shape, got: &Acquired, state: &str) -> String {
    let (settings, image, source) = (&cx.settings, &got.image, got.source.word());
    match shape {
        Shape::Compose => compose::render(settings, image, &got.pinned, source, state),
        Shape::Swarm => swarm::render(settings, image, &got.pinned, source),
    }
}

/// Refuses, while the gateway still runs, what could not be made later: a `.env` that Compose
/// cannot read, for one.
///
/// # Errors
/// With the line.
pub(crate) async fn foresee(cx: &Context, release: &Release) -> Result<()> {
    match release.shape {
        Shape::Compose => client::foresee(cx, release).await,
        Shape::Swarm => Ok(()),
    }
}

/// Stops the gateway, in whichever shape it runs; nothing restarts it.
pub(crate) async fn stop(engine: &Engine, seconds: u32) -> Result<()> {
    for (id, shape) in engine.gateways().await? {
        if shape == Shape::Compose {
            // Ours comes last: a container that restarts by itself would write into the snapshot.
            engine.restart_policy(&id, "no").await?;
            engine.stop(&id, seconds).await?;
        }
    }
    swarm::stop(engine, seconds).await
}

/// Keeps Swarm from pulling the gateway's image while we do, where the node has lost it: the engine
/// downloads a layer once for all who want it at a time, and without credentials that fails for
/// all. Returns whether [`swarm::let_go`] has to follow when we fail.
pub(crate) async fn hold_back(engine: &Engine, observed: &Observed) -> Result<bool> {
    match &observed.container {
        Some(container) if container.running => Ok(false),
        _ => swarm::hold_back(engine).await,
    }
}

/// Makes `release` and starts it. The gateway is stopped. Returns the id of the container.
pub(crate) async fn start(cx: &Context, engine: &Engine, release: &Release) -> Result<String> {
    match release.shape {
        Shape::Compose => {
            let id = client::create(cx, engine, release).await?;
            state::settle(cx, engine, &id).await?;
            engine.restart_policy(&id, "no").await?;
            engine.start(&id).await.map(|()| id)
        }
        Shape::Swarm => swarm::start(cx, engine, release).await,
    }
}

/// Starts a container that was made from `release` and does not run. Returns the id of what runs.
pub(crate) async fn resume(
    cx: &Context,
    engine: &Engine,
    container: &Container,
    release: &Release,
) -> Result<String> {
    if !container.running {
        match container.shape {
            Shape::Compose => engine.start(&container.id).await?,
            Shape::Swarm => {
                swarm::stop(engine, GRACE).await?;
                return swarm::start(cx, engine, release).await;
            }
        }
    }
    Ok(container.id.clone())
}

/// `release` answers: from now on the engine keeps it running, and what is left of the other
/// shape, and of secrets that it does not use, goes.
pub(crate) async fn settle(cx: &Context, engine: &Engine, release: &Release) -> Result<()> {
    let compose = engine.gateways().await?.into_iter();
    let compose = compose.filter(|(_, shape)| *shape == Shape::Compose);
    match release.shape {
        Shape::Compose => {
            for (id, _) in compose {
                engine.restart_policy(&id, "unless-stopped").await?;
            }
            swarm::remove(engine).await?;
            secrets::prune(engine, &[]).await?;
        }
        Shape::Swarm => {
            for (id, _) in compose {
                engine.remove(&format!("/containers/{id}")).await?;
                engine.remove(compose::NETWORK).await?;
            }
            // Whoever runs it by hand would start a second gateway on the same state.
            cx.host.remove(cx.settings.project().join("compose.yaml"))?;
            secrets::prune(engine, &release.secrets).await?;
        }
    }
    Ok(())
}

/// Whether it is run in another way than we made it: published elsewhere, which is how it gets on
/// the Internet, paused, or by a service that was scaled or removed. Its labels tell nothing of that.
pub(crate) async fn is_altered(
    cx: &Context,
    engine: &Engine,
    container: &Container,
) -> Result<bool> {
    if !container.is_published_at("127.0.0.1", cx.settings.port) || container.is_paused() {
        return Ok(true);
    }
    Ok(container.shape == Shape::Swarm && container.running && !swarm::is_one(engine).await?)
}

/// The container was made as narrow as we asked for. An engine passes over what it does not know.
///
/// # Errors
/// When it holds capabilities.
pub(crate) fn assert_confined(cx: &Context, container: &Container) -> Result<()> {
    if !container.without_capabilities {
        return Err(
            Failure::wanted("a gateway without capabilities", "one with some")
                .hint("upgrade the engine: Swarm drops capabilities since Docker 20.10"),
        );
    }
    if !container.no_new_privileges {
        cx.talk.warn(
            "this engine's Swarm does not know no-new-privileges: a setuid program in the image \
             could become root in the container, though without capabilities",
        );
    }
    Ok(())
}

/// What a first version that does not become healthy leaves behind, in words.
pub(crate) fn left_behind(shape: Shape) -> &'static str {
    match shape {
        Shape::Compose => "its container is left stopped for inspection",
        Shape::Swarm => "its service is left without a task",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_is_ours_by_who_made_it() {
        let compose = |oneoff: &str| json!({"com.docker.compose.project": "openclaw", "com.docker.compose.service": "openclaw-gateway", "com.docker.compose.oneoff": oneoff});
        assert_eq!(of(&compose("False")), Some(Shape::Compose));
        assert_eq!(
            of(&compose("True")),
            None,
            "`compose run` is not the gateway"
        );
        let task = json!({"com.docker.swarm.service.name": "openclaw_gateway"});
        assert_eq!(of(&task), Some(Shape::Swarm));
        assert_eq!(of(&Value::Null), None);
    }
}
