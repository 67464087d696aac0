//! Docker's and Podman's own files: who is asked for which registry, and how that becomes us.

pub(crate) mod location;
mod json;
pub(crate) mod file;
pub(crate) mod disabled_hosts;
pub(crate) mod config;
