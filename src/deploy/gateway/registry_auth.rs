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

use super::{salted, service};
use crate::deploy::engine::Engine;
use crate::deploy::engine::auth::Auth;
use crate::deploy::engine::swarm::Service;
use crate::deploy::exit::{Failure, Result};
use crate::deploy::reference::ImageRef;
use crate::deploy::run::Context;
use crate::deploy::settings::Shape;

/// `ghcr.io salt:hash`.
const LABEL: &str = "openclaw-deploy.registry-auth";

/// What is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Swarm shall have ours.
    Give,
    /// Swarm shall have none.
    TakeBack,
}

impl Change {
    /// The line of a plan.
    #[must_use]
    pub fn plan(self) -> &'static str {
        match self {
            Self::Give => "give Swarm the registry's credentials",
            Self::TakeBack => "take the registry's credentials back from Swarm",
        }
    }
}

/// Refuses `--with-registry-auth` where there is nobody to give anything to, or nothing to give.
///
/// # Errors
/// Exit 2.
pub fn refuse(cx: &Context, shape: Shape) -> Result<()> {
    match (cx.settings.registry_auth, shape) {
        (Some(_), Shape::Compose) => Err(Failure::usage(
            "--with-registry-auth is for a gateway under Swarm; this one is run by Compose",
        )
        .hint("add --swarm, or leave it out")),
        (Some(true), Shape::Swarm) if cx.token.is_none() => Err(Failure::usage(
            "--with-registry-auth has no credentials to give: there is no GHCR_TOKEN",
        )
        .hint("run this as: oc-secrets exec -- openclaw-deploy …")),
        _ => Ok(()),
    }
}

/// The registry for which Swarm holds credentials, "" where it holds none.
#[must_use]
pub fn registry(service: &Service) -> &str {
    parts(label(&service.spec)).0
}

fn label(spec: &Value) -> &str {
    spec["Labels"][LABEL].as_str().unwrap_or_default()
}

fn parts(label: &str) -> (&str, &str) {
    label.split_once(' ').unwrap_or_default()
}

/// What is to be done, given the credentials that the registry took.
///
/// # Errors
/// When the engine fails.
pub async fn wanted(
    cx: &Context,
    engine: &Engine,
    shape: Shape,
    auth: Option<&Auth>,
) -> Result<Option<Change>> {
    if shape == Shape::Compose {
        return Ok(None);
    }
    let there = engine.service(service::NAME).await?;
    let held = there.as_ref().map_or("", |it| label(&it.spec));
    Ok(change(cx.settings.registry_auth, held, auth))
}

/// Unasked, Swarm goes on to hold what it holds, and gets a new token in place of an old one.
fn change(asked: Option<bool>, held: &str, auth: Option<&Auth>) -> Option<Change> {
    match (asked, auth) {
        (Some(false), _) => (!held.is_empty()).then_some(Change::TakeBack),
        (None, _) if held.is_empty() => None,
        (_, Some(auth)) => (!salted::matches(parts(held).1, auth.secret())).then_some(Change::Give),
        (_, None) => None,
    }
}

/// Does what is to be done. The gateway, which runs `pinned`, runs on.
///
/// # Errors
/// When Swarm refuses.
pub async fn settle(
    cx: &Context,
    engine: &Engine,
    shape: Shape,
    pinned: &str,
    auth: Option<&Auth>,
) -> Result<()> {
    let ours = cx.settings.image.registry();
    match (wanted(cx, engine, shape, auth).await?, auth) {
        (Some(Change::Give), Some(auth)) if is_at(pinned, ours) => {
            let label = format!("{ours} {}", salted::fingerprint(auth.secret())?);
            put(engine, auth, Some(&label)).await?;
            cx.talk.warn(format!(
                "Swarm holds the credentials of {ours} now, in plain on its disk; \
                 --with-registry-auth=false takes them back"
            ));
        }
        (Some(Change::Give), _) => cx.talk.warn(format!(
            "Swarm was not given the registry's credentials: {pinned} is not at {ours}"
        )),
        (Some(Change::TakeBack), _) => {
            // Swarm also keeps what a service was before its last change.
            for _ in 0..2 {
                put(engine, &Auth::none(), None).await?;
            }
        }
        (None, _) => {}
    }
    Ok(())
}

async fn put(engine: &Engine, auth: &Auth, label: Option<&str>) -> Result<()> {
    service::put(engine, Some(auth), |there| {
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

/// Leaves with a service that is to run `pinned` what it holds, in `spec`. Where it is for another
/// registry than the image's: credentials to put in its place, which are none.
#[must_use]
pub fn carry(
    cx: &Context,
    there: Option<&Service>,
    pinned: &str,
    spec: &mut Value,
) -> Option<Auth> {
    let there = there.filter(|it| !label(&it.spec).is_empty())?;
    let registry = registry(there);
    if is_at(pinned, registry) {
        mark(spec, Some(label(&there.spec)));
        return None;
    }
    cx.talk.warn(format!(
        "the credentials of {registry} are taken back from Swarm: {pinned} is not there"
    ));
    Some(Auth::none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn swarm_is_given_nothing_unasked_and_a_new_token_in_place_of_an_old_one() {
        let auth = |token: &[u8]| Auth::new("u", &Secret::copy_of(token), "r");
        let (one, two) = (auth(b"one"), auth(b"two"));
        let held = format!("r {}", salted::fingerprint(one.secret()).expect("random"));
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
