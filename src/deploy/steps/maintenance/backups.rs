//! The nightly backup: a service and a timer of systemd, and what starts the gateway again at boot, where
//! the power failed while one was being made.

use super::units;
use crate::deploy::backup;
use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::{Access, systemd};

const ACCESS: Access = Access::root(0o644);
const SERVICE: &str = "/etc/systemd/system/openclaw-backup.service";
const TIMER: &str = "/etc/systemd/system/openclaw-backup.timer";
const FAILED: &str = "/etc/systemd/system/openclaw-backup-failed.service";
const RESUME: &str = "/etc/systemd/system/openclaw-backup-resume.service";
const TIMER_UNIT: &str = "openclaw-backup.timer";
const RESUME_UNIT: &str = "openclaw-backup-resume.service";
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

/// What is missing for backups to happen.
pub(super) fn plan(cx: &Context) -> Result<Vec<String>> {
    let host = &cx.host;
    let mut what = Vec::new();
    let written = files(cx)?
        .iter()
        .all(|(path, text)| host.holds(path, text.as_bytes(), ACCESS));
    let ticking = systemd::is_enabled(host, TIMER_UNIT)
        && systemd::is_active(host, TIMER_UNIT)
        && systemd::is_enabled(host, RESUME_UNIT);
    if !written || !ticking {
        what.push("back up every night".to_owned());
    }
    if backup::has_source(cx) && backup::archives(host).is_empty() {
        what.push("make the first backup".to_owned());
    }
    Ok(what)
}

/// Writes the units and starts the timer.
pub(super) fn start(cx: &Context) -> Result<()> {
    let host = &cx.host;
    for (path, text) in files(cx)? {
        host.write(path, text.as_bytes(), ACCESS)?;
    }
    systemd::systemctl(host, &["daemon-reload"])?;
    // Not now: it would wait for this very run.
    systemd::systemctl(host, &["enable", RESUME_UNIT])?;
    systemd::systemctl(host, &["enable", "--now", TIMER_UNIT])
}

fn files(cx: &Context) -> Result<[(&'static str, String); 4]> {
    Ok([
        (SERVICE, service(cx)?),
        (FAILED, failed(cx)?),
        (RESUME, resume(cx)?),
        (TIMER, TIMER_TEXT.to_owned()),
    ])
}

/// The service.
fn service(cx: &Context) -> Result<String> {
    let run = units::command(cx, "backup")?;
    let resume = units::command(cx, "backup --resume")?;
    Ok(format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Backup of the OpenClaw gateway\n\
         After=docker.service\n\
         OnFailure=openclaw-backup-failed.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={run}\n\
         ExecStopPost={resume}\n\
         UMask=0077\n\
         Nice=10\n\
         IOSchedulingClass=idle\n"
    ))
}

/// What tells the journal of one that failed, and whoever has put a hook there; we look at that before it is run.
fn failed(cx: &Context) -> Result<String> {
    let tell = units::command(cx, "backup --failed")?;
    Ok(format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Tells of a backup of the OpenClaw gateway that failed\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/logger --priority daemon.err --tag openclaw-backup \"the nightly backup failed; see: journalctl -u openclaw-backup\"\n\
         ExecStart={tell}\n"
    ))
}

/// What starts at boot what a backup left stopped that a power cut ended: the engine does not start again
/// what it was told to stop.
fn resume(cx: &Context) -> Result<String> {
    let resume = units::command(cx, "backup --resume")?;
    Ok(format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Starts the OpenClaw gateway where a backup was cut off\n\
         After=docker.service\n\
         ConditionPathExists={stopped}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={resume}\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        stopped = backup::STOPPED
    ))
}
