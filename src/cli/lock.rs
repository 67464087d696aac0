//! `oc-secrets lock`: deletes everything that is cached, here and in a running broker.

use std::path::Path;
use std::time::Duration;

use super::stdout;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Exit, Result};
use crate::base::runtime_directory::Place;
use crate::base::units::counted;
use crate::broker::cache;
use crate::broker::serve::listen::{self, CONTROL};
use crate::broker::socket;
use crate::broker::wire::Question;

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Empties the cache of this user, whichever manifest it is from. A broker that was not named need
/// not be there.
///
/// # Errors
/// In a broker's client, whose values the broker keeps.
pub(super) fn run(directory: Option<&Path>, environment: Lookup<'_>) -> Result<Exit> {
    let text = match cache::forget_all(&Place::of(environment)) {
        0 => "the cache is empty\n".to_owned(),
        1 => "1 entry forgotten\n".to_owned(),
        many => format!("{many} entries forgotten\n"),
    };
    stdout::print(text.as_bytes())?;
    if directory.is_none()
        && let Some(path) = environment("OC_SECRETS_SOCKET").filter(|path| !path.is_empty())
    {
        return Err(Error::usage(
            format!(
                "a client cannot have the broker of {} forget",
                Path::new(&path).display()
            ),
            "on the broker's host, as whoever runs it: oc-secrets lock",
        ));
    }
    match broker(directory, environment) {
        Ok(text) => stdout::print(text.as_bytes())?,
        Err(error) if directory.is_some() => return Err(error),
        Err(_) => {}
    }
    Ok(Exit::Done)
}

fn broker(directory: Option<&Path>, environment: Lookup<'_>) -> Result<String> {
    let control = listen::folder(directory, environment)?.join(CONTROL);
    if directory.is_none() && !control.exists() {
        return Err(Error::usage("no broker runs here", ""));
    }
    let answer = socket::ask(&control, &Question::Lock, PATIENCE)?;
    let count = std::str::from_utf8(answer.expose()).ok();
    let values = match count.and_then(|count| count.parse().ok()) {
        Some(count) => counted(count, "value"),
        None => "what it had".to_owned(),
    };
    Ok(format!("the broker forgot {values}\n"))
}
