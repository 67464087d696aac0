//! What a Docker credential helper answers.

use super::json;
use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// The answer to `get`: one JSON object and a line feed, in locked memory.
///
/// # Errors
/// [`Error::Password`] for a secret that no registry accepts: white space, control characters, not
/// UTF-8.
pub(crate) fn answer(server: &str, username: &str, secret: &Secret) -> Result<Locked> {
    let value = secret.expose();
    let odd = |letter: char| letter.is_whitespace() || letter.is_control();
    if std::str::from_utf8(value).map_or(true, |text| text.contains(odd)) {
        return Err(Error::Password {
            host: server.to_owned(),
            secret: None,
            trouble: Trouble::Unusable {
                why: "it holds white space or control characters",
            },
            look: None,
        });
    }
    let mut text = Locked::with_capacity(value.len() + 1024);
    let pairs = [
        ("ServerURL", server.as_bytes()),
        ("Username", username.as_bytes()),
        ("Secret", value),
    ];
    json::object(&mut text, pairs);
    Ok(text)
}

/// The answer to `list`: a map from server to user name, in the order of Go's maps, and no secret.
pub(crate) fn entries(mut entries: Vec<(String, String)>) -> Locked {
    entries.sort();
    let mut text = Locked::with_capacity(1024);
    let pairs = entries
        .iter()
        .map(|(server, username)| (server.as_str(), username.as_bytes()));
    json::object(&mut text, pairs);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_the_byte() {
        let answer =
            answer("ghcr.io", "x-access-token", &Secret::copy_of(b"ghp_\"A")).expect("an answer");
        let expected = br#"{"ServerURL":"ghcr.io","Username":"x-access-token","Secret":"ghp_\"A"}"#;
        assert_eq!(&answer[..answer.len() - 1], expected);
        assert_eq!(answer.last(), Some(&b'\n'));
    }

    #[test]
    fn refuses_what_no_registry_takes() {
        for value in ["a b", "a\n", "\u{7f}"] {
            assert!(
                answer("ghcr.io", "u", &Secret::copy_of(value.as_bytes())).is_err(),
                "{value:?}"
            );
        }
    }
}
