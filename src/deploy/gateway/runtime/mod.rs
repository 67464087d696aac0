//! How the gateway runs: as the container of a Compose project, or as the service of a Swarm stack.
//!
//! Which of them it is is decided in [`of`] alone. A release keeps the runtime in which it ran, so
//! the way back leads back to that too. Both have one state: both are stopped before either is
//! started.

mod compose_file;
pub(crate) mod compose;
pub(crate) mod swarm;

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::container;
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::state::Wait;
use crate::deploy::settings::Shape;

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

/// What runs the gateway.
pub(crate) trait Runtime {
    /// The fingerprint of what `release` is made from, which its container bears as a label.
    fn mark(&self, release: &Release) -> String;

    /// What is needed to run a gateway. Exit 3 when the engine cannot.
    fn form<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Wait<'a, Form>;

    /// Refuses, while the gateway still runs, what could not be made later: a `.env` that Compose
    /// cannot read, for one.
    fn foresee<'a>(&self, cx: &'a Context, release: &'a Release) -> Wait<'a, ()>;

    /// Stops what of the gateway runs here; nothing restarts it.
    fn stop<'a>(&self, engine: &'a Engine, seconds: u32) -> Wait<'a, ()>;

    /// Makes `release` and starts it. The gateway is stopped. Returns the id of the container.
    fn start<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Wait<'a, String>;

    /// Starts a container that was made from `release` and does not run. Returns the id of what runs.
    fn resume<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        container: &'a Container,
        release: &'a Release,
    ) -> Wait<'a, String>;

    /// `release` answers: from now on the engine keeps it running.
    fn keep<'a>(&self, engine: &'a Engine, release: &'a Release) -> Wait<'a, ()>;

    /// The gateway answers elsewhere: what is left of it here goes.
    fn retire<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Wait<'a, ()>;

    /// Whether a container that runs is not run as we made it: by a service that was scaled or removed.
    fn is_altered<'a>(&self, engine: &'a Engine) -> Wait<'a, bool>;

    /// Whether a gateway that we did not start is remembered, to go back to.
    fn can_be_adopted(&self) -> bool;

    /// What a first version that does not become healthy leaves behind, in words.
    fn left_behind(&self) -> &'static str;
}

const ALL: [Shape; 2] = [Shape::Compose, Shape::Swarm];

/// What runs a gateway of this shape.
pub(crate) fn of(shape: Shape) -> &'static dyn Runtime {
    match shape {
        Shape::Compose => &compose::Compose,
        Shape::Swarm => &swarm::Swarm,
    }
}

/// The text from which `release` is made, as far as it is known before it starts.
#[cfg(test)]
pub(crate) fn rendered(release: &Release) -> String {
    match release.shape {
        Shape::Compose => compose_file::render(release, compose_file::ENV_FILE),
        Shape::Swarm => swarm::rendered(release),
    }
}

/// The fingerprint that the container of `release` bears.
pub(crate) fn mark(release: &Release) -> String {
    of(release.shape).mark(release)
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
    let running = observed.container.as_ref().map(container::shape);
    let current = records.current().map(|it| it.shape);
    let shape = cx.settings.shape.or(running).or(current);
    of(shape.unwrap_or_default()).form(cx, engine).await
}

/// Stops the gateway, whatever runs it.
pub(crate) async fn stop(engine: &Engine, seconds: u32) -> Result<()> {
    for shape in ALL {
        of(shape).stop(engine, seconds).await?;
    }
    Ok(())
}

/// `release` answers: it is kept running, and what is left of it elsewhere goes.
pub(crate) async fn settle(cx: &Context, engine: &Engine, release: &Release) -> Result<()> {
    of(release.shape).keep(engine, release).await?;
    for shape in ALL.into_iter().filter(|it| *it != release.shape) {
        of(shape).retire(cx, engine).await?;
    }
    Ok(())
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

/// Whether it is run in another way than we made it: published elsewhere, which is how it gets on
/// the Internet, paused, or by a service that was scaled or removed. Its labels tell nothing of that.
pub(crate) async fn is_altered(
    cx: &Context,
    engine: &Engine,
    container: &Container,
) -> Result<bool> {
    let private = container::is_published_at(container, "127.0.0.1", cx.settings.port);
    if !private || container.is_paused() {
        return Ok(true);
    }
    Ok(container.running && of(container::shape(container)).is_altered(engine).await?)
}

/// The container was made as narrow as we asked for. An engine passes over what it does not know.
///
/// # Errors
/// When it holds capabilities.
pub(crate) fn assert_confined(cx: &Context, container: &Container) -> Result<()> {
    if !container.without_capabilities {
        return Err(
            Failure::expected("a gateway without capabilities", "one with some")
                .hint("upgrade the engine: Swarm drops capabilities since Docker 20.10"),
        );
    }
    if !container.no_new_privileges {
        cx.reporter.warn(
            "this engine's Swarm does not know no-new-privileges: a setuid program in the image \
             could become root in the container, though without capabilities",
        );
    }
    Ok(())
}
