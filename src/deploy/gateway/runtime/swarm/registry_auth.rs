//! The registry's credentials in Swarm's hands, where `--with-registry-auth` asks for it.
//!
//! Swarm keeps them on disk: in its log, and in plain among the tasks of its worker. It needs them
//! only where the image is gone from the node when a task starts again. So they are given when the
//! gateway answers, and not unasked.
//!
//! Swarm never shows what it holds, and offers it to whichever registry the service's image is
//! at. So a label of the service says for which registry it holds some and, as a salted
//! fingerprint, which; and a service whose next image is at another registry loses them.

use serde_json::{Value, json};

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::swarm::Service;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::runtime::swarm;
use crate::deploy::gateway::runtime::swarm::fingerprint;
use crate::deploy::image_reference::ImageRef;
use crate::deploy::settings::Shape;

/// `ghcr.io salt:hash`.
const LABEL: &str = "openclaw-deploy.registry-auth";

/// What is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Swarm shall have ours.
    Give,
    /// Swarm shall have none.
    TakeBack,
}

impl Change {
    /// The line of a plan.
    pub(crate) fn plan(self) -> &'static str {
        match self {
            Self::Give => "give Swarm the registry's credentials",
            Self::TakeBack => "take the registry's credentials back from Swarm",
        }
    }
}

/// Refuses `--with-registry-auth` where there is nobody to give anything to.
///
/// # Errors
/// Exit 2.
pub(crate) fn refuse(cx: &Context, shape: Shape) -> Result<()> {
    match (cx.settings.registry_auth, shape) {
        (Some(true), Shape::Compose) => Err(Failure::usage(
            "--with-registry-auth is for a gateway under Swarm; this one would be run by Compose",
        )
        .hint("add --swarm, or leave it out")),
        _ => Ok(()),
    }
}

/// The registry for which Swarm holds credentials, "" where it holds none.
pub(crate) fn registry(service: &Service) -> &str {
    parts(label(&service.spec)).0
}

fn label(spec: &Value) -> &str {
    spec["Labels"][LABEL].as_str().unwrap_or_default()
}

fn parts(label: &str) -> (&str, &str) {
    label.split_once(' ').unwrap_or_default()
}

/// Of these credentials for the wanted image, those that may be given. Where they may not, although
/// it was asked for, or although Swarm holds others, that is said.
pub(crate) async fn usable(
    cx: &Context,
    engine: &Engine,
    shape: Shape,
    auth: Option<Auth>,
) -> Result<Option<Auth>> {
    let refused = |why: &str| {
        let registry = cx.settings.image.registry();
        let text = format!("Swarm is not given the credentials of {registry}: {why}");
        cx.talk.warn(text);
        Ok(None)
    };
    match wanted(cx, engine, shape, auth.as_ref()).await? {
        // For an image that is here by its digest nobody has asked the registry.
        Some(Change::Give) => match engine
            .distribution(&cx.settings.image, auth.as_ref())
            .await?
        {
            Ok(_) => Ok(auth),
            Err(reply) => refused(&cx.redact().text(&reply.message())),
        },
        None if shape == Shape::Swarm
            && cx.settings.registry_auth == Some(true)
            && auth.is_none() =>
        {
            refused("it did not take them, or does not answer")
        }
        _ => Ok(auth),
    }
}

/// What is to be done, given these credentials.
pub(crate) async fn wanted(
    cx: &Context,
    engine: &Engine,
    shape: Shape,
    auth: Option<&Auth>,
) -> Result<Option<Change>> {
    if shape == Shape::Compose {
        return Ok(None);
    }
    let there = engine.service(swarm::NAME).await?;
    let held = there.as_ref().map_or("", |it| label(&it.spec));
    Ok(change(cx.settings.registry_auth, held, auth))
}

/// Unasked, Swarm goes on to hold what it holds, and gets a new token in place of an old one.
fn change(asked: Option<bool>, held: &str, auth: Option<&Auth>) -> Option<Change> {
    match (asked, auth) {
        (Some(false), _) => (!held.is_empty()).then_some(Change::TakeBack),
        (None, _) if held.is_empty() => None,
        (_, Some(auth)) => {
            (!fingerprint::matches(parts(held).1, auth.secret())).then_some(Change::Give)
        }
        (_, None) => None,
    }
}

/// Before the gateway is replaced: takes back, or renews, what Swarm holds for the one that is
/// there. Whatever comes of the new version, that is done.
pub(crate) async fn renew(
    cx: &Context,
    engine: &Engine,
    shape: Shape,
    auth: Option<&Auth>,
) -> Result<()> {
    let there = engine.service(swarm::NAME).await?;
    match there.filter(|it| !label(&it.spec).is_empty()) {
        Some(_) => settle(cx, engine, shape, auth).await,
        None => Ok(()),
    }
}

/// Does what is to be done. The gateway runs on.
pub(crate) async fn settle(
    cx: &Context,
    engine: &Engine,
    shape: Shape,
    auth: Option<&Auth>,
) -> Result<()> {
    match (wanted(cx, engine, shape, auth).await?, auth) {
        (Some(Change::Give), Some(auth)) => give(cx, engine, auth).await,
        (Some(Change::TakeBack), _) => take_back(engine).await,
        _ => Ok(()),
    }
}

async fn give(cx: &Context, engine: &Engine, auth: &Auth) -> Result<()> {
    let ours = cx.settings.image.registry();
    let there = engine.service(swarm::NAME).await?;
    let image = there.as_ref().map_or("", Service::image);
    if !is_at(image, ours) {
        cx.talk.warn(format!(
            "Swarm is not given the credentials of {ours}: {image} is not there"
        ));
        return Ok(());
    }
    let label = format!("{ours} {}", fingerprint::fingerprint(auth.secret())?);
    put(engine, auth, Some(&label)).await?;
    cx.talk.warn(format!(
        "Swarm holds the credentials of {ours} now, in plain on its disk; \
         --with-registry-auth=false takes them back"
    ));
    Ok(())
}

/// The label goes last, so that a run that is killed before is not taken for done.
async fn take_back(engine: &Engine) -> Result<()> {
    let there = engine.service(swarm::NAME).await?;
    let label = there.as_ref().map_or("", |it| label(&it.spec));
    put(engine, &Auth::none(), Some(label)).await?;
    forget(engine).await
}

/// Twice, for Swarm also keeps what a service was before its last change.
async fn forget(engine: &Engine) -> Result<()> {
    put(engine, &Auth::none(), None).await?;
    put(engine, &Auth::none(), None).await
}

async fn put(engine: &Engine, auth: &Auth, label: Option<&str>) -> Result<()> {
    swarm::put(engine, Some(auth), |there| {
        let mut spec = there.cloned().unwrap_or_default();
        mark(&mut spec, label);
        spec
    })
    .await
}

fn mark(spec: &mut Value, label: Option<&str>) {
    if let Some(labels) = spec["Labels"].as_object_mut() {
        labels.remove(LABEL);
        labels.extend(label.map(|label| (LABEL.to_owned(), json!(label))));
    }
}

/// Whether `pinned` is an image of this registry. What was built here is of none.
fn is_at(pinned: &str, registry: &str) -> bool {
    pinned.contains('/') && ImageRef::parse(pinned).is_ok_and(|it| it.registry() == registry)
}

/// Leaves in `spec`, which is to run `pinned`, the label of what Swarm holds. Says whether that is
/// for another registry than the image's, and so has to be [given up](give_up).
pub(crate) fn carry(there: Option<&Service>, pinned: &str, spec: &mut Value) -> bool {
    let Some(there) = there.filter(|it| !label(&it.spec).is_empty()) else {
        return false;
    };
    mark(spec, Some(label(&there.spec)));
    !is_at(pinned, registry(there))
}

/// Ends, with the change of a service to another registry's image, what Swarm held for it.
pub(crate) async fn give_up(cx: &Context, engine: &Engine, there: &Service) -> Result<()> {
    cx.talk.warn(format!(
        "the credentials of {} are taken back from Swarm, for the image is of another registry; \
         --with-registry-auth gives them anew",
        registry(there)
    ));
    forget(engine).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn swarm_is_given_nothing_unasked_and_a_new_token_in_place_of_an_old_one() {
        let auth = |token: &[u8]| Auth::new("u", &Secret::copy_of(token), "r");
        let (one, two) = (auth(b"one"), auth(b"two"));
        let held = format!(
            "r {}",
            fingerprint::fingerprint(one.secret()).expect("random")
        );
        assert_eq!(change(None, "", Some(&one)), None);
        assert_eq!(change(Some(true), "", Some(&one)), Some(Change::Give));
        assert_eq!(change(Some(true), "", None), None);
        for asked in [None, Some(true)] {
            assert_eq!(change(asked, &held, Some(&one)), None);
            assert_eq!(change(asked, &held, Some(&two)), Some(Change::Give));
            assert_eq!(change(asked, &held, None), None);
        }
        assert_eq!(
            change(Some(false), &held, Some(&two)),
            Some(Change::TakeBack)
        );
        assert_eq!(change(Some(false), "", Some(&two)), None);
    }

    #[test]
    fn an_image_is_at_its_own_registry_only() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(is_at(&format!("ghcr.io/me/openclaw@{digest}"), "ghcr.io"));
        assert!(!is_at(
            &format!("ghcr.io.evil/me/openclaw@{digest}"),
            "ghcr.io"
        ));
        assert!(!is_at(&digest, "docker.io"));
    }

    #[test]
    fn a_label_stays_or_goes() {
        let mut spec = json!({"Labels": {"other": "x"}});
        mark(&mut spec, Some("r 00:11"));
        assert_eq!(parts(label(&spec)), ("r", "00:11"));
        mark(&mut spec, None);
        assert_eq!(spec, json!({"Labels": {"other": "x"}}));
    }
}
