//! `oc-secrets exec`: become a command that has the secrets.

use super::arguments;
use crate::base::error::{Error, Exit, Result};
use crate::base::harden::Hardened;
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
