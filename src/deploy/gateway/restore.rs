//! Restores the version before, with the state that it had.
//!
//! Needs no registry. What the failed version wrote is lost, and the message says so.

use std::time::Instant;

use serde_json::json;

use super::health::{exposure, liveness};
use super::records::{Records, Release};
use crate::base::units::round;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::gateway::{env, image_cleanup, logs, runtime, state};
use crate::deploy::hooks;

/// After `failure` of `release`: restores what ran before. Returns the failure with what runs now.
pub(crate) async fn after_failure(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: &Release,
    failure: Failure,
) -> Failure {
    hooks::before_way_back(cx, &release.pinned, &failure).await;
    let pending = records.pending.clone();
    let from = pending.as_ref().and_then(|it| it.from);
    let Some(from) = from.and_then(|id| records.release(id)).cloned() else {
        return first_install(cx, engine, records, release, failure).await;
    };
    if failure.cause.condemns_the_image() && from.image != release.image {
        records.mark_bad(&release.image);
        records.mark_bad(&release.pinned);
    }
    if let Some(pending) = &mut records.pending {
        pending.given_up = true;
        // Whoever finds this run cut off should know. What stands in the way of this save is told by the next.
        let _ = records.save(&cx.host, &cx.settings);
    }
    let start = Instant::now();
    let snapshot = pending.and_then(|it| it.snapshot);
    let after = match restore(cx, engine, records, &from, snapshot.as_deref()).await {
        Ok(()) => {
            records.pending = None;
            restored(
                cx,
                &from,
                failure,
                start.elapsed().as_secs_f64(),
                snapshot.is_some(),
            )
        }
        Err(second) => {
            let env_changed = from.env != release.env;
            not_restored(cx, &from, &failure, &second, env_changed)
        }
    };
    remove_failed(cx, engine, records, release).await;
    state::prune(cx, engine, records).await;
    after
}

/// The old version answers again.
fn restored(
    cx: &Context,
    from: &Release,
    failure: Failure,
    seconds: f64,
    state_too: bool,
) -> Failure {
    let seconds = round(seconds);
    cx.journal.add(json!({
        "event": "rollback", "to": from.id, "cause": failure.cause,
        "outcome": "answered", "seconds": seconds,
    }));
    let state = if state_too { " with its state" } else { "" };
    let lost = if state_too {
        "; what the new version wrote is lost"
    } else {
        ""
    };
    let mut after = failure;
    after.what.push_str(&format!(
        "\n  {} runs again{state} and answers, after {seconds:.1} s{lost}",
        from.pinned
    ));
    if after.exit != Exit::Interrupted {
        after.exit = Exit::RolledBack;
    }
    let hint = "choose another version with --image, or try this one again with --retry";
    after.hint.get_or_insert_with(|| hint.to_owned());
    after
}

/// The old version does not answer either.
fn not_restored(
    cx: &Context,
    from: &Release,
    failure: &Failure,
    second: &Failure,
    env_changed: bool,
) -> Failure {
    cx.journal.add(json!({
        "event": "rollback", "to": from.id, "cause": second.cause, "outcome": "failed",
    }));
    let mut log = failure.log.clone();
    log.extend(second.log.clone());
    let again = next_command(from, second);
    let hint = match env_changed {
        // Both were started with what it says now.
        true => format!(
            "{} has changed since release {} was started: if that is why, undo it, then: {again}",
            env::path(cx).display(),
            from.id
        ),
        false => again,
    };
    Failure::new(format!(
        "{}\n  and {} could not be put back: {}\n  no gateway answers now",
        failure.what, from.pinned, second.what
    ))
    .hint(hint)
    .exit(Exit::Down)
    .cause(failure.cause)
    .log(log)
}

/// The command to run when `to` could not be put back because of `why`.
pub(crate) fn next_command(to: &Release, why: &Failure) -> String {
    let again = format!("openclaw-deploy rollback --to {}", to.id);
    match why.cause {
        // Without its image the rollback would fail in the same way.
        Cause::ImageGone if to.pinned.contains('@') => {
            format!("docker pull {} && {again}", to.pinned)
        }
        _ => again,
    }
}

/// No version ran before: the one that was tried stays, stopped.
async fn first_install(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: &Release,
    failure: Failure,
) -> Failure {
    let before = records.pending.as_ref().and_then(|it| it.snapshot.clone());
    match stop_and_restore_state(cx, engine, before.as_deref()).await {
        Ok(()) => records.pending = None,
        // What is pending stays so, and its snapshot with it.
        Err(why) => cx.reporter.warn(format!(
            "the state before it could not be put back: {why}; the next run tries that again"
        )),
    }
    remove_failed(cx, engine, records, release).await;
    let mut after = failure;
    if after.exit != Exit::Interrupted {
        after.what.push_str(&format!(
            "\n  it was the first, so nothing could be put back; {}",
            runtime::of(release.runtime).left_behind()
        ));
        after
            .hint
            .get_or_insert_with(|| "see its log: openclaw-deploy logs".to_owned());
        after.exit = Exit::Down;
    }
    after
}

/// Removes the images of versions that failed before `release` did, and saves the records.
async fn remove_failed(cx: &Context, engine: &Engine, records: &mut Records, release: &Release) {
    if let Err(why) = image_cleanup::remove_unneeded(cx, engine, records, Some(release)).await {
        cx.reporter.warn(format!(
            "images of versions that failed were not removed: {why}"
        ));
        let _ = records.save(&cx.host, &cx.settings);
    }
}

/// Stops what was the first to be tried, and puts back the state that it found.
pub(crate) async fn stop_and_restore_state(
    cx: &Context,
    engine: &Engine,
    snapshot: Option<&str>,
) -> Result<()> {
    let _ = runtime::stop(engine, 10).await;
    match snapshot {
        Some(id) => state::restore(cx, id).await,
        None => Ok(()),
    }
}

/// Runs `to` again, with the state of `snapshot`, and waits until it answers.
pub(crate) async fn restore(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    to: &Release,
    snapshot: Option<&str>,
) -> Result<()> {
    // Even if the rest fails, the version that failed must not run on.
    runtime::stop(engine, 10).await?;
    require_image(engine, to).await?;
    state::of(&cx.settings).repair(cx)?;
    let runtime = runtime::of(to.runtime);
    // The engine looks whether the directories are there, so none is replaced before it has.
    let (copies, mut created) = tokio::join!(
        state::copy_back(cx, snapshot),
        runtime.create(cx, engine, to)
    );
    if let Some(copies) = copies? {
        state::put_back(cx, copies).await?;
        forget_restored(cx, records, to);
        if created.is_err() {
            // One that was missing may be there now.
            created = runtime.create(cx, engine, to).await;
        }
    }
    if let Some(port) = cx.settings.reachable_port() {
        exposure::port_is_free(port)?;
    }
    let id = runtime.start(cx, engine, to, created?).await?;
    let timeout = cx.settings.health_timeout;
    let deadline = Instant::now() + timeout;
    let port = cx.settings.reachable_port();
    let each = |seen: &str| cx.reporter.waits_for_gateway(seen, timeout);
    match liveness::wait(engine, &id, port, deadline, each).await? {
        Ok(_) => runtime::keep_running(cx, engine, to).await?,
        Err(why) => return Err(logs::unhealthy(cx, engine, &id, &why).await),
    }
    // The gateway answers: a name that cannot be written is no reason to say that none does.
    let named = env_image(cx).and_then(|image| env::name_image(cx, &to.pinned, &[image]));
    if let Err(why) = named {
        cx.reporter
            .warn(format!("{}; .env names the other image still", why.what));
    }
    Ok(())
}

/// Forgets the snapshot of the change in flight, once it is restored: the next run must not restore it
/// again, over what the old version has written since.
fn forget_restored(cx: &Context, records: &mut Records, to: &Release) {
    if !state::of(&cx.settings).restores_in_place() {
        return;
    }
    let pending = records.pending.as_mut().filter(|it| it.from == Some(to.id));
    let Some(pending) = pending else { return };
    pending.snapshot = None;
    if let Err(why) = records.save(&cx.host, &cx.settings) {
        cx.reporter
            .warn(format!("the records could not be written: {why}"));
    }
}

/// Refuses a release whose image was removed.
pub(crate) async fn require_image(engine: &Engine, to: &Release) -> Result<()> {
    match engine.image(&to.pinned).await? {
        Some(_) => Ok(()),
        None => Err(
            Failure::new(format!("its image {} was not found", to.pinned))
                .hint(match to.pinned.contains('@') {
                    true => format!("docker pull {}", to.pinned),
                    false => {
                        "choose another version: openclaw-deploy bootstrap --image …".to_owned()
                    }
                })
                .cause(Cause::ImageGone),
        ),
    }
}

/// The image that `.env` names now: when we go back it is ours to replace.
fn env_image(cx: &Context) -> Result<String> {
    let text = env::read(cx, env::owner(cx)?)?;
    let file = crate::deploy::env_file::EnvFile::parse(&text);
    Ok(file.value(env::IMAGE).unwrap_or_default().to_owned())
}
