//! Salted fingerprints of secrets: by them a later run sees whether a value that Swarm has, and
//! never gives back, is still the same.

use sha2::{Digest, Sha256};

use crate::base::encode::hex;
use crate::base::locked_memory::burn_stack;
use crate::base::secret::Secret;
use crate::deploy::error::{Failure, Result};

/// The fingerprint of `value`, with a new salt.
pub(crate) fn fingerprint(value: &Secret) -> Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|why| {
        Failure::system("get a random salt", why).hint("see what the kernel says: dmesg | tail")
    })?;
    Ok(with_salt(&hex(&salt), value))
}

/// Whether `fingerprint` was made of `value`.
pub(crate) fn matches(fingerprint: &str, value: &Secret) -> bool {
    let salt = fingerprint.split_once(':').map_or("", |(salt, _)| salt);
    with_salt(salt, value) == fingerprint
}

/// `salt:hash`. The salt keeps equal values from looking equal, and tables useless.
fn with_salt(salt: &str, value: &Secret) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(value.expose());
    let text = format!("{salt}:{}", hex(&hash.finalize()));
    burn_stack();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salt_makes_equal_values_look_different() {
        let value = Secret::copy_of(b"hunter2");
        let (one, two) = (fingerprint(&value), fingerprint(&value));
        let (one, two) = (one.expect("random"), two.expect("random"));
        assert_ne!(one, two);
        assert!(matches(&one, &value) && matches(&two, &value));
        assert!(!matches(&one, &Secret::copy_of(b"hunter3")));
        assert!(!matches("", &value));
    }
}
