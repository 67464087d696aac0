//! The commands, one file for each that says more than a line or two.

mod account;
mod inject;
mod item;
mod read;
mod run;
mod vault;

use crate::call::Call;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::grammar::{COMMANDS, Command};

/// Does what was asked.
pub fn perform(call: &Call) -> Result<Reply, Failure> {
    match call.line.command {
        Command::Version => Ok(Reply::bytes(format!("{}\n", call.modes.version))),
        Command::Help => Ok(help()),
        Command::Whoami => account::whoami(call),
        Command::AccountList => account::list(call),
        Command::AccountGet => account::get(call),
        Command::Signin => account::signin(call),
        Command::Ratelimit => account::ratelimit(call),
        Command::Daemon => account::daemon(call),
        Command::VaultList => vault::list(call),
        Command::VaultGet => vault::get(call),
        Command::Read => read::read(call),
        Command::ItemGet => item::get(call),
        Command::ItemList => item::list(call),
        Command::Inject => inject::inject(call),
        Command::Run => run::run(call),
    }
}

fn help() -> Reply {
    let lines: String = COMMANDS
        .iter()
        .map(|spec| format!("  {}\n", spec.usage))
        .collect();
    Reply::bytes(format!(
        "1Password CLI brings 1Password to your terminal.\n\nUsage:\n{lines}"
    ))
}
