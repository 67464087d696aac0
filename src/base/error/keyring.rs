//! Why the OS keyring does not give, take or drop the service-account token.

use std::fmt;

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyringTrouble {
    /// This build has no keyring.
    NotBuilt,
    /// The program that asks it is not where it belongs.
    NoProgram,
    /// There is no D-Bus session.
    NoBus,
    /// Nobody in the session serves a keyring.
    NoService,
    /// It is locked, and was not unlocked.
    Locked,
    /// It has no token of ours.
    Gone,
    /// It has several.
    Several,
    /// It did not answer in time.
    Silent,
    /// Anything else, in its own words.
    Failed,
}

/// What there is without a desktop.
const ELSEWHERE: &str = "oc-secrets login --systemd NAME.service, or a file of yours, mode 600, that OC_SECRETS_TOKEN_FILE names";

impl KeyringTrouble {
    const ALL: [Self; 9] = [
        Self::NotBuilt,
        Self::NoProgram,
        Self::NoBus,
        Self::NoService,
        Self::Locked,
        Self::Gone,
        Self::Several,
        Self::Silent,
        Self::Failed,
    ];

    /// The word for it between two processes of ours.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotBuilt => "not-built",
            Self::NoProgram => "no-program",
            Self::NoBus => "no-bus",
            Self::NoService => "no-service",
            Self::Locked => "locked",
            Self::Gone => "gone",
            Self::Several => "several",
            Self::Silent => "silent",
            Self::Failed => "failed",
        }
    }

    /// What `word` stands for.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.word() == word)
    }

    /// What to do about it.
    pub(super) fn hint(self) -> String {
        match self {
            Self::NotBuilt | Self::NoBus => format!("without a desktop: {ELSEWHERE}"),
            Self::NoProgram => "put all four programs into one directory".to_owned(),
            Self::NoService => {
                format!("start gnome-keyring, KWallet or KeePassXC; without a desktop: {ELSEWHERE}")
            }
            Self::Locked => "unlock it, and run this again".to_owned(),
            Self::Gone => {
                "oc-secrets login puts one there; oc-secrets logout does without it".to_owned()
            }
            Self::Several => {
                "oc-secrets logout removes none of them: do that in the keyring's own program"
                    .to_owned()
            }
            Self::Silent => {
                "it may wait for your password in a window of its own; allow more time with --timeout"
                    .to_owned()
            }
            Self::Failed => format!("to do without it: {ELSEWHERE}"),
        }
    }
}

impl fmt::Display for KeyringTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBuilt => "this program was built without the OS keyring",
            Self::NoProgram => "there is no oc-secrets beside this program to ask the OS keyring",
            Self::NoBus => "there is no D-Bus session, and so no OS keyring",
            Self::NoService => "no program serves an OS keyring in this session",
            Self::Locked => "the OS keyring is locked",
            Self::Gone => "the OS keyring has no token of oc-secrets login",
            Self::Several => "the OS keyring has several tokens of oc-secrets login",
            Self::Silent => "the OS keyring did not answer in time",
            Self::Failed => "the OS keyring failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_word_and_a_sentence_of_its_own() {
        for (at, one) in KeyringTrouble::ALL.into_iter().enumerate() {
            assert_eq!(KeyringTrouble::of_word(one.word()), Some(one));
            for other in &KeyringTrouble::ALL[at + 1..] {
                assert_ne!(one.word(), other.word());
                assert_ne!(one.to_string(), other.to_string());
            }
        }
        assert_eq!(KeyringTrouble::of_word("token"), None);
    }
}
