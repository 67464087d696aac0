//! `doctor --image IMAGE`: the Docker engine asks the registry for the image with the helper's
//! password, so that one that has expired, or that the registry does not take, is known before a pull.

use std::time::Duration;

use super::row::Row;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::broker::registry::HostPort;
use crate::broker::session::Session;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::pull_error::{PullError, classify};
use crate::deploy::docker::{Engine, Reply};
use crate::deploy::error::Failure;
use crate::deploy::image_reference::ImageRef;
use crate::deploy::settings::EngineAddress;

/// How long engine and registry may take together.
const PATIENCE: Duration = Duration::from_secs(20);

/// The row; `helpers` is a session as the helpers open it.
pub(super) fn row(helpers: &Session, image: &str) -> Row {
    match ImageRef::parse(image) {
        Ok(image) => {
            look(helpers, &image).unwrap_or_else(|error| Row::fail("image", error.to_string()))
        }
        Err(failure) => Row::fail("image", failure.what),
    }
}

fn look(helpers: &Session, image: &ImageRef) -> Result<Row> {
    let host = HostPort::parse(image.registry());
    let mut specs = helpers.manifest.registries.iter();
    let Some(spec) = specs.find(|spec| Some(&spec.host) == host.as_ref()) else {
        let text = format!(
            "the helpers' manifest has no password for {}",
            image.registry()
        );
        return Ok(Row::warn("image", text));
    };
    let plan = helpers.plan_only(&spec.secret)?;
    let resolved = helpers.resolve(&plan)?;
    let Some(secret) = resolved.first() else {
        return Ok(Row::fail("image", format!("{} was not found", spec.secret)));
    };
    let user = spec.username();
    let reply = ask(image, user, &secret.value)?;
    Ok(told(image, spec.secret.as_str(), reply))
}

/// What the registry says; the engine's own failures are failures too.
fn ask(
    image: &ImageRef,
    user: &str,
    secret: &Secret,
) -> Result<std::result::Result<Option<Reply>, Failure>> {
    let auth = Auth::new(user, secret, image.registry());
    let work = async {
        let engine = Engine::open(&EngineAddress::of_environment()?).await?;
        let answer = engine.distribution(image, Some(&auth)).await?;
        Ok(answer.err())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Error::system("start the event loop", why))?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
    let late = || Failure::new(format!("no answer within {} s", PATIENCE.as_secs()));
    Ok(answer.unwrap_or_else(|_| Err(late())))
}

fn told(image: &ImageRef, secret: &str, reply: std::result::Result<Option<Reply>, Failure>) -> Row {
    let name = image.name();
    let reply = match reply {
        Ok(None) => return Row::ok("image", format!("{name} can be pulled with {secret}")),
        Ok(Some(reply)) => reply,
        Err(failure) => return Row::warn("image", format!("not asked: {}", failure.what)),
    };
    match classify(reply.status, &reply.message(), true) {
        PullError::Auth | PullError::AuthMissing => Row::fail(
            "image",
            format!(
                "{} refuses {secret} for {name}: expired, revoked, or of a kind that it does not take \
                 (ghcr.io wants a classic token with read:packages). Put a new one into 1Password, then: \
                 oc-secrets lock",
                image.registry()
            ),
        ),
        PullError::NotFound => Row::fail(
            "image",
            format!(
                "{} has no such image for {secret}: {name}",
                image.registry()
            ),
        ),
        other => Row::warn("image", format!("{name}: not asked, {other}")),
    }
}
