//! `oc-secrets exec`: become a command that has the secrets.

use std::ffi::OsString;

use super::arguments;
use crate::base::error::{Error, Exit, Result};
use crate::base::harden::Hardened;
use crate::broker::plan::Plan;
use crate::broker::session::Session;
use crate::broker::sink::exec::{self, Inheritance, Invocation};

/// Replaces this process; returns only if that fails.
///
/// # Errors
/// When the command or a required secret is not found, or execve fails.
pub(super) fn run(
    session: &Session,
    arguments: &arguments::Exec,
    hardened: Hardened,
) -> Result<Exit> {
    // Looked for first, so that a typing error costs no prompt.
    let command = Invocation::find(&arguments.command, session.variable("PATH"))?;
    let plan = session.plan()?;
    hint_at_sudo(session, &arguments.command, &plan);
    let resolved = session.resolve(&plan)?;
    let vars = plan
        .vars
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let secrets = resolved
        .iter()
        .map(|secret| (secret.name.as_str(), secret.value.expose()));
    let set: Vec<(&str, &[u8])> = vars.chain(secrets).collect();
    let inheritance = Inheritance {
        clean: arguments.clean,
        keep_op_env: arguments.keep_op_env,
    };
    let environment = exec::environment(&session.environment, &set, inheritance)?;
    session.warn_if_swappable();
    Err::<Exit, Error>(exec::replace(&command, &environment, hardened))
}

/// sudo takes the environment away, but for what it is told to keep.
fn hint_at_sudo(session: &Session, command: &[OsString], plan: &Plan) {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let Some((first, rest)) = words.split_first() else {
        return;
    };
    let options = rest.iter().take_while(|word| word.starts_with('-'));
    let keeps = |word: &&std::borrow::Cow<'_, str>| {
        word.starts_with("--preserve-env") || word.starts_with("-E")
    };
    if first.rsplit('/').next() == Some("sudo") && options.clone().filter(keeps).count() == 0 {
        let names: Vec<&str> = plan
            .wanted
            .iter()
            .map(|wanted| wanted.name.as_str())
            .collect();
        session.ui.warn(&format!(
            "sudo drops these variables, unless: sudo --preserve-env={} …",
            names.join(",")
        ));
    }
}
