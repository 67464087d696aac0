//! What everything stands on: it knows neither `op` nor Docker.

pub mod ui;
pub mod error;
pub mod env_name;
pub mod locked_memory;
pub mod harden;
pub mod secret;
pub mod shell_quote;
pub mod suggest;
pub mod token_kind;
pub mod file_ownership;
