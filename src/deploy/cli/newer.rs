//! `status --check`: whether the registry has another image under the name that is asked for.

use std::fmt;

use serde_json::{Value, json};

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::gateway::records::Records;
use crate::deploy::image::resolve::{Resolution, resolve};
use crate::deploy::image_reference::short;

/// What the registry says of the image that an update would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Newer {
    /// It is what the current release is.
    No,
    /// It is another, with this digest.
    Yes(String),
    /// It is another, which did not become healthy before, or was rolled back from.
    Bad(String),
    /// Nobody knows, and why.
    Unknown(String),
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("none: what runs is what the name means today"),
            Self::Yes(digest) => write!(
                f,
                "a newer one is there: {} (openclaw-deploy update)",
                short(digest)
            ),
            Self::Bad(digest) => write!(
                f,
                "a newer one is there, {}, which failed here or was rolled back from",
                short(digest)
            ),
            Self::Unknown(why) => write!(f, "not known: {why}"),
        }
    }
}

impl Newer {
    /// For `--json`.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::No => json!({"there": false}),
            Self::Yes(digest) => json!({"there": true, "digest": digest, "bad": false}),
            Self::Bad(digest) => json!({"there": true, "digest": digest, "bad": true}),
            Self::Unknown(why) => json!({"there": null, "why": why}),
        }
    }
}

/// Asks. What cannot be asked is an answer too.
pub(super) async fn look(cx: &Context, engine: &Engine, records: &Records) -> Result<Newer> {
    let Some(current) = records.current() else {
        return Ok(Newer::Unknown("there is no release yet".to_owned()));
    };
    let resolved = resolve(cx, engine, &cx.settings.image);
    let resolved = cx.host.unless_interrupted(resolved).await?;
    let pinned = match resolved.resolution {
        Resolution::OnEngine { pinned, .. } => pinned,
        Resolution::InRegistry { distribution } => {
            resolved.wanted.at(&distribution.digest).to_string()
        }
        Resolution::NotBuilt => return Ok(Newer::Unknown("it is built on this host".to_owned())),
        Resolution::Unavailable(failure) => return Ok(Newer::Unknown(failure.to_string())),
    };
    let not_again = [records.bad.as_slice(), &records.left].concat();
    Ok(compare(&current.pinned, &pinned, &not_again))
}

fn compare(current: &str, there: &str, bad: &[String]) -> Newer {
    let digest = |pinned: &str| pinned.rsplit('@').next().unwrap_or_default().to_owned();
    match digest(there) {
        newest if newest == digest(current) => Newer::No,
        newest if bad.iter().any(|it| it == there) => Newer::Bad(newest),
        newest => Newer::Yes(newest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_digest_is_a_newer_image_whatever_its_repository() {
        let (one, two) = ("ghcr.io/me/it@sha256:1", "ghcr.io/me/it@sha256:2");
        assert_eq!(compare(one, one, &[]), Newer::No);
        assert_eq!(compare(one, "mirror/it@sha256:1", &[]), Newer::No);
        assert_eq!(compare(one, two, &[]), Newer::Yes("sha256:2".to_owned()));
        let bad = [two.to_owned()];
        assert_eq!(compare(one, two, &bad), Newer::Bad("sha256:2".to_owned()));
    }
}
