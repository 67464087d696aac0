//! From a manifest to a secret in the right hands.

pub(crate) mod reference;
pub(crate) mod registry;
pub(crate) mod manifest;
pub(crate) mod dotenv;
pub(crate) mod plan;
pub(crate) mod provider;
pub(crate) mod op;
pub(crate) mod demo;
pub(crate) mod resolve;
pub(crate) mod cache;
pub(crate) mod session;
pub(crate) mod sink;
