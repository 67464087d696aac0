//! From a manifest to a secret in the right hands.
//!
//! ```text
//!  manifest, dotenv ──▶ plan ──▶ provider: op, demo ──▶ resolve ──▶ sink
//!       files           pure     cache beside it        Secrets     exec, text, docker, git
//! ```
//!
//! `session` is this whole way but for the sink: for the command line and the helpers alike.

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
