//! Docker's and Podman's own files: who is asked for which registry, and how that becomes us.

pub mod location;
mod json;
pub mod file;
pub mod disabled_hosts;
pub mod config;
