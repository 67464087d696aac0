//! Step 8: security updates by themselves, a backup every night, and updates of the gateway where the
//! configuration wants them.
//!
//! That unattended-upgrades is installed does not mean that it runs, so apt's merged configuration and
//! the timers are checked. A systemd timer runs [`crate::deploy::backup`]; the first backup is made
//! now, to see that it works.

mod units;
mod backups;
mod updates;
mod gateway_updates;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::step::{Step, StepState};

use crate::deploy::backup;
use crate::deploy::host::{apt, systemd};

pub(crate) use self::gateway_updates::outlook;

/// Automatic updates and backups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maintenance;

impl Step for Maintenance {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let host = &cx.host;
        if !systemd::is_running(host) {
            let reason = systemd::NOT_RUNNING.to_owned();
            return Ok(StepState::Skip { reason });
        }
        let mut what = Vec::new();
        if apt::is_available(host) {
            what.extend(updates::plan(cx)?);
        }
        what.extend(backups::plan(cx)?);
        what.extend(gateway_updates::plan(cx)?);
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let host = &cx.host;
        if apt::is_available(host) {
            updates::switch_on(cx)?;
        }
        backups::start(cx)?;
        gateway_updates::set(cx)?;
        if backup::has_source(cx) && backup::archives(host).is_empty() {
            let path = backup::run(cx)?;
            return Ok(Some(format!("first backup: {}", path.display())));
        }
        let without_apt = || "backups only: no apt here".to_owned();
        Ok((!apt::is_available(host)).then(without_apt))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        if apt::is_available(&cx.host) {
            updates::need_origins(&cx.host)?;
        }
        let mut left = updates::plan(cx)?;
        left.extend(backups::plan(cx)?);
        left.extend(gateway_updates::plan(cx)?);
        match left.first() {
            None => Ok(()),
            Some(left) => Err(Failure::expected("nothing to do", left).hint(
                "a later file may win: grep -rn 'Periodic\\|Automatic-Reboot' /etc/apt/apt.conf.d",
            )),
        }
    }
}
