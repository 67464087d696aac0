//! The gateway: what runs, how it is replaced, and how it is put back.
//!
//! ```text
//!  observe ─▶ decide ─▶ switch: stop ─▶ snapshot ─▶ start ─▶ health ─▶ commit
//!                                                        └─▶ put back
//! ```

pub mod app_secrets;
pub mod client;
pub mod compose;
pub mod config;
pub mod env;
pub mod exposure;
pub mod health;
pub mod leftovers;
pub mod logs;
pub mod put_back;
pub mod ready;
pub mod records;
pub mod recover;
pub mod registry_auth;
pub mod rollback;
pub mod salted;
pub mod service;
pub mod shape;
pub mod snapshot;
pub mod switch;

use std::time::Instant;

use self::health::Seen;
use self::records::Records;
use crate::deploy::engine::Engine;
use crate::deploy::engine::containers::Container;
use crate::deploy::exit::Result;
use crate::deploy::image::ladder::Running;
use crate::deploy::run::Context;
use crate::deploy::settings::Settings;

/// What is there now.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Our gateway's container.
    pub container: Option<Container>,
    /// Whether it answers.
    pub healthy: bool,
    /// Whether somebody changed by hand how it is run.
    pub altered: bool,
    /// The registry whose credentials Swarm holds for it, or "".
    pub lent: String,
}

impl Observed {
    /// Whether our own container holds the port.
    #[must_use]
    pub fn holds_port(&self, port: u16) -> bool {
        self.container.as_ref().is_some_and(|container| {
            let holds = container.running || container.is_paused();
            holds && container.published.iter().any(|(_, at)| *at == port)
        })
    }

    /// What the ladder needs to know of it.
    #[must_use]
    pub fn running(&self, records: &Records) -> Option<Running> {
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
///
/// # Errors
/// When the engine fails.
pub async fn observe(cx: &Context, engine: &Engine) -> Result<Observed> {
    let container = engine.gateway().await?;
    let healthy = match &container {
        Some(container) if container.running => {
            let port = port(cx);
            health::wait(engine, &container.id, port, Instant::now())
                .await?
                .is_ok()
                || matches!(old(port).await, Some(Seen::Old))
        }
        _ => false,
    };
    let altered = match &container {
        Some(container) => shape::is_altered(cx, engine, container).await?,
        None => false,
    };
    // Also without a container: that may be for want of the image.
    let service = engine.service(service::NAME).await?;
    let lent = service.as_ref().map_or("", registry_auth::registry);
    Ok(Observed {
        container,
        healthy,
        altered,
        lent: lent.to_owned(),
    })
}

async fn old(port: Option<u16>) -> Option<Seen> {
    Some(health::probe(port?).await)
}

/// Where it answers, for people: a remote engine's loopback is not the reader's.
#[must_use]
pub fn place(settings: &Settings) -> String {
    let there = match settings.engine.is_remote() {
        true => " of the engine's machine",
        false => "",
    };
    format!("http://127.0.0.1:{}{there}", settings.port)
}

/// The port to probe; on a remote engine there is none within reach.
#[must_use]
pub fn port(cx: &Context) -> Option<u16> {
    (!cx.settings.engine.is_remote()).then_some(cx.settings.port)
}
