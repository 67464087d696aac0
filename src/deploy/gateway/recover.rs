//! After a run that was killed: finishes its change, or undoes it.
//!
//! The records say what was in flight. If the new version is there and answers, it is
//! committed; otherwise the version before is put back with its state. Where the new one had longer than its
//! time, somebody may have used it: what it wrote is kept.

use std::time::{Duration, Instant};

use super::health::liveness::{self, Sign};
use super::records::{Held, Pending, Records, Release};
use super::runtime;
use crate::base::units::{clock, moment, now};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::{acceptance, container, restore, state, upgrade};
use crate::deploy::settings::RuntimeKind;

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
    let timeout = left(cx.settings.health_timeout, pending.release.since, now());
    if let Some(sign) = answers(cx, engine, &pending, timeout).await? {
        return keep(cx, engine, records, pending, sign).await;
    }
    keep_what_was_written(cx, engine, records).await?;
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

/// Keeps the version that an earlier run was cut off at, if it runs and answers: whoever goes back then takes its state
/// away as that of any other release. Returns whether there was one.
pub(crate) async fn keep_what_answers(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
) -> Result<bool> {
    let Some(pending) = records.pending.clone() else {
        return Ok(false);
    };
    let Some(sign) = answers(cx, engine, &pending, LEAST).await? else {
        return Ok(false);
    };
    keep(cx, engine, records, pending, sign).await?;
    Ok(true)
}

async fn keep(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    pending: Pending,
    sign: Sign,
) -> Result<()> {
    cx.reporter.note("the new version answers; keeping it");
    let mut release = pending.release;
    release.snapshot = pending.snapshot;
    records.hold(&release, pending.brings_back.as_deref());
    let target = pending.goes_back_to.and_then(|id| records.release(id));
    if let Some(target) = target.cloned() {
        records.leave(&target);
    }
    upgrade::finish(cx, engine, records, release, sign).await
}

/// What is left of its time since it was started: one that is dead is not waited for all over again.
fn left(timeout: Duration, since: u64, now: u64) -> Duration {
    let gone = Duration::from_secs(now.saturating_sub(since));
    timeout.saturating_sub(gone).max(timeout.min(LEAST))
}

/// Whether it had longer than its time, and nobody has found out that it does not answer.
fn may_have_been_used(cx: &Context, pending: &Pending) -> bool {
    let age = now().saturating_sub(pending.release.since);
    !pending.given_up && age > cx.settings.health_timeout.as_secs()
}

/// Whether the container was started for this change. The one before it may be made from the same, and is told apart by
/// when it started; on a remote engine, whose clock is another, each release has volumes of its own.
fn is_of(container: &Container, pending: &Pending) -> bool {
    let release = &pending.release;
    let is_new = || {
        let is_same = pending.started_before.as_ref() == Some(&container.started);
        !is_same && moment(&container.started).is_some_and(|it| it >= release.since)
    };
    container::fingerprint(container) == runtime::fingerprint(release)
        && container::state(container) == release.state.as_deref()
        && (release.state.is_some() || is_new())
}

/// Whether it was ended from outside, as when the machine or the engine is started anew: until it is committed the
/// engine does not start it again.
fn was_ended(container: &Container) -> bool {
    container.status == "exited"
        && !container.out_of_memory
        && [0, 137, 143, 255].contains(&container.exit_code)
        && container::runtime(container) == RuntimeKind::Compose
}

/// Gives the version that was being tried, if it runs, its time to answer; one that had it and was ended from outside is
/// started again, and has all of it anew, unless it was we who gave it up.
async fn answers(
    cx: &Context,
    engine: &Engine,
    pending: &Pending,
    timeout: Duration,
) -> Result<Option<Sign>> {
    // While there is no snapshot yet the gateway was not replaced, even if it looks like the new one.
    let begun = pending.snapshot.is_some() || pending.from.is_none();
    let container = container::find(engine).await?.filter(|it| {
        begun
            && container::fingerprint(it) == runtime::fingerprint(&pending.release)
            && container::state(it) == pending.release.state.as_deref()
    });
    let (container, timeout) = match container {
        Some(it) if it.running => (it, timeout),
        Some(it) if was_ended(&it) && may_have_been_used(cx, pending) && is_of(&it, pending) => {
            let runtime = runtime::of(container::runtime(&it));
            let started = runtime.resume(cx, engine, &it, &pending.release).await;
            if started.is_err() {
                return Ok(None);
            }
            (it, cx.settings.health_timeout)
        }
        _ => return Ok(None),
    };
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

/// Stops the version of a cut-off run that does not answer, and keeps what it wrote if it may have been used: what comes
/// back takes the place of that.
pub(crate) async fn keep_what_was_written(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
) -> Result<()> {
    let Some(pending) = records.pending.clone() else {
        return Ok(());
    };
    let there = container::find(engine).await?;
    let was_started = there.is_some_and(|it| is_of(&it, &pending));
    let snapshot = pending.snapshot.as_deref();
    let Some(snapshot) = snapshot.filter(|_| was_started && may_have_been_used(cx, &pending))
    else {
        return Ok(());
    };
    let storage = state::of(&cx.settings);
    cx.host.shield(true);
    let kept = async {
        runtime::stop(engine, 10).await?;
        storage.keep_before(cx, &pending.release, snapshot).await
    };
    let kept = kept.await;
    cx.host.shield(false);
    if let Some(kept) = kept? {
        let place = match storage.restores_in_place() {
            true => state::snapshot::directory(cx)?
                .join(&kept)
                .display()
                .to_string(),
            false => format!("the volumes of {kept}"),
        };
        cx.reporter.note(format!(
            "what was written since {} is kept in {place}; to let it go: openclaw-deploy rollback --forget {kept}",
            clock(pending.release.since)
        ));
        // No release that answered has written it.
        records.held.push(Held {
            snapshot: kept,
            release: 0,
        });
    }
    if let Some(pending) = &mut records.pending {
        pending.given_up = true;
    }
    records.save(&cx.host, &cx.settings)
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
