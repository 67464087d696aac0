//! What Compose and Swarm each have to do to run the gateway.

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::Result;
use crate::deploy::gateway::boxed::Boxed;
use crate::deploy::gateway::records::Release;
use crate::deploy::settings::{Deliver, RuntimeKind};

/// How the gateway is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunPlan {
    /// What is to run it.
    pub runtime: RuntimeKind,
    /// The names of the secrets of the swarm that it is given.
    pub secrets: Vec<String>,
    /// Those of them that have to be created.
    pub fresh: Vec<String>,
    /// How it gets its keys.
    pub deliver: Option<Deliver>,
    /// What it is not given of `.env`: names that it asks the broker for.
    pub left_out: Vec<String>,
}

/// What runs the gateway.
pub(crate) trait Runtime {
    /// The fingerprint of what `release` is made from, which its container has as a label.
    fn fingerprint(&self, release: &Release) -> String;

    /// What is needed to run a gateway. Exit 3 when the engine cannot.
    fn plan<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Boxed<'a, RunPlan>;

    /// Refuses, while the gateway still runs, what could not be created later: a `.env` that Compose
    /// cannot read, for one.
    fn preflight<'a>(&self, cx: &'a Context, release: &'a Release) -> Boxed<'a, ()>;

    /// Stops the gateway, if this runs it; nothing restarts it.
    fn stop<'a>(&self, engine: &'a Engine, seconds: u32) -> Boxed<'a, ()>;

    /// Creates what can be created of `release` before it starts, in the place of what is there. The gateway is stopped.
    /// Returns the id of the container, if that is one.
    fn create<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Boxed<'a, Option<String>>;

    /// Starts `release`, of which this was created. Returns the id of the container.
    fn start<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
        created: Option<String>,
    ) -> Boxed<'a, String>;

    /// Starts a container that was created from `release` and does not run. Returns the id of what runs.
    fn resume<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        container: &'a Container,
        release: &'a Release,
    ) -> Boxed<'a, String>;

    /// `release` answers: from now on the engine keeps it running.
    fn keep_running<'a>(&self, engine: &'a Engine, release: &'a Release) -> Boxed<'a, ()>;

    /// Removes what is left of the gateway here, which runs elsewhere now.
    fn remove<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Boxed<'a, ()>;

    /// Keeps this from pulling the gateway's image by itself while we pull it. Returns whether
    /// [`Runtime::resume_after_pull`] has to follow when we fail.
    fn pause_for_pull<'a>(&self, _: &'a Engine) -> Boxed<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    /// Lets it pull again, where it was paused.
    fn resume_after_pull<'a>(&self, _: &'a Engine) -> Boxed<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Whether a container that runs is not run as we made it: by a service that was scaled or removed.
    fn is_altered<'a>(&self, _: &'a Engine) -> Boxed<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    /// Whether the file from which people steer it by hand is there and is as `release` has it.
    fn has_its_file(&self, _: &Context, _: &Release) -> Result<bool> {
        Ok(true)
    }

    /// Writes that file.
    fn write_its_file(&self, _: &Context, _: &Release) -> Result<()> {
        Ok(())
    }

    /// Whether a gateway that we did not start is remembered, to go back to.
    fn can_be_adopted(&self) -> bool;

    /// What a first version that does not become healthy leaves behind, in words.
    fn left_behind(&self) -> &'static str;

    /// What `doctor` says of it: a name and how it is; none where there is nothing to say.
    fn diagnose<'a>(&self, _: &'a Engine) -> Boxed<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    /// What `status` says of it, beside the image.
    fn describe(&self, _: &Release) -> Option<String> {
        None
    }
}
