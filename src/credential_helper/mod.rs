//! The credential helpers: small programs that Docker, git, OpenClaw and their relatives start,
//! each with one question on stdin.
//!
//! A protocol is a function `handle(words, input, answers)` that does no input or output by itself,
//! so nothing is on stdout before the whole reply is ready. Clients match stdout and exit codes to
//! the byte; people read stderr.

pub(crate) mod client_config;
mod stdin;
mod reply;
mod answers;
mod program;
pub(crate) mod docker;
pub(crate) mod git;
pub(crate) mod openclaw;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
