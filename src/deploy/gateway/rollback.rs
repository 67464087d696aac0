//! Going back because a person says so: `openclaw-deploy rollback`.
//!
//! The state as it is now is copied first, so that this too can be taken back; and the change
//! is written down as any other, so that a run that is killed here is mended by the next.

use serde_json::json;

use super::records::{Pending, Records, Release};
use super::{env, put_back, snapshot};
use crate::deploy::engine::Engine;
use crate::deploy::exit::{Exit, Failure, Result};
use crate::deploy::journal::now;
use crate::deploy::run::Context;

/// Runs `target` again with the state of `snapshot`. Returns the id of the new release.
///
/// # Errors
/// Exit 6 when it does not answer.
pub async fn go(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    target: &Release,
    state: Option<&str>,
) -> Result<u64> {
    put_back::image_is_here(engine, target)
        .await
        .map_err(|why| untouched(target, why))?;
    let mut release = Release {
        id: records.next_id(),
        since: now(),
        env: env::mark(cx)?,
        snapshot: None,
        ..target.clone()
    };
    let local = !cx.settings.engine.is_remote();
    if local {
        snapshot::preflight(cx)?;
    }
    records.pending = Some(Pending {
        release: release.clone(),
        from: records.current().map(|it| it.id),
        snapshot: None,
    });
    records.save(&cx.host, &cx.settings)?;
    cx.host.shield(true);
    let restored = async {
        if let Some(container) = engine.gateway().await? {
            engine.restart_policy(&container.id, "no").await?;
            engine.act(&container.id, "stop?t=30").await?;
        }
        if local {
            let id = format!("{}-{}", now(), release.id);
            snapshot::take(cx, &id).await?;
            release.snapshot = Some(id.clone());
            if let Some(pending) = &mut records.pending {
                pending.snapshot = Some(id);
            }
            records.save(&cx.host, &cx.settings)?;
        }
        put_back::restore(cx, engine, target, state).await
    }
    .await;
    cx.host.shield(false);
    restored.map_err(|why| {
        why.exit(Exit::Down)
            .hint("the next run puts back what ran before: openclaw-deploy update")
    })?;
    cx.journal.add(json!({
        "event": "rollback", "to": target.id, "cause": "asked", "outcome": "answered",
    }));
    let id = release.id;
    records.commit(release);
    records.save(&cx.host, &cx.settings)?;
    Ok(id)
}

/// What is refused before the gateway is stopped.
fn untouched(target: &Release, why: Failure) -> Failure {
    Failure {
        what: format!(
            "cannot go back to release {}: {}; the gateway was not touched",
            target.id, why.what
        ),
        ..why.hint(format!("docker pull {}", target.pinned))
    }
}
