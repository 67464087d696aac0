//! The `oc-secrets` command line: raw arguments become decided settings, a command is run, and
//! its result becomes an exit code. Nothing uses `cli`.

mod arguments;
mod stdout;
mod allow;
mod check;
mod docker;
mod env;
mod exec;
mod lock;
mod read;
mod demo;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::base::command_line;
use crate::base::environment;
use crate::base::error::{Error, Exit, Result};
use crate::base::harden::{self, Hardened};
use crate::base::ui::{self, Color, Level, Ui};
use crate::broker::cache::Caller;
use crate::broker::session::Session;
use arguments::{Arguments, Command, Global};

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
    match dispatch(arguments, ui, hardened) {
        Ok(exit) => exit,
        Err(error) => {
            ui.error(&error);
            let exit = intent.fail(words, error.exit());
            if let Error::Interrupted { signal } = error {
                harden::die_of(signal);
            }
            exit
        }
    }
}

fn dispatch(arguments: Arguments, ui: Ui, hardened: Hardened) -> Result<Exit> {
    let Arguments { global, command } = arguments;
    let session = |caller| Session::open(caller, global.settings()?, ui);
    match &command {
        Command::Exec(exec) => exec::run(&session(Caller::Command)?, exec, hardened),
        Command::Env(env) => env::run(&session(Caller::Command)?, env),
        Command::Read(read) => read::run(&session(Caller::Command)?, read),
        Command::Allow(allow) => allow::allow(ui, allow, &environment::ours),
        Command::Deny { file } => allow::deny(ui, file.as_deref(), &environment::ours),
        Command::Check(check) => check::run(&session(Caller::Command)?, check),
        // The helper's manifest, not the working directory's.
        Command::Docker(docker) => docker::run(&session(Caller::Helper)?, docker),
        Command::Lock => lock::run(&environment::ours),
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

/// Commands with failures of their own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Env,
    Exec,
    Other,
}

impl Intent {
    /// From the raw words, since it is also needed for a command line that clap refuses.
    fn of(words: &[OsString]) -> Self {
        let command = Arguments::command();
        let takes_value = |word: &str| {
            command.get_arguments().any(|argument| {
                argument.get_action().takes_values()
                    && argument
                        .get_long()
                        .is_some_and(|long| word.strip_prefix("--") == Some(long))
            })
        };
        let mut rest = words.iter().skip(1).map(|word| word.to_string_lossy());
        while let Some(word) = rest.next() {
            match &*word {
                "env" => return Self::Env,
                "exec" => return Self::Exec,
                "--" => break,
                word if takes_value(word) => drop(rest.next()),
                word if word.starts_with('-') => {}
                _ => break,
            }
        }
        Self::Other
    }

    /// What a failure prints for the shell, and its exit code.
    fn fail(self, words: &[OsString], exit: Exit) -> Exit {
        match self {
            // `set -e; eval "$(…)"` goes on after a failure, but stops at `false`.
            Self::Env if !stdout::is_terminal() => {
                let _ = stdout::print(env::failure(words).as_bytes());
                exit
            }
            Self::Exec if !matches!(exit, Exit::CannotExecute | Exit::CommandNotFound) => {
                Exit::Ours
            }
            _ => exit,
        }
    }
}

/// Help and version go to standard output; anything else is a usage error in our words.
fn misunderstood(error: &clap::Error, words: &[OsString], intent: Intent) -> Exit {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let text = error.render().to_string();
        return match stdout::print(text.as_bytes()) {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Failed,
        };
    }
    Ui::new("oc-secrets", Level::Normal, Color::Auto).error(&usage(error, intent));
    intent.fail(words, Exit::Usage)
}

/// What clap says, in our words and on two lines.
fn usage(error: &clap::Error, intent: Intent) -> Error {
    let named = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let named = named.unwrap_or_default();
    match (error.kind(), intent) {
        (ErrorKind::UnknownArgument, Intent::Exec) if !named.starts_with('-') => Error::usage(
            format!("unexpected argument '{named}'"),
            format!("put `--` before the command: oc-secrets exec -- {named} …"),
        ),
        (ErrorKind::MissingRequiredArgument, Intent::Exec) => {
            Error::usage("no command to run", "oc-secrets exec -- CMD ARGS…")
        }
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _) => {
            Error::usage("no command", "try oc-secrets demo, or oc-secrets --help")
        }
        _ => {
            let (what, hint) = command_line::explain(error, "oc-secrets");
            Error::usage(what, hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_intent_is_known_even_when_the_rest_is_wrong() {
        let intent =
            |line: &str| Intent::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(intent("oc-secrets env --formt sh"), Intent::Env);
        assert_eq!(intent("oc-secrets -v --vault env exec"), Intent::Exec);
        assert_eq!(intent("oc-secrets --vault=x env"), Intent::Env);
        assert_eq!(intent("oc-secrets read env"), Intent::Other);
        assert_eq!(intent("oc-secrets -- env"), Intent::Other);
    }
}
