//! The gateway as the service of a Swarm stack, through the Engine API that
//! `docker stack deploy` speaks too: `docker stack ls|ps|services|rm openclaw` know it.
//!
//! - Swarm publishes on every address of the host, never on loopback alone. So the service
//!   publishes nothing, shares the host's network and is told to listen on loopback.
//! - It is pinned to this node, where its state is, and where the image has been pulled already,
//!   by digest. So as long as that is there, Swarm asks no registry and needs no credentials.
//! - A task's restart policy cannot be changed without replacing the task, so there is but one:
//!   `any`, after [`spec::PAUSE`]. A version that is being tried is watched; at its first exit the
//!   service goes to no replicas, before that pause is over.

mod fingerprint;
mod secrets;
mod spec;
mod service;
mod start;

use super::interface::{RunPlan, Runtime};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::Failure;
use crate::deploy::gateway::boxed::Boxed;
use crate::deploy::gateway::labels;
use crate::deploy::gateway::records::Release;
use crate::deploy::settings::RuntimeKind;

pub(crate) use self::service::{is_up, start_again};

/// Swarm.
pub(super) struct Swarm;

impl Runtime for Swarm {
    fn fingerprint(&self, release: &Release) -> String {
        spec::fingerprint(release)
    }

    fn plan<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Boxed<'a, RunPlan> {
        Box::pin(async move {
            let possible = async {
                service::node(engine).await?;
                service::refuse_elsewhere(engine).await
            };
            possible.await.map_err(|why| Failure {
                what: format!("{}; the gateway was not touched", why.what),
                ..why
            })?;
            let (secrets, fresh) = secrets::wanted(cx, engine).await?;
            Ok(RunPlan {
                runtime: RuntimeKind::Swarm,
                secrets,
                fresh,
                deliver: None,
                left_out: Vec::new(),
            })
        })
    }

    fn preflight<'a>(&self, _: &'a Context, _: &'a Release) -> Boxed<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn stop<'a>(&self, engine: &'a Engine, seconds: u32) -> Boxed<'a, ()> {
        Box::pin(service::stop(engine, seconds))
    }

    fn create<'a>(
        &self,
        _: &'a Context,
        _: &'a Engine,
        _: &'a Release,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn start<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
        _: Option<String>,
    ) -> Boxed<'a, String> {
        Box::pin(start::start(cx, engine, release))
    }

    fn resume<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        container: &'a Container,
        release: &'a Release,
    ) -> Boxed<'a, String> {
        Box::pin(async move {
            if container.running {
                return Ok(container.id.clone());
            }
            service::stop(engine, labels::GRACE).await?;
            start::start(cx, engine, release).await
        })
    }

    fn keep_running<'a>(&self, engine: &'a Engine, release: &'a Release) -> Boxed<'a, ()> {
        Box::pin(secrets::prune(engine, &release.secrets))
    }

    fn remove<'a>(&self, _: &'a Context, engine: &'a Engine) -> Boxed<'a, ()> {
        Box::pin(async move {
            if service::is_elsewhere(engine).await? {
                return Ok(());
            }
            engine
                .remove(&format!("/services/{}", labels::SWARM_SERVICE))
                .await?;
            secrets::prune(engine, &[]).await
        })
    }

    fn pause_for_pull<'a>(&self, engine: &'a Engine) -> Boxed<'a, bool> {
        Box::pin(service::pause_for_pull(engine))
    }

    fn resume_after_pull<'a>(&self, engine: &'a Engine) -> Boxed<'a, ()> {
        Box::pin(service::resume_after_pull(engine))
    }

    fn is_altered<'a>(&self, engine: &'a Engine) -> Boxed<'a, bool> {
        Box::pin(async move { Ok(!service::has_one_replica(engine).await?) })
    }

    fn can_be_adopted(&self) -> bool {
        false
    }

    fn left_behind(&self) -> &'static str {
        "its service is left without a task"
    }

    fn diagnose<'a>(&self, engine: &'a Engine) -> Boxed<'a, Option<String>> {
        Box::pin(async move {
            let node = service::node(engine).await?;
            Ok(Some(format!("managed by this node, {node}")))
        })
    }

    fn describe(&self, release: &Release) -> Option<String> {
        let secrets = release.secrets.iter();
        let names = secrets.filter_map(|it| secrets::parts(it));
        let names: Vec<_> = names.map(|(name, _)| name).collect();
        Some(match names.as_slice() {
            [] => format!("{}, without secrets", labels::SWARM_SERVICE),
            names => format!("{}, with {}", labels::SWARM_SERVICE, names.join(", ")),
        })
    }
}

/// See [`spec::render`].
#[cfg(test)]
pub(super) fn rendered(release: &Release) -> String {
    spec::render(release).to_string()
}
