//! From a manifest to a secret in the right hands.
//!
//! ```text
//!  manifest, dotenv ──▶ plan ──▶ provider: op, socket, demo ──▶ resolve ──▶ sink
//!       files           pure     cache beside it                Secrets     exec, text, docker, git, openclaw
//! ```
//!
//! `serve` is the other end of `socket`: a process on the host that has `op`, for containers that have
//! not. `session` is this whole way but for the sink: for the command line and the helpers alike.

pub(crate) mod id;
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
pub(crate) mod wire;
pub(crate) mod socket;
pub(crate) mod session;
pub(crate) mod serve;
pub(crate) mod sink;
