//! Step 9: SSH by key only, root not at all; and nobody locked out.
//!
//! Our settings are a drop-in whose name sorts first, because sshd uses the first value it reads. The
//! whole configuration is tested with them before they are written (`sshd -t`). A timer that undoes
//! them is started before sshd is reloaded, and stopped only after the deploy user has logged in to the
//! running sshd. If anything stands in the way of that, SSH is left as it is.

mod login_test;
mod rollback_timer;
mod ssh_state;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};
use crate::deploy::step::{Step, StepState};

use crate::deploy::host::account::Account;
use crate::deploy::host::{sshd, systemd};
use rollback_timer::RollbackTimer;
pub(crate) use ssh_state::DROP_IN;
use ssh_state::SshState;

const CANDIDATE: &str = "/run/openclaw-deploy/sshd_config";
const ACCESS: Access = Access::root(0o600);

/// SSH hardening.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ssh;

const KEY_ONLY: &str = "allow SSH by key only, and not for root";

impl Step for Ssh {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let host = &cx.host;
        if let Some(reason) = absent(host) {
            return Ok(StepState::Skip { reason });
        }
        if Account::find(host, &cx.settings.user)?.is_none() {
            if cx.planned.borrow().contains(&"user") {
                let user = &cx.settings.user;
                let what = format!("{KEY_ONLY}, once {user} can log in with one");
                return Ok(StepState::of(vec![what]));
            }
            let reason = format!("there is no user {} to log in", cx.settings.user);
            return Ok(StepState::Skip { reason });
        }
        let state = SshState::of(cx)?;
        if let Some(reason) = state.obstacle() {
            return Ok(StepState::Skip { reason });
        }
        let mut what = Vec::new();
        if RollbackTimer::armed(host) {
            what.push("finish the change that was interrupted".to_owned());
        }
        if !state.is_in_force() {
            what.push(KEY_ONLY.to_owned());
        }
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let host = &cx.host;
        RollbackTimer::bring_forward(host)?;
        let state = SshState::of(cx)?;
        if let Some(reason) = state.obstacle() {
            return Err(Failure::new(reason)
                .hint("see what would be done: openclaw-deploy bootstrap --only ssh --dry-run"));
        }
        let text = state.drop_in();
        try_out(host, &text)?;
        // No signal ends us from here on: the change is completed or undone.
        host.shield(true);
        let outcome = change_with_timer(cx, &state, &text);
        host.shield(false);
        outcome.map(|()| Some(format!("{} logged in with a test key", state.account.name)))
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        let state = SshState::of(cx)?;
        if state.is_in_force() {
            return Ok(());
        }
        Err(state.overridden())
    }
}

/// Why this step does not apply here.
fn absent(host: &Host) -> Option<String> {
    if host.find("sshd").is_none() {
        return Some("no OpenSSH server is installed".to_owned());
    }
    (!systemd::is_running(host)).then(|| systemd::NOT_RUNNING.to_owned())
}

/// The unit's name: `ssh` on Debian and Ubuntu, `sshd` elsewhere.
fn unit(host: &Host) -> &'static str {
    let debian = [
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/system",
    ]
    .iter()
    .any(|place| host.exists(format!("{place}/ssh.service")));
    if debian {
        "ssh.service"
    } else {
        "sshd.service"
    }
}

/// Tests our settings together with the whole configuration, without touching any file that sshd reads.
fn try_out(host: &Host, text: &str) -> Result<()> {
    let whole = format!("{text}\nInclude /etc/ssh/sshd_config\n");
    host.write(CANDIDATE, whole.as_bytes(), ACCESS)?;
    let test = Program::new("sshd").args(["-t", "-f", CANDIDATE]);
    let _runtime = sshd::RuntimeDirectory::ensure(host)?;
    let answer = host.run(&test)?;
    host.remove(CANDIDATE)?;
    if answer.ok() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "sshd refuses the configuration with our settings in it: {}",
        answer.last_line()
    ))
    .hint("fix what `sshd -t` names; nothing was changed"))
}

/// Makes the change while the timer runs, and undoes it at once if it fails.
fn change_with_timer(cx: &Context, state: &SshState, text: &str) -> Result<()> {
    let host = &cx.host;
    let timer = RollbackTimer::arm(host, DROP_IN, unit(host))?;
    let outcome = change(cx, state, text);
    if outcome.is_ok() {
        RollbackTimer::disarm(host)?;
    } else if let Err(why) = timer.undo_now(host) {
        cx.reporter.warn(format!(
            "the change could not be undone at once ({why}); a timer does it within a minute"
        ));
    }
    outcome
}

/// Puts the settings in force, and tests that the deploy user can still log in.
fn change(cx: &Context, state: &SshState, text: &str) -> Result<()> {
    let host = &cx.host;
    host.write(DROP_IN, text.as_bytes(), ACCESS)?;
    let now = SshState::of(cx)?;
    if !now.is_in_force_as(text) {
        return Err(now.overridden());
    }
    systemd::systemctl(host, &["try-reload-or-restart", unit(host)])?;
    login_test::login(host, &state.account, &state.way_in)
}
