//! The gateway's log, for people: the last lines, without secrets.

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::health::liveness::Unhealthy;

/// How many lines a failure shows.
pub(crate) const LINES: usize = 50;

/// What mends a configuration or a state that a version does not take.
const REPAIR: &str = "OpenClaw mends that with `openclaw doctor --fix`, run in that version's image on the same \
    folders while the gateway is stopped; make a backup before it: openclaw-deploy backup; then update --retry";

/// The last `count` lines of container `id`, redacted.
pub(crate) async fn last(
    cx: &Context,
    engine: &Engine,
    id: &str,
    count: usize,
) -> Result<Vec<String>> {
    let mut redact = cx.redact();
    super::env::redact(cx, &mut redact);
    let lines = engine.logs(id, count).await?;
    Ok(lines.iter().map(|line| redact.text(line)).collect())
}

/// What a version that did not become healthy is reported as.
pub(crate) async fn unhealthy(cx: &Context, engine: &Engine, id: &str, why: &Unhealthy) -> Failure {
    let lines = last(cx, engine, id, LINES).await.unwrap_or_default();
    let cause = match why {
        Unhealthy::Exited(78) => Cause::Configuration,
        // By SIGTERM: somebody stopped it, or its engine went down.
        Unhealthy::Exited(143) => Cause::Stopped,
        Unhealthy::Exited(_) => Cause::Exited,
        Unhealthy::OutOfMemory => Cause::OutOfMemory,
        Unhealthy::TooLate(_) => Cause::Unhealthy,
        Unhealthy::Refuses(_) => Cause::State,
    };
    let failure = Failure::new(why.to_string()).cause(cause).log(lines);
    match cause {
        Cause::Configuration => failure.hint(REPAIR),
        _ => failure,
    }
}
