//! How our own environment is read: a variable that is set and not empty, and the directories of
//! XDG. Nothing here reads it by itself, so that a test has an environment of its own.

use std::ffi::OsString;
use std::path::PathBuf;

/// The value of a variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A variable that is set and not empty.
pub(crate) fn value(lookup: Lookup<'_>, name: &str) -> Option<OsString> {
    lookup(name).filter(|value| !value.is_empty())
}

/// A variable that is set and not empty, as a path.
pub(crate) fn path(lookup: Lookup<'_>, name: &str) -> Option<PathBuf> {
    value(lookup, name).map(PathBuf::from)
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
            let lookup = |name: &str| match name {
                "XDG_CONFIG_HOME" => Some(xdg.into()),
                "HOME" => Some(home.into()),
                _ => None,
            };
            assert_eq!(config_home(&lookup), expected.map(PathBuf::from));
        }
    }
}
