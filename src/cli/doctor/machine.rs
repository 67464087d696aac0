//! What this machine gives us: a cache in the kernel, a folder to meet in, memory that is not
//! swapped.

use super::row::Row;
use crate::base::locked_memory::{self, Locked};
use crate::base::runtime_directory::Place;
use crate::base::shell_quote;
use crate::broker::cache;
use crate::broker::session::Session;

/// The rows; `helpers` is a session as the helpers open it.
pub(super) fn rows(helpers: &Session) -> Vec<Row> {
    match helpers.broker() {
        // It keeps, and asks once for all.
        Some(_) => vec![memory()],
        None => vec![kept(helpers), shared(helpers), memory()],
    }
}

fn kept(helpers: &Session) -> Row {
    if let Some(ttl) = helpers.kept_for() {
        return match cache::is_usable() {
            true => Row::ok(
                "cache",
                format!(
                    "helpers keep secrets for {} s in the kernel's keyring",
                    ttl.as_secs()
                ),
            ),
            false => Row::warn(
                "cache",
                "off: the kernel, or the container we are in, has no keyring for us, so every call of a helper asks `op`",
            ),
        };
    }
    let root = nix::unistd::geteuid().is_root();
    match root {
        true => Row::ok(
            "cache",
            "off for root, unless `allow_root = true` under [cache] of a named manifest",
        ),
        false => Row::ok(
            "cache",
            "off by [cache] of the manifest or OC_SECRETS_CACHE_TTL",
        ),
    }
}

fn shared(session: &Session) -> Row {
    let lookup = session.lookup();
    if Place::of(&lookup).open().is_some() {
        return Row::ok("sharing", "who asks at the same time shares one `op`");
    }
    let text = "no folder that is ours alone, so each caller asks `op` for itself";
    let row = Row::warn("sharing", text);
    match session.variable("XDG_RUNTIME_DIR") {
        Some(directory) if std::path::Path::new(directory).is_dir() => {
            let directory = directory.to_string_lossy();
            let ours = format!("{directory}/oc-secrets");
            let ours = std::path::Path::new(&ours).exists().then_some(ours);
            let words = ["chmod", "700", &directory]
                .into_iter()
                .chain(ours.as_deref());
            row.fix(shell_quote::command(words))
        }
        _ => row.fix("sudo loginctl enable-linger \"$USER\"".to_owned()),
    }
}

fn memory() -> Row {
    // As much as a run of some twenty secrets takes.
    drop(Locked::with_capacity(256 * 1024));
    match locked_memory::refused() {
        false => Row::ok("memory", "secrets are never swapped"),
        true => Row::warn(
            "memory",
            "too little memory may be locked, so secrets may reach swap",
        )
        .fix("ulimit -l \"$(ulimit -H -l)\"".to_owned()),
    }
}
