//! Step 2: the user who logs in and administers, with the keys of whoever is here already.
//!
//! The user has no password, so its sudo rule asks for none: once root may no longer log in, it is
//! the only way to administer this host. It is not put into the group `docker` unless the settings
//! say so: that would be a second, silent way to root. Keys are added, never replaced.

use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::disk::free;
use crate::deploy::host::{Access, Answer, Host, Program};
use crate::deploy::step::{State, Step};

use crate::deploy::host::account::{Account, Login};
use crate::deploy::host::{apt, keys};

const RULE_FILE: &str = "/etc/sudoers.d/openclaw-deploy";
const RULE_ACCESS: Access = Access::root(0o440);

/// Deploy user and SSH keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User;

impl Step for User {
    fn check(&self, cx: &Context) -> Result<State> {
        let (host, name) = (&cx.host, &cx.settings.user);
        if host.find("useradd").is_none() {
            let reason = "this host has no useradd".to_owned();
            return Ok(State::Skip { reason });
        }
        let mut what = Vec::new();
        match Account::find(host, name)? {
            None => what.push(format!("create the user {name}")),
            Some(account) if account.has_no_login_shell() => {
                what.push(format!("give {name} a login shell"))
            }
            Some(_) => {}
        }
        if lacks_rule(cx) {
            what.push(format!("let {name} use sudo"));
        }
        if lacks_group(cx)? {
            what.push(format!("put {name} into the group docker"));
        }
        what.extend(Keys::observe(cx)?.plan());
        Ok(State::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        account(&cx.host, &cx.settings.user)?;
        rule(cx)?;
        if lacks_group(cx)? {
            let join = Program::new("usermod").args(["--append", "--groups", "docker"]);
            cx.host.must(&join.arg(&cx.settings.user))?;
        }
        let keys = Keys::observe(cx)?;
        keys.write(&cx.host)?;
        Ok(Some(keys.note()))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let name = &cx.settings.user;
        Account::need(&cx.host, name)?;
        if cx.settings.host.sudo {
            let answer = cx.host.run(&sudo_true(name))?;
            if !answer.ok() {
                let wanted = format!("that {name} can use sudo without a password");
                return Err(Failure::expected(wanted, answer.last_line())
                    .hint(format!("sudo -l -U {name}")));
            }
        }
        match Keys::observe(cx)?.plan().first() {
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

/// What `useradd` needs for the copies of its tables: on a full disk it speaks of a lock instead.
const NEEDED: u64 = 1 << 20;

/// Refuses to begin what a full `/etc` would leave half done.
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

/// Makes the account, or gives an old one a shell.
fn account(host: &Host, name: &str) -> Result<()> {
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

fn rule_text(name: &str) -> String {
    format!(
        "# Written by openclaw-deploy. {name} has no password and logs in by key only, so sudo cannot\n\
         # ask for one. Root cannot log in over SSH: without this rule nobody could administer.\n\
         {name} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    )
}

fn lacks_rule(cx: &Context) -> bool {
    let text = rule_text(&cx.settings.user);
    cx.settings.host.sudo
        && (!apt::is_installed(&cx.host, "sudo", "sudo")
            || !cx.host.holds(RULE_FILE, text.as_bytes(), RULE_ACCESS))
}

/// Installs sudo and the rule, which sudo itself has to accept first.
fn rule(cx: &Context) -> Result<()> {
    if !lacks_rule(cx) {
        return Ok(());
    }
    let host = &cx.host;
    if !apt::is_installed(host, "sudo", "sudo") {
        if !apt::is_available(host) {
            return Err(Failure::new(apt::not_installed("sudo"))
                .hint("install sudo; or set sudo = false in /etc/openclaw-deploy.toml"));
        }
        apt::install(host, &["sudo"])?;
    }
    let text = rule_text(&cx.settings.user);
    let check = Program::new("visudo").args(["-c", "-f", "-"]);
    host.must(&check.input(text.as_bytes()))?;
    host.write(RULE_FILE, text.as_bytes(), RULE_ACCESS)
        .map(drop)
}

/// What works only for somebody who can become root without a password.
fn sudo_true(name: &str) -> Program {
    Program::new("runuser").args(["-u", name, "--", "sudo", "-n", "true"])
}

/// Whether `name` can really become root: without a password, or with the one that it has.
pub(crate) fn administers(host: &Host, name: &str) -> bool {
    let sudo = |program: &Program| host.run(program).ok().filter(Answer::ok);
    if sudo(&sudo_true(name)).is_some() {
        return true;
    }
    let shadow = host.read("/etc/shadow").ok().flatten().unwrap_or_default();
    let rules = sudo(&Program::new("sudo").args(["-n", "-l", "-U", name]));
    has_password(&shadow, name) && rules.is_some_and(|answer| allows_all(&answer.stdout))
}

/// Whether `/etc/shadow` has a password for `name` that can be typed: neither locked nor empty.
fn has_password(shadow: &str, name: &str) -> bool {
    shadow.lines().any(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(name) && fields.next().is_some_and(|hash| hash.starts_with('$'))
    })
}

/// Whether a rule of `sudo -l` allows every command as root.
fn allows_all(rules: &str) -> bool {
    rules.lines().map(str::trim).any(|rule| {
        (rule.starts_with("(ALL") || rule.starts_with("(root")) && rule.ends_with(") ALL")
    })
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

/// The keys of the deploy user, and those that it should have.
struct Keys {
    account: Option<Account>,
    /// The file as it is, byte for byte.
    file: Vec<u8>,
    /// The same as text.
    text: String,
    /// Lines to add.
    missing: Vec<String>,
    /// Whether sshd would refuse the file for who can write it.
    exposed: bool,
    name: String,
}

impl Keys {
    fn observe(cx: &Context) -> Result<Self> {
        let host = &cx.host;
        let name = cx.settings.user.clone();
        let account = Account::find(host, &name)?;
        let file = match &account {
            Some(account) => host.read_of(account.uid, account.keys())?,
            None => None,
        };
        let file = file.unwrap_or_default();
        let text = String::from_utf8_lossy(&file).into_owned();
        let mut missing: Vec<String> = Vec::new();
        for source in sources(cx)? {
            let held = format!("{text}\n{}", missing.join("\n"));
            let lines = keys::missing(&source, &held);
            missing.extend(lines.into_iter().map(str::to_owned));
        }
        let exposed = account
            .as_ref()
            .is_some_and(|account| !text.is_empty() && Login::of(host, account) == Login::Unsafe);
        Ok(Self {
            account,
            file,
            text,
            missing,
            exposed,
            name,
        })
    }

    fn plan(&self) -> Vec<String> {
        let mut what = Vec::new();
        match self.missing.len() {
            0 => {}
            1 => what.push(format!("add 1 SSH key for {}", self.name)),
            count => what.push(format!("add {count} SSH keys for {}", self.name)),
        }
        if self.exposed {
            what.push(format!(
                "take the SSH keys of {} out of others' reach",
                self.name
            ));
        }
        what
    }

    fn write(&self, host: &Host) -> Result<()> {
        let Some(account) = self.account.as_ref().filter(|_| !self.plan().is_empty()) else {
            return Ok(());
        };
        let owner = Some((account.uid, account.gid));
        let directory = format!("{}/.ssh", account.home);
        host.directory(directory, Access { mode: 0o700, owner })?;
        let mut file = self.file.clone();
        for line in &self.missing {
            if !file.is_empty() && !file.ends_with(b"\n") {
                file.push(b'\n');
            }
            file.extend_from_slice(line.as_bytes());
            file.push(b'\n');
        }
        host.write(account.keys(), &file, Access { mode: 0o600, owner })?;
        let close = Program::new("chmod").args(["go-w", account.home.as_str()]);
        host.must(&close).map(drop)
    }

    fn note(&self) -> String {
        let usable = keys::keys(&self.text).filter(keys::Key::usable).count() + self.missing.len();
        match usable {
            0 => format!(
                "{} has no SSH key yet, so SSH will not be hardened",
                self.name
            ),
            1 => "1 SSH key".to_owned(),
            count => format!("{count} SSH keys"),
        }
    }
}

/// The keys of root, and of whoever called us through sudo.
fn sources(cx: &Context) -> Result<Vec<String>> {
    let caller = cx.sudo_user.as_deref();
    let mut sources = Vec::new();
    for account in Account::all(&cx.host)? {
        if account.name == "root" || Some(account.name.as_str()) == caller {
            let keys = cx.host.read_of(account.uid, account.keys())?;
            sources.extend(keys.map(|it| String::from_utf8_lossy(&it).into_owned()));
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_counts_only_if_it_can_be_typed() {
        let shadow =
            "root:*:1::\ndeploy:$y$j9T$x$y:1::\nops:!$y$j9T$x$y:1::\nnew:!:1::\nopen::1::\n";
        assert!(has_password(shadow, "deploy"), "control");
        for name in ["root", "ops", "new", "open", "dep", "nobody"] {
            assert!(!has_password(shadow, name), "{name}");
        }
    }

    #[test]
    fn only_a_rule_for_every_command_makes_an_administrator() {
        let head = "User deploy may run the following commands on vps:\n";
        for rule in ["(ALL : ALL) ALL", "(ALL) ALL", "(root) ALL"] {
            assert!(allows_all(&format!("{head}    {rule}\n")), "{rule}");
        }
        for rule in [
            "(www-data) ALL",
            "(root) /usr/bin/apt",
            "(ALL) ALL, !/bin/sh",
        ] {
            assert!(!allows_all(&format!("{head}    {rule}\n")), "{rule}");
        }
        assert!(!allows_all(
            "User deploy is not allowed to run sudo on vps.\n"
        ));
    }
}
