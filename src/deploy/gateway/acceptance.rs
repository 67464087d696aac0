//! Whether the gateway that answers is the one that was started, and can use its state.

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::health::exposure;
use crate::deploy::gateway::health::liveness::Unhealthy;
use crate::deploy::gateway::health::readiness::{self, Readiness};
use crate::deploy::gateway::records::Release;
use crate::deploy::gateway::{logs, runtime};
use crate::deploy::image_reference::short;

/// Checks that what answers is our container, and can use its state. Databases that were refused
/// already before do not count (`None`: no version ran before).
pub(crate) async fn check(
    cx: &Context,
    engine: &Engine,
    id: &str,
    release: &Release,
    known: Option<&[String]>,
) -> Result<()> {
    is_ours(cx, engine, id, release).await?;
    let Some(port) = cx.settings.reachable_port() else {
        return Ok(());
    };
    match readiness::wait(cx, port).await.given(known) {
        Readiness::Ready => {}
        Readiness::Degraded(what) => cx.reporter.warn(format!(
            "the gateway answers, but is not ready: {what}; see: openclaw-deploy logs"
        )),
        Readiness::DatabasesRefused(databases) => {
            let why = Unhealthy::Refuses(databases.join(", "));
            return Err(logs::unhealthy(cx, engine, id, &why).await);
        }
    }
    Ok(())
}

/// It is the container that was just started, with the right image, and private.
async fn is_ours(cx: &Context, engine: &Engine, id: &str, release: &Release) -> Result<()> {
    let container = engine.container(id).await?.unwrap_or_default();
    if !container.running || container.image != release.image {
        return Err(Failure::expected(
            format!("image {}", short(&release.image)),
            format!("image {} ({})", short(&container.image), container.status),
        )
        .hint("somebody else changes the gateway: docker ps --all; docker events --since 10m"));
    }
    runtime::assert_confined(cx, &container)?;
    match cx.settings.reachable_port() {
        Some(port) => exposure::assert_private(&cx.host, &container, port),
        None => Ok(()),
    }
}
