//! The `oc-secrets` command line: raw arguments become decided settings, a command is run, and
//! its result becomes an exit code. Nothing uses `cli`.

mod arguments;
mod allow;
mod check;
mod context;
mod demo;
mod docker;
mod env;
mod exec;
mod lock;
mod read;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::base::command_line;
use crate::base::error::{Error, Exit};
use crate::base::harden::{self, Hardened};
use crate::base::ui::{self, Color, Level, Ui};
use crate::broker::sink;
use arguments::{Arguments, Command, Global, When};
use context::{Context, Vault};

/// The whole program.
pub fn main() -> ExitCode {
    let hardened = harden::harden();
    let words: Vec<OsString> = std::env::args_os().collect();
    let intent = Intent::of(&words);
    ui::hide_panics("oc-secrets");
    // Unwinding wipes every secret on its way; only then do we end.
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

fn dispatch(arguments: Arguments, ui: Ui, hardened: Hardened) -> crate::base::error::Result<Exit> {
    let environment = |name: &str| std::env::var_os(name);
    let context = |vault| Context::new(arguments.global, ui, vault);
    match &arguments.command {
        Command::Exec(exec) => exec::run(&context(Vault::Op)?, exec, hardened),
        Command::Env(env) => env::run(&context(Vault::Op)?, env),
        Command::Read(read) => read::run(&context(Vault::Op)?, read),
        Command::Allow(allow) => allow::allow(ui, allow, &environment),
        Command::Deny { file } => allow::deny(ui, file.as_deref(), &environment),
        Command::Check(check) => check::run(&context(Vault::Op)?, check),
        Command::Docker(docker) => docker::run(&context(Vault::Helper)?, docker),
        Command::Lock => lock::run(),
        Command::Demo => demo::run(&context(Vault::Demo)?.quietly(), hardened),
    }
}

fn ui(global: &Global) -> Ui {
    let level = match (global.quiet, global.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let color = match global.color {
        When::Auto => Color::Auto,
        When::Always => Color::Always,
        When::Never => Color::Never,
    };
    Ui::new("oc-secrets", level, color)
}

/// The commands whose failure looks different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Env,
    Exec,
    Other,
}

impl Intent {
    /// Reads it off the raw words, since a command line that clap refuses has it too.
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
        let stdout = std::io::stdout();
        match self {
            // `set -e; eval "$(…)"` goes on after a failure, but stops at `false`.
            Self::Env if !stdout.is_terminal() => {
                let _ = sink::emit(stdout.as_fd(), env::failure(words).as_bytes());
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
        return match sink::emit(std::io::stdout().as_fd(), text.as_bytes()) {
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

/// Whether `fd` is a regular file, so that what is written there stays on disk.
fn is_file(fd: BorrowedFd<'_>) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG)
}

/// Whether `fd` is a regular file that no directory names any more.
fn is_nameless(fd: BorrowedFd<'_>) -> bool {
    is_file(fd) && nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_nlink == 0)
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
