//! Security updates that install themselves, by unattended-upgrades.

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host, apt, systemd};

const ACCESS: Access = Access::root(0o644);
const PACKAGE: &str = "unattended-upgrades";
/// Sorts behind Debian's `20auto-upgrades` and `50unattended-upgrades`: the last value wins.
const APT_CONF: &str = "/etc/apt/apt.conf.d/60openclaw-deploy";
const TIMERS: [&str; 2] = ["apt-daily.timer", "apt-daily-upgrade.timer"];
const JOBS: [&str; 2] = [
    "APT::Periodic::Update-Package-Lists",
    "APT::Periodic::Unattended-Upgrade",
];
/// Unset means on; `0` ends apt's service before it looks at the jobs.
const ENABLE: &str = "APT::Periodic::Enable";
const REBOOT: &str = "Unattended-Upgrade::Automatic-Reboot";
const ORIGINS: [&str; 2] = [
    "Unattended-Upgrade::Origins-Pattern",
    "Unattended-Upgrade::Allowed-Origins",
];

/// Installs and switches them on.
pub(super) fn switch_on(cx: &Context) -> Result<()> {
    let host = &cx.host;
    host.write(APT_CONF, apt_conf(cx).as_bytes(), ACCESS)?;
    apt::install(host, &[PACKAGE])?;
    for timer in TIMERS {
        systemd::systemctl(host, &["enable", "--now", timer])?;
    }
    Ok(())
}

/// Fails if unattended-upgrades has no origins.
pub(super) fn need_origins(host: &Host) -> Result<()> {
    let dump = apt::config_dump(host)?;
    let none = |origins: &&str| apt::values(&dump, origins).is_empty();
    if ORIGINS.iter().all(none) {
        return Err(
            Failure::new("unattended-upgrades has no origins to upgrade from")
                .hint("see /etc/apt/apt.conf.d/50unattended-upgrades"),
        );
    }
    Ok(())
}

/// What is missing for updates to happen.
pub(super) fn plan(cx: &Context) -> Result<Vec<String>> {
    let host = &cx.host;
    if !apt::is_available(host) {
        return Ok(Vec::new());
    }
    let lacking = apt::missing(host, &[PACKAGE])?;
    let mut what: Vec<String> = lacking
        .iter()
        .map(|package| format!("install {package}"))
        .collect();
    let dump = apt::config_dump(host)?;
    let on = periodic(&dump);
    let timers = TIMERS.iter().all(|timer| systemd::is_enabled(host, timer));
    if !on || !timers {
        what.push("switch automatic updates on".to_owned());
    }
    let reboot = cx.settings.host.automatic_reboot;
    if apt::values(&dump, REBOOT).last() != Some(&reboot.to_string().as_str()) {
        what.push(format!(
            "switch automatic reboots {}",
            if reboot { "on" } else { "off" }
        ));
    }
    Ok(what)
}

/// Whether apt's service runs its jobs, according to `apt-config dump`.
fn periodic(dump: &str) -> bool {
    let enabled = apt::values(dump, ENABLE).is_empty() || apt::is_on(dump, ENABLE);
    enabled && JOBS.iter().all(|job| apt::is_on(dump, job))
}

fn apt_conf(cx: &Context) -> String {
    format!(
        "// Written by openclaw-deploy.\n\
         {ENABLE} \"1\";\n\
         {} \"1\";\n\
         {} \"1\";\n\
         {REBOOT} \"{}\";\n",
        JOBS[0], JOBS[1], cx.settings.host.automatic_reboot
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_on_do_not_run_where_all_of_them_are_off() {
        let jobs = "APT::Periodic::Update-Package-Lists \"1\";\n\
            APT::Periodic::Unattended-Upgrade \"1\";\n";
        let with = |first: &str| periodic(&format!("APT::Periodic \"\";\n{first}{jobs}"));
        assert!(with(""), "on unless something is said");
        assert!(with("APT::Periodic::Enable \"1\";\n"));
        assert!(!with("APT::Periodic::Enable \"0\";\n"));
        assert!(!periodic("APT::Periodic::Enable \"1\";\n"), "no jobs");
    }
}
