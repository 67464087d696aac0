//! How the gateway gets its keys: as it was asked for, or else as it got them before. Only a host
//! without a release may choose the broker by itself.

use super::program;
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::records::Records;
use crate::deploy::gateway::state;
use crate::deploy::host::systemd;
use crate::deploy::settings::{Deliver, RuntimeKind};

/// The vault's key, encrypted for this host, where the broker's unit looks for it.
const TOKEN: &str = "/etc/credstore.encrypted/op-token";

/// How a gateway under `runtime` gets its keys.
///
/// # Errors
/// When it cannot get them so there.
pub(crate) fn choose(cx: &Context, records: &Records, runtime: RuntimeKind) -> Result<Deliver> {
    let current = records.current();
    let before = current.map(|it| (it.delivers(), it.runtime));
    let is_possible = cx.settings.app_secrets_are_chosen
        // The gateway has to mount a folder of this host for it, as it does for its state.
        && !state::of(&cx.settings).directories(&cx.settings).is_empty()
        && missing(cx).is_none()
        && program::find(cx).is_ok();
    decide(cx.settings.deliver, before, runtime, is_possible)
}

/// What the broker lacks on this host, and what to do.
pub(super) fn missing(cx: &Context) -> Option<(String, String)> {
    if !systemd::is_running(&cx.host) {
        let hint = "write deliver = \"env\" into /etc/openclaw-deploy.toml";
        return Some((systemd::NOT_RUNNING.to_owned(), hint.to_owned()));
    }
    for program in ["op", "oc-secrets"] {
        if cx.host.find(program).is_none() {
            let hint = format!("install {program}, or write deliver = \"env\"");
            return Some((format!("{program} is not installed"), hint));
        }
    }
    (!cx.host.exists(TOKEN)).then(|| {
        let hint = "oc-secrets login --systemd oc-secrets.service";
        (format!("there is no {TOKEN}"), hint.to_owned())
    })
}

fn decide(
    asked: Option<Deliver>,
    before: Option<(Deliver, RuntimeKind)>,
    runtime: RuntimeKind,
    is_possible: bool,
) -> Result<Deliver> {
    let chosen = match (asked, before) {
        (Some(asked), _) => asked,
        (None, Some((Deliver::Broker, _))) => Deliver::Broker,
        (None, Some((before, there))) if there == runtime => before,
        (None, None) if is_possible && runtime == RuntimeKind::Compose => Deliver::Broker,
        (None, _) => match runtime {
            RuntimeKind::Compose => Deliver::Env,
            RuntimeKind::Swarm => Deliver::Swarm,
        },
    };
    match (chosen, runtime) {
        (Deliver::Broker, RuntimeKind::Swarm) => Err(Failure::usage(
            "the gateway's keys come from the broker, which a Swarm service cannot be given: its folder is this host's alone",
        )
        .hint("write deliver = \"swarm\" into /etc/openclaw-deploy.toml, or stay with --swarm=false")),
        (Deliver::Swarm, RuntimeKind::Compose) => Err(Failure::usage(
            "deliver = \"swarm\" needs the gateway under Swarm",
        )
        .hint("openclaw-deploy bootstrap --swarm, or write deliver = \"env\"")),
        _ => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Deliver::{Broker, Env, Swarm};
    use RuntimeKind::{Compose, Swarm as Service};

    #[test]
    fn the_first_run_chooses_and_no_later_one_changes_that_by_itself() {
        let of = |asked, before, runtime, possible| decide(asked, before, runtime, possible).ok();
        assert_eq!(of(None, None, Compose, true), Some(Broker));
        assert_eq!(of(None, None, Compose, false), Some(Env));
        assert_eq!(of(None, None, Service, true), Some(Swarm));
        // What made the choice came or went: it stays.
        assert_eq!(of(None, Some((Env, Compose)), Compose, true), Some(Env));
        let broker = Some((Broker, Compose));
        assert_eq!(of(None, broker, Compose, false), Some(Broker));
        assert_eq!(of(None, Some((Env, Service)), Service, true), Some(Env));
        // Somebody says so.
        assert_eq!(of(Some(Env), broker, Compose, true), Some(Env));
        // Moved from one runtime to the other.
        assert_eq!(of(None, Some((Env, Compose)), Service, true), Some(Swarm));
        assert_eq!(of(None, Some((Swarm, Service)), Compose, true), Some(Env));
    }

    #[test]
    fn what_cannot_be_together_is_refused() {
        let refused = |asked, before, runtime| decide(asked, before, runtime, true).is_err();
        assert!(refused(Some(Broker), None, Service));
        assert!(refused(None, Some((Broker, Compose)), Service));
        assert!(refused(Some(Swarm), None, Compose));
    }
}
