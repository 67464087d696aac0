//! Step 4: the image comes to the engine, and the gateway runs it and answers.
//!
//! `check` looks at the registry, the engine and the port; `apply` climbs the ladder and
//! switches. A gateway that already runs what is wanted is never restarted.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use serde_json::json;

use crate::deploy::engine::Engine;
use crate::deploy::engine::auth::Auth;
use crate::deploy::exit::{Exit, Failure, Result};
use crate::deploy::gateway::compose::label_of;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::registry_auth::{self, Change};
use crate::deploy::gateway::shape::{self, Form};
use crate::deploy::gateway::switch::{Candidate, switch, unhealthy};
use crate::deploy::gateway::{self, Observed, env, health, observe, port, recover, service};
use crate::deploy::image::Source;
use crate::deploy::image::ladder::{Acquired, acquire, lost};
use crate::deploy::image::resolve::{Resolution, Resolved, resolve};
use crate::deploy::journal::round;
use crate::deploy::reference::{ImageRef, short};
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

/// The gateway.
#[derive(Default)]
pub struct Gateway {
    seen: RefCell<Option<(Engine, Seen)>>,
}

/// What `check` saw, for `apply`.
struct Seen {
    resolved: Resolved,
    /// The credentials that Swarm may be given.
    lend: Option<Auth>,
}

impl Step for Gateway {
    fn check(&self, cx: &Context) -> Result<State> {
        warn_of_stale_logins(cx);
        cx.host.wait(cx.host.unless_interrupted(self.look(cx)))
    }

    fn apply(&self, cx: &Context) -> Result<String> {
        let seen = self.seen.borrow_mut().take();
        let (engine, seen) = seen.ok_or_else(|| Failure::new("check did not run"))?;
        cx.host.wait(provide(cx, &engine, seen))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        cx.host.wait(async {
            let engine = Engine::open(&cx.settings.engine).await?;
            let seen = observe(cx, &engine).await?;
            if !seen.healthy {
                return Err(Failure::wanted("a gateway that answers", "none")
                    .hint("see why: openclaw-deploy logs")
                    .exit(Exit::Down));
            }
            tell(cx, &Records::load(&cx.host, &cx.settings)?);
            Ok(())
        })
    }
}

impl Gateway {
    async fn look(&self, cx: &Context) -> Result<State> {
        let engine = match Engine::open(&cx.settings.engine).await {
            Err(_) if cx.planned.borrow().contains(&"docker") => return Ok(without_engine(cx)),
            engine => engine?,
        };
        let records = Records::load(&cx.host, &cx.settings)?;
        let observed = observe(cx, &engine).await?;
        if let Some(port) = port(cx)
            && !observed.holds_port(port)
        {
            health::port_is_free(port)?;
        }
        let form = shape::wanted(cx, &engine, &records, &observed).await?;
        let wanted = &cx.settings.image;
        let resolved = resolve(cx, &engine, wanted).await?;
        let state = if recover::needed(&records) {
            State::of(vec!["mend what an interrupted run left".to_owned()])
        } else {
            decide(cx, &records, &form, &observed, &resolved)?
        };
        let auth = resolved.auth.clone();
        let lend = registry_auth::usable(cx, &engine, form.shape, auth).await?;
        let change = registry_auth::wanted(cx, &engine, form.shape, lend.as_ref()).await?;
        let state = state.and(change.map(Change::plan));
        if state == State::Done {
            tell(cx, &records);
        }
        *self.seen.borrow_mut() = Some((engine, Seen { resolved, lend }));
        Ok(state)
    }
}

/// The plan where step 1 has yet to bring the engine, which alone can ask the registry.
fn without_engine(cx: &Context) -> State {
    State::of(vec![
        format!("pull {}, once Docker runs", cx.settings.image),
        "start the gateway".to_owned(),
    ])
}

/// What has to be done, from what was seen.
fn decide(
    cx: &Context,
    records: &Records,
    form: &Form,
    observed: &Observed,
    resolved: &Resolved,
) -> Result<State> {
    let wanted = &resolved.wanted;
    let verb = match &observed.container {
        Some(container) if container.shape != form.shape => form.shape.verb(),
        Some(_) => "replace",
        None => "start",
    };
    Ok(match &resolved.resolution {
        Resolution::Nowhere(trouble) if is_content(cx, records, form, observed, wanted)? => {
            cx.talk.warn(format!(
                "{trouble}; the gateway runs that image already and was left alone"
            ));
            lost(cx, wanted, trouble.cause);
            State::Done
        }
        Resolution::Nowhere(trouble) => needed(
            form,
            [format!("find another source for {wanted} ({trouble})")],
        ),
        Resolution::There { remote } => needed(
            form,
            [
                format!("pull {}", wanted.at(&remote.digest)),
                format!("{verb} the gateway"),
            ],
        ),
        // What a release is made of, `.env` for one, is not there before its owner.
        Resolution::Here { digest, .. } if owner_is_planned(cx) => needed(
            form,
            [format!("{verb} the gateway with {}", wanted.at(digest))],
        ),
        Resolution::Here { image, digest } => {
            let pinned = wanted.at(digest).to_string();
            let got = local(records, image.clone(), pinned.clone());
            let candidate = Candidate::new(cx, records, form, &wanted.to_string(), &got)?;
            if !same(observed, records, &candidate.release) {
                needed(form, [format!("{verb} the gateway with {pinned}")])
            } else if observed.healthy {
                State::Done
            } else {
                needed(
                    form,
                    ["start the gateway, which does not answer".to_owned()],
                )
            }
        }
    })
}

/// Whether the deploy user is yet to be made, by a step that a dry run has planned.
fn owner_is_planned(cx: &Context) -> bool {
    cx.planned.borrow().contains(&"user") && env::owner(cx).is_err()
}

fn needed<const N: usize>(form: &Form, what: [String; N]) -> State {
    let secrets = form.fresh.iter();
    let secrets = secrets.map(|name| format!("give Swarm the secret {name}"));
    State::of(secrets.chain(what).collect())
}

/// Whether what runs is what `wanted` last meant, and answers.
fn is_content(
    cx: &Context,
    records: &Records,
    form: &Form,
    observed: &Observed,
    wanted: &ImageRef,
) -> Result<bool> {
    let current = records.current();
    let Some(current) = current.filter(|it| it.requested == wanted.to_string()) else {
        return Ok(false);
    };
    let as_wanted = current.shape == form.shape && current.secrets == form.secrets;
    Ok(observed.healthy && runs(observed, current) && as_wanted && current.env == env::mark(cx)?)
}

/// An image that is here keeps the source that it is known by, be it of a version that failed.
fn local(
    records: &Records,
    image: crate::deploy::engine::images::Image,
    pinned: String,
) -> Acquired {
    let releases = records.releases.iter().rev();
    let releases = releases.map(|it| (&it.pinned, it.source));
    let brought = records.brought.iter().map(|it| (&it.pinned, it.source));
    let mut known = releases.chain(brought).filter(|(it, _)| **it == pinned);
    let source = known.next().map_or(Source::Local, |(_, source)| source);
    Acquired {
        image,
        pinned,
        source,
        fresh: false,
    }
}

/// Whether the container was made from this release, and is as it was made.
fn runs(observed: &Observed, release: &Release) -> bool {
    !observed.altered
        && observed.container.as_ref().is_some_and(|container| {
            container.image == release.image && container.render == label_of(&release.compose)
        })
}

/// Whether what runs is what `wanted` would be.
fn same(observed: &Observed, records: &Records, wanted: &Release) -> bool {
    runs(observed, wanted)
        && records
            .current()
            .is_some_and(|it| it.env == wanted.env && it.secrets == wanted.secrets)
}

/// Makes the gateway run what is wanted, and Swarm hold what it shall.
async fn provide(cx: &Context, engine: &Engine, seen: Seen) -> Result<String> {
    let mut records = Records::load(&cx.host, &cx.settings)?;
    recover::recover(cx, engine, &mut records).await?;
    let observed = observe(cx, engine).await?;
    let form = shape::wanted(cx, engine, &records, &observed).await?;
    let lend = seen.lend.as_ref();
    registry_auth::renew(cx, engine, form.shape, lend).await?;
    let waits = shape::hold_back(engine, &observed).await?;
    let got = replace(cx, engine, &mut records, &observed, &form, seen.resolved).await;
    if waits && got.is_err() {
        // Why we failed says more than why this would.
        let _ = service::let_go(engine).await;
    }
    let got = got?;
    registry_auth::settle(cx, engine, form.shape, lend).await?;
    let seconds = round(cx.started.elapsed().as_secs_f64());
    cx.journal
        .add(json!({"event": "provisioned", "image": got.pinned, "seconds": seconds}));
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
    form: &Form,
    resolved: Resolved,
) -> Result<Acquired> {
    let wanted = resolved.wanted.to_string();
    let running = observed.running(records);
    let got = acquire(cx, engine, resolved, running.as_ref());
    let got = cx.host.unless_interrupted(got).await?;
    let got = Acquired {
        source: match got.source {
            Source::Local => local(records, got.image.clone(), got.pinned.clone()).source,
            other => other,
        },
        ..got
    };
    if got.fresh {
        records.bring(&got);
        records.save(&cx.host, &cx.settings)?;
    }
    let candidate = Candidate::new(cx, records, form, &wanted, &got)?;
    if !same(observed, records, &candidate.release) {
        switch(cx, engine, records, observed, candidate).await?;
    } else if !observed.healthy {
        revive(cx, engine, observed, &candidate.release).await?;
    }
    Ok(got)
}

/// The right container, but it does not answer: it is started and given its time.
async fn revive(
    cx: &Context,
    engine: &Engine,
    observed: &Observed,
    release: &Release,
) -> Result<()> {
    let Some(container) = &observed.container else {
        return Ok(());
    };
    let id = shape::resume(cx, engine, container, release).await?;
    let deadline = Instant::now() + cx.settings.health_timeout;
    match health::wait(engine, &id, port(cx), deadline).await? {
        Ok(_) => shape::settle(cx, engine, release).await,
        Err(why) => Err(unhealthy(cx, engine, &id, &why)
            .await
            .hint("go back to the version before: openclaw-deploy rollback")
            .exit(Exit::Down)),
    }
}

fn tell(cx: &Context, records: &Records) {
    if let Some(current) = records.current() {
        cx.fact("image", &current.pinned);
        cx.fact("source", current.source.word());
        cx.fact("gateway", gateway::place(&cx.settings));
    }
}

/// `ghcr.io/o/openclaw at 0123456789ab`.
fn short_name(pinned: &str) -> String {
    match pinned.split_once('@') {
        Some((name, digest)) => format!("{name} at {}", short(digest)),
        None => short(pinned).to_owned(),
    }
}

/// Names logins that `docker login` once wrote to disk. We never use them.
fn warn_of_stale_logins(cx: &Context) {
    let registry = cx.settings.image.registry();
    let mut homes = vec![std::path::PathBuf::from("/root")];
    if let Ok(entries) = std::fs::read_dir(cx.host.path("/home")) {
        homes.extend(
            entries
                .flatten()
                .map(|entry| std::path::Path::new("/home").join(entry.file_name())),
        );
    }
    for home in homes {
        let path = home.join(".docker/config.json");
        let owner = std::fs::metadata(cx.host.path(&home)).map_or(0, |it| it.uid());
        let file = cx.host.read_of(owner, &path).ok().flatten();
        let text = String::from_utf8_lossy(&file.unwrap_or_default()).into_owned();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if json["auths"][registry]["auth"].is_string() {
            cx.talk.warn(format!(
                "{} holds a login for {registry}, which is not used: docker logout {registry}",
                path.display()
            ));
        }
    }
}
