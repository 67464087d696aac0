//! Keys that an earlier `.env` has: taken out where nothing is lost by it.

use crate::base::env_name::EnvName;
use crate::deploy::context::Context;
use crate::deploy::env_file::EnvFile;
use crate::deploy::error::Result;
use crate::deploy::gateway::env;

use super::{ask, configuration};

/// The keys that are in `.env`.
#[derive(Default)]
pub(super) struct Movable {
    /// The gateway is told to ask for them, and gets the same value.
    pub taken: Vec<EnvName>,
    /// They stay, and why.
    pub left: Vec<(EnvName, &'static str)>,
}

/// Looks which can be taken out.
pub(super) fn movable(cx: &Context) -> Result<Movable> {
    let file = EnvFile::parse(&env::read(cx, env::owner(cx)?)?);
    let there = |name: &&EnvName| file.value(name.as_str()).is_some_and(|it| !it.is_empty());
    let names: Vec<EnvName> = cx
        .settings
        .app_secrets
        .iter()
        .filter(there)
        .cloned()
        .collect();
    let mut all = Movable::default();
    if names.is_empty() {
        return Ok(all);
    }
    let values = ask::values(cx, &names)?;
    for (name, value) in names.into_iter().zip(values) {
        let old = file.value(name.as_str()).unwrap_or_default();
        if !configuration::asks_for(cx, &name)? {
            all.left
                .push((name, "no field of openclaw.json asks for it"));
        } else if value.is_none_or(|it| it.expose() != old.as_bytes()) {
            all.left.push((name, "1Password has another value"));
        } else {
            all.taken.push(name);
        }
    }
    Ok(all)
}

/// Takes them out of `.env`; whoever has read that file before still knows them.
pub(crate) fn leave_env(cx: &Context) -> Result<()> {
    let taken = movable(cx)?.taken;
    if taken.is_empty() {
        return Ok(());
    }
    let owner = env::owner(cx)?;
    let mut file = EnvFile::parse(&env::read(cx, owner)?);
    for name in &taken {
        file.remove(name.as_str());
        cx.reporter.note(format!(
            "{name} is no longer in .env: it was on the disk, so let its issuer give you a new one"
        ));
    }
    env::write(cx, &file.text(), owner).map(drop)
}

/// What stays in `.env`, and so on the engine's disk, with the reason.
pub(crate) fn stays(cx: &Context) -> Result<Vec<String>> {
    let left = movable(cx)?.left.into_iter();
    Ok(left
        .map(|(name, why)| format!("{name} stays in .env, and so in docker inspect: {why}"))
        .collect())
}
