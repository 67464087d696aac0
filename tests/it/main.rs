//! `oc-secrets` from the outside: real commands, real shells, a stand-in for `op`.
//!
//! They run on Linux; elsewhere they are only built.

#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

mod allow;
mod bad_input;
#[cfg(target_os = "linux")] // serves
mod by_socket;
mod check;
mod completion;
mod demo;
mod deploy_main;
#[cfg(target_os = "linux")] // D-Bus
mod desktop;
#[cfg(target_os = "linux")] // the kernel's keyring
mod docker_cache;
mod docker_crate;
mod docker_proofs;
mod docker_protocol;
mod docker_source;
mod docker_trouble;
mod docker_wiring;
mod docker_world;
mod docs;
mod doctor;
mod env;
mod env_file;
mod environments;
mod errors_page;
mod exec;
mod failures;
mod find;
mod git_credential;
mod git_install;
mod help;
mod hook;
mod house;
mod init;
mod large_files;
#[cfg(target_os = "linux")]
mod login;
mod ls;
mod manners;
mod mask;
mod notify;
mod openclaw;
mod ownership;
mod pin;
mod proofs;
#[cfg(target_os = "linux")] // strace
mod races;
mod read;
mod remembered;
#[cfg(target_os = "linux")] // /proc
mod residue;
mod rounds;
mod sandbox;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")] // systemd's sockets
mod serve;
#[cfg(target_os = "linux")] // serves
mod serve_changes;
#[cfg(target_os = "linux")] // serves, /proc
mod serve_hostile;
mod shells;
mod single_flight;
mod terminal;
mod values;
mod waiting;
