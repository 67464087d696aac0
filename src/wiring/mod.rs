//! Docker's and Podman's own files: who is asked for which registry, and how that becomes us.

pub mod config;
pub mod file;
mod json;
pub mod muted;
pub mod place;
