//! `oc-secrets lock`: deletes everything that is cached, here and in a running broker.

use std::path::{Path, PathBuf};
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
/// In a broker's client, whose values the broker keeps; where a broker does not forget.
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
    let Some(control) = control(directory, environment)? else {
        return Ok(Exit::Done);
    };
    match broker(&control) {
        Ok(text) => stdout::print(text.as_bytes())?,
        // One that has ended has forgotten everything.
        Err(Error::Broker { .. }) if directory.is_none() => {}
        Err(error) => return Err(error),
    }
    Ok(Exit::Done)
}

/// The control socket of the broker that is meant; `None` where none runs, and none was named.
fn control(directory: Option<&Path>, environment: Lookup<'_>) -> Result<Option<PathBuf>> {
    let is_named = directory.is_some();
    match listen::folder(directory, environment) {
        Ok(folder) => {
            let control = folder.join(CONTROL);
            Ok((is_named || control.exists()).then_some(control))
        }
        Err(_) if !is_named => Ok(None),
        Err(error) => Err(error),
    }
}

/// Has the broker of this control socket forget, and says what.
fn broker(control: &Path) -> Result<String> {
    let answer = socket::ask(control, &Question::Lock, PATIENCE)?;
    let count = std::str::from_utf8(answer.expose()).ok();
    let values = match count.and_then(|count| count.parse().ok()) {
        Some(count) => counted(count, "value"),
        None => "what it had".to_owned(),
    };
    Ok(format!("the broker forgot {values}\n"))
}
