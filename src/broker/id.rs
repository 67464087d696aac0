//! Ids as 1Password makes them, of vaults, items and Environments: 26 small letters and digits.

const LENGTH: usize = 26;

/// Whether `text` has the form of an id. A title can have it too.
pub(crate) fn is_like_an_id(text: &str) -> bool {
    let is_of_ids = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() == LENGTH && text.bytes().all(is_of_ids)
}

/// The id of a 1Password Environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvironmentId(String);

impl EnvironmentId {
    /// What an id looks like, for a hint.
    pub(crate) const FORM: &str =
        "it is 26 small letters and digits; 1Password copies it from the Environment's menu";

    /// Parses an id; `None` for anything else, such as a name or a flag.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        is_like_an_id(text).then(|| Self(text.to_owned()))
    }

    /// The id itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_one() {
        assert!(EnvironmentId::parse("wqadrv3ix5cxwrv642dxae6puy").is_some());
        for other in [
            "",
            "Production",
            "--no-masking",
            "wqadrv3ix5cxwrv642dxae6pu",
            "WQADRV3IX5CXWRV642DXAE6PUY",
            "wqadrv3ix5cxwrv642dxae6puy\n",
        ] {
            assert!(EnvironmentId::parse(other).is_none(), "{other:?}");
        }
    }
}
