//! Replaces what runs. It is stopped first, because there is one port and one state.
//!
//! Everything that can be foreseen is refused before that. After it any failure, a signal included,
//! leads to [`restore`](super::restore): the old image with the old state.

use std::time::Instant;

use serde_json::json;

use super::health::exposure;
use super::health::liveness::{self, Sign};
use super::health::readiness;
use super::records::{Pending, Records, Release};
use super::runtime::{self, RunPlan};
use crate::base::units::{now, round};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::gateway::labels;
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::spec::Spec;
use crate::deploy::gateway::{acceptance, container, env, image_cleanup, logs, restore, state};
use crate::deploy::image::ImageSource;
use crate::deploy::image::fallback::Acquired;
use crate::deploy::settings::Deliver;

/// Decides all that a release is made of. Changes nothing.
///
/// # Errors
/// When `.env` cannot be read, or the image has nothing to start.
pub(crate) fn candidate(
    cx: &Context,
    records: &Records,
    plan: &RunPlan,
    requested: &str,
    got: &Acquired,
) -> Result<Release> {
    refuse_inert(got)?;
    let id = records.next_id();
    let storage = state::of(&cx.settings);
    Ok(Release {
        id,
        requested: requested.to_owned(),
        pinned: got.pinned.clone(),
        image: got.image.id.clone(),
        source: got.source,
        version: got.image.version.clone(),
        revision: got.image.revision.clone(),
        runtime: plan.runtime,
        spec: Spec {
            command: got.image.command.clone(),
            port: cx.settings.port,
            health_check: got.image.has_health_check,
            mounts: storage.mounts(&cx.settings),
        },
        secrets: plan.secrets.clone(),
        deliver: plan.deliver,
        env: env::fingerprint(cx, &plan.left_out)?,
        left_out: plan.left_out.clone(),
        since: now(),
        seconds: 0.0,
        snapshot: None,
        state: storage.name_for(id),
    })
}

fn refuse_inert(got: &Acquired) -> Result<()> {
    if !got.image.is_inert {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} has no command; nothing was changed",
        got.pinned
    ))
    .hint("give its Dockerfile a CMD, or choose another image with --image")
    .exit(Exit::Image)
    .cause(Cause::NoCommand))
}

/// Runs `release` in place of what runs, or restores what ran.
///
/// # Errors
/// Exit 5 when the old version answers again, 6 when nothing does.
pub(crate) async fn upgrade(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    observed: &Observed,
    mut release: Release,
) -> Result<()> {
    let start = Instant::now();
    preflight(cx, records, observed, &release).await?;
    let from = match &observed.container {
        Some(_) => match previous(records, observed) {
            Some(id) => Some(id),
            None => adopt(cx, engine, records, observed).await?,
        },
        None => taken_down(engine, records).await?,
    };
    release.id = records.next_id();
    records.pending = Some(Pending {
        release: release.clone(),
        from,
        snapshot: None,
        brings_back: None,
        goes_back_to: None,
        given_up: false,
        started_before: observed.container.as_ref().map(|it| it.started.clone()),
    });
    records.save(&cx.host, &cx.settings)?;
    // Of one that is not there nobody knows which databases it could use.
    let asked = from.filter(|_| observed.container.is_some());
    let known = match (asked, cx.settings.reachable_port()) {
        (Some(_), Some(port)) => Some(readiness::refused_databases(cx, port).await),
        _ => None,
    };
    let attempt = attempt(cx, engine, records, observed, &mut release, known);
    let failure = match cx.host.unless_interrupted(attempt).await {
        Ok(sign) => {
            release.seconds = round(start.elapsed().as_secs_f64());
            return finish(cx, engine, records, release, sign).await;
        }
        Err(failure) => failure,
    };
    cx.host.shield(true);
    let failure = restore::after_failure(cx, engine, records, &release, failure).await;
    cx.host.shield(false);
    Err(failure)
}

/// Refuses, while the gateway still runs, what can be foreseen to fail.
async fn preflight(
    cx: &Context,
    records: &Records,
    observed: &Observed,
    release: &Release,
) -> Result<()> {
    refuse_bad(cx, records, observed, &release.pinned, &release.image)?;
    if let Some(there) = &observed.container {
        state::refuse_elsewhere(cx, there)?;
    }
    if let Some(port) = cx.settings.reachable_port() {
        if !observed.holds_port(port) {
            exposure::port_is_free(port)?;
        }
        exposure::assert_none_else(&cx.host, observed.container.as_ref())?;
    }
    state::of(&cx.settings).preflight(cx)?;
    runtime::of(release.runtime).preflight(cx, release).await
}

/// An image that failed before is not tried again by itself. Before it is pulled it is known by its name
/// alone, and is refused without a download.
pub(crate) fn refuse_bad(
    cx: &Context,
    records: &Records,
    observed: &Observed,
    pinned: &str,
    image: &str,
) -> Result<()> {
    let is_bad = records.bad.iter().any(|bad| bad == image || bad == pinned);
    if cx.settings.retry || !is_bad {
        return Ok(());
    }
    let (exit, now) = if observed.healthy {
        (Exit::RolledBack, "the version before it runs and answers")
    } else {
        (Exit::Down, "no version answers")
    };
    Err(Failure::new(format!(
        "{pinned} did not become healthy before and is not tried again; {now}"
    ))
    .hint("try it again with --retry, or choose another with --image")
    .exit(exit)
    .cause(Cause::KnownBad))
}

/// The release to go back to: the current one, if its container is what is here.
fn previous(records: &Records, observed: &Observed) -> Option<u64> {
    let container = observed.container.as_ref()?;
    records
        .releases
        .iter()
        .rev()
        .find(|release| release.image == container.image)
        .map(|release| release.id)
}

/// The current release, where somebody removed its container, as `docker compose down` does, and its image is here still.
async fn taken_down(engine: &Engine, records: &Records) -> Result<Option<u64>> {
    // Those of a backup ran on another host, or long ago.
    let Some(current) = records.current().filter(|_| !records.restored) else {
        return Ok(None);
    };
    let image = engine.image(&current.pinned).await?;
    Ok(image.map(|_| current.id))
}

/// Remembers, as a release to go back to, a gateway that answers and that we did not start.
async fn adopt(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    observed: &Observed,
) -> Result<Option<u64>> {
    let ours =
        |it: &&Container| runtime::of(container::runtime(it)).can_be_adopted() && observed.healthy;
    let Some(container) = observed.container.as_ref().filter(ours) else {
        return Ok(None);
    };
    if !state::of(&cx.settings).can_be_adopted() {
        return Ok(None);
    }
    let Some(image) = engine.image(&container.image).await? else {
        return Ok(None);
    };
    let name = image.tags.first().unwrap_or(&image.id).clone();
    let got = Acquired {
        pinned: image.id.clone(),
        image,
        source: ImageSource::Local,
        fresh: false,
    };
    let release = candidate(cx, records, &RunPlan::default(), &name, &got)?;
    cx.reporter.note(format!(
        "{name} runs here and was not started by us; it is remembered as release {}, to go back to",
        release.id
    ));
    let id = release.id;
    records.releases.push(release);
    Ok(Some(id))
}

/// From the stop to the first answer.
async fn attempt(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    observed: &Observed,
    release: &mut Release,
    known: Option<Vec<String>>,
) -> Result<Sign> {
    if observed.container.is_some() {
        cx.reporter.note("stopping the gateway");
        cx.reporter.progress(|| "stopping".to_owned());
    }
    runtime::stop(engine, labels::GRACE).await?;
    state::snapshot(cx, engine, records, release, None).await?;
    cx.reporter.note(format!(
        "starting {} ({})",
        release.pinned,
        release.source.word()
    ));
    // Else the live line goes on about the pull.
    cx.reporter.progress(|| "starting".to_owned());
    if release.delivers() == Deliver::Broker {
        runtime::set_provider(cx, release).await?;
    }
    let runtime = runtime::of(release.runtime);
    let created = runtime.create(cx, engine, release).await?;
    let id = runtime.start(cx, engine, release, created).await?;
    let timeout = cx.settings.health_timeout;
    let deadline = Instant::now() + timeout;
    let port = cx.settings.reachable_port();
    let each = |seen: &str| cx.reporter.waits_for_gateway(seen, timeout);
    match liveness::wait(engine, &id, port, deadline, each).await? {
        Ok(sign) => acceptance::check(cx, engine, &id, release, known.as_deref())
            .await
            .map(|()| sign),
        Err(why) => Err(logs::unhealthy(cx, engine, &id, &why).await),
    }
}

/// It answers: this is now what runs.
pub(crate) async fn finish(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    release: Release,
    sign: Sign,
) -> Result<()> {
    runtime::keep_running(cx, engine, &release).await?;
    if sign == Sign::Port {
        cx.reporter
            .warn("this version has no health endpoint; only its port was checked");
    }
    image_cleanup::tag(engine, &release).await?;
    let pinned = records.releases.iter().map(|it| it.pinned.clone());
    // The name that `.env` asked for is replaced by the image that it meant.
    let ours: Vec<_> = pinned.chain([release.requested.clone()]).collect();
    env::name_image(cx, &release.pinned, &ours)?;
    cx.journal.add(json!({
        "event": "release", "release": release.id, "image": release.pinned,
        "source": release.source.word(), "seconds": release.seconds, "sign": sign.word(),
        "deliver": release.delivers().word(),
    }));
    records.commit(release);
    records.save(&cx.host, &cx.settings)?;
    image_cleanup::prune(cx, engine, records).await
}
