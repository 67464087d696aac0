//! Going back because a person says so: `openclaw-deploy rollback`.
//!
//! The state as it is now is kept first, so that this too can be taken back; and the change
//! is written down as any other, so that a run that is killed here is mended by the next.

use serde_json::json;

use super::records::{Pending, Records, Release};
use crate::base::units::now;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::labels;
use crate::deploy::gateway::{container, env, recover, restore, runtime, state};
use crate::deploy::settings::Deliver;

/// Runs `target` again with the state of `snapshot`. Returns the id of the new release.
///
/// # Errors
/// Exit 5 when what ran before was put back and answers, 6 when nothing does.
pub(crate) async fn run(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    target: &Release,
    state: Option<&str>,
) -> Result<u64> {
    restore::require_image(engine, target)
        .await
        .map_err(|why| refused(target, why))?;
    let mut release = next_release(cx, engine, records, target).await?;
    recover::keep_what_was_written(cx, engine, records).await?;
    // Where an earlier change could not be undone, its snapshot is still the state to go back to.
    let kept = records.pending.take().and_then(|it| it.snapshot);
    let before = container::find(engine).await?;
    if kept.is_none() {
        state::of(&cx.settings).preflight(cx)?;
    }
    records.pending = Some(Pending {
        release: release.clone(),
        from: records.current().map(|it| it.id),
        snapshot: kept,
        brings_back: state.map(str::to_owned),
        goes_back_to: Some(target.id),
        given_up: false,
        started_before: before.map(|it| it.started),
    });
    records.save(&cx.host, &cx.settings)?;
    cx.host.shield(true);
    let replaced = replace(cx, engine, records, &mut release, state).await;
    cx.host.shield(false);
    replaced?;
    cx.journal.add(json!({
        "event": "rollback", "to": target.id, "cause": "asked", "outcome": "answered",
    }));
    let id = release.id;
    records.hold(&release, state);
    records.leave(target);
    records.commit(release);
    records.save(&cx.host, &cx.settings)?;
    state::prune(cx, engine, records).await;
    Ok(id)
}

/// Replaces what runs, or restores it.
async fn replace(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: &mut Release,
    state: Option<&str>,
) -> Result<()> {
    let replaced = async {
        runtime::stop(engine, labels::GRACE).await?;
        state::snapshot(cx, engine, records, release, state).await?;
        restore::restore(cx, engine, records, release, state).await
    };
    let Err(mut why) = replaced.await else {
        return Ok(());
    };
    let hint = "choose another release with --to: openclaw-deploy status lists them";
    why.hint.get_or_insert_with(|| hint.to_owned());
    Err(restore::after_failure(cx, engine, records, release, why).await)
}

/// The release that `target` becomes when it runs again.
async fn next_release(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    target: &Release,
) -> Result<Release> {
    let plan = runtime::of(target.runtime).plan(cx, engine).await?;
    let id = records.next_id();
    let own = target.state.as_ref();
    Ok(Release {
        id,
        since: now(),
        env: env::fingerprint(cx, &target.left_out)?,
        secrets: match target.delivers() {
            Deliver::Swarm => plan.secrets,
            Deliver::Broker | Deliver::Env => Vec::new(),
        },
        snapshot: None,
        state: own.and_then(|_| state::of(&cx.settings).name_for(id)),
        ..target.clone()
    })
}

/// What is refused before the gateway is stopped.
fn refused(target: &Release, why: Failure) -> Failure {
    Failure {
        what: format!(
            "cannot go back to release {}: {}; the gateway was not touched",
            target.id, why.what
        ),
        ..why
    }
}
