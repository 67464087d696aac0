//! The fallbacks of one run: what they depend on, which were passed over and why, and what is said when
//! none was left.

use crate::deploy::context::Context;
use crate::deploy::docker::pull_error::PullError;
use crate::deploy::error::{Exit, Failure};
use crate::deploy::image::{ImageSource, PullFailure};
use crate::deploy::image_reference::{ImageRef, is_version};
use crate::deploy::settings::EngineAddress;

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

/// The fallbacks so far, each with the reason why it was passed over.
pub(super) struct Fallbacks<'a> {
    pub(super) wanted: ImageRef,
    pub(super) running: Option<&'a Running>,
    pub(super) first: PullFailure,
    pub(super) passed_over: Vec<String>,
}

impl Fallbacks<'_> {
    pub(super) fn passed(&mut self, which: &str, why: impl std::fmt::Display) {
        self.passed_over.push(format!("{which}: {why}"));
    }

    pub(super) fn gateway_answers(&self) -> bool {
        self.running.is_some_and(|running| running.healthy)
    }

    /// Why nothing is built here.
    pub(super) fn no_build(&self) -> Option<&'static str> {
        if self.gateway_answers() {
            Some("not tried, for the gateway that runs answers")
        } else if self.first.error == PullError::Integrity {
            Some("not tried, for ours arrived corrupt")
        } else {
            None
        }
    }

    /// Upstream's reference, or why there is none to be asked for.
    pub(super) fn upstream(&self, cx: &Context) -> std::result::Result<ImageRef, String> {
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
pub(super) fn keeps(version: &str) -> String {
    format!("not taken, for the gateway that runs is {version} already")
}

/// Upstream's reference for the version that `wanted` names, if it names one.
fn same_version(
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

/// How to fix what led here, and how to fix the build.
pub(super) fn both(first: Option<String>, build: Option<String>) -> Option<String> {
    match (first, build) {
        (Some(first), Some(build)) => Some(format!("{first}; for the build: {build}")),
        (first, build) => first.or(build),
    }
}

pub(super) fn no_image(cx: &Context, fallbacks: &Fallbacks<'_>) -> Failure {
    let Fallbacks { wanted, first, .. } = fallbacks;
    let mut what = format!("cannot pull {wanted}: {first}");
    for which in &fallbacks.passed_over {
        what.push_str(&format!("\n  {which}"));
    }
    what.push_str(unchanged(fallbacks.running));
    Failure::new(what)
        .hint(hint(cx, first.error, wanted))
        .exit(Exit::Image)
        .cause(first.error)
}

/// The image is built here and nowhere else, and that did not work.
pub(super) fn not_built(wanted: &ImageRef, why: Failure, running: Option<&Running>) -> Failure {
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
