//! How the gateway runs: as the container of a Compose project, or as the service of a Swarm stack.
//!
//! Which of them it is is decided in [`of`] alone. A release keeps the runtime in which it ran, so
//! the way back leads back to that too. Both have one state: both are stopped before either is
//! started.

mod interface;
mod compose_file;
mod compose;
mod swarm;

pub(crate) use self::compose::set_provider;
pub(crate) use self::interface::RunPlan;
use self::interface::Runtime;
pub(crate) use self::swarm::{is_up as service_is_up, start_again as start_service};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::{container, secrets};
use crate::deploy::settings::{Deliver, RuntimeKind};

pub(crate) const ALL: [RuntimeKind; 2] = [RuntimeKind::Compose, RuntimeKind::Swarm];

/// The runtime of this kind.
pub(crate) fn of(kind: RuntimeKind) -> &'static dyn Runtime {
    match kind {
        RuntimeKind::Compose => &compose::Compose,
        RuntimeKind::Swarm => &swarm::Swarm,
    }
}

/// The text from which `release` is made, as far as it is known before it starts.
#[cfg(test)]
pub(crate) fn rendered(release: &Release) -> String {
    match release.runtime {
        RuntimeKind::Compose => compose_file::render(release, compose_file::ENV_FILE),
        RuntimeKind::Swarm => swarm::rendered(release),
    }
}

/// The fingerprint that the container of `release` has as a label.
pub(crate) fn fingerprint(release: &Release) -> String {
    of(release.runtime).fingerprint(release)
}

/// How the gateway is to run: as it was asked for, or else as it runs.
///
/// # Errors
/// Exit 3 when a service is wanted of an engine that manages no swarm.
pub(crate) async fn plan(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    observed: &Observed,
) -> Result<RunPlan> {
    let running = observed.container.as_ref().map(container::runtime);
    let current = records.current().map(|it| it.runtime);
    let kind = cx.settings.runtime.or(running).or(current);
    let kind = kind.unwrap_or_default();
    let deliver = secrets::choose(cx, records, kind)?;
    let plan = of(kind).plan(cx, engine).await?;
    let plan = match deliver {
        Deliver::Swarm => plan,
        Deliver::Broker | Deliver::Env => RunPlan {
            secrets: Vec::new(),
            fresh: Vec::new(),
            ..plan
        },
    };
    Ok(RunPlan {
        deliver: Some(deliver),
        ..plan
    })
}

/// Stops the gateway, whatever runs it.
pub(crate) async fn stop(engine: &Engine, seconds: u32) -> Result<()> {
    for kind in ALL {
        of(kind).stop(engine, seconds).await?;
    }
    Ok(())
}

/// `release` answers: it is kept running, and what is left of the gateway elsewhere is removed.
pub(crate) async fn keep_running(cx: &Context, engine: &Engine, release: &Release) -> Result<()> {
    of(release.runtime).keep_running(engine, release).await?;
    for kind in ALL.into_iter().filter(|it| *it != release.runtime) {
        of(kind).remove(cx, engine).await?;
    }
    Ok(())
}

/// Keeps whatever runs the gateway from pulling its image while we do, unless the gateway runs and so
/// has it. Returns whether [`resume_after_pull`] has to follow when we fail.
pub(crate) async fn pause_for_pull(engine: &Engine, observed: &Observed) -> Result<bool> {
    if observed.container.as_ref().is_some_and(|it| it.running) {
        return Ok(false);
    }
    let mut is_paused = false;
    for kind in ALL {
        is_paused |= of(kind).pause_for_pull(engine).await?;
    }
    Ok(is_paused)
}

/// After [`pause_for_pull`].
pub(crate) async fn resume_after_pull(engine: &Engine) -> Result<()> {
    for kind in ALL {
        of(kind).resume_after_pull(engine).await?;
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
    let private = container::is_published_at(container, "127.0.0.1", cx.settings.port);
    if !private || container.is_paused() {
        return Ok(true);
    }
    Ok(container.running && of(container::runtime(container)).is_altered(engine).await?)
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
