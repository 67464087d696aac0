//! From a manifest to a secret in the right hands.

pub mod reference;
pub mod registry;
pub mod manifest;
pub mod dotenv;
pub mod plan;
pub mod provider;
pub mod op;
pub mod demo;
pub mod resolve;
pub mod cache;
pub mod sink;
