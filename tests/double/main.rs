//! A stand-in for 1Password's `op`, as awkward as the real one.
//!
//! It answers from a control directory found next to the executable, `../double/` as seen from
//! the directory that holds it, and from nothing else: no environment variable of its own, since
//! the program under test scrubs `op`'s environment. What it prints follows recorded behaviour;
//! where nothing is recorded, the code says `ASSUMPTION:`. Its own misuse (no control directory,
//! an unknown mode) ends in exit 70, never in a believable answer.
//!
//! `vaults.json` is described in `vaults_json.rs`, `mode` in `mode.rs`, `calls.jsonl` in `journal.rs`.

mod budget;
mod call;
mod clock;
mod command;
mod command_line;
mod control;
mod credential;
mod csv;
mod delivery;
mod dotenv;
mod environments;
mod vaults_json;
mod failure;
mod fields;
mod forge;
mod grammar;
mod journal;
mod json;
mod lookup;
mod mask;
mod mode;
mod outfile;
mod item_json;
mod prompt;
mod reference;
mod resolve;
mod stdio;
mod stdin;
mod table;
mod template;
mod trouble;
mod variable;

use call::Call;
use control::Control;

fn main() {
    let started = clock::nanos();
    stdio::die_of_a_closed_pipe();
    let exit = match Control::beside_the_executable() {
        Ok(control) => {
            journal::open(&control, started);
            let (exit, cost) = answer(&control);
            journal::close(&control, exit, cost);
            exit
        }
        Err(failure) => failure.say(),
    };
    std::process::exit(exit);
}

/// Performs the call; gives the exit code and what it cost.
fn answer(control: &Control) -> (i32, u64) {
    let call = match Call::begin(control) {
        Ok(call) => call,
        Err(failure) => return (failure.say(), 0),
    };
    let exit = match command::perform(&call) {
        Ok(reply) => delivery::hand_over(&call, &reply),
        Err(failure) => failure.say_in(call.modes.frame),
    };
    (exit, call.cost.get())
}
