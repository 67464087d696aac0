//! How an environment is read: an empty variable is one that is not set. What decides by variables is
//! given a [`Lookup`], so that a test has an environment of its own.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Finds a variable that is not empty: in [`ours`], or [`among`] others.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A variable of this process.
pub(crate) fn ours(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The variable `name` of these.
pub(crate) fn among<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    let found = variables
        .iter()
        .find(|(own, value)| own == name && !value.is_empty());
    found.map(|(_, value)| value.as_os_str())
}

/// A variable that holds a path.
pub(crate) fn path(lookup: Lookup<'_>, name: &str) -> Option<PathBuf> {
    lookup(name).map(PathBuf::from)
}

/// A variable that holds an absolute path.
pub(crate) fn absolute(lookup: Lookup<'_>, name: &str) -> Option<PathBuf> {
    path(lookup, name).filter(|path| path.is_absolute())
}

/// `$XDG_CONFIG_HOME`, else `~/.config`.
pub(crate) fn config_home(lookup: Lookup<'_>) -> Option<PathBuf> {
    xdg(lookup, "XDG_CONFIG_HOME", ".config")
}

/// `$XDG_STATE_HOME`, else `~/.local/state`.
pub(crate) fn state_home(lookup: Lookup<'_>) -> Option<PathBuf> {
    xdg(lookup, "XDG_STATE_HOME", ".local/state")
}

/// Relative paths are ignored, as XDG demands.
fn xdg(lookup: Lookup<'_>, name: &str, below_home: &str) -> Option<PathBuf> {
    absolute(lookup, name).or_else(|| Some(absolute(lookup, "HOME")?.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xdg_directories_are_absolute_or_below_an_absolute_home() {
        for (xdg, home, expected) in [
            ("/x", "/h", Some("/x")),
            ("x", "/h", Some("/h/.config")),
            ("", "/h", Some("/h/.config")),
            ("", "h", None),
            ("", "", None),
        ] {
            let variables = [("XDG_CONFIG_HOME", xdg), ("HOME", home)];
            let variables = variables.map(|(name, value)| (name.into(), value.into()));
            let lookup = |name: &str| among(&variables, name).map(OsStr::to_owned);
            assert_eq!(config_home(&lookup), expected.map(PathBuf::from));
        }
    }
}
