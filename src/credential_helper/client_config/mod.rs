//! Docker's and Podman's own files, which name the credential helper of each registry.

pub(crate) mod location;
mod json;
pub(crate) mod file;
pub(crate) mod disabled_hosts;
pub(crate) mod config;
