//! The nightly backup: a service and a timer of systemd.

use std::path::{Path, PathBuf};

use crate::deploy::backup;
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, systemd};

const ACCESS: Access = Access::root(0o644);
const SERVICE: &str = "/etc/systemd/system/openclaw-backup.service";
const TIMER: &str = "/etc/systemd/system/openclaw-backup.timer";
const FAILED: &str = "/etc/systemd/system/openclaw-backup-failed.service";
const TIMER_UNIT: &str = "openclaw-backup.timer";
const INSTALLED: &str = "/usr/local/bin/openclaw-deploy";
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

/// Tells the journal, and whoever has put a hook there; that there is none is no failure.
const FAILED_TEXT: &str = "\
# Written by openclaw-deploy.
[Unit]
Description=Tells of a backup of the OpenClaw gateway that failed

[Service]
Type=oneshot
ExecStart=/usr/bin/logger --priority daemon.err --tag openclaw-backup \"the nightly backup failed; see: journalctl -u openclaw-backup\"
Environment=OPENCLAW_EVENT=backup-failed
ExecStart=-/etc/openclaw-deploy/hooks/post-failure
";

/// What is missing for backups to happen.
pub(super) fn plan(cx: &Context) -> Result<Vec<String>> {
    let host = &cx.host;
    let mut what = Vec::new();
    let written = host.holds(SERVICE, service(cx)?.as_bytes(), ACCESS)
        && host.holds(FAILED, FAILED_TEXT.as_bytes(), ACCESS)
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

/// Writes the units and starts the timer.
pub(super) fn start(cx: &Context) -> Result<()> {
    let host = &cx.host;
    host.write(SERVICE, service(cx)?.as_bytes(), ACCESS)?;
    host.write(FAILED, FAILED_TEXT.as_bytes(), ACCESS)?;
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
         OnFailure=openclaw-backup-failed.service\n\
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

/// Quoted for `ExecStart=`.
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
