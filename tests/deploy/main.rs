//! The acceptance checks of `openclaw-deploy`, on a real engine.
//!
//! Runs itself again in namespaces of its own (network, mounts, processes), so that it may use
//! the real paths and ports and leaves nothing behind. Starts `dockerd`, a registry and a gate
//! before it that can be slow, cut off, corrupt or ask for tokens like GHCR's. Prints a table.
//!
//! `cargo test --test deploy -- 13 14` runs checks 13 and 14 only.

#![allow(clippy::print_stdout)] // the table

mod bench;
mod gate;
mod images;
mod world;

mod by_hand;
mod clock;
mod cold;
mod cut;
mod disks;
mod engines;
mod hosts;
mod ladder;
mod leftovers;
mod lent;
mod lost;
mod mishaps;
mod planted;
mod ready;
mod real;
mod remote;
mod safety;
mod swarm;
mod terminal;
mod token;
mod upgrade;
mod wrapper;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Instant;

use world::World;

/// What a check returns: nothing, or what it saw instead.
pub type Outcome = Result<(), String>;

/// A check: its number in the list of the reference, its name, and what it does.
#[derive(Clone, Copy)]
pub struct Check {
    number: u8,
    name: &'static str,
    run: fn(&World) -> Outcome,
}

/// Names a check.
pub const fn check(number: u8, name: &'static str, run: fn(&World) -> Outcome) -> Check {
    Check { number, name, run }
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if std::env::var_os("OC_DEPLOY_INSIDE").is_none() {
        return enter();
    }
    let world = match World::begin() {
        Ok(world) => world,
        Err(why) => {
            println!("cannot set up: {why}\n0 passed, 1 failed");
            return ExitCode::FAILURE;
        }
    };
    if let Some((_, runs)) = wanted.split_first().filter(|(first, _)| *first == "bench") {
        let runs = runs.first().and_then(|it| it.parse().ok()).unwrap_or(7);
        let outcome = bench::run(&world, runs);
        world.end();
        return match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                println!("not measured: {why}");
                ExitCode::FAILURE
            }
        };
    }
    let checks = all();
    let is_whole =
        (1..=34).all(|number| checks.iter().filter(|it| it.number == number).count() == 1);
    if !is_whole {
        println!("the list does not hold each of the 34 numbers once\n0 passed, 1 failed");
        return ExitCode::FAILURE;
    }
    let (mut passed, mut failed) = (0, 0);
    for check in checks {
        let named = |word: &String| match word.parse::<u8>() {
            Ok(number) => number == check.number,
            Err(_) => check.name.contains(word.as_str()),
        };
        if !wanted.is_empty() && !wanted.iter().any(named) {
            continue;
        }
        let start = Instant::now();
        let outcome = world.reset().and_then(|()| (check.run)(&world));
        let word = if outcome.is_ok() { "pass" } else { "FAIL" };
        println!(
            "{:2}  {word}  {:6.1} s  {}",
            check.number,
            start.elapsed().as_secs_f64(),
            check.name
        );
        match outcome {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                for line in why.lines() {
                    println!("        {line}");
                }
            }
        }
    }
    world.end();
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// All checks by their numbers; 1 to 34 are those of the reference, 35 and on our own.
fn all() -> Vec<Check> {
    let mut checks: Vec<Check> = [
        by_hand::CHECKS,
        clock::CHECKS,
        cold::CHECKS,
        cut::CHECKS,
        disks::CHECKS,
        engines::CHECKS,
        hosts::CHECKS,
        ladder::CHECKS,
        leftovers::CHECKS,
        lent::CHECKS,
        lost::CHECKS,
        mishaps::CHECKS,
        planted::CHECKS,
        ready::CHECKS,
        remote::CHECKS,
        safety::CHECKS,
        swarm::CHECKS,
        terminal::CHECKS,
        token::CHECKS,
        upgrade::CHECKS,
        wrapper::CHECKS,
    ]
    .concat();
    checks.extend(real::checks());
    checks.sort_by_key(|check| check.number);
    checks
}

/// Starts over in namespaces of our own.
fn enter() -> ExitCode {
    let Ok(me) = std::env::current_exe() else {
        return ExitCode::FAILURE;
    };
    let why = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(me)
        .args(std::env::args().skip(1))
        .env("OC_DEPLOY_INSIDE", "1")
        .exec();
    println!("cannot enter namespaces (run as root): {why}\n0 passed, 1 failed");
    ExitCode::FAILURE
}
