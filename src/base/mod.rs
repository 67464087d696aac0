//! What everything stands on: it knows neither `op` nor Docker.

pub(crate) mod environment;
pub(crate) mod runtime_directory;
pub(crate) mod open_files;
pub(crate) mod unix_socket;
pub(crate) mod checksum;
pub(crate) mod process_group;
pub(crate) mod program;
pub(crate) mod units;
pub(crate) mod duration;
pub(crate) mod shell_quote;
pub(crate) mod error;
pub(crate) mod ui;
pub(crate) mod severity;
pub(crate) mod command_line;
pub(crate) mod env_name;
pub(crate) mod locked_memory;
pub(crate) mod environment_block;
pub(crate) mod encode;
pub(crate) mod harden;
pub(crate) mod signal_notes;
pub(crate) mod secret;
pub(crate) mod own_environment;
pub(crate) mod suggest;
pub(crate) mod token_kind;
pub(crate) mod file_ownership;
