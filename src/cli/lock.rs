//! `oc-secrets lock`: deletes everything that is cached.

use super::stdout;
use crate::base::environment::Lookup;
use crate::base::error::{Exit, Result};
use crate::base::runtime_directory::Place;
use crate::broker::cache;

/// Empties the cache of this user, whichever manifest it is from.
pub(super) fn run(environment: Lookup<'_>) -> Result<Exit> {
    let text = match cache::forget_all(&Place::of(environment)) {
        0 => "the cache is empty\n".to_owned(),
        1 => "1 entry forgotten\n".to_owned(),
        many => format!("{many} entries forgotten\n"),
    };
    stdout::print(text.as_bytes())?;
    Ok(Exit::Done)
}
