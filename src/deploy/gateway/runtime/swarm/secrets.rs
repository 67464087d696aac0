//! The app secrets as secrets of the swarm: which are wanted, made, mounted, and let go of.
//!
//! A secret cannot be changed or read back there. So its name carries a version
//! (`openclaw_NAME_v3`), and its label a salted fingerprint by which the next run sees whether
//! the value is still the same. What is not in our environment stays as it is in the swarm;
//! what is no longer in `app_secrets` goes.

use serde_json::{Value, json};

use super::fingerprint;
use crate::base::env_name::EnvName;
use crate::base::secret::Secret;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::swarm::{FINGERPRINT, SwarmSecret};
use crate::deploy::error::Result;
use crate::deploy::gateway::labels::PROJECT;
use crate::deploy::settings::STATE_OWNER;

/// The names of the secrets that the gateway is to be given, and those of them to be made.
pub(crate) async fn wanted(cx: &Context, engine: &Engine) -> Result<(Vec<String>, Vec<String>)> {
    let there = engine.secrets().await?;
    let names = &cx.settings.app_secrets;
    let wanted = choose(names, &cx.app_secrets, &there);
    let fresh = wanted.iter().filter(|name| find(&there, name).is_none());
    let fresh = fresh.cloned().collect();
    Ok((wanted, fresh))
}

/// For each name the object with our value, or the next version of it, or the newest.
fn choose(names: &[EnvName], given: &[(EnvName, Secret)], there: &[SwarmSecret]) -> Vec<String> {
    let choice = |name: &EnvName| {
        let versions = || versions(name.as_str(), there);
        let newest = versions().max_by_key(|(version, _)| *version);
        let Some((_, value)) = given.iter().find(|(it, _)| it == name) else {
            return newest.map(|(_, it)| it.name.clone());
        };
        let is_same = |it: &SwarmSecret| {
            let known = it.fingerprint.as_deref();
            known.is_some_and(|known| fingerprint::matches(known, value))
        };
        let same = versions().find(|(_, it)| is_same(it));
        let next = newest.map_or(1, |(version, _)| version + 1);
        Some(same.map_or_else(
            || format!("{PROJECT}_{name}_v{next}"),
            |(_, it)| it.name.clone(),
        ))
    };
    names.iter().filter_map(choice).collect()
}

/// Makes those of `objects` that are not there, and says how each is mounted.
pub(crate) async fn mount(cx: &Context, engine: &Engine, objects: &[String]) -> Result<Vec<Value>> {
    let there = engine.secrets().await?;
    let mut mounts = Vec::new();
    for object in objects {
        let Some((name, _)) = parts(object) else {
            continue;
        };
        let value = cx.app_secrets.iter().find(|(it, _)| it.as_str() == name);
        let newest = || versions(name, &there).max_by_key(|(version, _)| *version);
        let (id, object) = match (find(&there, object), value) {
            (Some(it), _) => (it.id.clone(), object.clone()),
            (None, Some((_, value))) => (make(engine, object, value).await?, object.clone()),
            // A release of old, whose value is gone: what took its place serves.
            (None, None) => match newest() {
                Some((_, it)) => (it.id.clone(), it.name.clone()),
                None => {
                    cx.reporter.warn(format!(
                        "the secret {name} is no longer in the swarm, nor in the environment"
                    ));
                    continue;
                }
            },
        };
        let (uid, gid) = STATE_OWNER;
        mounts.push(json!({
            "SecretID": id,
            "SecretName": object,
            "File": {"Name": name, "UID": uid.to_string(), "GID": gid.to_string(), "Mode": 0o400},
        }));
    }
    if mounts.is_empty() && !cx.settings.app_secrets.is_empty() {
        cx.reporter
            .warn("no app secret is in the environment or the swarm; the gateway is given none");
    }
    Ok(mounts)
}

async fn make(engine: &Engine, object: &str, value: &Secret) -> Result<String> {
    let labels = json!({
        "com.docker.stack.namespace": PROJECT,
        FINGERPRINT: fingerprint::fingerprint(value)?,
    });
    engine.create_secret(object, &labels, value).await
}

/// Removes those of our secrets that are not in `keep`.
pub(crate) async fn prune(engine: &Engine, keep: &[String]) -> Result<()> {
    for it in engine.secrets().await? {
        let ours = it.fingerprint.is_some() && parts(&it.name).is_some();
        if ours && !keep.contains(&it.name) {
            engine.remove(&format!("/secrets/{}", it.id)).await?;
        }
    }
    Ok(())
}

fn find<'a>(there: &'a [SwarmSecret], object: &str) -> Option<&'a SwarmSecret> {
    there.iter().find(|it| it.name == object)
}

/// Our objects for the variable `name`, with their versions.
fn versions<'a>(
    name: &str,
    there: &'a [SwarmSecret],
) -> impl Iterator<Item = (u64, &'a SwarmSecret)> {
    there.iter().filter_map(move |it| {
        let (variable, version) = parts(&it.name)?;
        (variable == name && it.fingerprint.is_some()).then_some((version, it))
    })
}

/// `openclaw_NAME_v3`: `NAME` and 3.
pub(crate) fn parts(object: &str) -> Option<(&str, u64)> {
    let rest = object.strip_prefix(PROJECT)?.strip_prefix('_')?;
    let (name, version) = rest.rsplit_once("_v")?;
    Some((name, version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EnvName {
        EnvName::parse(text).expect("a name")
    }

    fn listed(object: &str, value: &[u8]) -> SwarmSecret {
        SwarmSecret {
            id: object.to_lowercase(),
            name: object.to_owned(),
            fingerprint: fingerprint::fingerprint(&Secret::copy_of(value)).ok(),
        }
    }

    #[test]
    fn only_a_changed_value_gets_a_new_version() {
        let there = [
            listed("openclaw_A_v1", b"one"),
            listed("openclaw_B_v9", b"b"),
        ];
        let chosen = |value: &[u8]| {
            choose(
                &[name("A"), name("B"), name("C")],
                &[(name("A"), Secret::copy_of(value))],
                &there,
            )
        };
        assert_eq!(chosen(b"one"), ["openclaw_A_v1", "openclaw_B_v9"]);
        assert_eq!(chosen(b"two"), ["openclaw_A_v2", "openclaw_B_v9"]);
    }

    #[test]
    fn a_secret_of_somebody_else_is_never_taken_for_ours() {
        let stranger = SwarmSecret {
            fingerprint: None,
            ..listed("openclaw_A_v1", b"one")
        };
        assert!(choose(&[name("A")], &[], &[stranger]).is_empty());
        assert_eq!(
            parts("openclaw_TELEGRAM_BOT_TOKEN_v12"),
            Some(("TELEGRAM_BOT_TOKEN", 12))
        );
        assert_eq!(parts("other_A_v1"), None);
        assert_eq!(parts("openclaw_A"), None);
    }
}
