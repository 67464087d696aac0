//! Step 4: the image comes to the engine, and the gateway runs it and answers.
//!
//! `check` looks at the registry, the engine and the port; `apply` gets the image
//! and replaces the gateway. One that already runs what is wanted is never restarted.

mod decide;
mod meant;
mod stored_logins;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::base::units::round;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::health::{exposure, liveness};
use crate::deploy::gateway::observe::observe;
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::runtime::{self, RunPlan};
use crate::deploy::gateway::upgrade::{candidate, refuse_bad, upgrade};
use crate::deploy::gateway::{container, env, logs, recover, secrets};
use crate::deploy::host::load::Load;
use crate::deploy::image::ImageSource;
use crate::deploy::image::fallback::{Acquired, acquire};
use crate::deploy::image::resolve::{Resolution, ResolvedImage};
use crate::deploy::image_reference::short_name;
use crate::deploy::settings::Deliver;
use crate::deploy::step::{Step, StepState};

/// How long a gateway that was ready may be busy: OpenClaw brings up its channels after it says `started`, and on two
/// cores answers nothing for some seconds meanwhile.
const SETTLED: Duration = Duration::from_secs(30);

/// The gateway.
#[derive(Default)]
pub(crate) struct Gateway {
    /// What `check` saw, for `apply`.
    seen: RefCell<Option<(Engine, ResolvedImage)>>,
    /// The engine that `apply` used, for `verify`: to ask another time what it is would take longer than the rest.
    used: RefCell<Option<Engine>>,
}

impl Step for Gateway {
    fn check(&self, cx: &Context) -> Result<StepState> {
        stored_logins::warn(cx);
        for line in env::without_effect(cx) {
            cx.reporter.warn(line);
        }
        cx.host.wait(cx.host.unless_interrupted(self.look(cx)))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let seen = self.seen.borrow_mut().take();
        let (engine, seen) = seen.ok_or_else(|| Failure::new("check did not run"))?;
        let provided = cx.host.wait(provide(cx, &engine, seen));
        *self.used.borrow_mut() = Some(engine);
        provided.map(Some)
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let used = self.used.borrow_mut().take();
        cx.host.wait(async {
            let engine = match used {
                Some(engine) => engine,
                None => Engine::open(&cx.settings.engine).await?,
            };
            let deadline = Instant::now() + SETTLED;
            while !observe(cx, &engine).await?.healthy {
                if Instant::now() >= deadline {
                    return Err(Failure::new("the gateway does not answer")
                        .hint("see why: openclaw-deploy logs")
                        .exit(Exit::Down));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tell(cx, &Records::load(&cx.host, &cx.settings)?);
            Ok(())
        })
    }
}

impl Gateway {
    async fn look(&self, cx: &Context) -> Result<StepState> {
        let engine = match Engine::open(&cx.settings.engine).await {
            Err(_) if cx.planned.borrow().contains(&"docker") => {
                return Ok(decide::without_engine(cx));
            }
            engine => engine?,
        };
        let records = Records::load(&cx.host, &cx.settings)?;
        let observed = observe(cx, &engine).await?;
        if let Some(port) = cx.settings.reachable_port()
            && !observed.holds_port(port)
        {
            exposure::port_is_free(port)?;
        }
        let plan = runtime::plan(cx, &engine, &records, &observed).await?;
        let resolved = meant::resolved(cx, &engine, &records).await?;
        let state = if recover::needed(&records) {
            StepState::of(vec![
                "finish or undo what an interrupted run left".to_owned(),
            ])
        } else {
            decide::decide(cx, &records, &plan, &observed, &resolved)?
        };
        let state = match plan.deliver == Some(Deliver::Broker) {
            true => decide::with_broker(cx, state).await?,
            false => state,
        };
        if state == StepState::Done {
            tell(cx, &records);
        }
        *self.seen.borrow_mut() = Some((engine, resolved));
        Ok(state)
    }
}

/// Makes the gateway run what is wanted.
async fn provide(cx: &Context, engine: &Engine, resolved: ResolvedImage) -> Result<String> {
    let load = Load::begin();
    let mut records = Records::load(&cx.host, &cx.settings)?;
    let is_recovery = recover::needed(&records);
    recover::recover(cx, engine, &mut records).await?;
    let resolved = match is_recovery {
        // What a name means here may be another thing since.
        true => meant::resolved(cx, engine, &records).await?,
        false => resolved,
    };
    let before = records.current().map(|it| it.image.clone());
    let observed = observe(cx, engine).await?;
    let mut plan = runtime::plan(cx, engine, &records, &observed).await?;
    if plan.deliver == Some(Deliver::Broker) {
        secrets::provide(cx).await?;
        plan.left_out = secrets::leaving(cx)?;
    }
    let is_paused = runtime::pause_for_pull(engine, &observed).await?;
    let got = replace(cx, engine, &mut records, &observed, &plan, resolved).await;
    if is_paused && got.is_err() {
        // Should this fail too, the first failure says more.
        let _ = runtime::resume_after_pull(engine).await;
    }
    let got = got?;
    let kind = match before {
        _ if is_recovery => "recovery",
        None => "provisioning",
        Some(image) if image == got.image.id => "restart",
        Some(_) => "update",
    };
    let seconds = round(cx.began.get().elapsed().as_secs_f64());
    let mut line = json!({
        "event": "provisioned", "kind": kind, "image": got.pinned, "source": got.source.word(),
        "seconds": seconds,
    });
    load.end(&mut line);
    cx.journal.add(line);
    // The gateway answers: keys that stay for another run are no reason to call it failed.
    if let Err(why) = secrets::leave_env(cx, &plan.left_out) {
        cx.reporter.warn(format!(
            "{}; the next run takes the keys out of .env",
            why.what
        ));
    }
    Ok(format!(
        "{} ({})",
        short_name(&got.pinned),
        got.source.word()
    ))
}

/// Gets the image and makes the gateway run it.
async fn replace(
    cx: &Context,
    engine: &Engine,
    records: &mut Records,
    observed: &Observed,
    plan: &RunPlan,
    resolved: ResolvedImage,
) -> Result<Acquired> {
    let wanted = resolved.wanted.to_string();
    if let Resolution::InRegistry { distribution } = &resolved.resolution {
        let pinned = resolved.wanted.at(&distribution.digest).to_string();
        refuse_bad(cx, records, observed, &pinned, "")?;
    }
    let running = observed.running(records);
    let got = acquire(cx, engine, resolved, running.as_ref());
    let got = cx.host.unless_interrupted(got).await?;
    let got = Acquired {
        source: match got.source {
            ImageSource::Local => {
                decide::local(records, got.image.clone(), got.pinned.clone()).source
            }
            other => other,
        },
        ..got
    };
    if got.fresh {
        records.remember_brought(&got);
        records.save(&cx.host, &cx.settings)?;
    }
    let release = candidate(cx, records, plan, &wanted, &got)?;
    if !decide::is_current(observed, records, &release) {
        upgrade(cx, engine, records, observed, release).await?;
    } else if !observed.healthy {
        start_again(cx, engine, observed, &release).await?;
    }
    if let Some(current) = records.current() {
        runtime::of(current.runtime).write_its_file(cx, current)?;
    }
    Ok(got)
}

/// It is the right container, but it does not answer: starts it, and waits until it does.
async fn start_again(
    cx: &Context,
    engine: &Engine,
    observed: &Observed,
    release: &Release,
) -> Result<()> {
    let Some(container) = &observed.container else {
        return Ok(());
    };
    let id = runtime::of(container::runtime(container))
        .resume(cx, engine, container, release)
        .await?;
    let timeout = cx.settings.health_timeout;
    let deadline = Instant::now() + timeout;
    let port = cx.settings.reachable_port();
    let each = |seen: &str| cx.reporter.waits_for_gateway(seen, timeout);
    match liveness::wait(engine, &id, port, deadline, each).await? {
        Ok(_) => runtime::keep_running(cx, engine, release).await,
        Err(why) => Err(logs::unhealthy(cx, engine, &id, &why)
            .await
            .hint("go back to the version before: openclaw-deploy rollback")
            .exit(Exit::Down)),
    }
}

fn tell(cx: &Context, records: &Records) {
    if let Some(current) = records.current() {
        cx.fact("image", &current.pinned);
        cx.fact("source", current.source.word());
        cx.fact("gateway", cx.settings.address());
    }
}
