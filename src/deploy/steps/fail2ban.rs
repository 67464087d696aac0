//! Step 7: five failed SSH logins in ten minutes ban an address for an hour.
//!
//! The jail reads the journal, because Debian no longer writes auth.log and fail2ban does not start
//! without a log. It matches every name under which sshd writes to the journal, and root's lines only:
//! anybody can call a program `sshd`. sshd itself logs as root, for its child too that has no rights.

use std::time::Duration;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};
use crate::deploy::step::{Step, StepState};

use crate::deploy::host::{apt, sshd, systemd};

const JAIL: &str = "/etc/fail2ban/jail.d/openclaw-deploy.local";
const ACCESS: Access = Access::root(0o644);
/// nftables does the banning; Debian's fail2ban only recommends it.
const PACKAGES: [&str; 3] = ["fail2ban", "python3-systemd", "nftables"];
const UNIT: &str = "fail2ban.service";
/// What must be in force: 5 tries in 600 s, an hour out.
const LIMITS: [(&str, &str); 3] = [("maxretry", "5"), ("findtime", "600"), ("bantime", "3600")];

/// fail2ban.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fail2ban;

impl Step for Fail2ban {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let host = &cx.host;
        if !systemd::is_running(host) {
            let reason = systemd::NOT_RUNNING.to_owned();
            return Ok(StepState::Skip { reason });
        }
        if host.find("fail2ban-client").is_none() && !apt::is_available(host) {
            let reason = apt::not_installed("fail2ban");
            return Ok(StepState::Skip { reason });
        }
        let mut what = Vec::new();
        if apt::is_available(host) {
            let lacking = apt::missing(host, &PACKAGES)?;
            what.extend(lacking.iter().map(|package| format!("install {package}")));
        }
        if !host.holds(JAIL, jail(host)?.as_bytes(), ACCESS) {
            what.push("watch over SSH".to_owned());
        }
        if what.is_empty() && (!in_force(host) || !systemd::is_enabled(host, UNIT)) {
            what.push("start fail2ban".to_owned());
        }
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let host = &cx.host;
        // Before the package, whose first start would fail without a log file.
        host.write(JAIL, jail(host)?.as_bytes(), ACCESS)?;
        if apt::is_available(host) {
            apt::install(host, &PACKAGES)?;
        }
        systemd::systemctl(host, &["enable", UNIT])?;
        systemd::systemctl(host, &["restart", UNIT])?;
        for _ in 0..60 {
            if in_force(host) {
                break;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Ok(Some("5 tries in 10 minutes, then an hour out".to_owned()))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let host = &cx.host;
        let ping = client(host, &["ping"]);
        if ping
            .as_deref()
            .is_none_or(|answer| !answer.contains("pong"))
        {
            let saw = ping.unwrap_or_else(|| "no answer".to_owned());
            return Err(
                Failure::expected("fail2ban to answer", saw).hint("journalctl -u fail2ban -n 20")
            );
        }
        if !in_force(host) {
            return Err(
                Failure::expected("our limits in the jail sshd", "other ones")
                    .hint("grep -rn bantime /etc/fail2ban/jail.local /etc/fail2ban/jail.d"),
            );
        }
        Ok(())
    }
}

/// The jail for the ports that sshd really has.
fn jail(host: &Host) -> Result<String> {
    let ports: Vec<String> = sshd::ports(host)?.iter().map(u16::to_string).collect();
    let limits: String = LIMITS
        .iter()
        .map(|(name, value)| format!("{name} = {value}\n"))
        .collect();
    Ok(format!(
        "# Written by openclaw-deploy.\n\
         [sshd]\n\
         enabled = true\n\
         backend = systemd\n\
         journalmatch = {}\n\
         port = {}\n\
         banaction = nftables\n\
         {limits}",
        journal_match(),
        ports.join(",")
    ))
}

/// Who writes what the jail reads: `+` is "or", and what stands between is "and". The units want root too:
/// without `pam_systemd` whoever has logged in stays in them.
fn journal_match() -> String {
    let names = [
        "_SYSTEMD_UNIT=ssh.service",
        "_SYSTEMD_UNIT=sshd.service",
        "_COMM=sshd",
        "_COMM=sshd-session",
    ];
    names.map(|name| format!("{name} _UID=0")).join(" + ")
}

/// Whether the running fail2ban has our jail with our limits.
fn in_force(host: &Host) -> bool {
    host.find("fail2ban-client").is_some()
        && LIMITS.iter().all(|(name, value)| {
            client(host, &["get", "sshd", name]).is_some_and(|answer| answer.trim() == *value)
        })
}

fn client(host: &Host, words: &[&str]) -> Option<String> {
    let program = Program::new("fail2ban-client").args(words);
    let answer = host.run(&program).ok()?;
    answer.ok().then_some(answer.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_root_writes_is_read() {
        let root = tempfile::tempdir().expect("a directory");
        let jail = jail(&Host::new(root.path()).expect("a host")).expect("a jail");
        let of_the_jail = jail
            .lines()
            .find_map(|line| line.strip_prefix("journalmatch = "));
        let alternatives: Vec<_> = of_the_jail.expect("a line").split(" + ").collect();
        assert_eq!(alternatives.len(), 4);
        for one in alternatives {
            assert!(one.ends_with(" _UID=0"), "{one}");
        }
    }
}
