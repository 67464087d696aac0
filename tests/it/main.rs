//! `oc-secrets` from the outside: real commands, real shells, a stand-in for `op`.

mod allow;
mod check;
mod demo;
mod deploy_main;
mod docker_cache;
mod docker_crate;
mod docker_proofs;
mod docker_protocol;
mod docker_source;
mod docker_trouble;
mod docker_wiring;
mod docker_world;
mod docs;
mod env;
mod exec;
mod failures;
mod find;
mod git_credential;
mod house;
mod proofs;
mod read;
mod rounds;
mod sandbox;
mod seccomp;
mod shells;
mod values;
