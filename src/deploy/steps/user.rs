//! Step 2: the user who logs in and administers, with the SSH keys of those who do so already.
//!
//! The user has no password, so its sudo rule asks for none: once root may no longer log in, it is
//! the only way to administer this host. It is not put into the group `docker` unless the settings
//! say so, because that equals root. Keys are added, never replaced.

mod deploy_keys;
pub(super) mod sudo;

use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::disk::free;
use crate::deploy::host::{Host, Program};
use crate::deploy::step::{Step, StepState};

use self::deploy_keys::DeployKeys;
use crate::deploy::host::account::Account;

/// Deploy user and SSH keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User;

impl Step for User {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let (host, name) = (&cx.host, &cx.settings.user);
        if host.find("useradd").is_none() {
            let reason = "this host has no useradd".to_owned();
            return Ok(StepState::Skip { reason });
        }
        let mut what = Vec::new();
        match Account::find(host, name)? {
            None => what.push(format!("create the user {name}")),
            Some(account) if account.has_no_login_shell() => {
                what.push(format!("give {name} a login shell"))
            }
            Some(_) => {}
        }
        if sudo::lacks_rule(cx) {
            what.push(format!("let {name} use sudo"));
        }
        if lacks_group(cx)? {
            what.push(format!("put {name} into the group docker"));
        }
        what.extend(DeployKeys::observe(cx)?.plan());
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        create_account(&cx.host, &cx.settings.user)?;
        sudo::add_rule(cx)?;
        if lacks_group(cx)? {
            let join = Program::new("usermod").args(["--append", "--groups", "docker"]);
            cx.host.must(&join.arg(&cx.settings.user))?;
        }
        let keys = DeployKeys::observe(cx)?;
        keys.write(&cx.host)?;
        Ok(Some(keys.note()))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let name = &cx.settings.user;
        Account::need(&cx.host, name)?;
        if cx.settings.host.sudo {
            let answer = cx.host.run(&sudo::test(name))?;
            if !answer.ok() {
                let what = format!("{name} cannot use sudo without a password");
                return Err(Failure::new(format!("{what}: {}", answer.last_line()))
                    .hint(format!("sudo -l -U {name}")));
            }
        }
        match DeployKeys::observe(cx)?.plan().first() {
            None => Ok(()),
            Some(left) => Err(Failure::expected(
                "all keys in place",
                format!("this to do: {left}"),
            )
            .hint(format!(
                "another program changes them; see when it did: ls -l ~{name}/.ssh"
            ))),
        }
    }
}

/// What `useradd` needs for the copies of its tables. On a full disk it reports a lock instead.
const NEEDED: u64 = 1 << 20;

/// Fails before anything is changed if `/etc` has no space for the new tables.
fn check_free_space(host: &Host) -> Result<()> {
    let free = free(&host.path("/etc"))?;
    if free >= NEEDED {
        return Ok(());
    }
    let what = format!(
        "no space in /etc to create a user: {} needed, {} free",
        size(NEEDED),
        size(free)
    );
    Err(Failure::new(what)
        .hint("free some space: df -h /etc")
        .cause(Cause::Disk))
}

/// Creates the account, or gives an existing one a login shell.
fn create_account(host: &Host, name: &str) -> Result<()> {
    let program = match Account::find(host, name)? {
        None => Program::new("useradd")
            .args(["--create-home", "--user-group", "--shell", "/bin/bash"])
            // No password, but not locked either: a locked account is refused without PAM.
            .args(["--password", "*", name]),
        Some(account) if account.has_no_login_shell() => {
            Program::new("usermod").args(["--shell", "/bin/bash", name])
        }
        Some(_) => return Ok(()),
    };
    check_free_space(host)?;
    host.must(&program).map(drop)
}

/// Whether the settings want the group, it exists, and the user is not in it.
fn lacks_group(cx: &Context) -> Result<bool> {
    if !cx.settings.host.docker_group {
        return Ok(false);
    }
    let groups = cx.host.read("/etc/group")?.unwrap_or_default();
    let docker = groups.lines().find_map(|line| line.strip_prefix("docker:"));
    Ok(docker.is_some_and(|line| {
        let members = line.rsplit(':').next().unwrap_or_default();
        !members.split(',').any(|member| member == cx.settings.user)
    }))
}
