//! Where the image comes from: our registry, or else the first fallback that has it.
//!
//! ```text
//!  1 ours, by digest ─▶ 2 the same, already here ─▶ 3 upstream, same version
//!    ─▶ 4 keep what runs ─▶ 5 build here
//! ```
//!
//! Each fallback is announced with the error that led to it. Nothing that runs is touched here.

mod fallbacks;

use serde_json::json;

pub(crate) use self::fallbacks::Running;
use self::fallbacks::{Fallbacks, both, keeps, no_image, not_built};

use super::build;
use super::pull::{PulledImage, pull};
use super::resolve::{Resolution, ResolvedImage, resolve};
use crate::base::units::round;
use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::images::Image;
use crate::deploy::docker::pull_error::PullError;
use crate::deploy::error::{Failure, Result};
use crate::deploy::image::{Attempt, ImageSource};
use crate::deploy::image_reference::{ImageRef, short};

/// An image that is here and may be run.
#[derive(Clone, Debug)]
pub(crate) struct Acquired {
    /// The image.
    pub image: Image,
    /// How compose names it: `name@sha256:…`, or the id of what was built here.
    pub pinned: String,
    /// Where it came from.
    pub source: ImageSource,
    /// It was not here before this run brought it.
    pub fresh: bool,
}

/// Gets the image from the first source that has it.
pub(crate) async fn acquire(
    cx: &Context,
    engine: &Engine,
    resolved: ResolvedImage,
    running: Option<&Running>,
) -> Result<Acquired> {
    let wanted = resolved.wanted.clone();
    if matches!(resolved.resolution, Resolution::NotBuilt) {
        return local_build(cx, engine, &wanted)
            .await
            .map_err(|why| not_built(&wanted, why, running));
    }
    let first = match from_registry(cx, engine, &resolved).await? {
        Ok(acquired) => return Ok(acquired),
        Err(failure) => failure,
    };
    journal_failed_pull(cx, &wanted, first.error);
    let mut fallbacks = Fallbacks {
        wanted,
        running,
        first,
        passed_over: Vec::new(),
    };
    if fallbacks.first.error.is_final() {
        return Err(no_image(cx, &fallbacks));
    }
    if let Some(acquired) = already_here(engine, &fallbacks.wanted, running).await? {
        cx.reporter.warn(format!(
            "{}; using the same image, which is here already",
            fallbacks.first
        ));
        return Ok(acquired);
    }
    fallbacks.passed("already here", "no");
    if let Some(acquired) = upstream(cx, engine, &mut fallbacks).await? {
        return Ok(acquired);
    }
    if let Some(why) = fallbacks.no_build() {
        fallbacks.passed("local build", why);
        return Err(no_image(cx, &fallbacks));
    }
    cx.reporter
        .warn(format!("{}; trying a local build", fallbacks.first));
    local_build(cx, engine, &fallbacks.wanted)
        .await
        .map_err(|why| {
            fallbacks.passed("local build", &why);
            let mut failure = no_image(cx, &fallbacks);
            failure.hint = both(failure.hint, why.hint);
            failure
        })
}

/// Writes a failed pull into the journal.
pub(crate) fn journal_failed_pull(cx: &Context, wanted: &ImageRef, error: PullError) {
    cx.journal.add(json!({
        "event": "pull", "image": wanted.to_string(), "outcome": "failed", "cause": error.word(),
    }));
}

/// The image as it was resolved: the one that the engine has, or pulled by digest.
async fn from_registry(
    cx: &Context,
    engine: &Engine,
    resolved: &ResolvedImage,
) -> Result<Attempt<Acquired>> {
    let distribution = match &resolved.resolution {
        Resolution::Unavailable(failure) => return Ok(Err(failure.clone())),
        Resolution::NotBuilt => return Err(Failure::new("it is built here, not pulled")),
        Resolution::OnEngine { image, pinned } => {
            return Ok(Ok(Acquired {
                image: image.clone(),
                pinned: pinned.clone(),
                source: ImageSource::Local,
                fresh: false,
            }));
        }
        Resolution::InRegistry { distribution } => distribution,
    };
    let pinned = resolved.wanted.at(&distribution.digest);
    Ok(match pull(cx, engine, &pinned, resolved).await? {
        Ok(fetched) => {
            announce(cx, &pinned, &fetched);
            Ok(Acquired {
                image: fetched.image,
                pinned: pinned.to_string(),
                source: ImageSource::Pulled,
                fresh: true,
            })
        }
        Err(failure) => Err(failure),
    })
}

fn announce(cx: &Context, image: &ImageRef, fetched: &PulledImage) {
    // Layers that arrive at once are not counted by the engine.
    let bytes = match fetched.bytes {
        0 => String::new(),
        bytes => format!(": {}", size(bytes)),
    };
    cx.reporter.note(format!(
        "pulled {} at {}{bytes} in {:.1} s",
        image.name(),
        short(image.selector()),
        fetched.seconds
    ));
    cx.journal.add(json!({
        "event": "pull", "image": image.to_string(), "outcome": "pulled",
        "bytes": fetched.bytes, "seconds": round(fetched.seconds), "tries": fetched.tries,
        "cpu": fetched.load["cpu"], "cpu_peak": fetched.load["cpu_peak"], "memory": fetched.load["memory"],
    }));
}

/// What the same reference meant before, if the engine still has it.
async fn already_here(
    engine: &Engine,
    wanted: &ImageRef,
    running: Option<&Running>,
) -> Result<Option<Acquired>> {
    let before = running
        .filter(|running| running.requested == wanted.to_string())
        .map(|running| running.pinned.clone());
    for name in before.into_iter().chain([wanted.to_string()]) {
        if let Some(image) = engine.image(&name).await? {
            let digests = image.digests.iter();
            let ours = |digest: &&String| digest.split('@').next() == Some(wanted.name());
            let pinned = digests.clone().find(ours).unwrap_or(&image.id).clone();
            let source = running
                .filter(|running| running.pinned == pinned)
                .and_then(|running| running.source)
                .unwrap_or(ImageSource::Local);
            return Ok(Some(Acquired {
                image,
                pinned,
                source,
                fresh: false,
            }));
        }
    }
    Ok(None)
}

/// Upstream's official image of the same version.
async fn upstream(
    cx: &Context,
    engine: &Engine,
    fallbacks: &mut Fallbacks<'_>,
) -> Result<Option<Acquired>> {
    let image = match fallbacks.upstream(cx) {
        Ok(image) => image,
        Err(why) => {
            fallbacks.passed("upstream", why);
            return Ok(None);
        }
    };
    cx.reporter
        .warn(format!("{}; trying upstream's {image}", fallbacks.first));
    let resolved = resolve(cx, engine, &image).await?;
    let acquired = match from_registry(cx, engine, &resolved).await? {
        Ok(acquired) => acquired,
        Err(failure) => {
            fallbacks.passed("upstream", format!("{image}: {failure}"));
            return Ok(None);
        }
    };
    let version = &acquired.image.version;
    let is_the_same = |it: &&Running| it.healthy && !version.is_empty() && it.version == *version;
    if fallbacks.running.filter(is_the_same).is_some() {
        fallbacks.passed("upstream", keeps(version));
        return Ok(None);
    }
    Ok(Some(Acquired {
        source: ImageSource::Upstream,
        ..acquired
    }))
}

/// What can be built here.
async fn local_build(cx: &Context, engine: &Engine, wanted: &ImageRef) -> Result<Acquired> {
    let name = build::build(cx, wanted).await?;
    let image = engine.image(&name).await?;
    let image = image.ok_or_else(|| {
        Failure::new("docker build succeeded, but its image was not found")
            .hint("see what is there: docker images")
    })?;
    Ok(Acquired {
        pinned: image.id.clone(),
        image,
        source: ImageSource::LocalBuild,
        fresh: true,
    })
}
