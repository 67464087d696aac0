//! oc-secrets: from 1Password to a process, with one `op`, and nothing on disk.
//!
//! Three storeys, and data flows one way: a module uses only what stands above it in this file
//! or in its own `mod.rs`.
//!
//! ```text
//!  base:    secret · locked memory · hardening · errors · names · durations · encoding
//!  broker:  manifest ──▶ plan ──▶ op (Provider) ──▶ resolve ──▶ sink::{exec, text, docker, git, openclaw}
//!             file       pure     subprocess        Secrets
//!                                  ▲ cache: kernel keyring, one op for all who ask at once
//!           session: from settings and environment to what is resolved
//!  credential_helper:  Docker's, git's and OpenClaw's protocols over a session; client_config: their files
//!  deploy:  settings ──▶ steps: check ──▶ apply ──▶ verify ──▶ journal
//!             pure         └─ host: files and programs   └─ docker: the engine's API
//!                          └─ image: resolve, pull, fallback, build   └─ gateway: run, upgrade, restore
//!  cli:     what is typed at oc-secrets
//! ```
//!
//! | To change … | open |
//! | --- | --- |
//! | what the process hides and restores | `base/harden.rs`, `base/locked_memory.rs` |
//! | an exit code, an error text or its hint | `base/error.rs`; `deploy/error.rs` |
//! | what is said on stderr, colours | `base/ui.rs`; `deploy/reporter.rs` |
//! | which names are allowed | `base/env_name.rs` |
//! | how a token is recognised by its beginning | `base/token_kind.rs` |
//! | how a duration is written | `base/duration.rs` |
//! | `op://…` syntax | `broker/reference.rs` |
//! | which host is which | `broker/registry.rs` |
//! | the manifest, its errors, where it is found, `allow` | `broker/manifest/` |
//! | `--env-file` | `broker/dotenv.rs` |
//! | what is asked for: `--only`, `--require`, profiles | `broker/plan.rs` |
//! | how `op` is found, run, timed | `broker/op/` |
//! | a new diagnostic of `op` | `broker/op/failure.rs` |
//! | what is kept for a moment, and who shares one `op` | `broker/cache/` |
//! | what counts as an answer | `broker/resolve.rs` |
//! | a new format of `env` | `broker/sink/text/format.rs`, and what renders it beside it |
//! | what Docker, git and their relatives are told | `credential_helper/docker.rs`, `git.rs` |
//! | what an OpenClaw gateway is told | `credential_helper/openclaw.rs`, `broker/sink/openclaw.rs` |
//! | where Docker's and Podman's own files are edited | `credential_helper/client_config/docker.rs`; git's: `git.rs` beside it |
//! | a new step of a host | `deploy/steps/` |
//! | files, programs and services of the host | `deploy/host/` |
//! | how an image is found, pulled, built | `deploy/image/` |
//! | a new error of a pull | `deploy/docker/pull_error.rs` |
//! | how the gateway is started, replaced, put back | `deploy/gateway/` |
//! | how long health may take | `deploy/settings/mod.rs` |
//! | what counts as healthy | `deploy/gateway/health/` |
//! | what is fuzzed, and what must hold | `fuzzing.rs`, and those beside the parsers |
//! | a command or a flag | `cli/arguments.rs`; `deploy/cli/` |

#![deny(unreachable_pub, dead_code)]

#[global_allocator]
static HEAP: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

mod base;
mod broker;
mod credential_helper;
mod deploy;
mod cli;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use cli::main as oc_secrets;
pub use credential_helper::docker::main as docker_credential_oc;
pub use credential_helper::git::main as git_credential_oc;
pub use deploy::cli::main as openclaw_deploy;
