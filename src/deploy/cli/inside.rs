//! `exec` and `console`: the Docker client takes our place, and so its exit code is ours.
//!
//! It is given this terminal, and none of the secrets that were in our environment.

use std::ffi::OsString;
use std::io::IsTerminal;

use crate::base::environment;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client::docker;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::container;
use crate::deploy::gateway::records::Records;

/// Runs `command` in the gateway's container.
pub(super) fn exec(cx: &Context, command: &[OsString]) -> Result<Exit> {
    let id = cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        match container::find(&engine).await? {
            Some(it) if it.running => Ok(it.id),
            Some(_) => Err(Failure::new("the gateway does not run")
                .hint("see why: openclaw-deploy logs; start it: openclaw-deploy update")),
            None => Err(Failure::new("there is no gateway").hint("openclaw-deploy bootstrap")),
        }
    })?;
    let mut client = docker(&cx.settings.engine).args(["exec", "--interactive"]);
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        client = client.arg("--tty");
    }
    if let Some(terminal) = environment::ours("TERM") {
        client = client.env("TERM", terminal);
    }
    Err(cx.host.become_program(&client.arg(id).args(command)))
}

/// Runs OpenClaw's command line there.
pub(super) fn console(cx: &Context, args: &[OsString]) -> Result<Exit> {
    let records = Records::load(&cx.host, &cx.settings)?;
    let started = records.current().map(|it| it.spec.command.as_slice());
    let words = command_line(started.unwrap_or_default()).into_iter();
    let words: Vec<_> = words
        .map(OsString::from)
        .chain(args.iter().cloned())
        .collect();
    exec(cx, &words)
}

/// How the image starts OpenClaw, without `gateway` and what follows: `node openclaw.mjs`.
fn command_line(started: &[String]) -> Vec<String> {
    match started.iter().position(|word| word == "gateway") {
        Some(end @ 1..) => started[..end].to_vec(),
        _ => vec!["openclaw".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_what_the_gateway_was_started_by() {
        let of = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            command_line(&words).join(" ")
        };
        assert_eq!(
            of("node openclaw.mjs gateway --bind lan"),
            "node openclaw.mjs"
        );
        assert_eq!(
            (of(""), of("gateway")),
            ("openclaw".into(), "openclaw".into())
        );
    }
}
