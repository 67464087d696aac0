//! The documented exit codes.

use super::Error;

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Anything that has no code of its own.
    Failed = 1,
    /// Wrong usage; a manifest or configuration file that cannot be used.
    Usage = 2,
    /// Not signed in, prompt refused, token invalid, forbidden.
    NotSignedIn = 3,
    /// A secret is missing, ambiguous or unusable.
    Unresolved = 4,
    /// `op` is missing, not trusted, timed out, was killed, answered nonsense; or no network.
    OpUnavailable = 5,
    /// 1Password's rate limit.
    RateLimited = 6,
    /// `exec` only: our own failure of any kind.
    Ours = 125,
    /// `exec` only: the command was found but cannot be executed.
    CannotExecute = 126,
    /// `exec` only: the command was not found.
    CommandNotFound = 127,
}

impl Exit {
    /// The exit with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        let all = [
            Self::Done,
            Self::Failed,
            Self::Usage,
            Self::NotSignedIn,
            Self::Unresolved,
            Self::OpUnavailable,
            Self::RateLimited,
            Self::Ours,
            Self::CannotExecute,
            Self::CommandNotFound,
        ];
        all.into_iter().find(|exit| *exit as u8 == code)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Error {
    /// The exit code of this error; the table is in README.md.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. }
            | Self::Manifest { .. }
            | Self::NotAllowed { .. }
            | Self::ClientConfig { .. }
            | Self::NoHome { .. }
            | Self::NobodyToAsk { .. }
            | Self::WouldPrompt
            | Self::NoVault { .. }
            | Self::TokenFile { .. }
            | Self::NotStored { .. } => Exit::Usage,
            Self::AllowedDirectory { .. } => Exit::Failed,
            Self::SignedOut { .. }
            | Self::NoAccount
            | Self::WhichAccount { .. }
            | Self::PromptRefused { .. }
            | Self::AppUnreachable { .. }
            | Self::UnsignedCaller
            | Self::OtherAccount
            | Self::TokenInvalid { .. }
            | Self::Keyring { .. }
            | Self::Forbidden { .. }
            | Self::EnvironmentUnreadable { .. } => Exit::NotSignedIn,
            Self::Unresolved { .. }
            | Self::NotListed { .. }
            | Self::Password { .. }
            | Self::Unwritable { .. } => Exit::Unresolved,
            Self::OpMissing { .. }
            | Self::OpUntrusted { .. }
            | Self::OpTimeout { .. }
            | Self::OpKilled { .. }
            | Self::Broker { .. }
            | Self::BrokerRefuses { .. }
            | Self::BrokerSilent { .. }
            | Self::OpNonsense { .. }
            | Self::OpConfigDirectory
            | Self::NoEnvironments
            | Self::Network => Exit::OpUnavailable,
            Self::RateLimited { .. } => Exit::RateLimited,
            Self::Relayed { exit, .. } => *exit,
            Self::CommandNotFound { .. } => Exit::CommandNotFound,
            Self::CannotExecute { .. } => Exit::CannotExecute,
            Self::OpUnknown { .. }
            | Self::EndlessInput
            | Self::Interrupted { .. }
            | Self::Cancelled
            | Self::Demo { .. }
            | Self::Bug { .. }
            | Self::OpenFiles
            | Self::System { .. } => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_readme() {
        let table = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::NotSignedIn, 3),
            (Exit::Unresolved, 4),
            (Exit::OpUnavailable, 5),
            (Exit::RateLimited, 6),
            (Exit::Ours, 125),
            (Exit::CannotExecute, 126),
            (Exit::CommandNotFound, 127),
        ];
        for (exit, code) in table {
            assert_eq!(exit as u8, code);
            assert_eq!(Exit::from_code(code), Some(exit));
        }
    }
}
