//! git's settings, read and changed by `git config` itself, so that whatever else is in its files stays as it is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use super::location;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Result};
use crate::base::program;

/// How `git config --unset-all` ends where nothing is like what was named.
const NOTHING_THERE: i32 = 5;

/// What decides where git's files are.
const GIVEN: [&str; 6] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "PATH",
];

/// git, and where it finds the user's files.
pub(super) struct GitConfig {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

/// A setting as git lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The file in which it stands.
    pub file: String,
    pub key: String,
    pub value: String,
}

impl GitConfig {
    /// Finds git.
    pub(super) fn find(lookup: Lookup<'_>) -> Option<Self> {
        let given = GIVEN.iter().filter_map(|name| Some((*name, lookup(name)?)));
        Some(Self {
            program: location::on_path(lookup, "git")?,
            environment: given.collect(),
        })
    }

    /// All settings of the system and the user, in the order in which git reads them.
    pub(super) fn settings(&self) -> Result<Vec<Setting>> {
        let output = self.run(&["config", "--null", "--show-origin", "--list"])?;
        Ok(parse(&output))
    }

    /// The user's file, as git names it: where a setting is added. Empty where nothing stands in it yet.
    pub(super) fn file(&self) -> Result<String> {
        let words = ["config", "--global", "--null", "--show-origin", "--list"];
        // git also fails where there is no such file.
        let settings = parse(&self.output(&words)?.stdout);
        let last = settings.into_iter().next_back();
        Ok(last.map(|one| one.file).unwrap_or_default())
    }

    /// Adds `value` in the user's file.
    pub(super) fn add(&self, key: &str, value: &str) -> Result<()> {
        let words = ["config", "--global", "--add", key, value];
        self.run(&words).map(drop)
    }

    /// Removes a setting from the user's file; it may stand elsewhere, or be gone with one like it.
    pub(super) fn remove(&self, one: &Setting) -> Result<()> {
        let value = exactly(&one.value);
        let words = ["config", "--global", "--unset-all", &one.key, &value];
        let output = self.output(&words)?;
        match output.status.code() {
            Some(NOTHING_THERE) => Ok(()),
            _ => succeeded(output).map(drop),
        }
    }

    fn run(&self, words: &[&str]) -> Result<Vec<u8>> {
        succeeded(self.output(words)?)
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        let environment = self.environment.iter().map(|(name, value)| (*name, value));
        // Not in a repository, whose own settings count nowhere else.
        program::command(&self.program, environment)
            .args(words)
            .current_dir("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(failed)
    }
}

/// The output of a git that did what it was told.
fn succeeded(output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match said.lines().next() {
        Some(line) => failed(line.trim_start_matches("error: ")),
        None => failed(output.status),
    })
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::system("run `git config`", why)
}

/// `file:PATH NUL key LF value NUL` …; a key without a value is `true` for git, and no helper.
pub(super) fn parse(listing: &[u8]) -> Vec<Setting> {
    let text = String::from_utf8_lossy(listing);
    let mut parts = text.split('\0');
    let mut settings = vec![];
    while let (Some(origin), Some(entry)) = (parts.next(), parts.next()) {
        if let Some((key, value)) = entry.split_once('\n') {
            settings.push(Setting {
                file: origin.strip_prefix("file:").unwrap_or(origin).to_owned(),
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
    }
    settings
}

/// The regular expression that matches this value alone.
pub(super) fn exactly(value: &str) -> String {
    let mut expression = String::from("^");
    for letter in value.chars() {
        if !letter.is_alphanumeric() && letter.is_ascii() {
            expression.push_str(
                &format!("[{letter}]")
                    .replace("[^]", "\\^")
                    .replace("[\\]", "\\\\"),
            );
        } else {
            expression.push(letter);
        }
    }
    expression.push('$');
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_matched_as_a_whole_and_as_it_is() {
        assert_eq!(exactly("oc"), "^oc$");
        assert_eq!(exactly(""), "^$");
        assert_eq!(exactly("a b.^\\"), "^a[ ]b[.]\\^\\\\$");
    }
}
