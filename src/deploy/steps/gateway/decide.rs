//! Step 4: what has to be done, from what was seen. Changes nothing but the journal.

use crate::deploy::context::Context;
use crate::deploy::docker::images::Image;
use crate::deploy::docker::pull_error::PullError;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::runtime::RunPlan;
use crate::deploy::gateway::upgrade::candidate;
use crate::deploy::gateway::{container, env, runtime, secrets};
use crate::deploy::image::build;
use crate::deploy::image::fallback::{Acquired, journal_failed_pull};
use crate::deploy::image::resolve::{Resolution, ResolvedImage};
use crate::deploy::image::{ImageSource, PullFailure};
use crate::deploy::image_reference::ImageRef;
use crate::deploy::step::StepState;

/// The plan where step 1 has yet to bring the engine, which alone can ask the registry.
pub(super) fn without_engine(cx: &Context) -> StepState {
    let verb = match cx.settings.image.is_built_here() {
        true => "build",
        false => "pull",
    };
    StepState::of(vec![
        format!("{verb} {}, once Docker runs", cx.settings.image),
        "start the gateway".to_owned(),
    ])
}

/// What has to be done, from what was seen.
pub(super) fn decide(
    cx: &Context,
    records: &Records,
    plan: &RunPlan,
    observed: &Observed,
    resolved: &ResolvedImage,
) -> Result<StepState> {
    let wanted = &resolved.wanted;
    let verb = match &observed.container {
        Some(container) if container::runtime(container) != plan.runtime => plan.runtime.verb(),
        Some(_) => "replace",
        None => "start",
    };
    Ok(match &resolved.resolution {
        Resolution::Unavailable(failure) => {
            if !runs_wanted(cx, records, plan, observed, wanted)? {
                let what = format!("find another source for {wanted} ({failure})");
                return Ok(needed(plan, [what]));
            }
            journal_failed_pull(cx, wanted, failure.error);
            if cx.settings.scheduled && lasts(failure.error) {
                return Err(not_asked(wanted, failure));
            }
            cx.reporter.warn(format!(
                "{failure}; the gateway runs that image already and was left alone"
            ));
            StepState::Done
        }
        Resolution::InRegistry { distribution } => {
            let pinned = wanted.at(&distribution.digest);
            needed(
                plan,
                [format!("pull {pinned}"), format!("{verb} the gateway")],
            )
        }
        Resolution::NotBuilt => needed(
            plan,
            [
                format!("build {wanted} from {}", build::source(cx, wanted)),
                format!("{verb} the gateway"),
            ],
        ),
        Resolution::OnEngine { image, pinned } => {
            let replace = needed(plan, [format!("{verb} the gateway with {pinned}")]);
            if owner_is_planned(cx) {
                // What a release is made of, such as `.env`, is not there before its owner.
                return Ok(replace);
            }
            let got = local(records, image.clone(), pinned.clone());
            let release = candidate(cx, records, plan, &wanted.to_string(), &got)?;
            match is_current(observed, records, &release) {
                true => in_order(cx, plan, observed, records)?,
                false => replace,
            }
        }
    })
}

/// Whether it stays so until somebody does something.
fn lasts(error: PullError) -> bool {
    matches!(
        error,
        PullError::Auth | PullError::AuthMissing | PullError::NotFound
    )
}

/// What an update by itself tells where it can bring none: there is nobody to read a warning.
fn not_asked(wanted: &ImageRef, failure: &PullFailure) -> Failure {
    Failure::new(format!(
        "whether {wanted} is a newer image is not known: {failure}; the gateway runs on as it is"
    ))
    .hint("what the timer's run is given: docs/deploy.md, \"Updates by themselves\"; then: systemctl start openclaw-update")
    .exit(Exit::Image)
    .cause(failure.error)
}

/// What has to be done for the broker, and then to the gateway. What stays in `.env` is told.
pub(super) async fn with_broker(cx: &Context, state: StepState) -> Result<StepState> {
    if owner_is_planned(cx) {
        return Ok(state);
    }
    let mut what = secrets::to_do(cx).await?;
    if what.is_empty() {
        for line in secrets::stays(cx)? {
            cx.reporter.warn(line);
        }
    }
    if let StepState::Needed { what: more } = state {
        what.extend(more);
    }
    Ok(StepState::of(what))
}

/// What has to be done to a gateway that runs what is wanted.
fn in_order(
    cx: &Context,
    plan: &RunPlan,
    observed: &Observed,
    records: &Records,
) -> Result<StepState> {
    if !observed.healthy {
        let start = "start the gateway, which does not answer".to_owned();
        return Ok(needed(plan, [start]));
    }
    Ok(match records.current() {
        Some(current) if !runtime::of(current.runtime).has_its_file(cx, current)? => needed(
            plan,
            ["write compose.yaml, which is missing or was edited".to_owned()],
        ),
        _ => StepState::Done,
    })
}

/// Whether the deploy user is not there yet: a dry run has only planned the step that creates it.
fn owner_is_planned(cx: &Context) -> bool {
    cx.planned.borrow().contains(&"user") && env::owner(cx).is_err()
}

fn needed<const N: usize>(plan: &RunPlan, what: [String; N]) -> StepState {
    let secrets = plan.fresh.iter();
    let secrets = secrets.map(|name| format!("give Swarm the secret {name}"));
    StepState::of(secrets.chain(what).collect())
}

/// Whether what runs is what `wanted` last meant, and answers.
fn runs_wanted(
    cx: &Context,
    records: &Records,
    plan: &RunPlan,
    observed: &Observed,
    wanted: &ImageRef,
) -> Result<bool> {
    let current = records.current();
    let Some(current) = current.filter(|it| it.requested == wanted.to_string()) else {
        return Ok(false);
    };
    let as_wanted = current.runtime == plan.runtime
        && current.secrets == plan.secrets
        && Some(current.delivers()) == plan.deliver;
    Ok(observed.healthy
        && runs(observed, current)
        && as_wanted
        && current.env == env::fingerprint(cx, &plan.left_out)?)
}

/// An image that is here keeps the source that it is known by, be it of a version that failed.
pub(super) fn local(records: &Records, image: Image, pinned: String) -> Acquired {
    let releases = records.releases.iter().rev();
    let releases = releases.map(|it| (&it.pinned, it.source));
    let brought = records.brought.iter().map(|it| (&it.pinned, it.source));
    let mut known = releases.chain(brought).filter(|(it, _)| **it == pinned);
    let source = known
        .next()
        .map_or(ImageSource::Local, |(_, source)| source);
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
            container.image == release.image
                && container::fingerprint(container) == runtime::fingerprint(release)
        })
}

/// Whether what runs is what `wanted` would be.
pub(super) fn is_current(observed: &Observed, records: &Records, wanted: &Release) -> bool {
    runs(observed, wanted)
        && records
            .current()
            .is_some_and(|it| it.env == wanted.env && it.secrets == wanted.secrets)
}
