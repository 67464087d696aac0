//! The state of SSH on this host, and what follows for step 9: obstacles, the text of our drop-in, and
//! whether it is in force. Changes nothing.

use std::collections::BTreeSet;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};

use crate::deploy::host::account::{Account, KeyLogin};
use crate::deploy::host::sshd::{self, Effective};
use crate::deploy::steps::ssh::login_test;
use crate::deploy::steps::user::sudo;

/// Sorts before `50-cloud-init.conf`, which turns passwords on.
pub(crate) const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-openclaw-deploy.conf";
const WANTED: [(&str, &str); 3] = [
    ("passwordauthentication", "no"),
    ("kbdinteractiveauthentication", "no"),
    ("permitrootlogin", "no"),
];
const AGAIN: &str = "openclaw-deploy bootstrap --only ssh";
const RULE: &str = "openclaw-deploy bootstrap --only user,ssh";
const RULE_REFUSED: &str = "set `sudo = true` under [host], or give it a password and sudo; \
    then: openclaw-deploy bootstrap --only user,ssh";

/// The state of SSH on this host.
#[derive(Clone, Debug)]
pub(crate) struct SshState {
    /// The deploy user.
    pub account: Account,
    effective: Effective,
    /// Where sshd can be reached from here.
    pub way_in: login_test::WayIn,
    /// Our drop-in as it is now.
    present: String,
    login: KeyLogin,
    /// Whether the deploy user can become root. If not, nobody could once root is locked out.
    can_use_sudo: bool,
    /// What to do where it cannot.
    remedy: &'static str,
    /// Other users with a usable key, who must not be locked out either.
    others: Vec<String>,
}

impl SshState {
    /// Observes it.
    pub(crate) fn of(cx: &Context) -> Result<Self> {
        let host = &cx.host;
        let account = Account::need(host, &cx.settings.user)?;
        let effective = sshd::effective(host)?;
        let mut others = Vec::new();
        for other in Account::all(host)? {
            let usable = KeyLogin::of(host, &other) == KeyLogin::Usable;
            if other.is_person() && other.name != account.name && usable {
                others.push(other.name);
            }
        }
        Ok(Self {
            login: KeyLogin::of(host, &account),
            can_use_sudo: will_be_root(cx, &account),
            remedy: match cx.settings.host.sudo {
                true => RULE,
                false => RULE_REFUSED,
            },
            way_in: login_test::WayIn::choose(&effective, &sshd::listening(host)?),
            present: host.read(DROP_IN)?.unwrap_or_default(),
            account,
            effective,
            others,
        })
    }

    /// Why the change would lock somebody out, or conflict with a policy that is there already.
    pub(crate) fn obstacle(&self) -> Option<String> {
        self.missing_access().or_else(|| self.foreign_rules())
    }

    /// Why the deploy user could not administer this host alone.
    fn missing_access(&self) -> Option<String> {
        let name = &self.account.name;
        if self.login == KeyLogin::Keyless {
            Some(format!(
                "{name} has no usable SSH key in {}, and would be locked out; add one, then: {AGAIN}",
                self.account.keys()
            ))
        } else if self.login == KeyLogin::Unsafe {
            Some(format!(
                "others can write to the SSH keys of {name}, so sshd ignores them; then: {AGAIN}"
            ))
        } else if !self.can_use_sudo {
            Some(format!(
                "{name} cannot become root with sudo, and root would be locked out: {}",
                self.remedy
            ))
        } else {
            None
        }
    }

    /// What in sshd's configuration excludes the deploy user or already limits who may log in.
    fn foreign_rules(&self) -> Option<String> {
        let name = &self.account.name;
        let has = |key, value| self.effective.value(key) == Some(value);
        if !has("pubkeyauthentication", "yes") {
            Some("sshd does not accept keys at all (PubkeyAuthentication)".to_owned())
        } else if !self.effective.reads_keys_of(&self.account) {
            Some(format!(
                "sshd reads no keys from {} (AuthorizedKeysFile)",
                self.account.keys()
            ))
        } else if self
            .effective
            .value("authenticationmethods")
            .is_some_and(|it| it != "any")
        {
            Some("AuthenticationMethods is set here: SSH already has rules of its own".to_owned())
        } else if !self.effective.words("allowgroups").is_empty() {
            Some("AllowGroups is set here: SSH already has rules of its own".to_owned())
        } else {
            let denied = sshd::admits(&self.effective.words("denyusers"), name);
            denied.then(|| format!("sshd turns {name} away (DenyUsers)"))
        }
    }

    /// The text of our drop-in: our settings, and `AllowUsers` with everybody who has a key unless the
    /// administrator has such a list already. The result is the same before it is written and after.
    pub(crate) fn drop_in(&self) -> String {
        let mut theirs = self.effective.words("allowusers");
        // `sshd -T` prints all lists together: each name that is ours is removed once, so what remains
        // is the administrator's own list.
        for ours in allowed(&self.present) {
            if let Some(place) = theirs.iter().position(|word| *word == ours) {
                theirs.remove(place);
            }
        }
        let mut users = BTreeSet::from([self.account.name.as_str()]);
        if theirs.is_empty() {
            users.extend(self.others.iter().map(String::as_str));
        }
        let users: Vec<&str> = users.into_iter().collect();
        format!(
            "# Written by openclaw-deploy. The name sorts first because sshd keeps the first value it reads.\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PermitRootLogin no\n\
             # Everybody who had a key of their own when this was written.\n\
             AllowUsers {}\n",
            users.join(" ")
        )
    }

    /// Whether our settings are written and in force.
    pub(crate) fn is_in_force(&self) -> bool {
        self.is_in_force_as(&self.drop_in())
    }

    /// Whether `text` is our drop-in, and in force.
    pub(crate) fn is_in_force_as(&self, text: &str) -> bool {
        self.conflicts().is_empty() && self.present == text
    }

    /// Effective settings that differ from ours.
    fn conflicts(&self) -> Vec<String> {
        let mut conflicts: Vec<String> = WANTED
            .iter()
            .map(|(key, value)| (key, self.effective.value(key), value))
            .filter(|(_, found, value)| *found != Some(*value))
            .map(|(key, found, _)| format!("{key} {}", found.unwrap_or("unset")))
            .collect();
        let admitted = self.effective.words("allowusers");
        if !sshd::admits(&admitted, &self.account.name) {
            conflicts.push(format!("allowusers {}", admitted.join(" ")));
        }
        conflicts
    }

    /// The failure if our drop-in is written but another setting overrides it.
    pub(crate) fn overridden(&self) -> Failure {
        let conflicts = self.conflicts();
        if conflicts.is_empty() {
            return Failure::expected(format!("our settings in {DROP_IN}"), "other ones")
                .hint("something else writes it; see since when: ls -l /etc/ssh/sshd_config.d");
        }
        let expected = format!(
            "key logins only, none of root, and {} let in",
            self.account.name
        );
        Failure::expected(expected, conflicts.join(", ")).hint(
            "an earlier line wins: grep -rniE 'PasswordAuthentication|KbdInteractive|PermitRootLogin|AllowUsers|^Include' /etc/ssh/sshd_config /etc/ssh/sshd_config.d",
        )
    }
}

/// Whether the deploy user can become root; in a dry run, whether it could after step 2.
fn will_be_root(cx: &Context, account: &Account) -> bool {
    let planned = cx.settings.host.sudo && cx.planned.borrow().contains(&"user");
    planned || sudo::can_become_root(&cx.host, &account.name)
}

/// The users that a drop-in of ours names.
fn allowed(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("AllowUsers "))
        .flat_map(str::split_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARD: &str = "passwordauthentication no\nkbdinteractiveauthentication no\n\
        permitrootlogin no\npubkeyauthentication yes\nauthenticationmethods any\n\
        authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2\n";

    fn state(effective: &str) -> SshState {
        SshState {
            account: Account {
                name: "deploy".to_owned(),
                uid: 1000,
                gid: 1000,
                home: "/home/deploy".to_owned(),
                shell: "/bin/bash".to_owned(),
            },
            effective: Effective::new(effective),
            way_in: login_test::WayIn::choose(&Effective::default(), &BTreeSet::new()),
            present: String::new(),
            login: KeyLogin::Usable,
            can_use_sudo: true,
            remedy: RULE,
            others: Vec::new(),
        }
    }

    #[test]
    fn whatever_would_lock_people_out_is_an_obstacle() {
        assert_eq!(state(HARD).obstacle(), None, "control");
        let without_key = SshState {
            login: KeyLogin::Keyless,
            ..state(HARD)
        };
        assert!(
            without_key
                .obstacle()
                .is_some_and(|why| why.contains("no usable SSH key"))
        );
        let exposed = SshState {
            login: KeyLogin::Unsafe,
            ..state(HARD)
        };
        assert!(exposed.obstacle().is_some());
        let without_sudo = SshState {
            can_use_sudo: false,
            ..state(HARD)
        };
        assert_eq!(
            without_sudo.obstacle().as_deref(),
            Some(
                "deploy cannot become root with sudo, and root would be locked out: \
                 openclaw-deploy bootstrap --only user,ssh"
            )
        );
        for (from, to) in [
            ("pubkeyauthentication yes", "pubkeyauthentication no"),
            (".ssh/authorized_keys ", "/etc/keys/%u "),
            ("methods any", "methods publickey,keyboard-interactive"),
            (
                "permitrootlogin no",
                "permitrootlogin no\nallowgroups wheel",
            ),
            ("permitrootlogin no", "permitrootlogin no\ndenyusers d*"),
        ] {
            assert!(HARD.contains(from));
            assert!(state(&HARD.replace(from, to)).obstacle().is_some(), "{to}");
        }
    }

    #[test]
    fn everybody_with_a_key_stays_and_a_decision_made_here_is_kept() {
        let mut people = state(HARD);
        people.others = vec!["ubuntu".to_owned()];
        assert!(people.drop_in().ends_with("\nAllowUsers deploy ubuntu\n"));
        people.effective = Effective::new(format!("{HARD}allowusers ops\n"));
        assert!(people.drop_in().ends_with("\nAllowUsers deploy\n"));
        people.present = "AllowUsers ops\n".to_owned();
        assert!(
            people.drop_in().ends_with("\nAllowUsers deploy ubuntu\n"),
            "ours is not theirs"
        );
    }

    #[test]
    fn what_we_write_is_the_same_once_it_is_written() {
        let mut people = state(&format!("{HARD}allowusers deploy\n"));
        people.others = vec!["ubuntu".to_owned()];
        let text = people.drop_in();
        assert!(text.ends_with("\nAllowUsers deploy\n"));
        // Ours is read first, and theirs is still there.
        people.effective = Effective::new(format!("{HARD}allowusers deploy\nallowusers deploy\n"));
        people.present.clone_from(&text);
        assert_eq!(people.drop_in(), text);
        assert!(people.is_in_force());
        // The control: without theirs, everybody with a key counts.
        people.effective = Effective::new(format!("{HARD}allowusers deploy\n"));
        assert!(people.drop_in().ends_with("\nAllowUsers deploy ubuntu\n"));
    }

    #[test]
    fn settled_is_what_is_in_force_and_not_what_is_written() {
        let mut done = state(&format!("{HARD}allowusers deploy\n"));
        done.present = done.drop_in();
        assert!(done.is_in_force());
        done.effective = Effective::new(
            format!("{HARD}allowusers deploy\n")
                .replace("passwordauthentication no", "passwordauthentication yes"),
        );
        assert!(!done.is_in_force());
        assert_eq!(
            done.overridden().what,
            "expected key logins only, none of root, and deploy let in, found passwordauthentication yes"
        );
        done.effective = Effective::new(format!("{HARD}allowusers ops\n"));
        assert!(done.overridden().what.ends_with(", found allowusers ops"));
        done.effective = Effective::new(format!("{HARD}allowusers deploy\n"));
        done.present.clear();
        assert_eq!(
            done.overridden().what,
            format!("expected our settings in {DROP_IN}, found other ones")
        );
    }
}
