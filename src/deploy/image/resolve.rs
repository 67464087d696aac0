//! What the wanted reference means now, before anything is pulled or touched.
//!
//! Asks the engine, and through it the registry, for the digest and the platforms. A token that
//! is refused is dropped and the question asked once more without it: a bad token breaks the
//! pull of public images too.

use std::time::{Duration, Instant};

use super::retry::{retry, too_slow};
use super::{Attempt, PullFailure};
use crate::deploy::context::Context;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::images::{Distribution, Image};
use crate::deploy::docker::pull_error::{PullError, classify, gist};
use crate::deploy::docker::{Engine, Reply};
use crate::deploy::error::Result;
use crate::deploy::image_reference::ImageRef;

/// How long a registry may take to say what an image is.
const ONE_ANSWER: Duration = Duration::from_secs(30);

/// What the wanted reference means.
#[derive(Clone, Debug)]
pub(crate) enum Resolution {
    /// The engine has it already.
    OnEngine {
        /// The image.
        image: Image,
        /// How it is named: by digest, or by its id where it was built here.
        pinned: String,
    },
    /// It has to be pulled.
    InRegistry {
        /// What the registry says.
        distribution: Distribution,
    },
    /// It is built on this machine, and has not been yet.
    NotBuilt,
    /// Neither has it.
    Unavailable(PullFailure),
}

/// What is wanted, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedImage {
    /// The reference.
    pub wanted: ImageRef,
    /// What it means now.
    pub resolution: Resolution,
    /// The credentials for it, unless the registry refused them; not asked about an image that is
    /// here by its digest.
    pub auth: Option<Auth>,
    /// How long the registry was asked.
    pub asked: Duration,
}

/// Looks up the wanted image.
pub(crate) async fn resolve(
    cx: &Context,
    engine: &Engine,
    wanted: &ImageRef,
) -> Result<ResolvedImage> {
    let start = Instant::now();
    let (resolution, auth) = look_up(cx, engine, wanted).await?;
    Ok(ResolvedImage {
        wanted: wanted.clone(),
        resolution,
        auth,
        asked: start.elapsed(),
    })
}

async fn look_up(
    cx: &Context,
    engine: &Engine,
    wanted: &ImageRef,
) -> Result<(Resolution, Option<Auth>)> {
    if wanted.is_built_here() {
        let there = engine.image(&wanted.to_string()).await?;
        let resolution = there.map_or(Resolution::NotBuilt, |image| Resolution::OnEngine {
            pinned: image.id.clone(),
            image,
        });
        return Ok((resolution, None));
    }
    if let Some(digest) = wanted.digest() {
        let pinned = wanted.at(digest).to_string();
        if let Some(image) = engine.image(&pinned).await? {
            let on_engine = Resolution::OnEngine { image, pinned };
            return Ok((on_engine, credentials(cx, wanted)));
        }
    }
    let (distribution, auth) = match ask(cx, engine, wanted).await? {
        Ok(found) => found,
        Err(failure) => return Ok((Resolution::Unavailable(failure), None)),
    };
    let platforms = &distribution.platforms;
    if !platforms.is_empty() && !platforms.contains(&engine.platform) {
        let text = format!(
            "{wanted} is built for {}, this machine is {}",
            platforms.join(", "),
            engine.platform
        );
        let error = PullError::Platform;
        return Ok((Resolution::Unavailable(PullFailure { error, text }), None));
    }
    let pinned = wanted.at(&distribution.digest).to_string();
    let resolution = match engine.image(&pinned).await? {
        Some(image) => Resolution::OnEngine { image, pinned },
        None => Resolution::InRegistry { distribution },
    };
    Ok((resolution, auth))
}

/// Asks the registry with the token, and once without it if it is refused.
async fn ask(
    cx: &Context,
    engine: &Engine,
    wanted: &ImageRef,
) -> Result<Attempt<(Distribution, Option<Auth>)>> {
    let deadline = Instant::now() + cx.settings.pull_timeout;
    let Some(auth) = credentials(cx, wanted) else {
        let found = ask_until(cx, engine, wanted, None, deadline).await?;
        return Ok(found.map(|distribution| (distribution, None)));
    };
    match ask_until(cx, engine, wanted, Some(&auth), deadline).await? {
        Ok(distribution) => Ok(Ok((distribution, Some(auth)))),
        Err(refused) if refused.error == PullError::Auth => {
            match ask_until(cx, engine, wanted, None, deadline).await? {
                Ok(distribution) => {
                    cx.reporter.warn(format!(
                        "token refused by {}, but the image is public: check the 1Password item \
                         of GHCR_TOKEN (\"GitHub GHCR Pull Token\")",
                        wanted.registry()
                    ));
                    Ok(Ok((distribution, None)))
                }
                Err(_) => Ok(Err(refused)),
            }
        }
        Err(failure) => Ok(Err(failure)),
    }
}

/// The token goes to the registry of the configured image and to no other.
pub(crate) fn credentials(cx: &Context, image: &ImageRef) -> Option<Auth> {
    let token = cx.token.as_ref()?;
    let registry = image.registry();
    (registry == cx.settings.image.registry())
        .then(|| Auth::new(&cx.settings.registry_user, token.secret(), registry))
}

/// Asks the registry until it answers, the failure is final, or the deadline passes.
async fn ask_until(
    cx: &Context,
    engine: &Engine,
    wanted: &ImageRef,
    auth: Option<&Auth>,
    deadline: Instant,
) -> Result<Attempt<Distribution>> {
    let answer = retry(cx, deadline, async |left| {
        let question = engine.distribution(wanted, auth);
        Ok(
            match tokio::time::timeout(left.min(ONE_ANSWER), question).await {
                Ok(answer) => answer?.map_err(|reply| refused(cx, &reply, auth.is_some())),
                Err(_) if left > ONE_ANSWER => Err(no_answer(wanted)),
                Err(_) => Err(too_slow(cx)),
            },
        )
    });
    Ok(answer.await?.map(|(distribution, _)| distribution))
}

/// A registry that took the question and says nothing.
fn no_answer(wanted: &ImageRef) -> PullFailure {
    PullFailure {
        error: PullError::Network,
        text: format!(
            "{} did not answer within {} s",
            wanted.registry(),
            ONE_ANSWER.as_secs()
        ),
    }
}

/// What an answer other than 200 means.
pub(crate) fn refused(cx: &Context, reply: &Reply, with_token: bool) -> PullFailure {
    let text = reply.message();
    let error = classify(reply.status, &text, with_token);
    PullFailure {
        error,
        text: readable(cx, error, &text),
    }
}

/// What is said of an engine's words: their gist where there is one, and all of them with `--verbose`.
pub(super) fn readable(cx: &Context, error: PullError, text: &str) -> String {
    let text = cx.redact().text(text);
    match gist(error, &text) {
        None => text,
        Some(gist) => {
            cx.reporter.detail(&text);
            gist
        }
    }
}
