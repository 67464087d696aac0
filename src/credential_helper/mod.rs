//! The credential helpers: small programs that Docker, git and their relatives start, each with
//! one question on stdin.
//!
//! A protocol is a pure-looking `handle(words, input, answers)`: it reads nothing and prints
//! nothing by itself, so nothing can be on stdout before the whole answer is ready. Whoever
//! starts us matches stdout and exit codes to the byte; people read stderr.

pub(crate) mod client_config;
mod stdin;
mod reply;
mod answers;
mod program;
pub(crate) mod docker;
pub(crate) mod git;
