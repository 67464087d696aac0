//! `oc-secrets read`: one secret to standard output, as it is stored.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::arguments;
use super::context::Context;
use crate::base::error::{Exit, Result};
use crate::base::locked_memory::Locked;
use crate::broker::sink;

/// Prints the secret that `arguments` name.
pub(super) fn run(context: &Context, arguments: &arguments::Read) -> Result<Exit> {
    let plan = context.plan_for(&arguments.what)?;
    let (resolved, _) = context.resolve(&plan)?;
    let stdout = std::io::stdout();
    if !stdout.is_terminal() && super::is_file(stdout.as_fd()) {
        context
            .ui
            .warn("standard output is a file: the secret is now on disk");
    }
    for secret in &resolved {
        let mut text = Locked::copy_of(secret.value.expose());
        if !arguments.no_newline {
            text.push(b"\n");
        }
        context.tell_if_swappable();
        sink::emit(stdout.as_fd(), &text)?;
    }
    Ok(Exit::Done)
}
