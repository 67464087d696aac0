//! Looks at the gateway.

use std::time::Instant;

use super::health::liveness::{self, Liveness};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::{container, runtime};

/// Looks at the gateway.
pub(crate) async fn observe(cx: &Context, engine: &Engine) -> Result<Observed> {
    let container = container::find(engine).await?;
    let healthy = match &container {
        Some(container) if container.running => {
            let port = cx.settings.reachable_port();
            liveness::wait(engine, &container.id, port, Instant::now(), |_| {})
                .await?
                .is_ok()
                || matches!(probe(port).await, Some(Liveness::NoEndpoint))
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

async fn probe(port: Option<u16>) -> Option<Liveness> {
    Some(liveness::probe(port?).await)
}
