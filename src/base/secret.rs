//! A secret value: the only type in which a value that came from `op` exists.
//!
//! It is a view into a [`Locked`] buffer that several secrets may share (one answer of `op`
//! holds many), so taking one out copies nothing. The buffer is wiped when the last view goes.
//! There is no `Display`, no `Serialize`, no `PartialEq`, and `Debug` shows nothing, not even
//! the length. [`Secret::expose`] is called by `resolve` (to refuse values) and by sinks only.

use std::ops::Range;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};

use crate::base::locked_memory::{self, Locked};

/// A secret, byte for byte as it was stored.
#[derive(Clone)]
pub(crate) struct Secret {
    memory: Arc<SecretBox<Locked>>,
    range: Range<usize>,
}

impl Secret {
    /// The whole of `buffer` as one secret.
    pub(crate) fn new(buffer: Locked) -> Self {
        let range = 0..buffer.len();
        Self {
            memory: Arc::new(SecretBox::new(Box::new(buffer))),
            range,
        }
    }

    /// A secret that did not come from `op`: a default or an inherited variable.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self::new(Locked::copy_of(bytes))
    }

    /// A part of this secret, sharing its memory.
    ///
    /// # Panics
    /// When `range` does not lie within this secret.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len());
        Self {
            memory: Arc::clone(&self.memory),
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }

    /// The bytes themselves.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.memory.expose_secret()[self.range.clone()]
    }

    /// A hash, which tells this secret from others. Nothing of the secret stays on the stack.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        #[inline(never)]
        fn hash(bytes: &[u8]) -> [u8; 32] {
            Sha256::digest(bytes).into()
        }
        let fingerprint = hash(self.expose());
        locked_memory::burn_stack();
        fingerprint
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_neither_value_nor_length() {
        let secret = Secret::copy_of(b"hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "Secret(..) Some(\n    Secret(..),\n)"
        );
    }

    #[test]
    fn a_slice_shares_the_memory() {
        let secret = Secret::copy_of(b"hunter2");
        let tail = secret.slice(4..7).slice(1..3);
        assert_eq!(tail.expose(), b"r2");
        assert!(Arc::ptr_eq(&secret.memory, &tail.memory));
    }
}
