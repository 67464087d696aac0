//! `oc-secrets read`: one secret to standard output, as it is stored.

use super::arguments;
use super::stdout;
use crate::base::error::{Exit, Result};
use crate::base::locked_memory::Locked;
use crate::broker::session::Session;

/// Prints the secret that `arguments` name.
pub(super) fn run(session: &Session, arguments: &arguments::Read) -> Result<Exit> {
    let plan = session.plan_for(&arguments.what)?;
    let resolved = session.resolve(&plan)?;
    if stdout::is_file() {
        session
            .ui
            .warn("standard output is a file: the secret is now on disk");
    }
    for secret in &resolved {
        let mut text = Locked::copy_of(secret.value.expose());
        if !arguments.no_newline {
            text.push(b"\n");
        }
        session.warn_if_swappable();
        stdout::print(&text)?;
    }
    Ok(Exit::Done)
}
