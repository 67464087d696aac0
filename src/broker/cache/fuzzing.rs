//! The entries of the cache, as a target of `tests/fuzz`.

use super::entry::{Entry, unsealed};
use super::keyring::LONGEST;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// Anything may lie under our name in the keyring; what is read is written as it was.
pub(crate) fn entry(bytes: &[u8]) {
    let _ = unsealed(Locked::copy_of(bytes), LONGEST);
    let Some(Entry::One(outcome)) = Entry::parse(&Secret::copy_of(bytes)) else {
        return;
    };
    let written = |outcome| {
        let mut bytes = Locked::with_capacity(64);
        Entry::push_outcome(&mut bytes, outcome);
        bytes.to_vec()
    };
    let once = written(&outcome);
    let Some(Entry::One(again)) = Entry::parse(&Secret::copy_of(&once)) else {
        panic!("it is not read again");
    };
    assert_eq!(written(&again), once);
}
