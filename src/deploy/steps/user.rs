//! Step 2: the user who logs in and administers, with the SSH keys of those who do so already.
//!
//! The user has no password, so its sudo rule asks for none: once root may no longer log in, it is
//! the only way to administer this host. It is not put into the group `docker` unless the settings
//! say so, because that equals root. Keys are added, never replaced.

mod deploy_keys;
pub(super) mod sudo;
mod root_access;

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
        what.extend(take_sudo(cx)?);
        if lacks_group(cx)? {
            what.push(format!("put {name} into the group docker"));
        }
        warn_of_group(cx)?;
        what.extend(DeployKeys::observe(cx)?.plan());
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        create_account(&cx.host, &cx.settings.user)?;
        sudo::add_rule(cx)?;
        if takes_sudo(cx)? {
            sudo::take_rule(&cx.host)?;
        }
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

/// Whether the rule of an earlier run goes: the settings want none, and somebody else can administer.
fn takes_sudo(cx: &Context) -> Result<bool> {
    Ok(sudo::has_unwanted_rule(cx) && root_access::remains_without_rule(cx)?)
}

/// The plan for a rule that the settings no longer want; a warning where it has to stay.
fn take_sudo(cx: &Context) -> Result<Option<String>> {
    let name = &cx.settings.user;
    let takes = takes_sudo(cx)?;
    if !takes && sudo::has_unwanted_rule(cx) {
        cx.reporter.warn(format!(
            "`sudo = false`, but {name} keeps sudo: SSH lets nobody else in who could become root; \
             give {name} a password and sudo that asks for it (passwd {name}; usermod --append --groups sudo {name}), \
             or another administrator a key, then: openclaw-deploy bootstrap --only user"
        ));
    }
    Ok(takes.then(|| format!("take sudo from {name}")))
}

/// Who put the user into the group is written nowhere, and it may have been the administrator.
fn warn_of_group(cx: &Context) -> Result<()> {
    let name = &cx.settings.user;
    if !cx.settings.host.docker_group && is_in_docker_group(cx)? == Some(true) {
        cx.reporter.warn(format!(
            "`docker_group = false`, but {name} is in the group docker, which equals root; \
             to take it out: gpasswd --delete {name} docker"
        ));
    }
    Ok(())
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
    Ok(cx.settings.host.docker_group && is_in_docker_group(cx)? == Some(false))
}

/// Whether the user is in the group `docker`; `None` where there is none.
fn is_in_docker_group(cx: &Context) -> Result<Option<bool>> {
    let groups = cx.host.read("/etc/group")?.unwrap_or_default();
    let docker = groups.lines().find_map(|line| line.strip_prefix("docker:"));
    Ok(docker.map(|line| {
        let members = line.rsplit(':').next().unwrap_or_default();
        members.split(',').any(|member| member == cx.settings.user)
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    const RULE: &str = "etc/sudoers.d/openclaw-deploy";

    /// A host with the deploy user and the rule of an earlier run, and `sudo = false`.
    fn host_with_rule(root: &Path) -> Context {
        let mut cx = Context::below(root);
        let write = |path: &str, text: &str, mode: u32| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        };
        let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
        let passwd = format!("deploy:x:{user}:{group}::/home/deploy:/bin/bash\n");
        write("etc/passwd", &passwd, 0o644);
        write("etc/group", "docker:x:999:ubuntu,deploy\n", 0o644);
        write("usr/sbin/useradd", "", 0o755);
        write(RULE, &sudo::rule_text("deploy"), 0o440);
        cx.settings.host.sudo = false;
        cx
    }

    fn plan(cx: &Context) -> Vec<String> {
        match User.check(cx).expect("looked at") {
            StepState::Needed { what } => what,
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_rule_that_the_settings_no_longer_want_is_taken_away() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = host_with_rule(root.path());
        let taken = "take sudo from deploy".to_owned();
        assert!(plan(&cx).contains(&taken), "{:?}", plan(&cx));
        User.apply(&cx).expect("applied");
        assert!(!root.path().join(RULE).exists());
        assert!(!plan(&cx).contains(&taken));
    }

    #[test]
    fn a_rule_that_somebody_has_edited_is_theirs() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = host_with_rule(root.path());
        fs::write(
            root.path().join(RULE),
            "deploy ALL=(ALL) NOPASSWD: /bin/ls\n",
        )
        .expect("written");
        User.apply(&cx).expect("applied");
        assert!(root.path().join(RULE).exists());
    }

    #[test]
    fn the_last_one_who_can_administer_keeps_sudo_and_it_is_said() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = host_with_rule(root.path());
        // One that cannot be asked: nobody knows whether it lets root in.
        let sshd = root.path().join("usr/sbin/sshd");
        fs::write(&sshd, "").expect("written");
        fs::set_permissions(&sshd, fs::Permissions::from_mode(0o755)).expect("set");
        assert!(!plan(&cx).iter().any(|line| line.contains("sudo")));
        User.apply(&cx).expect("applied");
        assert!(root.path().join(RULE).exists());
        let said = cx.reporter.warnings();
        assert!(
            said.iter().any(|it| it.contains("deploy keeps sudo")),
            "{said:?}"
        );
    }

    #[test]
    fn a_group_that_the_settings_do_not_want_is_told_with_the_way_out_of_it() {
        let root = tempfile::tempdir().expect("a directory");
        let mut cx = host_with_rule(root.path());
        plan(&cx);
        let told = |cx: &Context| {
            let said = cx.reporter.warnings();
            said.iter()
                .any(|it| it.ends_with("gpasswd --delete deploy docker"))
        };
        assert!(told(&cx));
        cx = host_with_rule(root.path());
        cx.settings.host.docker_group = true;
        plan(&cx);
        assert!(!told(&cx), "the control");
    }
}
