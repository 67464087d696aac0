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

/// The names that a gateway need not be given from `.env`.
pub(crate) fn leaving(cx: &Context) -> Result<Vec<String>> {
    let taken = movable(cx)?.taken.into_iter();
    Ok(taken.map(|name| name.as_str().to_owned()).collect())
}

/// Takes `names` out of `.env`, where the gateway runs without them: until then the version before may need
/// them. Whoever has read that file before still knows them.
pub(crate) fn leave_env(cx: &Context, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    // Somebody may have written another value meanwhile.
    let mut taken = leaving(cx)?;
    taken.retain(|name| names.contains(name));
    let owner = env::owner(cx)?;
    let text = env::without(&env::read(cx, owner)?, &taken);
    env::write(cx, &text, owner)?;
    for name in taken {
        cx.reporter.note(format!(
            "{name} is no longer in .env: it was on the disk, so let its issuer give you a new one"
        ));
    }
    Ok(())
}

/// Those of `app_secrets` that a gateway with `deliver = "env"` would not get.
pub(crate) fn not_in_env(cx: &Context) -> Result<Vec<String>> {
    if !cx.settings.app_secrets_are_chosen {
        return Ok(Vec::new());
    }
    let text = env::read(cx, env::owner(cx)?)?;
    Ok(absent(&cx.settings.app_secrets, &text))
}

fn absent(names: &[EnvName], text: &str) -> Vec<String> {
    let file = EnvFile::parse(text);
    let names = names.iter().map(EnvName::as_str);
    let absent = names.filter(|name| file.value(name).is_none_or(str::is_empty));
    absent.map(str::to_owned).collect()
}

/// What stays in `.env`, and so on the engine's disk, with the reason.
pub(crate) fn stays(cx: &Context) -> Result<Vec<String>> {
    let left = movable(cx)?.left.into_iter();
    Ok(left
        .map(|(name, why)| format!("{name} stays in .env, and so in docker inspect: {why}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_value_in_env_is_absent() {
        let names = ["A_TOKEN", "B_TOKEN", "C_TOKEN"].map(|it| EnvName::parse(it).expect("good"));
        assert_eq!(
            absent(&names, "A_TOKEN=1\nB_TOKEN=\nD=2\n"),
            ["B_TOKEN", "C_TOKEN"]
        );
        assert_eq!(absent(&names[..1], "A_TOKEN='1'\n"), [""; 0]);
    }
}
