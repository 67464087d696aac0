//! The credential helpers of git, host by host.
//!
//! Ours is added to those that are there. Only `store` is left out for the host: git hands every
//! password that worked to all helpers, and that one writes it unencrypted into a file. A key with
//! a `*`, a user or a path counts for the host too; it is left as it is, since it is also others'.

use super::git_config::{GitConfig, Setting, exactly};
use super::git_key::{EVERYWHERE, Reach, host_of, own, reach};
use crate::base::environment::Lookup;
use crate::base::error::Result;
use crate::base::shell_quote;
use crate::broker::registry::HostPort;

/// The name under which git looks for our helper.
pub(crate) const HELPER: &str = "git-credential-oc";

/// The part of it that git's files hold.
const OURS: &str = "oc";

/// git, and what it asks for credentials.
pub(crate) struct Git(GitConfig);

/// What git would ask for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asks {
    /// The helpers before ours, or all of them where ours is not among them.
    pub before: Vec<String>,
    /// Whether ours is asked.
    pub ours: bool,
    /// The helpers for a part of the host, each with its key; without `store`.
    pub partly: Vec<(String, String)>,
    /// Whatever lets `store` know the passwords, for all of the host or a part of it.
    pub stores: Vec<Store>,
}

/// A setting by which `store` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// Its key.
    pub key: String,
    /// The command that takes it away.
    pub removal: String,
}

impl Git {
    /// Finds git.
    pub(crate) fn find(lookup: Lookup<'_>) -> Option<Self> {
        GitConfig::find(lookup).map(Self)
    }

    /// What git would ask for `host`.
    pub(crate) fn asks(&self, host: &HostPort) -> Result<Asks> {
        let settings = self.0.settings()?;
        let helpers = effective(&settings, host);
        let stores = helpers.iter().filter(|helper| is_store(helper.value()));
        let everywhere = helpers.iter().filter(|helper| helper.reach == Reach::All);
        let names: Vec<&str> = everywhere.map(Helper::value).collect();
        let at = names.iter().position(|helper| is_ours(helper));
        let before = &names[..at.unwrap_or(names.len())];
        let partly = helpers.iter().filter(|helper| helper.reach == Reach::Part);
        let partly = partly.filter(|helper| !is_store(helper.value()));
        let named = |helper: &Helper<'_>| (helper.setting.key.clone(), helper.value().to_owned());
        Ok(Asks {
            stores: stores.map(|helper| helper.setting.into()).collect(),
            ours: at.is_some(),
            partly: partly.map(named).collect(),
            before: before.iter().map(|helper| (*helper).to_owned()).collect(),
        })
    }

    /// Adds our helper for `host`; tells whether that changed anything.
    pub(crate) fn install(&self, host: &HostPort) -> Result<bool> {
        let before = self.0.settings()?;
        let mut settings = before.clone();
        let file = self.0.file()?;
        if is_overruled(&settings, host, &file) {
            // git removes a section that is empty, and makes the next one at the end of its file.
            self.uninstall(host)?;
            settings = self.0.settings()?;
        }
        for value in &additions(&settings, host, &file) {
            self.0.add(&own(host), value)?;
        }
        Ok(self.0.settings()? != before)
    }

    /// Removes our helper for `host`, and what [`Self::install`] wrote beside it.
    pub(crate) fn uninstall(&self, host: &HostPort) -> Result<bool> {
        let before = self.0.settings()?;
        for one in removals(&before, host) {
            self.0.remove(one)?;
        }
        Ok(self.0.settings()? != before)
    }

    /// Removes our helper where it stands for every host; tells whether it did.
    pub(crate) fn uninstall_everywhere(&self) -> Result<bool> {
        let before = self.0.settings()?;
        let ours = |one: &&Setting| one.key == EVERYWHERE && is_ours(&one.value);
        for one in before.iter().filter(ours) {
            self.0.remove(one)?;
        }
        Ok(self.0.settings()? != before)
    }

    /// The hosts for which our helper is asked by a key of their own.
    pub(crate) fn hosts(&self) -> Result<Vec<HostPort>> {
        let settings = self.0.settings()?;
        let ours = settings.iter().filter(|one| is_ours(&one.value));
        let mut hosts: Vec<HostPort> = ours.filter_map(|one| host_of(&one.key)).collect();
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }
}

impl From<&Setting> for Store {
    fn from(setting: &Setting) -> Self {
        let (key, value) = (setting.key.as_str(), exactly(&setting.value));
        let words = [
            "git",
            "config",
            "--file",
            &setting.file,
            "--unset-all",
            key,
            &value,
        ];
        Self {
            key: key.to_owned(),
            removal: shell_quote::command(words),
        }
    }
}

/// A helper that git asks for a host.
struct Helper<'a> {
    setting: &'a Setting,
    reach: Reach,
    /// Its place among all settings.
    at: usize,
}

impl<'a> Helper<'a> {
    fn value(&self) -> &'a str {
        &self.setting.value
    }
}

/// The helpers for `host`, in the order in which git asks them. An empty one clears the list: one for
/// a part of the host no more than what stands for that part.
fn effective<'a>(settings: &'a [Setting], host: &HostPort) -> Vec<Helper<'a>> {
    let mut helpers: Vec<Helper<'_>> = vec![];
    for (at, setting) in settings.iter().enumerate() {
        match reach(&setting.key, host) {
            None => {}
            Some(Reach::All) if setting.value.is_empty() => helpers.clear(),
            Some(Reach::Part) if setting.value.is_empty() => {
                helpers.retain(|helper| helper.setting.key != setting.key);
            }
            Some(reach) => helpers.push(Helper { setting, reach, at }),
        }
    }
    helpers
}

/// Whether `store` stands behind the host's own key in `file`, so that nothing added there takes it
/// away.
fn is_overruled(settings: &[Setting], host: &HostPort, file: &str) -> bool {
    let end = end(settings, host, file);
    let mut stores = effective(settings, host).into_iter();
    stores.any(|helper| is_store(helper.value()) && end.is_some_and(|end| helper.at > end))
}

/// The place of the last setting in the host's own section of `file`: git adds the next one behind it, and where there
/// is none at the end.
fn end(settings: &[Setting], host: &HostPort, file: &str) -> Option<usize> {
    let own = own(host);
    let section = |key: &str| key.rsplit_once('.').map(|(section, _)| section.to_owned());
    let is_own = |one: &Setting| section(&one.key) == section(&own) && one.file == file;
    settings.iter().rposition(is_own)
}

/// What is to be added for `host` to `file`, so that ours is asked and `store` is not.
fn additions(settings: &[Setting], host: &HostPort, file: &str) -> Vec<String> {
    let helpers = effective(settings, host);
    let stored = helpers.iter().any(|helper| is_store(helper.value()));
    let all = helpers.iter().filter(|helper| helper.reach == Reach::All);
    let ours = all.clone().any(|helper| is_ours(helper.value()));
    match (ours, stored && !is_overruled(settings, host, file)) {
        (true, false) => vec![],
        (false, false) => vec![OURS.to_owned()],
        (_, true) => {
            // What stands behind it git asks anyway.
            let before = |at| end(settings, host, file).is_none_or(|end| at <= end);
            let kept = all.filter(|helper| before(helper.at)).map(Helper::value);
            let kept = kept.filter(|helper| !is_store(helper) && !is_ours(helper));
            let all = std::iter::once("").chain(kept).chain([OURS]);
            all.map(str::to_owned).collect()
        }
    }
}

/// The settings of the host's own key that [`additions`] has put there, and ours in whatever spelling.
fn removals<'a>(settings: &'a [Setting], host: &HostPort) -> Vec<&'a Setting> {
    let is_own = |one: &&Setting| host_of(&one.key).as_ref() == Some(host);
    let own: Vec<&Setting> = settings.iter().filter(is_own).collect();
    let (mut gone, others_own): (Vec<&Setting>, Vec<&Setting>) =
        own.iter().partition(|one| is_ours(&one.value));
    if gone.is_empty() {
        return vec![];
    }
    let others = settings.iter().filter(|one| !is_own(one));
    let others = others.filter(|one| reach(&one.key, host) == Some(Reach::All));
    let others: Vec<&str> = others.map(|one| one.value.as_str()).collect();
    let copied = |one: &&Setting| !one.value.is_empty() && others.contains(&one.value.as_str());
    // What was there cleared already is not ours to take away.
    if let Some((clear, copies)) = others_own.split_first()
        && clear.value.is_empty()
        && own[0] == *clear
        && copies.iter().all(copied)
    {
        gone.extend(copies);
        gone.push(clear);
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

#[cfg(test)]
mod tests {
    use super::super::git_config::parse;
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<Setting> {
        let pair = |(key, value): &(&str, &str)| Setting {
            file: FILE.to_owned(),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        pairs.iter().map(pair).collect()
    }

    fn github() -> HostPort {
        HostPort::parse("github.com").expect("a host")
    }

    const FILE: &str = "/f";

    fn added(settings: &[Setting]) -> Vec<String> {
        additions(settings, &github(), FILE)
    }

    const HERE: &str = "credential.https://github.com.helper";

    #[test]
    fn ours_is_added_to_those_that_are_there() {
        let all = settings(&[
            (EVERYWHERE, "cache"),
            (HERE, ""),
            (HERE, "!gh auth git-credential"),
        ]);
        let helpers = effective(&all, &github());
        let asked: Vec<&str> = helpers.iter().map(Helper::value).collect();
        assert_eq!(asked, ["!gh auth git-credential"]);
        assert_eq!(added(&all), ["oc"]);
        let there = settings(&[(HERE, "oc")]);
        assert!(added(&there).is_empty());
        let elsewhere = settings(&[("credential.https://gitlab.com.helper", "oc")]);
        assert_eq!(added(&elsewhere), ["oc"]);
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
            assert_eq!(added(&all), ["", "cache --timeout 9", "oc"], "{store}");
        }
    }

    #[test]
    fn what_git_asks_anyway_behind_our_key_is_not_copied_before_it() {
        let all = settings(&[(EVERYWHERE, "store"), (HERE, "!gh"), (EVERYWHERE, "cache")]);
        assert_eq!(added(&all), ["", "!gh", "oc"]);
        let all = settings(&[(EVERYWHERE, "store"), (EVERYWHERE, "cache")]);
        assert_eq!(added(&all), ["", "cache", "oc"], "the control");
        // A section without a helper is one too: what is added stands there.
        let user = ("credential.https://github.com.username", "me");
        let behind = settings(&[user, (EVERYWHERE, "store")]);
        assert!(is_overruled(&behind, &github(), FILE));
    }

    #[test]
    fn what_stands_behind_our_key_is_not_taken_away_by_more_of_it() {
        const PATTERN: &str = "credential.https://*.com.helper";
        const USER: &str = "credential.https://me@github.com.helper";
        for key in [EVERYWHERE, PATTERN, USER] {
            let before = settings(&[(key, "store"), (HERE, "cache")]);
            assert!(added(&before).starts_with(&[String::new()]), "{key}");
            let behind = settings(&[(HERE, "oc"), (key, "store")]);
            assert!(is_overruled(&behind, &github(), FILE), "{key}");
            assert!(added(&behind).is_empty(), "{key}");
            let behind = settings(&[(HERE, "cache"), (key, "store")]);
            assert_eq!(added(&behind), ["oc"], "{key}");
            let cleared = settings(&[(key, "store"), (key, ""), (HERE, "oc")]);
            assert!(added(&cleared).is_empty(), "{key}");
        }
        // The system's file is read before the user's, to which is added.
        let mut behind = settings(&[(HERE, "oc"), (PATTERN, "store")]);
        behind[0].file = "/etc/gitconfig".to_owned();
        assert_eq!(added(&behind), ["", "oc"]);
        let part = settings(&[(PATTERN, "store"), (USER, ""), (HERE, "oc")]);
        assert_eq!(added(&part), ["", "oc"]);
    }

    #[test]
    fn a_setting_is_listed_with_its_file_and_the_command_that_removes_it() {
        let listed = b"file:/etc/gitconfig\0a.b\n1\n2\0file:/x y\0credential.https://*.a.helper\nstore\0file:/x y\0c.d\0";
        let parsed = parse(listed);
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].value, "1\n2");
        assert_eq!(
            Store::from(&parsed[1]).removal,
            "git config --file '/x y' --unset-all 'credential.https://*.a.helper' '^store$'"
        );
    }

    #[test]
    fn what_was_added_is_removed_and_no_more() {
        let both = [(EVERYWHERE, "store"), (EVERYWHERE, "cache")];
        let all = settings(&[&both[..], &[(HERE, ""), (HERE, "cache"), (HERE, "oc")]].concat());
        let gone = |all: &[Setting]| {
            let gone = removals(all, &github()).into_iter();
            gone.map(|one| one.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(gone(&all), ["oc", "cache", ""]);
        let gh = settings(&[(HERE, ""), (HERE, "!gh auth git-credential"), (HERE, "oc")]);
        assert_eq!(gone(&gh), ["oc"]);
        let by_path = settings(&[(HERE, "/usr/bin/git-credential-oc"), (HERE, "oc")]);
        assert_eq!(gone(&by_path), ["/usr/bin/git-credential-oc", "oc"]);
        assert!(removals(&settings(&both), &github()).is_empty());
    }
}
