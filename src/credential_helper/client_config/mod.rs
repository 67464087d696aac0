//! The files of Docker, Podman and git, which name the credential helper of each host.

pub(crate) mod location;
mod json;
pub(crate) mod file;
pub(crate) mod disabled_hosts;
pub(crate) mod before;
pub(crate) mod docker;
mod git_config;
mod git_key;
pub(crate) mod git;
