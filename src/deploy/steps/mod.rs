//! The nine steps, in the order in which they run.
//!
//! A new step is a file here and a line in [`all`].

pub(crate) mod docker;
pub(crate) mod user;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod tailscale;
pub(crate) mod firewall;
pub(crate) mod fail2ban;
pub(crate) mod maintenance;
pub(crate) mod ssh;

use super::step::Reach::{self, AnyEngine, ThisHost};
use super::step::{NumberedStep, Step};

/// All steps.
pub(crate) fn all() -> Vec<NumberedStep> {
    vec![
        list(1, "docker", AnyEngine, docker::Docker),
        list(2, "user", ThisHost, user::User),
        list(3, "files", AnyEngine, files::Files),
        list(4, "gateway", AnyEngine, gateway::Gateway::default()),
        list(5, "tailscale", ThisHost, tailscale::Tailscale),
        list(6, "firewall", ThisHost, firewall::Firewall),
        list(7, "fail2ban", ThisHost, fail2ban::Fail2ban),
        list(8, "upkeep", ThisHost, maintenance::Maintenance),
        list(9, "ssh", ThisHost, ssh::Ssh),
    ]
}

/// The steps of an update, with numbers of their own.
pub(crate) fn of_update() -> Vec<NumberedStep> {
    vec![
        list(1, "docker", AnyEngine, docker::Docker),
        list(2, "files", AnyEngine, files::Files),
        list(3, "gateway", AnyEngine, gateway::Gateway::default()),
    ]
}

fn list(number: u8, name: &'static str, reach: Reach, step: impl Step + 'static) -> NumberedStep {
    NumberedStep {
        number,
        name,
        reach,
        // A host without a firewall is worse than one without a gateway.
        is_needed: name != "gateway",
        step: Box::new(step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_in_order_and_named_once() {
        let numbers: Vec<_> = all().iter().map(|step| step.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let names: std::collections::BTreeSet<_> = all().iter().map(|step| step.name).collect();
        assert_eq!(names.len(), 9);
        let numbers: Vec<_> = of_update().iter().map(|step| step.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        let free: Vec<_> = all().into_iter().filter(|step| !step.is_needed).collect();
        assert_eq!(
            free.iter().map(|it| it.name).collect::<Vec<_>>(),
            ["gateway"]
        );
    }
}
