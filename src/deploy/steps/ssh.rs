//! Step 9: SSH by key only, root not at all; and nobody locked out.
//!
//! Our settings are a drop-in of our own that is read first, since sshd keeps the first value it
//! sees. They are tried on the whole configuration before they are written (`sshd -t`), a timer that
//! takes them back is armed before sshd hears of them, and it is only disarmed once the deploy user
//! has really logged in to the running sshd. Whatever stands in the way of that is a reason to leave
//! SSH as it is.

use std::collections::BTreeSet;

use crate::deploy::exit::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

use super::account::{Account, Login};
use super::revert::Revert;
use super::sshd::{self, Effective};
use super::{probe, systemd};

/// Sorts before `50-cloud-init.conf`, which turns passwords on.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-openclaw-deploy.conf";
const CANDIDATE: &str = "/run/openclaw-deploy/sshd_config";
const ACCESS: Access = Access {
    mode: 0o600,
    owner: Some((0, 0)),
};
const WANTED: [(&str, &str); 3] = [
    ("passwordauthentication", "no"),
    ("kbdinteractiveauthentication", "no"),
    ("permitrootlogin", "no"),
];
const AGAIN: &str = "openclaw-deploy bootstrap --only ssh";

/// SSH hardening.
#[derive(Clone, Copy, Debug)]
pub struct Ssh;

impl Step for Ssh {
    fn number(&self) -> u8 {
        9
    }

    fn name(&self) -> &'static str {
        "ssh"
    }

    fn check(&self, cx: &Context) -> Result<State> {
        if let Some(skip) = super::elsewhere(cx) {
            return Ok(skip);
        }
        let host = &cx.host;
        if let Some(reason) = absent(host) {
            return Ok(State::Skip { reason });
        }
        if Account::find(host, &cx.settings.user)?.is_none() {
            let reason = format!("there is no user {} to log in", cx.settings.user);
            return Ok(State::Skip { reason });
        }
        let survey = Survey::of(cx)?;
        if let Some(reason) = survey.obstacle() {
            return Ok(State::Skip { reason });
        }
        let mut what = Vec::new();
        if Revert::armed(host) {
            what.push("finish the change that was interrupted".to_owned());
        }
        if !survey.settled() {
            what.push("allow SSH by key only, and not for root".to_owned());
        }
        Ok(State::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<String> {
        let host = &cx.host;
        Revert::disarm(host)?;
        let survey = Survey::of(cx)?;
        if let Some(reason) = survey.obstacle() {
            return Err(Failure::new(reason));
        }
        let text = survey.drop_in();
        try_out(host, &text)?;
        // From here to the end it is done whole or taken back, whatever signal comes.
        host.shield(true);
        let outcome = guarded(cx, &survey, &text);
        host.shield(false);
        outcome.map(|()| format!("{} logged in with a test key", survey.account.name))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let survey = Survey::of(cx)?;
        if survey.settled() {
            return Ok(());
        }
        Err(survey.beaten())
    }
}

/// Why this step has nothing to work on here.
fn absent(host: &Host) -> Option<String> {
    if host.find("sshd").is_none() {
        return Some("no OpenSSH server is installed".to_owned());
    }
    (!systemd::runs(host)).then(|| systemd::ABSENT.to_owned())
}

/// The unit's name: `ssh` on Debian and Ubuntu, `sshd` elsewhere.
fn unit(host: &Host) -> &'static str {
    let debian = [
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/system",
    ]
    .iter()
    .any(|place| host.exists(format!("{place}/ssh.service")));
    if debian {
        "ssh.service"
    } else {
        "sshd.service"
    }
}

/// Asks sshd about our settings together with all the others, without touching any file it reads.
fn try_out(host: &Host, text: &str) -> Result<()> {
    let whole = format!("{text}\nInclude /etc/ssh/sshd_config\n");
    host.write(CANDIDATE, whole.as_bytes(), ACCESS)?;
    let answer = host.run(&Program::new("sshd").args(["-t", "-f", CANDIDATE]))?;
    host.remove(CANDIDATE)?;
    if answer.ok() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "sshd refuses the configuration with our settings in it: {}",
        answer.last_line()
    ))
    .hint("mend what `sshd -t` names; nothing was changed"))
}

/// Makes the change with the way back armed; takes it at once if the change is no good.
fn guarded(cx: &Context, survey: &Survey, text: &str) -> Result<()> {
    let host = &cx.host;
    let revert = Revert::arm(host, DROP_IN, unit(host))?;
    let outcome = switch(cx, survey, text);
    if outcome.is_ok() {
        Revert::disarm(host)?;
    } else if let Err(why) = revert.now(host) {
        cx.talk.warn(format!(
            "the change could not be taken back at once ({why}); a timer does it within a minute"
        ));
    }
    outcome
}

/// Puts the settings in force and proves that the deploy user still gets in.
fn switch(cx: &Context, survey: &Survey, text: &str) -> Result<()> {
    let host = &cx.host;
    host.write(DROP_IN, text.as_bytes(), ACCESS)?;
    let now = Survey::of(cx)?;
    if !now.settled() {
        return Err(now.beaten());
    }
    systemd::tell(host, &["try-reload-or-restart", unit(host)])?;
    probe::login(host, &survey.account, &survey.way_in)
}

/// What there is to know about SSH on this host.
#[derive(Clone, Debug)]
struct Survey {
    account: Account,
    effective: Effective,
    way_in: probe::WayIn,
    /// Our drop-in as it is now.
    present: String,
    login: Login,
    /// Other people with a usable key, who are not to be locked out either.
    others: Vec<String>,
}

impl Survey {
    fn of(cx: &Context) -> Result<Self> {
        let host = &cx.host;
        let account = Account::need(host, &cx.settings.user)?;
        let effective = effective(host)?;
        let ss = match host.find("ss") {
            Some(_) => host.must(&Program::new("ss").arg("-Hltnp"))?,
            None => String::new(),
        };
        let by_socket = systemd::active(host, "ssh.socket");
        let mut others = Vec::new();
        for other in Account::all(host)? {
            let usable = Login::of(host, &other) == Login::Usable;
            if other.personal() && other.name != account.name && usable {
                others.push(other.name);
            }
        }
        Ok(Self {
            login: Login::of(host, &account),
            way_in: probe::WayIn::choose(&effective, &sshd::listening(&ss, by_socket)),
            present: host.read(DROP_IN)?.unwrap_or_default(),
            account,
            effective,
            others,
        })
    }

    /// Why the change would lock people out, or would not be ours to make.
    fn obstacle(&self) -> Option<String> {
        let name = &self.account.name;
        let has = |key, value| self.effective.value(key) == value;
        if self.login == Login::Keyless {
            Some(format!(
                "{name} has no usable SSH key in {}, and would be locked out; add one, then: {AGAIN}",
                self.account.keys()
            ))
        } else if self.login == Login::Exposed {
            Some(format!(
                "others can write to the SSH keys of {name}, so sshd ignores them; then: {AGAIN}"
            ))
        } else if !has("pubkeyauthentication", "yes") {
            Some("sshd does not accept keys at all (PubkeyAuthentication)".to_owned())
        } else if !self.reads_keys() {
            Some(format!(
                "sshd reads no keys from {} (AuthorizedKeysFile)",
                self.account.keys()
            ))
        } else if !has("authenticationmethods", "any") && !has("authenticationmethods", "") {
            Some("AuthenticationMethods is set here: SSH already has rules of its own".to_owned())
        } else if !self.effective.words("allowgroups").is_empty() {
            Some("AllowGroups is set here: SSH already has rules of its own".to_owned())
        } else {
            let denied = sshd::admits(&self.effective.words("denyusers"), name);
            denied.then(|| format!("sshd turns {name} away (DenyUsers)"))
        }
    }

    /// Whether sshd looks for keys where ours are.
    fn reads_keys(&self) -> bool {
        let home = &self.account.home;
        self.effective
            .words("authorizedkeysfile")
            .iter()
            .any(|file| {
                let file = file.replace("%h", home).replace("%u", &self.account.name);
                file == ".ssh/authorized_keys" || file == self.account.keys()
            })
    }

    /// Our settings, and who may log in unless somebody else has decided that already.
    fn drop_in(&self) -> String {
        let ours: BTreeSet<&str> = allowed(&self.present).collect();
        let words = self.effective.words("allowusers");
        let theirs: Vec<&str> = words
            .into_iter()
            .filter(|word| !ours.contains(word))
            .collect();
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
    fn settled(&self) -> bool {
        let in_force = WANTED
            .iter()
            .all(|(key, value)| self.effective.value(key) == *value);
        let admitted = sshd::admits(&self.effective.words("allowusers"), &self.account.name);
        in_force && admitted && self.present == self.drop_in()
    }

    /// What is said when the files are written and something else wins.
    fn beaten(&self) -> Failure {
        let saw: Vec<String> = WANTED
            .iter()
            .filter(|(key, value)| self.effective.value(key) != *value)
            .map(|(key, _)| format!("{key} {}", self.effective.value(key)))
            .collect();
        Failure::wanted("password and root logins off", saw.join(", ")).hint(
            "an earlier line wins: grep -rniE 'PasswordAuthentication|KbdInteractive|PermitRootLogin|^Include' /etc/ssh/sshd_config /etc/ssh/sshd_config.d",
        )
    }
}

/// `sshd -T`, for which its runtime directory has to be there: with `ssh.socket` it may not be.
fn effective(host: &Host) -> Result<Effective> {
    if !host.exists("/run/sshd") {
        let access = Access {
            mode: 0o755,
            owner: Some((0, 0)),
        };
        host.directory("/run/sshd", access)?;
    }
    host.must(&Program::new("sshd").arg("-T"))
        .map(Effective::new)
        .map_err(|failure| failure.hint("sshd -t"))
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

    fn survey(effective: &str) -> Survey {
        Survey {
            account: Account {
                name: "deploy".to_owned(),
                uid: 1000,
                gid: 1000,
                home: "/home/deploy".to_owned(),
                shell: "/bin/bash".to_owned(),
            },
            effective: Effective::new(effective),
            way_in: probe::WayIn::choose(&Effective::default(), &BTreeSet::new()),
            present: String::new(),
            login: Login::Usable,
            others: Vec::new(),
        }
    }

    #[test]
    fn whatever_would_lock_people_out_is_an_obstacle() {
        assert_eq!(survey(HARD).obstacle(), None, "control");
        let without_key = Survey {
            login: Login::Keyless,
            ..survey(HARD)
        };
        assert!(
            without_key
                .obstacle()
                .is_some_and(|why| why.contains("no usable SSH key"))
        );
        let exposed = Survey {
            login: Login::Exposed,
            ..survey(HARD)
        };
        assert!(exposed.obstacle().is_some());
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
            assert!(survey(&HARD.replace(from, to)).obstacle().is_some(), "{to}");
        }
    }

    #[test]
    fn keys_are_found_where_sshd_looks() {
        for file in [
            ".ssh/authorized_keys",
            "%h/.ssh/authorized_keys",
            "/home/%u/.ssh/authorized_keys",
        ] {
            let text = format!("authorizedkeysfile /etc/ssh/x {file}\n");
            assert!(survey(&text).reads_keys(), "{file}");
        }
        assert!(!survey("authorizedkeysfile none\n").reads_keys());
    }

    #[test]
    fn everybody_with_a_key_stays_and_a_decision_made_here_is_kept() {
        let mut people = survey(HARD);
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
    fn settled_is_what_is_in_force_and_not_what_is_written() {
        let mut done = survey(&format!("{HARD}allowusers deploy\n"));
        done.present = done.drop_in();
        assert!(done.settled());
        done.effective = Effective::new(
            format!("{HARD}allowusers deploy\n")
                .replace("passwordauthentication no", "passwordauthentication yes"),
        );
        assert!(!done.settled());
        assert!(done.beaten().what.contains("passwordauthentication yes"));
    }
}
