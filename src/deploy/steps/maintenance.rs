//! Step 8: security updates by themselves, and a backup every night.
//!
//! "Installed" is not "switched on": what counts is apt's configuration after all its files have
//! been read, and the timers that act on it. The backup is [`crate::deploy::backup`], run by a timer of
//! systemd; the first one is made now, because a backup that never ran is none.

use std::path::{Path, PathBuf};

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Access;
use crate::deploy::step::{State, Step};

use crate::deploy::backup;
use crate::deploy::host::{apt, systemd};

const PACKAGE: &str = "unattended-upgrades";
/// Sorts behind Debian's `20auto-upgrades` and `50unattended-upgrades`: the last value wins.
const APT_CONF: &str = "/etc/apt/apt.conf.d/60openclaw-deploy";
const TIMERS: [&str; 2] = ["apt-daily.timer", "apt-daily-upgrade.timer"];
const JOBS: [&str; 2] = [
    "APT::Periodic::Update-Package-Lists",
    "APT::Periodic::Unattended-Upgrade",
];
/// Above the jobs: without a word it is on, and `0` ends apt's service before it looks at them.
const ENABLE: &str = "APT::Periodic::Enable";
const REBOOT: &str = "Unattended-Upgrade::Automatic-Reboot";
const ORIGINS: [&str; 2] = [
    "Unattended-Upgrade::Origins-Pattern",
    "Unattended-Upgrade::Allowed-Origins",
];
const SERVICE: &str = "/etc/systemd/system/openclaw-backup.service";
const TIMER: &str = "/etc/systemd/system/openclaw-backup.timer";
const TIMER_UNIT: &str = "openclaw-backup.timer";
const INSTALLED: &str = "/usr/local/bin/openclaw-deploy";
const ACCESS: Access = Access::root(0o644);
const TIMER_TEXT: &str = "\
# Written by openclaw-deploy.
[Unit]
Description=Nightly backup of the OpenClaw gateway

[Timer]
OnCalendar=*-*-* 03:00:00
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
";

/// Automatic updates and backups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maintenance;

impl Step for Maintenance {
    fn check(&self, cx: &Context) -> Result<State> {
        let host = &cx.host;
        if !systemd::is_running(host) {
            let reason = systemd::NOT_RUNNING.to_owned();
            return Ok(State::Skip { reason });
        }
        let mut what = Vec::new();
        if apt::is_available(host) {
            what.extend(updates_plan(cx)?);
        }
        what.extend(backups_plan(cx)?);
        Ok(State::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let host = &cx.host;
        if apt::is_available(host) {
            host.write(APT_CONF, apt_conf(cx).as_bytes(), ACCESS)?;
            apt::install(host, &[PACKAGE])?;
            for timer in TIMERS {
                systemd::systemctl(host, &["enable", "--now", timer])?;
            }
        }
        units(cx)?;
        if backup::has_source(cx) && backup::archives(host).is_empty() {
            let path = backup::run(cx)?;
            return Ok(Some(format!("first backup: {}", path.display())));
        }
        let without_apt = || "backups only: no apt here".to_owned();
        Ok((!apt::is_available(host)).then(without_apt))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        if apt::is_available(&cx.host) {
            let dump = apt::config_dump(&cx.host)?;
            if ORIGINS
                .iter()
                .all(|origins| apt::values(&dump, origins).is_empty())
            {
                return Err(
                    Failure::new("unattended-upgrades has no origins to upgrade from")
                        .hint("see /etc/apt/apt.conf.d/50unattended-upgrades"),
                );
            }
        }
        let mut left = updates_plan(cx)?;
        left.extend(backups_plan(cx)?);
        match left.first() {
            None => Ok(()),
            Some(left) => Err(Failure::expected("nothing to do", left).hint(
                "a later file may win: grep -rn 'Periodic\\|Automatic-Reboot' /etc/apt/apt.conf.d",
            )),
        }
    }
}

/// What is missing for updates to happen.
fn updates_plan(cx: &Context) -> Result<Vec<String>> {
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

/// Whether apt's service does its jobs, of `apt-config dump`.
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

/// What is missing for backups to happen.
fn backups_plan(cx: &Context) -> Result<Vec<String>> {
    let host = &cx.host;
    let mut what = Vec::new();
    let written = host.holds(SERVICE, service(cx)?.as_bytes(), ACCESS)
        && host.holds(TIMER, TIMER_TEXT.as_bytes(), ACCESS);
    let ticking = systemd::is_enabled(host, TIMER_UNIT) && systemd::is_active(host, TIMER_UNIT);
    if !written || !ticking {
        what.push("back up every night".to_owned());
    }
    if backup::has_source(cx) && backup::archives(host).is_empty() {
        what.push("make the first backup".to_owned());
    }
    Ok(what)
}

/// Writes the units and starts the clock.
fn units(cx: &Context) -> Result<()> {
    let host = &cx.host;
    host.write(SERVICE, service(cx)?.as_bytes(), ACCESS)?;
    host.write(TIMER, TIMER_TEXT.as_bytes(), ACCESS)?;
    systemd::systemctl(host, &["daemon-reload"])?;
    systemd::systemctl(host, &["enable", "--now", TIMER_UNIT])
}

/// The service, which runs this very program with this very configuration.
fn service(cx: &Context) -> Result<String> {
    let program = if cx.host.exists(INSTALLED) {
        PathBuf::from(INSTALLED)
    } else {
        std::env::current_exe().map_err(|why| {
            Failure::system("find this program", why).hint(format!(
                "put it where it stays: install openclaw-deploy {INSTALLED}"
            ))
        })?
    };
    Ok(service_text(&program, cx.settings.config.as_deref()))
}

fn service_text(program: &Path, config: Option<&Path>) -> String {
    let program = quoted(program);
    let config = config
        .map(|path| format!(" --config {}", quoted(path)))
        .unwrap_or_default();
    format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Backup of the OpenClaw gateway\n\
         After=docker.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={program} backup --wait{config}\n\
         ExecStopPost={program} backup --resume --wait{config}\n\
         UMask=0077\n\
         Nice=10\n\
         IOSchedulingClass=idle\n"
    )
}

/// One word of a command of systemd's, in which these mean something.
fn quoted(path: &Path) -> String {
    let mut word = path.display().to_string();
    for (plain, meant) in [("\\", "\\\\"), ("\"", "\\\""), ("%", "%%"), ("$", "$$")] {
        word = word.replace(plain, meant);
    }
    format!("\"{word}\"")
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

    #[test]
    fn the_nightly_run_reads_what_this_one_read() {
        let lines = |config: Option<&str>| {
            let text = service_text(Path::new("/opt/a b/x"), config.map(Path::new));
            let lines = text.lines().filter(|line| line.starts_with("Exec"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(None),
            [
                "ExecStart=\"/opt/a b/x\" backup --wait",
                "ExecStopPost=\"/opt/a b/x\" backup --resume --wait"
            ]
        );
        assert_eq!(
            lines(Some("/srv/100% $x\"\\.toml")),
            [
                r#"ExecStart="/opt/a b/x" backup --wait --config "/srv/100%% $$x\"\\.toml""#,
                r#"ExecStopPost="/opt/a b/x" backup --resume --wait --config "/srv/100%% $$x\"\\.toml""#
            ]
        );
    }
}
