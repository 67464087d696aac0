//! What a line of an env-file defines.

use crate::base::env_name::EnvName;
use crate::broker::reference::Reference;

/// One `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The variable.
    pub name: EnvName,
    /// What it is to hold.
    pub value: Value,
}

/// What a variable is to hold.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A secret, by its reference.
    Secret(Reference),
    /// A plain value.
    Plain(String),
}

/// A plain value may be sensitive all the same, since it can come from our environment.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(reference) => f.debug_tuple("Secret").field(reference).finish(),
            Self::Plain(_) => f.write_str("Plain(…)"),
        }
    }
}
