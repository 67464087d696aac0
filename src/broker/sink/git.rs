//! What a git credential helper answers.

use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// The answer to `get`: a user name and a password, a line each, in locked memory.
///
/// # Errors
/// [`Error::Password`] for a value with a line break, which would add lines to the answer.
pub(crate) fn answer(host: &str, username: &str, secret: &Secret) -> Result<Locked> {
    let breaks = |text: &[u8]| text.iter().any(|byte| b"\n\r\0".contains(byte));
    if breaks(secret.expose()) || breaks(username.as_bytes()) {
        return Err(Error::Password {
            host: host.to_owned(),
            secret: None,
            trouble: Trouble::Unusable {
                why: "it holds a line break or a NUL byte",
            },
            look: None,
        });
    }
    let mut text = Locked::with_capacity(secret.len() + username.len() + 32);
    for part in [
        b"username=",
        username.as_bytes(),
        b"\npassword=",
        secret.expose(),
        b"\n",
    ] {
        text.push(part);
    }
    Ok(text)
}
