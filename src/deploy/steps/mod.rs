//! The nine steps, in the order in which they run.
//!
//! A new step is a file here and a line in [`all`].

pub mod account;
pub mod apt;
pub mod backup;
pub mod docker;
pub mod fail2ban;
pub mod files;
pub mod firewall;
pub mod gateway;
pub mod keys;
pub mod probe;
pub mod revert;
pub mod ssh;
pub mod sshd;
pub mod survey;
pub mod systemd;
pub mod tailscale;
pub mod ufw;
pub mod upkeep;
pub mod user;
pub mod vendor;

use super::run::Context;
use super::step::{State, Step};

/// All steps.
#[must_use]
pub fn all() -> Vec<Box<dyn Step>> {
    vec![
        Box::new(docker::Docker),
        Box::new(user::User),
        Box::new(files::Files),
        Box::new(gateway::Gateway::default()),
        Box::new(tailscale::Tailscale),
        Box::new(firewall::Firewall),
        Box::new(fail2ban::Fail2ban),
        Box::new(upkeep::Upkeep),
        Box::new(ssh::Ssh),
    ]
}

/// What the steps that work on this very host do when the engine, and so the gateway, is on another.
#[must_use]
pub fn elsewhere(cx: &Context) -> Option<State> {
    let reason = || "the engine is on another machine: run this step there".to_owned();
    (cx.settings.engine.is_remote()).then(|| State::Skip { reason: reason() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_in_order_and_named_once() {
        let numbers: Vec<_> = all().iter().map(|step| step.number()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let names: std::collections::BTreeSet<_> = all().iter().map(|step| step.name()).collect();
        assert_eq!(names.len(), 9);
    }
}
