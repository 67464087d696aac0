//! `openclaw-deploy`: from a bare VPS to a gateway that answers.
//!
//! ```text
//!  settings ──▶ steps: check ──▶ apply ──▶ verify ──▶ journal
//!    pure         └─ host: files and programs   └─ engine: the Docker API
//! ```

pub mod error;
pub mod redact;
pub mod token;
pub mod image_reference;
pub mod reporter;
pub mod settings;
pub mod env_file;
pub mod host;
pub mod docker;
pub mod journal;
pub mod run;
pub mod step;
pub mod gateway;
pub mod image;
pub mod backup;
pub mod steps;
pub mod cli;
