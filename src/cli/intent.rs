//! Which command is meant, known from the raw words: also where clap refuses the rest of them.

use std::ffi::OsString;

use clap::Args;

use super::arguments::Global;
use super::env;
use super::stdout;
use crate::base::error::{Error, Exit};
use crate::base::ui::Ui;

/// Commands with failures of their own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Env,
    Exec,
    Read,
    /// A gateway asks.
    Openclaw,
    Other,
}

impl Intent {
    /// From the raw words, since it is also needed for a command line that clap refuses.
    pub(super) fn of(words: &[OsString]) -> Self {
        // What stands before a command. All commands with their options would cost as much as
        // everything else that happens before the secrets are asked for.
        let options = Global::augment_args(clap::Command::default());
        let takes_value = |word: &str| {
            options.get_arguments().any(|argument| {
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
                "exec" | "run" => return Self::Exec,
                "read" | "get" => return Self::Read,
                "openclaw" if !rest.any(|word| word == "config") => return Self::Openclaw,
                "--" => break,
                word if takes_value(word) => drop(rest.next()),
                word if word.starts_with('-') => {}
                _ => break,
            }
        }
        Self::Other
    }

    /// Whether an error about these words is to be JSON as well. What stands behind `--` is said to
    /// another program, and of these commands none but the others prints JSON of ours.
    pub(super) fn may_want_json(self, words: &[OsString]) -> bool {
        let ours = words.iter().take_while(|word| *word != "--");
        self == Self::Other && ours.into_iter().any(|word| word == "--json")
    }

    /// Says what went wrong: to a gateway's log in one line.
    pub(super) fn tell(self, ui: Ui, error: &Error) {
        match self {
            Self::Openclaw => ui.failure(&error.to_string().replace('\n', " "), None),
            _ => ui.error(error),
        }
    }

    /// What a failure prints for the shell, and its exit code.
    pub(super) fn fail(self, words: &[OsString], exit: Exit) -> Exit {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_wanted_of_us_only_where_it_is_said_to_us() {
        let wanted = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Intent::of(&words).may_want_json(&words)
        };
        assert!(wanted("oc-secrets check --bogus --json"));
        assert!(wanted("oc-secrets --json"));
        assert!(!wanted("oc-secrets exec --bogus -- kubectl get --json"));
        assert!(!wanted("oc-secrets exec kubectl get --json"));
        assert!(!wanted("oc-secrets check --bogus -- --json"));
    }

    #[test]
    fn the_intent_is_known_even_when_the_rest_is_wrong() {
        let intent =
            |line: &str| Intent::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(intent("oc-secrets env --formt sh"), Intent::Env);
        assert_eq!(intent("oc-secrets -v --vault env exec"), Intent::Exec);
        assert_eq!(intent("oc-secrets --vault=x env"), Intent::Env);
        assert_eq!(intent("oc-secrets run --clen"), Intent::Exec);
        assert_eq!(intent("oc-secrets read env"), Intent::Read);
        assert_eq!(intent("oc-secrets check env"), Intent::Other);
        assert_eq!(intent("oc-secrets -- env"), Intent::Other);
        assert_eq!(
            intent("oc-secrets --profile p openclaw --x"),
            Intent::Openclaw
        );
        assert_eq!(intent("oc-secrets openclaw config --x"), Intent::Other);
    }
}
