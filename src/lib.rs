//! oc-secrets: from 1Password to a process, with one `op`, and nothing on disk.
//!
//! Data flows one way, and a module uses only what stands above it in this file:
//!
//! ```text
//!  manifest ──▶ plan ──▶ op (Provider) ──▶ resolve ──▶ sink::{exec, text, check, docker}
//!    file       pure     subprocess        Secrets     the only callers of Secret::expose()
//!                         ▲ cache: kernel keyring, one op for all who ask at once
//! ```
//!
//! | To change … | open |
//! | --- | --- |
//! | what the process hides and restores | [`harden`], [`memory`] |
//! | an exit code, an error text or its hint | [`error`] |
//! | what is said on stderr, colours | [`ui`] |
//! | which names are allowed | [`name`] |
//! | `op://…` syntax | [`reference`] |
//! | which host is which | [`registry`] |
//! | the manifest, its errors, where it is found | [`manifest`] |
//! | `--env-file` | [`dotenv`] |
//! | what is asked for: `--only`, `--require`, profiles | [`plan`] |
//! | how `op` is found, run, timed, understood | [`op`] |
//! | what is kept for a moment, and who shares one `op` | [`cache`] |
//! | what counts as an answer | [`resolve`] |
//! | quoting and formats | [`sink::text`] |
//! | what Docker, git and their relatives are told | [`helper`] |
//! | Docker's and Podman's own files | [`wiring`] |
//! | a command or a flag | [`cli`] |
//! | what a host gets, the gateway, the way back | [`deploy`] |

#[global_allocator]
static HEAP: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

// The ground that all of it stands on.
pub mod error;
pub mod harden;
pub mod memory;
pub mod name;
pub mod near;
pub mod quote;
pub mod reference;
pub mod registry;
pub mod secret;
pub mod trust;
pub mod ui;

// (1) What there is.
pub mod manifest;

pub mod dotenv;

// (2) What is asked for.
pub mod plan;

// (3) Who answers.
pub mod provider;

pub mod op;

pub mod demo;

// (4) What counts as an answer, and what is not asked twice.
pub mod resolve;

pub mod cache;

// (5) Where it goes.
pub mod kind;
pub mod sink;

// Who asks for passwords: other programs' files, and what we tell them.
pub mod wiring;

pub mod helper;

// openclaw-deploy, which has a pipeline of its own.
pub mod deploy;

// What the user types.
pub mod cli;
