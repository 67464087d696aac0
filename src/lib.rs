//! oc-secrets: from 1Password to a process, with one `op`, and nothing on disk.
//!
//! Three storeys, and data flows one way: a module uses only what stands above it in this file
//! or in its own `mod.rs`.
//!
//! ```text
//!  broker:  manifest ──▶ plan ──▶ op (Provider) ──▶ resolve ──▶ sink::{exec, text, docker, git}
//!             file       pure     subprocess        Secrets     the only callers of Secret::expose()
//!                                  ▲ cache: kernel keyring, one op for all who ask at once
//!  deploy:  settings ──▶ steps: check ──▶ apply ──▶ verify ──▶ journal
//!             pure         └─ host: files and programs   └─ docker: the engine's API
//! ```
//!
//! | To change … | open |
//! | --- | --- |
//! | what the process hides and restores | `base/harden.rs`, `base/locked_memory.rs` |
//! | an exit code, an error text or its hint | `base/error.rs` |
//! | what is said on stderr, colours | `base/ui.rs` |
//! | which names are allowed | `base/env_name.rs` |
//! | `op://…` syntax | `broker/reference.rs` |
//! | which host is which | `broker/registry.rs` |
//! | the manifest, its errors, where it is found | `broker/manifest/` |
//! | `--env-file` | `broker/dotenv.rs` |
//! | what is asked for: `--only`, `--require`, profiles | `broker/plan.rs` |
//! | how `op` is found, run, timed | `broker/op/` |
//! | how `op`'s diagnostics are understood | `broker/op/failure.rs` |
//! | what is kept for a moment, and who shares one `op` | `broker/cache/` |
//! | what counts as an answer | `broker/resolve.rs` |
//! | quoting and formats of `env` | `broker/sink/text.rs` |
//! | what Docker, git and their relatives are told | `credential_helper/` |
//! | Docker's and Podman's own files | `credential_helper/client_config/` |
//! | how the gateway is started, its health, the way back | `deploy/gateway/` |
//! | how an image is found, pulled, built | `deploy/image/` |
//! | why a pull failed | `deploy/docker/pull_error.rs` |
//! | what a host gets | `deploy/steps/`, and `deploy/host/` for files and programs |
//! | a command or a flag | `cli/`, `deploy/cli/` |

#![deny(unreachable_pub, dead_code)]

#[global_allocator]
static HEAP: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

mod base;
mod broker;
mod credential_helper;
mod deploy;
mod cli;

pub use cli::main as oc_secrets;
pub use credential_helper::docker::main as docker_credential_oc;
pub use credential_helper::git::main as git_credential_oc;
pub use deploy::cli::main as openclaw_deploy;
