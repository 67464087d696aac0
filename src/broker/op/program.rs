//! `op` as a program: which file, in which environment, for which account, and what one call of it
//! gave.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Instant;

use super::diagnostic;
use super::failure::{self, FailedCall, OpFailure};
use super::process::Call;
use crate::base::environment_block::EnvironmentBlock;
use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::Locked;
use crate::base::shell_quote;
use crate::base::ui::Ui;

/// `op` and all that its calls have in common.
pub(super) struct OpProgram {
    /// The trusted binary.
    pub path: PathBuf,
    /// Its environment.
    pub environment: EnvironmentBlock,
    /// `--account`.
    pub account: Option<String>,
    /// Whether an `OP_SESSION…` variable is handed on.
    pub session: bool,
    /// Where details are told.
    pub ui: Ui,
}

/// Why a call gave no value, though `op` works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The secret is missing, ambiguous or unusable.
    Trouble(Trouble),
    /// All values together, or one of them, are larger than an environment carries.
    TooLarge,
    /// `op run` cannot hand anything to a child here.
    NotHandedOver,
}

impl NoAnswer {
    /// What is told of it where no other way is left.
    pub(super) fn trouble(self) -> Trouble {
        match self {
            Self::Trouble(trouble) => trouble,
            Self::TooLarge | Self::NotHandedOver => Trouble::Unusable {
                why: "`op` could not hand it over",
            },
        }
    }
}

/// The result of a single call.
pub(super) type Answered = std::result::Result<Locked, NoAnswer>;

impl OpProgram {
    /// Runs `op` once, with `variables` beside its environment. `by_hand` is the command that shows
    /// an unknown failure to a person; it can be another one, since `op run` needs our variables.
    pub(super) async fn call(
        &self,
        arguments: &[&str],
        variables: &[CString],
        by_hand: &[&str],
    ) -> Result<Answered> {
        let called = self.call_for(arguments, variables, by_hand, &[]).await?;
        Ok(called.0)
    }

    /// The same for several `items`, each `vault/item`; also the one of them, if `op` says so, that
    /// lacks a field.
    pub(super) async fn call_for(
        &self,
        arguments: &[&str],
        variables: &[CString],
        by_hand: &[&str],
        items: &[String],
    ) -> Result<(Answered, Option<usize>)> {
        let own = self.environment.entries();
        let begun = Instant::now();
        let answer = Call {
            program: &self.path,
            arguments: &self.argv(arguments)?,
            environment: &own
                .into_iter()
                .chain(variables.iter().map(CString::as_c_str))
                .collect::<Vec<_>>(),
        }
        .run()
        .await?;
        let words = arguments.iter().take_while(|word| !word.starts_with('-'));
        let words = words.filter(|word| !word.starts_with("op://"));
        self.ui.detail(&format!(
            "`op {}`: {}, {:.2} s, {} bytes of diagnostic withheld",
            words.copied().collect::<Vec<_>>().join(" "),
            answer.status,
            begun.elapsed().as_secs_f64(),
            answer.stderr_length
        ));
        if answer.status.success() {
            // Before 2.32.1 it took errors of the server that it did not know for success.
            if answer.stdout.is_empty() && diagnostic::complains(&answer.stderr) {
                let what = "it is empty, and there is a diagnostic instead";
                return Err(Error::OpNonsense { what });
            }
            return Ok((Ok(answer.stdout), None));
        }
        let context = FailedCall {
            code: answer.status.code().unwrap_or_default(),
            length: answer.stderr_length,
            session: self.session,
            account: self.account.as_deref(),
            by_hand: &self.by_hand(by_hand),
        };
        let why = match failure::classify(&answer.stderr, context) {
            OpFailure::NotThere(trouble) => NoAnswer::Trouble(trouble),
            OpFailure::TooLarge => NoAnswer::TooLarge,
            OpFailure::NotHandedOver => NoAnswer::NotHandedOver,
            OpFailure::Fatal(error) => return Err(error),
        };
        let lacks = |item: &String| failure::lacks_a_field(&answer.stderr, item);
        Ok((Err(why), items.iter().position(lacks)))
    }

    /// The program's name, the account and `words`.
    fn argv(&self, words: &[&str]) -> Result<Vec<CString>> {
        let account = self
            .account
            .as_ref()
            .map(|name| format!("--account={name}"));
        let words = account.as_deref().into_iter().chain(words.iter().copied());
        std::iter::once(self.path.as_os_str().as_bytes())
            .chain(words.map(str::as_bytes))
            .map(|word| CString::new(word).map_err(|_| holds_nul()))
            .collect()
    }

    /// The command line of `op` with these words, for a person: its output must not show the
    /// secret.
    fn by_hand(&self, words: &[&str]) -> String {
        let account = self
            .account
            .as_ref()
            .map(|name| format!("--account={name}"));
        let words = account.as_deref().into_iter().chain(words.iter().copied());
        format!("op {} > /dev/null", shell_quote::command(words))
    }
}

fn holds_nul() -> Error {
    let what = "an argument of `op` holds a NUL byte";
    Error::usage(what, "look at the account and the references")
}
