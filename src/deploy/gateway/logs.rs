//! The gateway's own words, for people: the last lines, without secrets.

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;

/// How many lines a failure shows.
pub(crate) const LINES: usize = 50;

/// The last `count` lines of container `id`, redacted.
pub(crate) async fn last(
    cx: &Context,
    engine: &Engine,
    id: &str,
    count: usize,
) -> Result<Vec<String>> {
    let mut redact = cx.redact();
    super::env::conceal(cx, &mut redact);
    let lines = engine.logs(id, count).await?;
    Ok(lines.iter().map(|line| redact.text(line)).collect())
}
