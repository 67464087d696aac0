//! `oc-secrets exec`: become a command that has the secrets.

mod sudo;

use std::ffi::OsString;

use super::arguments;
use crate::base::error::{Error, Exit, Result};
use crate::base::harden::{self, Hardened};
use crate::broker::plan::Plan;
use crate::broker::resolve::Resolved;
use crate::broker::session::Session;
use crate::broker::sink::exec::{self, Inheritance, Invocation};
use crate::broker::sink::mask::{self, Ended};

/// Replaces this process, or with `--mask` stays beside the command and ends as it did; returns
/// only if that fails.
///
/// # Errors
/// When the command or a required secret is not found, or execve fails.
pub(super) fn run(
    session: &Session,
    arguments: &arguments::Exec,
    hardened: Hardened,
) -> Result<Exit> {
    // What it held is wiped by now.
    match start(session, arguments, hardened)? {
        Ended::Exited(code) => std::process::exit(code),
        Ended::Killed(signal) => {
            harden::die_of(signal);
            std::process::exit(128 + signal)
        }
    }
}

fn start(session: &Session, arguments: &arguments::Exec, hardened: Hardened) -> Result<Ended> {
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
    if arguments.mask {
        warn_of_short(session, &resolved);
        let secrets = resolved.iter().map(|secret| secret.value.expose());
        let ready = || session.warn_if_swappable();
        return mask::run(&command, environment, hardened, secrets, ready);
    }
    session.warn_if_swappable();
    Err::<Ended, Error>(exec::replace(&command, &environment, hardened))
}

/// Short values are found in much that is none of them.
fn warn_of_short(session: &Session, resolved: &[Resolved<'_>]) {
    let short = |secret: &&Resolved<'_>| (1..mask::SHORTEST).contains(&secret.value.len());
    let short = resolved.iter().filter(short);
    let names: Vec<&str> = short.map(|secret| secret.name.as_str()).collect();
    if !names.is_empty() {
        session.ui.warn(&format!(
            "too short to be masked: {} (fewer than {} bytes)",
            names.join(", "),
            mask::SHORTEST
        ));
    }
}

/// sudo takes the environment away, but for what it is told to keep.
fn hint_at_sudo(session: &Session, command: &[OsString], plan: &Plan) {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let Some((first, rest)) = words.split_first() else {
        return;
    };
    if first.rsplit('/').next() == Some("sudo") && !sudo::keeps_variables(rest) {
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
