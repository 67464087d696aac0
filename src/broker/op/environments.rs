//! 1Password Environments within an `op run`: the words that ask for them, what came of them, and
//! what a refusal means.

use std::cell::RefCell;

use super::frame::COMMAND;
use super::program::NoAnswer;
use crate::base::error::{Error, Result};
use crate::broker::id::EnvironmentId;
use crate::broker::provider::ArrivedVariable;

/// The Environments that are asked for, once.
pub(super) struct EnvironmentsRequest<'a> {
    ids: &'a [EnvironmentId],
    service_account: bool,
    arrived: RefCell<Option<Vec<ArrivedVariable>>>,
}

impl<'a> EnvironmentsRequest<'a> {
    /// All of `ids`, for a service account or for a person.
    pub(super) fn new(ids: &'a [EnvironmentId], service_account: bool) -> Self {
        Self {
            ids,
            service_account,
            arrived: RefCell::new(None),
        }
    }

    /// Whether some are asked for and have not come yet.
    pub(super) fn outstanding(&self) -> bool {
        !self.ids.is_empty() && self.arrived.borrow().is_none()
    }

    /// The words of [`COMMAND`] that ask for them too.
    pub(super) fn command(&self) -> Vec<String> {
        let flags = self.flags();
        let words = COMMAND.iter().map(|&word| word.to_owned());
        let (verb, rest): (Vec<_>, Vec<_>) = words.enumerate().partition(|(at, _)| *at == 0);
        let plain = |words: Vec<(usize, String)>| words.into_iter().map(|(_, word)| word);
        plain(verb).chain(flags).chain(plain(rest)).collect()
    }

    /// A command that shows a person what is wrong with them, and no value.
    pub(super) fn by_hand(&self) -> Vec<String> {
        let words = ["--", "true"].map(str::to_owned);
        let verb = std::iter::once("run".to_owned());
        verb.chain(self.flags()).chain(words).collect()
    }

    /// Takes what has come.
    pub(super) fn keep(&self, variables: Vec<ArrivedVariable>) {
        self.arrived.replace(Some(variables));
    }

    /// What has come, at the end.
    pub(super) fn arrived(self) -> Vec<ArrivedVariable> {
        self.arrived.into_inner().unwrap_or_default()
    }

    /// Why they alone did not come.
    pub(super) fn refused(&self, why: NoAnswer) -> Error {
        match why {
            NoAnswer::Trouble(_) => self.unreadable(),
            NoAnswer::TooLarge => Error::system(
                "hand over the 1Password Environment",
                "its variables are larger than one environment carries",
            ),
            NoAnswer::NotHandedOver => Error::system(
                "hand over the 1Password Environment",
                "`op run` cannot start /usr/bin/env",
            ),
        }
    }

    /// The same for a call that failed as a whole.
    pub(super) fn failed(&self, error: Error) -> Error {
        match error {
            Error::Forbidden { .. } => self.unreadable(),
            other => other,
        }
    }

    fn unreadable(&self) -> Error {
        let ids: Vec<&str> = self.ids.iter().map(EnvironmentId::as_str).collect();
        Error::EnvironmentUnreadable {
            ids: ids.join(", "),
            service_account: self.service_account,
        }
    }

    fn flags(&self) -> impl Iterator<Item = String> {
        self.ids.iter().map(|id| format!("--environment={id}"))
    }
}

/// Whether a failure may be that of the Environments, or that of something asked beside them.
pub(super) fn may_be_theirs(found: &Result<impl Sized>) -> bool {
    matches!(
        found,
        Err(Error::Forbidden { .. } | Error::OpUnknown { .. })
    )
}
