//! A variable to write, and what all formats need to write it.

use crate::base::env_name::EnvName;
use crate::base::error::Error;
use crate::base::locked_memory::Locked;

pub(super) const NUL: &str = "it contains a NUL byte";
pub(super) const NOT_UTF8: &str = "it is not UTF-8";

/// One variable to write.
#[derive(Clone, Copy)]
pub(crate) struct Variable<'a> {
    /// Its name.
    pub name: &'a EnvName,
    /// Its bytes.
    pub value: &'a [u8],
}

pub(super) fn unwritable(variable: Variable<'_>, format: &'static str, why: &'static str) -> Error {
    Error::Unwritable {
        name: variable.name.to_string(),
        format,
        why,
    }
}

/// A buffer that most texts fit into, so that it seldom has to move.
pub(super) fn room_for(variables: &[Variable<'_>]) -> Locked {
    let bytes = variables
        .iter()
        .map(|variable| 2 * variable.name.as_str().len() + 2 * variable.value.len() + 96)
        .sum();
    Locked::with_capacity(bytes)
}

/// Pushes `value` with every byte that `replacement` knows replaced.
pub(super) fn push_replaced(
    text: &mut Locked,
    value: &[u8],
    replacement: impl Fn(u8) -> Option<&'static [u8]>,
) {
    let mut plain = 0;
    for (at, &byte) in value.iter().enumerate() {
        if let Some(instead) = replacement(byte) {
            text.push(&value[plain..at]);
            text.push(instead);
            plain = at + 1;
        }
    }
    text.push(&value[plain..]);
}
