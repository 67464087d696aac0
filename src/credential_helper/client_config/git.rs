//! The credential helpers of git, host by host: read and changed by `git config` itself, so that
//! whatever else is in its files stays as it is.
//!
//! Ours is added to those that are there. Only `store` is left out for the host: git hands every
//! password that worked to all helpers, and that one writes it unencrypted into a file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use super::location;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Result};
use crate::base::program;
use crate::broker::registry::{HostPort, HostQuery};

/// The name under which git looks for our helper.
pub(crate) const HELPER: &str = "git-credential-oc";

/// The part of it that git's files hold.
const OURS: &str = "oc";

/// The key of helpers for every host.
const EVERYWHERE: &str = "credential.helper";

/// git, and where it finds the user's files.
pub(crate) struct Git {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

/// What decides where git's files are.
const GIVEN: [&str; 6] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "PATH",
];

/// What git would ask for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asks {
    /// The helpers before ours, or all of them where ours is not among them.
    pub before: Vec<String>,
    /// Whether ours is asked.
    pub ours: bool,
    /// `store` gets to know the passwords.
    pub stored: bool,
}

impl Git {
    /// Finds git.
    pub(crate) fn find(lookup: Lookup<'_>) -> Option<Self> {
        let given = GIVEN.iter().filter_map(|name| Some((*name, lookup(name)?)));
        Some(Self {
            program: location::on_path(lookup, "git")?,
            environment: given.collect(),
        })
    }

    /// What git would ask for `host`.
    pub(crate) fn asks(&self, host: &HostPort) -> Result<Asks> {
        let helpers = effective(&self.settings()?, host);
        let at = helpers.iter().position(|helper| is_ours(helper));
        Ok(Asks {
            stored: helpers.iter().any(|helper| is_store(helper)),
            ours: at.is_some(),
            before: helpers[..at.unwrap_or(helpers.len())].to_vec(),
        })
    }

    /// Adds our helper for `host`; tells whether that changed anything.
    pub(crate) fn install(&self, host: &HostPort) -> Result<bool> {
        let values = additions(&self.settings()?, host);
        for value in &values {
            self.change(&["--add", &key(host), value])?;
        }
        Ok(!values.is_empty())
    }

    /// Removes our helper for `host`, and what [`Self::install`] wrote beside it.
    pub(crate) fn uninstall(&self, host: &HostPort) -> Result<bool> {
        let values = removals(&self.settings()?, host);
        for value in &values {
            self.change(&["--unset-all", &key(host), &exactly(value)])?;
        }
        Ok(!values.is_empty())
    }

    /// Removes our helper where it stands for every host; tells whether it did.
    pub(crate) fn uninstall_everywhere(&self) -> Result<bool> {
        let ours = |(key, value): &(String, String)| key == EVERYWHERE && is_ours(value);
        let there = self.settings()?.iter().any(ours);
        if there {
            self.change(&["--unset-all", EVERYWHERE, &exactly(OURS)])?;
        }
        Ok(there)
    }

    /// The hosts for which our helper is asked by a key of their own.
    pub(crate) fn hosts(&self) -> Result<Vec<HostPort>> {
        let settings = self.settings()?;
        let ours = settings.iter().filter(|(_, value)| is_ours(value));
        let mut hosts: Vec<HostPort> = ours.filter_map(|(key, _)| host_of(key)).collect();
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }

    /// All settings of the system and the user, in the order in which git reads them.
    fn settings(&self) -> Result<Vec<(String, String)>> {
        let output = self.run(&["config", "--null", "--list"])?;
        Ok(parse(&output))
    }

    fn change(&self, words: &[&str]) -> Result<()> {
        let words = [&["config", "--global"], words].concat();
        self.run(&words).map(drop)
    }

    fn run(&self, words: &[&str]) -> Result<Vec<u8>> {
        let failed = |why: String| Error::system("run `git config`", why);
        let environment = self.environment.iter().map(|(name, value)| (*name, value));
        // Not in a repository, whose own settings count nowhere else.
        let output = program::command(&self.program, environment)
            .args(words)
            .current_dir("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|why| failed(why.to_string()))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let line = said.lines().next().unwrap_or_default();
                Err(failed(line.trim_start_matches("error: ").to_owned()))
            }
        }
    }
}

/// `key LF value NUL` …; a key without a value is `true` for git, and no helper.
fn parse(listing: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(listing);
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('\n')?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.split('\0').filter_map(pair).collect()
}

fn key(host: &HostPort) -> String {
    format!("credential.https://{host}.helper")
}

/// The host of a key such as `credential.https://github.com.helper`.
fn host_of(key: &str) -> Option<HostPort> {
    let url = key.strip_prefix("credential.")?.strip_suffix(".helper")?;
    let asked = HostQuery::parse(url).filter(|_| url.contains("://"))?;
    (!asked.plain).then_some(asked.host)
}

/// The helpers for `host`, in the order in which git asks them; an empty one clears the list.
fn effective(settings: &[(String, String)], host: &HostPort) -> Vec<String> {
    let mut helpers: Vec<String> = vec![];
    for (key, value) in settings {
        if key == EVERYWHERE || host_of(key).as_ref() == Some(host) {
            match value.is_empty() {
                true => helpers.clear(),
                false => helpers.push(value.clone()),
            }
        }
    }
    helpers
}

/// What is to be added for `host`, so that ours is asked and `store` is not.
fn additions(settings: &[(String, String)], host: &HostPort) -> Vec<String> {
    let helpers = effective(settings, host);
    let ours = helpers.iter().any(|helper| is_ours(helper));
    match (ours, helpers.iter().any(|helper| is_store(helper))) {
        (true, false) => vec![],
        (false, false) => vec![OURS.to_owned()],
        (_, true) => {
            let kept = helpers.into_iter();
            let kept = kept.filter(|helper| !is_store(helper) && !is_ours(helper));
            let all = std::iter::once(String::new()).chain(kept);
            all.chain([OURS.to_owned()]).collect()
        }
    }
}

/// The values of the host's own key that [`additions`] has put there.
fn removals(settings: &[(String, String)], host: &HostPort) -> Vec<String> {
    let own = settings
        .iter()
        .filter(|(key, _)| host_of(key).as_ref() == Some(host));
    let own: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
    if !own.iter().any(|value| is_ours(value)) {
        return vec![];
    }
    let everywhere = settings.iter().filter(|(key, _)| key == EVERYWHERE);
    let everywhere: Vec<&str> = everywhere.map(|(_, value)| value.as_str()).collect();
    let mut gone = vec![OURS.to_owned()];
    let cleared = own.iter().rposition(|value| value.is_empty());
    let copies = cleared.map(|at| &own[at + 1..]).unwrap_or_default();
    let copied = |value: &&str| is_ours(value) || everywhere.contains(value);
    if let (Some(0), true) = (cleared, copies.iter().all(copied)) {
        let copies = copies.iter().filter(|value| !is_ours(value));
        gone.extend(copies.map(|value| (*value).to_owned()));
        gone.push(String::new());
    }
    gone
}

fn is_ours(helper: &str) -> bool {
    helper == OURS || helper.rsplit('/').next() == Some(HELPER)
}

/// `store`, by any of the ways to write it.
fn is_store(helper: &str) -> bool {
    let words = helper.trim_start_matches('!').split_whitespace();
    let mut words = words.map(|word| word.rsplit('/').next().unwrap_or_default());
    match words.next() {
        Some("store" | "git-credential-store") => true,
        Some("git") => words.next() == Some("credential-store"),
        _ => false,
    }
}

/// The regular expression that matches this value alone.
fn exactly(value: &str) -> String {
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

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    fn github() -> HostPort {
        HostPort::parse("github.com").expect("a host")
    }

    const HERE: &str = "credential.https://github.com.helper";

    #[test]
    fn ours_is_added_to_those_that_are_there() {
        let all = settings(&[
            (EVERYWHERE, "cache"),
            (HERE, ""),
            (HERE, "!gh auth git-credential"),
        ]);
        assert_eq!(effective(&all, &github()), ["!gh auth git-credential"]);
        assert_eq!(additions(&all, &github()), ["oc"]);
        let there = settings(&[(HERE, "oc")]);
        assert!(additions(&there, &github()).is_empty());
        let elsewhere = settings(&[("credential.https://gitlab.com.helper", "oc")]);
        assert_eq!(additions(&elsewhere, &github()), ["oc"]);
    }

    #[test]
    fn what_writes_passwords_into_a_file_is_left_out_for_the_host() {
        for store in [
            "store",
            "store --file ~/.x",
            "!git credential-store",
            "/usr/lib/git-credential-store",
        ] {
            let all = settings(&[(EVERYWHERE, store), (EVERYWHERE, "cache --timeout 9")]);
            assert_eq!(
                additions(&all, &github()),
                ["", "cache --timeout 9", "oc"],
                "{store}"
            );
        }
    }

    #[test]
    fn what_was_added_is_removed_and_no_more() {
        let both = [(EVERYWHERE, "store"), (EVERYWHERE, "cache")];
        let added = settings(&[&both[..], &[(HERE, ""), (HERE, "cache"), (HERE, "oc")]].concat());
        assert_eq!(removals(&added, &github()), ["oc", "cache", ""]);
        let gh = settings(&[(HERE, ""), (HERE, "!gh auth git-credential"), (HERE, "oc")]);
        assert_eq!(removals(&gh, &github()), ["oc"]);
        assert!(removals(&settings(&both), &github()).is_empty());
    }

    #[test]
    fn a_value_is_matched_as_a_whole_and_as_it_is() {
        assert_eq!(exactly("oc"), "^oc$");
        assert_eq!(exactly(""), "^$");
        assert_eq!(exactly("a b.^\\"), "^a[ ]b[.]\\^\\\\$");
    }
}
