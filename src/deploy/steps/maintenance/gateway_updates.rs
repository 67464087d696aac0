//! Updates of the gateway by themselves, where `[update] schedule` says when: a service and a timer of
//! systemd. They bring what the current release was asked for as, and go back as any other update.
//!
//! The registry's token is a systemd credential: from the broker, where this host has a socket for its
//! client [`CLIENT`], or else one that was encrypted for this host. A public image needs neither.

use super::units;
use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::{Access, Program, systemd};
use crate::deploy::settings::Schedule;
use crate::deploy::token::CREDENTIAL;

const ACCESS: Access = Access::root(0o644);
const SERVICE: &str = "/etc/systemd/system/openclaw-update.service";
const TIMER: &str = "/etc/systemd/system/openclaw-update.timer";
const FAILED: &str = "/etc/systemd/system/openclaw-update-failed.service";
const SERVICE_UNIT: &str = "openclaw-update.service";
const TIMER_UNIT: &str = "openclaw-update.timer";
/// The client of the broker that this host itself is.
const CLIENT: &str = "host";

/// What is missing, or left from a setting that is gone.
pub(super) fn plan(cx: &Context) -> Result<Vec<String>> {
    let host = &cx.host;
    let Some(schedule) = cx.settings.update else {
        let is_there = [SERVICE, TIMER, FAILED].iter().any(|it| host.exists(it));
        let plan = is_there.then(|| "no longer update the gateway by itself".to_owned());
        return Ok(plan.into_iter().collect());
    };
    let written = files(cx, schedule)?
        .iter()
        .all(|(path, text)| host.holds(path, text.as_bytes(), ACCESS));
    let ticking = systemd::is_enabled(host, TIMER_UNIT) && systemd::is_active(host, TIMER_UNIT);
    let plan = (!written || !ticking).then(|| format!("update the gateway {}", schedule.word()));
    Ok(plan.into_iter().collect())
}

/// Writes the units and starts the timer; or removes both, where nothing is to happen by itself.
pub(super) fn set(cx: &Context) -> Result<()> {
    let host = &cx.host;
    if plan(cx)?.is_empty() {
        return Ok(());
    }
    let Some(schedule) = cx.settings.update else {
        if host.exists(TIMER) {
            systemd::systemctl(host, &["disable", "--now", TIMER_UNIT])?;
        }
        for path in [TIMER, SERVICE, FAILED] {
            host.remove(path)?;
        }
        return systemd::systemctl(host, &["daemon-reload"]);
    };
    for (path, text) in files(cx, schedule)? {
        host.write(path, text.as_bytes(), ACCESS)?;
    }
    systemd::systemctl(host, &["daemon-reload"])?;
    systemd::systemctl(host, &["enable", TIMER_UNIT])?;
    // A timer that runs goes on by its old schedule.
    systemd::systemctl(host, &["restart", TIMER_UNIT])
}

/// When the next one is, and what came of the last since the machine booted, as systemd tells; `None` where none is
/// to happen.
pub(crate) fn outlook(cx: &Context) -> Option<(Schedule, String, String)> {
    let schedule = cx.settings.update?;
    let ask = |unit: &str, property: &str| {
        let words = ["show", "--value", "--property", property, unit];
        let said = cx.host.must(&Program::new("systemctl").args(words));
        said.map(|it| it.trim().to_owned()).unwrap_or_default()
    };
    let ended = ask(SERVICE_UNIT, "ExecMainExitTimestamp");
    let last = came_of(&ask(SERVICE_UNIT, "Result"), &ended).to_owned();
    Some((schedule, ask(TIMER_UNIT, "NextElapseUSecRealtime"), last))
}

/// What the service's `Result` tells. It is `success` too where the service has not run since the boot, or is running;
/// when the timer last elapsed is known by a file that outlives a boot, and so says nothing of it.
fn came_of<'a>(result: &'a str, ended: &str) -> &'a str {
    match (result, ended) {
        ("success", "" | "n/a") => "",
        (result, _) => result,
    }
}

fn files(cx: &Context, schedule: Schedule) -> Result<[(&'static str, String); 3]> {
    let socket = format!("oc-secrets-client@{CLIENT}.socket");
    let socket = systemd::is_enabled(&cx.host, &socket).then_some(socket);
    let command = units::command(cx, "update --scheduled")?;
    Ok([
        (SERVICE, service_text(&command, socket.as_deref())),
        (TIMER, timer_text(schedule)),
        (FAILED, failed_text(&units::command(cx, "update --failed")?)),
    ])
}

/// What tells the journal of one that failed, and the hook `post-failure`, where the run could not: it knows better
/// what went wrong, but does not even begin where systemd cannot read the token.
fn failed_text(tell: &str) -> String {
    format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Tells of an update of the OpenClaw gateway that failed\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/logger --priority daemon.err --tag openclaw-update \"the update by itself failed; see: journalctl -u openclaw-update\"\n\
         ExecStart={tell}\n"
    )
}

fn service_text(command: &str, socket: Option<&str>) -> String {
    let (needs, credential) = match socket {
        Some(socket) => (
            format!("Wants={socket}\nAfter={socket}\n"),
            format!("LoadCredential={CREDENTIAL}:/run/oc-secrets/clients/{CLIENT}/socket"),
        ),
        None => (
            String::new(),
            format!("LoadCredentialEncrypted={CREDENTIAL}"),
        ),
    };
    // Time to put the version before back, where the machine is shut down meanwhile.
    format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Update of the OpenClaw gateway\n\
         Wants=network-online.target\n\
         After=docker.service network-online.target openclaw-backup.service\n\
         {needs}\
         OnFailure=openclaw-update-failed.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={command}\n\
         {credential}\n\
         TimeoutStopSec=5min\n\
         UMask=0077\n"
    )
}

fn timer_text(schedule: Schedule) -> String {
    format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=Update of the OpenClaw gateway, {word}\n\
         \n\
         [Timer]\n\
         OnCalendar={calendar}\n\
         RandomizedDelaySec=1h\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        word = schedule.word(),
        calendar = schedule.calendar()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_comes_from_the_broker_where_the_host_is_its_client() {
        let credentials = |socket| {
            let text = service_text("\"/x\" update --wait", socket);
            let lines = text.lines().filter(|it| it.contains("Credential"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(credentials(None), ["LoadCredentialEncrypted=GHCR_TOKEN"]);
        assert_eq!(
            credentials(Some("oc-secrets-client@host.socket")),
            ["LoadCredential=GHCR_TOKEN:/run/oc-secrets/clients/host/socket"]
        );
    }

    #[test]
    fn of_a_service_that_has_not_run_since_the_boot_nothing_is_said() {
        let ended = "Mon 2026-11-23 04:07:12 UTC";
        assert_eq!(came_of("success", ended), "success");
        assert_eq!(came_of("exit-code", ended), "exit-code");
        for never in ["", "n/a"] {
            assert_eq!(came_of("success", never), "");
        }
        assert_eq!(came_of("resources", ""), "resources", "it could not begin");
    }

    #[test]
    fn an_update_comes_after_the_nightly_backup() {
        for (schedule, calendar) in [
            (Schedule::Daily, "OnCalendar=*-*-* 04:00:00"),
            (Schedule::Weekly, "OnCalendar=Mon *-*-* 04:00:00"),
            (Schedule::Monthly, "OnCalendar=*-*-01 04:00:00"),
        ] {
            assert!(timer_text(schedule).contains(calendar), "{schedule:?}");
        }
    }
}
