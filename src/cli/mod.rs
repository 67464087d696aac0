//! The `oc-secrets` command line: raw arguments become decided settings, a command is run, and
//! its result becomes an exit code. Nothing uses `cli`.

mod arguments;
mod stdout;
mod rows;
mod programs;
mod completion;
mod man;
mod hook;
mod ask;
mod hidden;
mod keyring;
mod init;
mod allow;
mod check;
mod docker;
mod git;
mod env;
mod intent;
mod usage;
mod exec;
mod ls;
mod explain;
mod doctor;
mod clients;
mod lock;
mod login;
mod pin;
mod openclaw;
mod read;
mod demo;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::base::environment;
use crate::base::error::{Error, Exit, Result};
use crate::base::harden::{self, Hardened};
use crate::base::ui::{self, Color, Level, Ui};
use crate::broker::cache::Caller;
use crate::broker::serve::{self, Style};
use crate::broker::session::Session;
use crate::credential_helper::openclaw as provider;
use arguments::{Arguments, Command, Global};
use intent::Intent;

/// The whole program.
pub fn main() -> ExitCode {
    let hardened = harden::harden();
    let words: Vec<OsString> = std::env::args_os().collect();
    let intent = Intent::of(&words);
    ui::hide_panics("oc-secrets");
    // Unwinding wipes every secret before we exit.
    let done = catch_unwind(AssertUnwindSafe(|| run(&words, intent, hardened)));
    done.unwrap_or_else(|_| intent.fail(&words, Exit::Failed))
        .into()
}

fn run(words: &[OsString], intent: Intent, hardened: Hardened) -> Exit {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(&error, words, intent),
    };
    let ui = ui(&arguments.global);
    let json = arguments.command.wants_json();
    match dispatch(arguments, ui, hardened) {
        Ok(exit) => exit,
        Err(error) => {
            intent.tell(ui, &error);
            let exit = intent.fail(words, error.exit());
            if json {
                json_error(&error, exit);
            }
            if let Error::Interrupted { signal } = error {
                harden::die_of(signal);
            }
            exit
        }
    }
}

fn dispatch(arguments: Arguments, ui: Ui, hardened: Hardened) -> Result<Exit> {
    let Arguments { global, command } = arguments;
    let session = |caller| Session::open(caller, global.clone().settings()?, ui);
    let inspect = || Session::inspect(global.clone().settings()?, ui);
    let beside = || Session::beside(global.clone().settings()?, ui);
    match &command {
        Command::Exec(exec) => exec::run(&session(Caller::Command)?, exec, hardened),
        Command::Env(env) => env::run(&session(Caller::Command)?, env),
        Command::Read(read) => read::run(&session(Caller::Command)?, read),
        Command::Init(init) => init::run(&beside()?, init),
        Command::Allow(allow) => {
            let file = allow::named(allow.file.as_deref(), global.manifest.as_deref())?;
            allow::allow(ui, file, allow.yes, &environment::ours)
        }
        Command::Deny { file } => {
            let file = allow::named(file.as_deref(), global.manifest.as_deref())?;
            allow::deny(ui, file, &environment::ours)
        }
        Command::Ls(list) => ls::run(&inspect()?, list),
        Command::Explain(explain) => explain::run(&inspect()?, explain),
        Command::Pin(pin) => pin::run(&session(Caller::Command)?, pin),
        Command::Check(check) => check::run(&session(Caller::Command)?, check),
        // The helper's manifest, not the working directory's.
        Command::Docker(docker) => docker::run(&session(Caller::Helper)?, docker),
        Command::Openclaw(openclaw) => match &openclaw.command {
            // One line is all that the gateway's log gets, unless more is asked for.
            None => {
                let beside = if global.verbose { ui } else { ui.quiet() };
                let open = || Session::open(Caller::Gateway, global.clone().settings()?, beside);
                provider::run(open, ui)
            }
            Some(config) => openclaw::config(&session(Caller::Gateway)?, &global, config),
        },
        Command::Git(git) => git::run(&session(Caller::Helper)?, git),
        Command::Doctor(doctor) => doctor::run(&global.clone().settings()?, ui, doctor),
        Command::Completions { shell } => completion::script(*shell),
        Command::Complete { words } => completion::complete(words),
        Command::Shell { shell } => hook::script(*shell),
        Command::Hook { shell } => hook::run(*shell, global.clone().settings()?, ui),
        Command::Man { words } => man::run(words),
        Command::Login(arguments) => login::login(&beside()?, arguments),
        Command::Logout => login::logout(&beside()?),
        Command::Keyring(arguments) => keyring::run(arguments),
        Command::Serve(serve) => {
            let style = match serve.log.as_str() {
                "json" => Style::Json,
                _ => Style::Text,
            };
            let open = || session(Caller::Broker);
            if let Some(client) = &serve.own {
                return serve::own(&open()?, serve.directory.as_deref(), client);
            }
            serve::run(&open, serve.directory.clone(), style, ui)
        }
        Command::Clients(clients) => clients::run(ui, clients, &environment::ours),
        Command::Lock { directory } => lock::run(directory.as_deref(), &environment::ours),
        Command::Demo => demo::run(&Session::demo(ui.quiet()), hardened),
    }
}

fn ui(global: &Global) -> Ui {
    let level = match (global.quiet, global.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    Ui::new("oc-secrets", level, global.color.into())
}

/// Whoever reads JSON is told in JSON too.
fn json_error(error: &Error, exit: Exit) {
    let (what, hint) = (error.to_string(), error.hint());
    let report = serde_json::json!({ "exit": exit as u8, "error": what, "hint": hint });
    // The exit code tells it all the same.
    let _ = stdout::print(format!("{report:#}\n").as_bytes());
}

/// Help and version go to standard output; anything else is a usage error in our words.
fn misunderstood(error: &clap::Error, words: &[OsString], intent: Intent) -> Exit {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let as_shown = || arguments::shown().try_get_matches_from(words).err();
        let text = match error.kind() {
            ErrorKind::DisplayHelp => as_shown().filter(|shown| shown.kind() == error.kind()),
            _ => None,
        };
        let text = text.as_ref().unwrap_or(error).render().to_string();
        return match stdout::print(text.as_bytes()) {
            Ok(()) => Exit::Done,
            Err(error) => {
                Ui::new("oc-secrets", Level::Normal, Color::Auto).error(&error);
                Exit::Failed
            }
        };
    }
    let error = usage::explain(error, words, intent);
    intent.tell(Ui::new("oc-secrets", Level::Normal, Color::Auto), &error);
    if intent.may_want_json(words) {
        json_error(&error, Exit::Usage);
    }
    intent.fail(words, Exit::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
