//! `openclaw-deploy`: from a bare VPS to a gateway that answers.
//!
//! ```text
//!  settings ──▶ steps: check ──▶ apply ──▶ verify ──▶ journal
//!    pure         └─ host: files and programs   └─ docker: the engine's API
//!                 └─ image: resolve, pull, fallback, build   └─ gateway: run, upgrade, restore
//! ```
//!
//! `docker` knows no gateway, `gateway` and `image` know no step; `cli` decides the settings and
//! runs the steps.

pub(crate) mod error;
pub(crate) mod outcome;
pub(crate) mod redact;
pub(crate) mod token;
pub(crate) mod image_reference;
mod live_line;
pub(crate) mod reporter;
pub(crate) mod settings;
pub(crate) mod env_file;
pub(crate) mod host;
pub(crate) mod docker;
pub(crate) mod journal;
pub(crate) mod context;
pub(crate) mod hooks;
pub(crate) mod step;
pub(crate) mod run;
pub(crate) mod image;
pub(crate) mod gateway;
pub(crate) mod backup;
pub(crate) mod restoration;
pub(crate) mod steps;
pub(crate) mod cli;
