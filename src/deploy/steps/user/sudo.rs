//! The deploy user's way to root: a rule of its own for sudo, and whether it works.

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::apt;
use crate::deploy::host::{Access, Host, Program, ProgramOutput};

const RULE_FILE: &str = "/etc/sudoers.d/openclaw-deploy";
const RULE_ACCESS: Access = Access::root(0o440);

pub(super) fn rule_text(name: &str) -> String {
    format!(
        "# Written by openclaw-deploy. {name} has no password and logs in by key only, so sudo cannot\n\
         # ask for one. Root cannot log in over SSH: without this rule nobody could administer.\n\
         {name} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    )
}

pub(super) fn lacks_rule(cx: &Context) -> bool {
    let text = rule_text(&cx.settings.user);
    cx.settings.host.sudo
        && (!apt::is_installed(&cx.host, "sudo", "sudo")
            || !cx.host.holds(RULE_FILE, text.as_bytes(), RULE_ACCESS))
}

/// Installs sudo, and the rule after `visudo` has accepted it.
pub(super) fn add_rule(cx: &Context) -> Result<()> {
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

/// Whether the settings want no rule, and there is one as we write it. One that was edited is somebody
/// else's.
pub(super) fn has_unwanted_rule(cx: &Context) -> bool {
    let there = || cx.host.read(RULE_FILE).ok().flatten();
    !cx.settings.host.sudo && there().is_some_and(|it| it == rule_text(&cx.settings.user))
}

pub(super) fn take_rule(host: &Host) -> Result<()> {
    host.remove(RULE_FILE).map(drop)
}

/// Succeeds only if `name` can become root without a password.
pub(super) fn test(name: &str) -> Program {
    Program::new("runuser").args(["-u", name, "--", "sudo", "-n", "true"])
}

/// Whether `name` can become root: without a password, or by a rule that asks for the one it has.
pub(crate) fn can_become_root(host: &Host, name: &str) -> bool {
    succeeds(host, &test(name)).is_some() || becomes_root_by_password(host, name)
}

/// Whether a rule asks `name` for the password that it has; one without a password does not count.
pub(super) fn becomes_root_by_password(host: &Host, name: &str) -> bool {
    let rules = succeeds(host, &Program::new("sudo").args(["-n", "-l", "-U", name]));
    has_password(host, name) && rules.is_some_and(|answer| allows_all(&answer.stdout))
}

fn succeeds(host: &Host, program: &Program) -> Option<ProgramOutput> {
    host.run(program).ok().filter(ProgramOutput::ok)
}

/// Whether `name` has a password that can be typed: neither locked nor empty.
pub(super) fn has_password(host: &Host, name: &str) -> bool {
    let shadow = host.read("/etc/shadow").ok().flatten().unwrap_or_default();
    is_password_in(&shadow, name)
}

fn is_password_in(shadow: &str, name: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_counts_only_if_it_can_be_typed() {
        let shadow =
            "root:*:1::\ndeploy:$y$j9T$x$y:1::\nops:!$y$j9T$x$y:1::\nnew:!:1::\nopen::1::\n";
        assert!(is_password_in(shadow, "deploy"), "control");
        for name in ["root", "ops", "new", "open", "dep", "nobody"] {
            assert!(!is_password_in(shadow, name), "{name}");
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
