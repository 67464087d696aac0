//! `oc-secrets` from the outside: real commands, real shells, a stand-in for `op`.

mod check;
mod demo;
mod env;
mod exec;
mod failures;
mod find;
mod proofs;
mod read;
mod rounds;
mod sandbox;
mod shells;
mod values;
