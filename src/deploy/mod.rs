//! `openclaw-deploy`: from a bare VPS to a gateway that answers.
//!
//! ```text
//!  settings ──▶ steps: check ──▶ apply ──▶ verify ──▶ journal
//!    pure         └─ host: files and programs   └─ engine: the Docker API
//! ```
//!
//! | To change … | open |
//! | --- | --- |
//! | an exit code, what an error looks like | [`exit`], [`talk`] |
//! | a setting, a default, the configuration file | [`settings`] |
//! | how programs are run and files written | [`host`] |
//! | the order of steps, `--only`, `--skip`, `--dry-run` | [`run`], [`steps`] |
//! | how the token is taken and checked | [`token`] |
//! | what `stats` can know | [`journal`] |

pub mod cli;
pub mod engine;
pub mod env_file;
pub mod exit;
pub mod gateway;
pub mod host;
pub mod image;
pub mod journal;
pub mod lock;
pub mod redact;
pub mod reference;
pub mod run;
pub mod settings;
pub mod stats;
pub mod step;
pub mod steps;
pub mod talk;
pub mod token;
