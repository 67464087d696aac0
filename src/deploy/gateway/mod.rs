//! The gateway: what runs, how it is replaced, and how it is put back.
//!
//! ```text
//!  observe ─▶ decide ─▶ switch: stop ─▶ snapshot ─▶ start ─▶ health ─▶ commit
//!                                                        └─▶ put back
//! ```

pub(crate) mod config;
pub(crate) mod env;
pub(crate) mod logs;
pub(crate) mod health;
pub(crate) mod records;
pub(crate) mod image_cleanup;
pub(crate) mod runtime;
pub(crate) mod state;
pub(crate) mod restore;
pub(crate) mod upgrade;
pub(crate) mod recover;
pub(crate) mod rollback;

use std::time::Instant;

use self::health::liveness::{self, Liveness};
use self::records::Records;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::Result;
use crate::deploy::image::fallback::Running;
use crate::deploy::settings::Settings;

/// What is there now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Our gateway's container.
    pub container: Option<Container>,
    /// Whether it answers.
    pub healthy: bool,
    /// Whether somebody changed by hand how it is run.
    pub altered: bool,
}

impl Observed {
    /// Whether our own container holds the port.
    pub(crate) fn holds_port(&self, port: u16) -> bool {
        self.container.as_ref().is_some_and(|container| {
            let holds = container.running || container.is_paused();
            holds && container.published.iter().any(|(_, at)| *at == port)
        })
    }

    /// What the ladder needs to know of it.
    pub(crate) fn running(&self, records: &Records) -> Option<Running> {
        let container = self.container.as_ref()?;
        let release = records
            .current()
            .filter(|release| release.image == container.image);
        Some(Running {
            requested: release.map(|it| it.requested.clone()).unwrap_or_default(),
            pinned: release.map(|it| it.pinned.clone()).unwrap_or_default(),
            source: release.map(|it| it.source),
            version: release.map(|it| it.version.clone()).unwrap_or_default(),
            healthy: self.healthy,
        })
    }
}

/// Looks at the gateway.
pub(crate) async fn observe(cx: &Context, engine: &Engine) -> Result<Observed> {
    let container = engine.gateway().await?;
    let healthy = match &container {
        Some(container) if container.running => {
            let port = port(cx);
            liveness::wait(engine, &container.id, port, Instant::now())
                .await?
                .is_ok()
                || matches!(old(port).await, Some(Liveness::Old))
        }
        _ => false,
    };
    let altered = match &container {
        Some(container) => runtime::is_altered(cx, engine, container).await?,
        None => false,
    };
    Ok(Observed {
        container,
        healthy,
        altered,
    })
}

async fn old(port: Option<u16>) -> Option<Liveness> {
    Some(liveness::probe(port?).await)
}

/// Where it answers, for people: a remote engine's loopback is not the reader's.
pub(crate) fn place(settings: &Settings) -> String {
    let there = match settings.engine.is_remote() {
        true => " of the engine's machine",
        false => "",
    };
    format!("http://127.0.0.1:{}{there}", settings.port)
}

/// The port to probe; on a remote engine there is none within reach.
pub(crate) fn port(cx: &Context) -> Option<u16> {
    (!cx.settings.engine.is_remote()).then_some(cx.settings.port)
}
