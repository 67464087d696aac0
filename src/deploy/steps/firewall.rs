//! Step 6: nobody gets in but over SSH and from the tailnet.
//!
//! Before the firewall is switched on, the ports on which sshd really listens are allowed; it is not
//! switched on while a rule denies one of them. Rules are read with `ufw show added`, the state with
//! `ufw status verbose`. UFW does not filter ports that Docker publishes; step 4 publishes the gateway
//! on 127.0.0.1 only.

use std::collections::BTreeSet;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Host, Program};
use crate::deploy::step::{Step, StepState};

use crate::deploy::host::ufw::{self, FirewallPolicy};
use crate::deploy::host::{apt, sshd, systemd};

const TAILNET: &str = "tailscale0";

/// UFW.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Firewall;

impl Step for Firewall {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let host = &cx.host;
        if let Some(reason) = absent(host) {
            return Ok(StepState::Skip { reason });
        }
        if !apt::is_installed(host, "ufw", "ufw") {
            let ports = sshd::ports(host)?;
            let what = vec![
                "install ufw".to_owned(),
                format!("let in SSH ({})", list(&ports)),
            ];
            return Ok(StepState::Needed { what });
        }
        FirewallState::of(cx).map(|state| StepState::of(state.plan()))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let host = &cx.host;
        if !apt::is_installed(host, "ufw", "ufw") {
            apt::install(host, &["ufw"])?;
        }
        let state = FirewallState::of(cx)?;
        state.refuse_denied_ssh()?;
        for rule in state.rules() {
            tell(host, &rule)?;
        }
        // Observed again: after this, a missing rule would cut off SSH.
        let now = FirewallState::of(cx)?;
        if !now.rules().is_empty() {
            return Err(Failure::expected("rules that let SSH in", now.added)
                .hint("the firewall was not switched on; see what it has: ufw show added"));
        }
        if !ufw::denies_incoming(&now.status) {
            tell(host, &["default", "deny", "incoming"])?;
            enable(host)?;
        }
        if systemd::is_running(host) {
            systemd::systemctl(host, &["enable", "ufw.service"])?;
        }
        Ok(Some(format!("SSH stays open on {}", list(&now.ports))))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let state = FirewallState::of(cx)?;
        match state.plan().first() {
            None => Ok(()),
            Some(left) => Err(Failure::expected("nothing to do", left).hint("ufw status verbose")),
        }
    }
}

/// Why this step does not apply here.
fn absent(host: &Host) -> Option<String> {
    if !host.is_real_root() {
        return Some("a firewall belongs to the running system, not to --root".to_owned());
    }
    (host.find("ufw").is_none() && !apt::is_available(host)).then(|| apt::not_installed("ufw"))
}

/// UFW as it is, and the ports that must stay open.
struct FirewallState {
    ports: BTreeSet<u16>,
    added: String,
    status: String,
    at_boot: bool,
    extra: Vec<String>,
}

impl FirewallState {
    fn of(cx: &Context) -> Result<Self> {
        let host = &cx.host;
        let ask = |words: &[&str]| host.must(&Program::new("ufw").args(words));
        Ok(Self {
            ports: sshd::ports(host)?,
            added: ask(&["show", "added"])?,
            status: ask(&["status", "verbose"])?,
            at_boot: !systemd::is_running(host) || systemd::is_enabled(host, "ufw.service"),
            extra: cx.settings.host.allow.clone(),
        })
    }

    /// The missing rules, as arguments of `ufw`.
    fn rules(&self) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let mut rules = Vec::new();
        for port in &self.ports {
            if ufw::policy(&self.added, *port) == FirewallPolicy::NoRule {
                rules.push(words(&["allow", &format!("{port}/tcp")]));
            }
        }
        if !ufw::allows_interface(&self.added, TAILNET) {
            rules.push(words(&["allow", "in", "on", TAILNET]));
        }
        for port in &self.extra {
            if !self
                .added
                .lines()
                .any(|line| line == format!("ufw allow {port}"))
            {
                rules.push(words(&["allow", port]));
            }
        }
        rules
    }

    fn plan(&self) -> Vec<String> {
        let mut what: Vec<String> = self
            .rules()
            .iter()
            .map(|rule| format!("ufw {}", rule.join(" ")))
            .collect();
        if !ufw::denies_incoming(&self.status) {
            what.push("switch the firewall on, denying what comes in".to_owned());
        }
        if !self.at_boot {
            what.push("start the firewall with the machine".to_owned());
        }
        what
    }

    /// Fails if a rule denies SSH: the first rule that matches decides, so ours would have no effect.
    fn refuse_denied_ssh(&self) -> Result<()> {
        for port in &self.ports {
            if let FirewallPolicy::Denied(rule) = ufw::policy(&self.added, *port) {
                let found = format!("`{rule}`");
                return Err(
                    Failure::expected(format!("SSH to be let in on port {port}"), found).hint(
                        format!(
                            "{} ; openclaw-deploy bootstrap --only firewall",
                            rule.replacen("ufw ", "ufw delete ", 1)
                        ),
                    ),
                );
            }
        }
        Ok(())
    }
}

/// Switches it on, and off again if the kernel refuses the rules.
fn enable(host: &Host) -> Result<()> {
    tell(host, &["--force", "enable"]).or_else(|failure| {
        tell(host, &["disable"])?;
        Err(failure.hint("the firewall was left off; is netfilter there? iptables -S"))
    })
}

fn tell<S: AsRef<std::ffi::OsStr>>(host: &Host, words: &[S]) -> Result<()> {
    host.must(&Program::new("ufw").args(words)).map(drop)
}

fn list(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(added: &str) -> FirewallState {
        FirewallState {
            ports: BTreeSet::from([22, 2222]),
            added: added.to_owned(),
            status: "Status: active\nDefault: deny (incoming), allow (outgoing)\n".to_owned(),
            at_boot: true,
            extra: vec!["443/tcp".to_owned()],
        }
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let plan = state("ufw allow OpenSSH\n").plan();
        assert_eq!(
            plan,
            [
                "ufw allow 2222/tcp",
                "ufw allow in on tailscale0",
                "ufw allow 443/tcp"
            ]
        );
        let all = "ufw allow OpenSSH\nufw limit 2222/tcp\nufw allow in on tailscale0\nufw allow 443/tcp\n";
        assert_eq!(state(all).plan(), [""; 0]);
    }

    #[test]
    fn a_rule_that_turns_ssh_away_stops_us() {
        let failure = state("ufw deny 2222\n")
            .refuse_denied_ssh()
            .expect_err("stopped");
        assert_eq!(
            failure.what,
            "expected SSH to be let in on port 2222, found `ufw deny 2222`"
        );
        assert!(
            failure
                .hint
                .is_some_and(|hint| hint.starts_with("ufw delete deny 2222 ;"))
        );
        assert_eq!(
            state("ufw deny 80\n").refuse_denied_ssh(),
            Ok(()),
            "control"
        );
    }

    #[test]
    fn a_firewall_that_is_off_or_gone_after_a_reboot_is_not_done() {
        let all = "ufw allow 22\nufw allow 2222\nufw allow in on tailscale0\nufw allow 443/tcp\n";
        let off = FirewallState {
            status: "Status: inactive\n".to_owned(),
            ..state(all)
        };
        assert_eq!(off.plan().len(), 1);
        let once = FirewallState {
            at_boot: false,
            ..state(all)
        };
        assert_eq!(once.plan(), ["start the firewall with the machine"]);
    }
}
