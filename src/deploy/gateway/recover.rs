//! After a run that was killed: finishes its change, or undoes it.
//!
//! The records say what was in flight. If the new version is there and answers, it is
//! committed; otherwise the version before is put back with its state.

use std::time::{Duration, Instant};

use super::health::liveness::{self, Sign};
use super::records::{Pending, Records, Release};
use super::runtime;
use crate::base::units::now;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::{acceptance, container, restore, state, upgrade};

/// The least time that it is given.
const LEAST: Duration = Duration::from_secs(10);

/// Whether there is something to recover.
pub(crate) fn needed(records: &Records) -> bool {
    records.pending.is_some()
}

/// Recovers.
pub(crate) async fn recover(cx: &Context, engine: &Engine, records: &mut Records) -> Result<()> {
    let Some(pending) = records.pending.clone() else {
        return Ok(());
    };
    cx.reporter.warn(
        "an earlier run was cut off while it replaced the gateway; finishing or undoing that first",
    );
    state::of(&cx.settings).repair(cx)?;
    if let Some(sign) = answers(cx, engine, &pending).await? {
        cx.reporter.note("the new version answers; keeping it");
        let mut release = pending.release;
        release.snapshot = pending.snapshot;
        records.hold(&release, pending.brings_back.as_deref());
        return upgrade::finish(cx, engine, records, release, sign).await;
    }
    let snapshot = pending.snapshot.as_deref();
    match pending.from.and_then(|id| records.release(id)).cloned() {
        Some(from) => restore_previous(cx, engine, records, &from, snapshot).await?,
        None if snapshot.is_some() => restore_first_state(cx, engine, snapshot).await?,
        None => {}
    }
    records.pending = None;
    records.save(&cx.host, &cx.settings)?;
    state::prune(cx, engine, records).await;
    Ok(())
}

/// What is left of its time since it was started: one that is dead is not waited for all over again.
fn left(timeout: Duration, since: u64, now: u64) -> Duration {
    let gone = Duration::from_secs(now.saturating_sub(since));
    timeout.saturating_sub(gone).max(timeout.min(LEAST))
}

/// Gives the version that was being tried, if it runs, its time to answer.
async fn answers(cx: &Context, engine: &Engine, pending: &Pending) -> Result<Option<Sign>> {
    // While there is no snapshot yet the gateway was not replaced, even if it looks like the new one.
    let begun = pending.snapshot.is_some() || pending.from.is_none();
    let container = container::find(engine)
        .await?
        .filter(|it| it.running && begun);
    let ours = container.filter(|it| {
        container::fingerprint(it) == runtime::fingerprint(&pending.release)
            && container::state(it) == pending.release.state.as_deref()
    });
    let Some(container) = ours else {
        return Ok(None);
    };
    let timeout = left(cx.settings.health_timeout, pending.release.since, now());
    cx.reporter.note(format!(
        "{} was being tried; it has {} s to answer",
        pending.release.pinned,
        timeout.as_secs()
    ));
    let deadline = Instant::now() + timeout;
    let sign = liveness::wait(
        engine,
        &container.id,
        cx.settings.reachable_port(),
        deadline,
        |seen| cx.reporter.waits_for_gateway(seen, timeout),
    )
    .await?;
    let known = pending.from.map(|_| Vec::new());
    let accepted = acceptance::check(
        cx,
        engine,
        &container.id,
        &pending.release,
        known.as_deref(),
    );
    match sign {
        Ok(sign) if accepted.await.is_ok() => Ok(Some(sign)),
        _ => Ok(None),
    }
}

/// Puts back the state that a first version found, before the next is tried on it.
async fn restore_first_state(cx: &Context, engine: &Engine, snapshot: Option<&str>) -> Result<()> {
    cx.reporter
        .note("putting back the state that was here before");
    cx.host.shield(true);
    let restored = restore::stop_and_restore_state(cx, engine, snapshot).await;
    cx.host.shield(false);
    restored.map_err(|why| Failure {
        what: format!(
            "the state that was here before could not be put back: {}",
            why.what
        ),
        ..why
    })
}

/// Restores the version before, with its state. No signal ends this half-way.
async fn restore_previous(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    from: &Release,
    snapshot: Option<&str>,
) -> Result<()> {
    cx.reporter.note(format!("putting back {}", from.pinned));
    cx.host.shield(true);
    let restored = restore::restore(cx, engine, records, from, snapshot).await;
    cx.host.shield(false);
    restored.map_err(|why| {
        Failure::new(format!(
            "{} could not be put back: {}\n  no gateway answers now",
            from.pinned, why.what
        ))
        .hint(restore::next_command(from, &why))
        .exit(Exit::Down)
        .cause(why.cause)
        .log(why.log)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_had_its_time_gets_little_more() {
        let timeout = Duration::from_secs(120);
        assert_eq!(left(timeout, 1000, 1030), Duration::from_secs(90));
        assert_eq!(left(timeout, 1000, 5000), LEAST);
        assert_eq!(left(Duration::from_secs(4), 1000, 5000).as_secs(), 4);
        assert_eq!(left(timeout, 5000, 1000), timeout, "the clock was set back");
    }
}
