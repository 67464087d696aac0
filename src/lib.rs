//! oc-secrets: from 1Password to a process, with one `op`, and nothing on disk.
//!
//! Data flows one way, and a module uses only what stands above it in the list below:
//!
//! ```text
//!  manifest ──▶ plan ──▶ op (Provider) ──▶ resolve ──▶ sink::{exec, text, check, docker}
//!    file       pure     subprocess        Secrets     the only callers of Secret::expose()
//! ```
//!
//! | To change … | open |
//! | --- | --- |
//! | what the process hides and restores | [`harden`], [`memory`] |
//! | an exit code, an error text or its hint | [`error`] |
//! | what is said on stderr, colours | [`ui`] |
//! | which names are allowed | [`name`] |
//! | `op://…` syntax | [`reference`] |
//! | the manifest, its errors, where it is found | [`manifest`] |
//! | `--env-file` | [`dotenv`] |
//! | what is asked for: `--only`, `--require`, profiles | [`plan`] |
//! | how `op` is found, run, timed, understood | [`op`] |
//! | what counts as an answer | [`resolve`] |
//! | quoting and formats | [`sink::text`] |
//! | a command or a flag | [`cli`] |

#[global_allocator]
static HEAP: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

pub mod cli;
pub mod demo;
pub mod deploy;
pub mod dotenv;
pub mod error;
pub mod harden;
pub mod manifest;
pub mod memory;
pub mod name;
pub mod op;
pub mod plan;
pub mod provider;
pub mod reference;
pub mod resolve;
pub mod secret;
pub mod sink;
pub mod trust;
pub mod ui;
