//! `openclaw-deploy` on a real engine, through libtest's command line: names, filters, `--list`.
//!
//! Each world is a process in namespaces of its own (network, mounts, processes), so that it may
//! use the real paths and ports and leaves nothing behind. It starts `dockerd`, a registry and a
//! proxy before it that can be slow, cut off, corrupt or ask for tokens like GHCR's. Tests of one
//! world run one after another; `--test-threads` says how many worlds there are.

#![allow(clippy::print_stdout)] // the table of the benchmark, and what belongs to a summary

mod bench;
mod images;
mod registry_proxy;
mod world;
mod worlds;

mod bootstrap_script;
mod clock;
mod deploy_user_files;
mod disk_full;
mod docker_host;
mod engines;
mod existing_files;
mod fallback;
mod first_install;
mod hooks;
mod image_cleanup;
mod interruption;
mod manual_changes;
mod pull;
mod readiness;
mod real_gateway;
mod remote;
mod restore;
mod rollback;
mod swarm;
mod swarm_lost_image;
mod swarm_registry;
mod swarm_two_nodes;
mod terminal;
mod token;
mod upgrade;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use world::World;
use worlds::Worlds;

/// What a check returns: nothing, or what it saw instead.
pub type Outcome = Result<(), String>;

/// A check: its module and name, and what it does.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    run: fn(&World) -> Outcome,
}

/// Functions of this module as checks of their names.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        &[$(crate::Check { name: concat!(module_path!(), "::", stringify!($name)), run: $name }),*]
    };
}
use checks;

fn main() -> ExitCode {
    if let Some(socket) = std::env::var_os(worlds::SOCKET) {
        return worlds::serve(socket.as_ref(), &all());
    }
    if let Ok(runs) = std::env::var("OC_DEPLOY_BENCH") {
        return worlds::bench(&runs);
    }
    if let Some(check) = all().iter().find(|check| !is_documented(check)) {
        println!("tests/deploy/README.md does not list {}", check.name);
        return ExitCode::FAILURE;
    }
    let (mut arguments, filters) = arguments();
    // A world keeps about two cores busy.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert((cores / 2).max(1));
    let worlds = Arc::new(Worlds::default());
    let trials = all().into_iter().map(|check| trial(check, &worlds));
    let wanted = |trial: &Trial| {
        filters.is_empty() || filters.iter().any(|it| trial.name().contains(it.as_str()))
    };
    let conclusion = libtest_mimic::run(&arguments, trials.filter(wanted).collect());
    worlds.end();
    match conclusion.num_passed + conclusion.num_failed {
        0 if !arguments.list => {
            // A run that tests nothing has not passed.
            println!("no test has such a name");
            ExitCode::FAILURE
        }
        _ => conclusion.exit_code(),
    }
}

/// The command line, and its filters when there is more than the one that the crate takes.
fn arguments() -> (Arguments, Vec<String>) {
    let with_value = [
        "--skip",
        "--test-threads",
        "--color",
        "--format",
        "--logfile",
    ];
    let mut before = String::new();
    let (mut filters, mut others) = (vec![], vec![]);
    for word in std::env::args() {
        let is_filter = !word.starts_with('-') && !with_value.contains(&before.as_str());
        match is_filter && !others.is_empty() {
            true => filters.push(word.clone()),
            false => others.push(word.clone()),
        }
        before = word;
    }
    if filters.len() == 1 {
        others.append(&mut filters);
    }
    (Arguments::from_iter(others), filters)
}

fn trial(check: Check, worlds: &Arc<Worlds>) -> Trial {
    let worlds = Arc::clone(worlds);
    let run = move || worlds.run(check.name).map_err(Failed::from);
    Trial::test(shown(check.name), run)
}

/// Its name without the crate's.
fn shown(name: &str) -> &str {
    name.split_once("::").map_or(name, |(_, rest)| rest)
}

fn is_documented(check: &Check) -> bool {
    let name = check.name.rsplit("::").next().unwrap_or_default();
    include_str!("README.md").contains(&format!("`{name}`"))
}

fn all() -> Vec<Check> {
    let checks = [
        bootstrap_script::CHECKS,
        clock::CHECKS,
        deploy_user_files::CHECKS,
        disk_full::CHECKS,
        docker_host::CHECKS,
        engines::CHECKS,
        existing_files::CHECKS,
        fallback::CHECKS,
        first_install::CHECKS,
        hooks::CHECKS,
        image_cleanup::CHECKS,
        interruption::CHECKS,
        manual_changes::CHECKS,
        pull::CHECKS,
        readiness::CHECKS,
        remote::CHECKS,
        restore::CHECKS,
        rollback::CHECKS,
        swarm::CHECKS,
        swarm_lost_image::CHECKS,
        swarm_registry::CHECKS,
        swarm_two_nodes::CHECKS,
        terminal::CHECKS,
        token::CHECKS,
        upgrade::CHECKS,
    ];
    let checks = checks.into_iter().chain([real_gateway::checks()]);
    checks.flatten().copied().collect()
}
