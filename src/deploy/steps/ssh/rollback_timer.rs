//! A systemd timer that is started before the change: unless it is stopped, it restores the file and
//! reloads the service. It does not need our process, so it works even if that is killed.

use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};

use crate::deploy::host::systemd;

const UNIT: &str = "openclaw-deploy-ssh-revert";
const BEFORE: &str = "/run/openclaw-deploy/reverted";
/// Long enough for a reload and a login, short enough to wait for.
const AFTER: &str = "60s";

/// A running timer for one file and one service.
#[derive(Clone, Debug)]
pub(super) struct RollbackTimer {
    file: &'static str,
    service: &'static str,
    before: Option<String>,
}

impl RollbackTimer {
    /// Whether one is running, left by an interrupted run.
    pub(super) fn armed(host: &Host) -> bool {
        systemd::is_active(host, &format!("{UNIT}.timer"))
    }

    /// Has the timer of an interrupted run, if there is one, undo at once what nobody has tested. Only then is the file what
    /// it was before.
    pub(super) fn bring_forward(host: &Host) -> Result<()> {
        if Self::armed(host) {
            systemd::systemctl(host, &["start", &format!("{UNIT}.service")])?;
        }
        Self::disarm(host)
    }

    /// Saves the file as it is now and starts the timer. If that fails, nothing may be changed.
    pub(super) fn arm(host: &Host, file: &'static str, service: &'static str) -> Result<Self> {
        let before = host.read(file)?;
        let undo: Vec<&str> = match &before {
            None => vec!["/bin/rm", "-f", file],
            Some(text) => {
                let access = Access::root(0o600);
                host.write(BEFORE, text.as_bytes(), access)?;
                vec!["/bin/cp", "--preserve=mode", BEFORE, file]
            }
        };
        let timer = Program::new("systemd-run")
            .args(["--quiet", "--collect", "--property=Type=oneshot"])
            .arg(format!("--on-active={AFTER}"))
            .arg("--timer-property=AccuracySec=1s")
            .arg(format!("--unit={UNIT}"))
            .arg(format!(
                "--property=ExecStopPost=/bin/systemctl try-reload-or-restart {service}"
            ))
            .args(undo);
        host.must(&timer)?;
        if !Self::armed(host) {
            return Err(
                Failure::new("the timer that would undo the change did not start").hint(format!(
                    "nothing was changed; see why: journalctl -u {UNIT}.timer"
                )),
            );
        }
        Ok(Self {
            file,
            service,
            before,
        })
    }

    /// Keeps the change: stops the timer. If that fails, the timer will undo the change.
    pub(super) fn disarm(host: &Host) -> Result<()> {
        if Self::armed(host) {
            systemd::systemctl(host, &["stop", &format!("{UNIT}.timer")])?;
        }
        host.remove(BEFORE).map(drop)
    }

    /// Undoes the change at once.
    pub(super) fn undo_now(&self, host: &Host) -> Result<()> {
        match &self.before {
            None => host.remove(self.file)?,
            Some(text) => {
                let access = Access::root(0o600);
                host.write(self.file, text.as_bytes(), access)?
            }
        };
        systemd::systemctl(host, &["try-reload-or-restart", self.service])?;
        Self::disarm(host)
    }
}
