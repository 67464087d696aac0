//! Where the image comes from: our registry, or else the first fallback that has it.
//!
//! ```text
//!  1 ours, by digest ─▶ 2 the same, already here ─▶ 3 upstream, same version
//!    ─▶ 4 keep what runs ─▶ 5 build here
//! ```
//!
//! Each fallback is announced with the error that led to it. Nothing that runs is touched here.

use serde_json::json;

use super::build;
use super::pull::{Fetched, pull};
use super::resolve::{Resolution, Resolved, resolve};
use crate::base::units::round;
use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::images::Image;
use crate::deploy::docker::pull_error::PullError;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::image::{Attempt, ImageSource, PullFailure};
use crate::deploy::image_reference::{ImageRef, is_version, short};
use crate::deploy::settings::EngineAddress;

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

/// What runs now, as far as the fallbacks depend on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    /// What was asked for when it was started.
    pub requested: String,
    /// How compose names it.
    pub pinned: String,
    /// Its source.
    pub source: Option<ImageSource>,
    /// Its version label.
    pub version: String,
    /// Whether it answers.
    pub healthy: bool,
}

/// Gets the image from the first source that has it.
pub(crate) async fn acquire(
    cx: &Context,
    engine: &Engine,
    resolved: Resolved,
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
    let mut ladder = Ladder {
        wanted,
        running,
        first,
        rungs: Vec::new(),
    };
    if ladder.first.error.is_final() {
        return Err(no_image(cx, &ladder));
    }
    if let Some(acquired) = already_here(engine, &ladder.wanted, running).await? {
        cx.reporter.warn(format!(
            "{}; using the same image, which is here already",
            ladder.first
        ));
        return Ok(acquired);
    }
    ladder.passed("already here", "no");
    if let Some(acquired) = upstream(cx, engine, &mut ladder).await? {
        return Ok(acquired);
    }
    if let Some(why) = ladder.no_build() {
        ladder.passed("local build", why);
        return Err(no_image(cx, &ladder));
    }
    cx.reporter
        .warn(format!("{}; trying a local build", ladder.first));
    local_build(cx, engine, &ladder.wanted)
        .await
        .map_err(|why| {
            ladder.passed("local build", &why);
            let mut failure = no_image(cx, &ladder);
            failure.hint = both(failure.hint, why.hint);
            failure
        })
}

/// The fallbacks so far, each with the reason why it was passed over.
struct Ladder<'a> {
    wanted: ImageRef,
    running: Option<&'a Running>,
    first: PullFailure,
    rungs: Vec<String>,
}

impl Ladder<'_> {
    fn passed(&mut self, rung: &str, why: impl std::fmt::Display) {
        self.rungs.push(format!("{rung}: {why}"));
    }

    fn gateway_answers(&self) -> bool {
        self.running.is_some_and(|running| running.healthy)
    }

    /// Why nothing is built here.
    fn no_build(&self) -> Option<&'static str> {
        if self.gateway_answers() {
            Some("not tried, for the gateway that runs answers")
        } else if self.first.error == PullError::Integrity {
            Some("not tried, for ours arrived corrupt")
        } else {
            None
        }
    }

    /// Upstream's reference, or why there is none to be asked for.
    fn upstream(&self, cx: &Context) -> std::result::Result<ImageRef, String> {
        let Some(upstream) = &cx.settings.upstream else {
            return Err("not asked, for upstream_image is \"\"".to_owned());
        };
        if self.first.error == PullError::Integrity && !cx.settings.allow_corrupt_fallback {
            return Err(
                "not asked, for ours arrived corrupt (--allow-corrupt-fallback)".to_owned(),
            );
        }
        let Some(image) = same_version(upstream, &self.wanted, self.running) else {
            let why = format!("not asked, for {} names no version", self.wanted);
            return Err(why);
        };
        match self.running {
            Some(running) if running.healthy && image.tag() == Some(&running.version) => {
                Err(keeps(&running.version))
            }
            _ => Ok(image),
        }
    }
}

/// A healthy gateway is not stopped for the version that it is.
fn keeps(version: &str) -> String {
    format!("not taken, for the gateway that runs is {version} already")
}

/// How to fix what led here, and how to fix the build.
fn both(first: Option<String>, build: Option<String>) -> Option<String> {
    match (first, build) {
        (Some(first), Some(build)) => Some(format!("{first}; for the build: {build}")),
        (first, build) => first.or(build),
    }
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
    resolved: &Resolved,
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

fn announce(cx: &Context, image: &ImageRef, fetched: &Fetched) {
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
    ladder: &mut Ladder<'_>,
) -> Result<Option<Acquired>> {
    let image = match ladder.upstream(cx) {
        Ok(image) => image,
        Err(why) => {
            ladder.passed("upstream", why);
            return Ok(None);
        }
    };
    cx.reporter
        .warn(format!("{}; trying upstream's {image}", ladder.first));
    let resolved = resolve(cx, engine, &image).await?;
    let acquired = match from_registry(cx, engine, &resolved).await? {
        Ok(acquired) => acquired,
        Err(failure) => {
            ladder.passed("upstream", format!("{image}: {failure}"));
            return Ok(None);
        }
    };
    let version = &acquired.image.version;
    let is_the_same = |it: &&Running| it.healthy && !version.is_empty() && it.version == *version;
    if ladder.running.filter(is_the_same).is_some() {
        ladder.passed("upstream", keeps(version));
        return Ok(None);
    }
    Ok(Some(Acquired {
        source: ImageSource::Upstream,
        ..acquired
    }))
}

/// Upstream's reference for the version that `wanted` names, if it names one.
pub(crate) fn same_version(
    upstream: &ImageRef,
    wanted: &ImageRef,
    running: Option<&Running>,
) -> Option<ImageRef> {
    if upstream.tag().is_some() || upstream.digest().is_some() {
        return Some(upstream.clone());
    }
    let known = running.map(|running| running.version.as_str());
    // Both call their newest release so.
    let newest = wanted.tag().filter(|tag| *tag == "latest");
    wanted
        .tag()
        .filter(|tag| is_version(tag))
        .or(known.filter(|version| is_version(version)))
        .or(newest)
        .map(|tag| upstream.tagged(tag))
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

fn no_image(cx: &Context, ladder: &Ladder<'_>) -> Failure {
    let Ladder { wanted, first, .. } = ladder;
    let mut what = format!("cannot pull {wanted}: {first}");
    for rung in &ladder.rungs {
        what.push_str(&format!("\n  {rung}"));
    }
    what.push_str(unchanged(ladder.running));
    Failure::new(what)
        .hint(hint(cx, first.error, wanted))
        .exit(Exit::Image)
        .cause(first.error)
}

/// The image is built here and nowhere else, and that did not work.
fn not_built(wanted: &ImageRef, why: Failure, running: Option<&Running>) -> Failure {
    let what = format!("cannot build {wanted}: {}{}", why.what, unchanged(running));
    Failure { what, ..why }
        .or_hint(|| "take an image from a registry: --image ghcr.io/…".to_owned())
        .exit(Exit::Image)
}

fn unchanged(running: Option<&Running>) -> &'static str {
    match running {
        Some(running) if running.healthy => {
            "\n  nothing was changed; the gateway that ran before still runs"
        }
        Some(_) => "\n  nothing was changed",
        None => "\n  nothing was changed; no gateway runs",
    }
}

fn hint(cx: &Context, error: PullError, wanted: &ImageRef) -> String {
    match error {
        PullError::Auth => "GHCR_TOKEN was refused: put a classic token with read:packages into the 1Password item \"GitHub GHCR Pull Token\"".to_owned(),
        PullError::AuthMissing => "run it as: oc-secrets exec -- openclaw-deploy bootstrap (no GHCR_TOKEN in the environment)".to_owned(),
        PullError::NotFound => format!("check the name and the tag: docker manifest inspect {wanted}"),
        PullError::Network => format!("check that this host can reach {}, then run it again", wanted.registry()),
        PullError::Clock => "check this host's clock: timedatectl".to_owned(),
        PullError::Integrity => "run it again; if it fails again, the image in the registry is damaged: build and push it again".to_owned(),
        PullError::Platform => "choose an image for this machine with --image".to_owned(),
        PullError::Disk => "free some space: docker system df".to_owned(),
        PullError::Daemon => match &cx.settings.engine {
            EngineAddress::Socket(_) => "see what the engine says: journalctl -u docker".to_owned(),
            EngineAddress::Client(_) => "see what the remote engine says".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_is_asked_for_the_same_version_only() {
        let image = |text: &str| ImageRef::parse(text).expect(text);
        let upstream = image("ghcr.io/openclaw/openclaw");
        let wanted = image("ghcr.io/me/openclaw:2026.9.6");
        let named = same_version(&upstream, &wanted, None).map(|it| it.to_string());
        assert_eq!(named.as_deref(), Some("ghcr.io/openclaw/openclaw:2026.9.6"));
        let latest = image("ghcr.io/me/openclaw:latest");
        let named = same_version(&upstream, &latest, None).map(|it| it.to_string());
        assert_eq!(named.as_deref(), Some("ghcr.io/openclaw/openclaw:latest"));
        assert_eq!(same_version(&upstream, &image("r/me/x:mine"), None), None);
        let running = Running {
            version: "2026.9.3".to_owned(),
            ..Running::default()
        };
        let named = same_version(&upstream, &latest, Some(&running)).map(|it| it.to_string());
        assert_eq!(named.as_deref(), Some("ghcr.io/openclaw/openclaw:2026.9.3"));
    }
}
