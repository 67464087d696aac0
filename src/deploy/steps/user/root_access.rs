//! Who could administer this host over SSH if the deploy user's rule for sudo went.

use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::account::{Account, KeyLogin};
use crate::deploy::host::sshd::{self, Effective};
use crate::deploy::host::{Host, Program};

use super::sudo;

/// Whether somebody could: root itself, the deploy user by a password, or another user with a key. What
/// cannot be found out is a no, because a host that nobody administers is worse than a rule too many.
pub(super) fn remains_without_rule(cx: &Context) -> Result<bool> {
    let (host, ours) = (&cx.host, &cx.settings.user);
    if host.find("sshd").is_none() {
        return Ok(true);
    }
    let Ok(effective) = sshd::effective(host) else {
        return Ok(false);
    };
    if sudo::becomes_root_by_password(host, ours) {
        return Ok(true);
    }
    let mut accounts = Account::all(host)?.into_iter();
    Ok(accounts.any(|it| match it.uid {
        0 => root_gets_in(host, &effective, &it),
        _ => it.name != *ours && person_administers(host, &effective, &it),
    }))
}

fn root_gets_in(host: &Host, effective: &Effective, root: &Account) -> bool {
    let key = has_key(host, effective, root);
    let password = sudo::has_password(host, &root.name);
    !root.has_no_login_shell()
        && lets_root_in(effective, key, password)
        && is_admitted(host, effective, &root.name)
}

fn person_administers(host: &Host, effective: &Effective, person: &Account) -> bool {
    person.is_person()
        && has_key(host, effective, person)
        && is_admitted(host, effective, &person.name)
        && sudo::can_become_root(host, &person.name)
}

fn has_key(host: &Host, effective: &Effective, account: &Account) -> bool {
    effective.value("pubkeyauthentication") == Some("yes")
        && effective.reads_keys_of(account)
        && KeyLogin::of(host, account) == KeyLogin::Usable
}

/// Whether `PermitRootLogin` takes one of what root has. With `forced-commands-only` a key does what its line
/// says, and nothing else.
fn lets_root_in(effective: &Effective, key: bool, password: bool) -> bool {
    let takes_passwords = effective.value("passwordauthentication") == Some("yes");
    match effective.value("permitrootlogin") {
        Some("yes") => key || (password && takes_passwords),
        Some("prohibit-password" | "without-password") => key,
        _ => false,
    }
}

fn is_admitted(host: &Host, effective: &Effective, name: &str) -> bool {
    let groups = host.must(&Program::new("id").args(["-Gn", name]));
    groups.is_ok_and(|groups| {
        let groups: Vec<_> = groups.split_ascii_whitespace().collect();
        lists_admit(effective, name, &groups)
    })
}

/// Whether sshd's lists admit a user of these groups, and ask for one thing only.
fn lists_admit(effective: &Effective, name: &str, groups: &[&str]) -> bool {
    let is_in = |list, names: &[&str]| {
        let patterns = effective.words(list);
        let is_there = !patterns.is_empty();
        is_there.then(|| names.iter().any(|it| sshd::admits(&patterns, it)))
    };
    let methods = effective.value("authenticationmethods");
    methods.is_none_or(|it| it == "any")
        && is_in("denyusers", &[name]) != Some(true)
        && is_in("allowusers", &[name]) != Some(false)
        && is_in("denygroups", groups) != Some(true)
        && is_in("allowgroups", groups) != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_let_in_by_what_it_has_and_no_forced_command() {
        let with = |value: &str, passwords: &str| {
            let text = format!("permitrootlogin {value}\npasswordauthentication {passwords}\n");
            let effective = Effective::new(text);
            let ways = [(false, false), (true, false), (false, true)];
            ways.map(|(key, password)| lets_root_in(&effective, key, password))
        };
        assert_eq!(with("yes", "yes"), [false, true, true]);
        assert_eq!(with("yes", "no"), [false, true, false]);
        for value in ["prohibit-password", "without-password"] {
            assert_eq!(with(value, "yes"), [false, true, false], "{value}");
        }
        for value in ["no", "forced-commands-only"] {
            assert_eq!(with(value, "yes"), [false; 3], "{value}");
        }
    }

    #[test]
    fn the_lists_admit_as_sshd_reads_them() {
        let admits = |text: &str| lists_admit(&Effective::new(text), "root", &["root", "adm"]);
        for text in [
            "",
            "authenticationmethods any",
            "allowusers deploy\nallowusers root",
            "denyusers deploy",
            "allowgroups a*",
            "denygroups users",
        ] {
            assert!(admits(text), "{text}");
        }
        for text in [
            "authenticationmethods publickey,password",
            "allowusers deploy",
            "denyusers r*",
            "allowusers root\ndenyusers root",
            "allowgroups ssh",
            "denygroups adm",
        ] {
            assert!(!admits(text), "{text}");
        }
    }
}
