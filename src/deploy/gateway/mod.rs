//! The gateway: what runs, how it is replaced, and how it is put back.
//!
//! ```text
//!  observe ─▶ decide ─▶ upgrade: stop ─▶ snapshot ─▶ start ─▶ health ─▶ commit
//!                                                         └─▶ restore
//! ```

mod boxed;
pub(crate) mod labels;
pub(crate) mod config;
mod spec;
mod old_records;
pub(crate) mod env;
pub(crate) mod records;
pub(crate) mod container;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod observed;
pub(crate) mod state;
pub(crate) mod secrets;
pub(crate) mod runtime;
pub(crate) mod observe;
mod acceptance;
pub(crate) mod image_cleanup;
pub(crate) mod restore;
pub(crate) mod upgrade;
pub(crate) mod recover;
pub(crate) mod rollback;
