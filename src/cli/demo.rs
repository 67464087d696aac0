//! `oc-secrets demo`: the real pipeline on a made-up vault.
//!
//! Every step is the real command in a child process of its own, since `exec` replaces the
//! process that it runs in.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::arguments::{Env, Exec};
use super::rows::SCREEN;
use super::{check, env, exec, stdout};
use crate::base::error::{Error, Exit, Result};
use crate::base::harden::Hardened;
use crate::base::ui::{Tone, Ui};
use crate::broker::session::Session;
use crate::broker::sink::docker;

const PROCESS: &str = "echo \"$GITHUB_USER has $GHCR_TOKEN\"";
const SHELL: &str = "echo \"$EMAIL_APP_PASSWORD\"";

/// Shows what there is, hands it to a process, to a shell and to Docker.
///
/// # Errors
/// When a step fails, which is then a bug of ours.
pub(super) fn run(session: &Session, hardened: Hardened) -> Result<Exit> {
    say("This is the real program on a vault of made-up secrets: none opens anything.\n")?;

    step(session, "1. See what is found", "oc-secrets check")?;
    in_a_child(session.ui, "step 1", None, || {
        check::show(session, false, Some(SCREEN))
    })?;

    // An image with nothing but this program has none.
    if which::which("sh").is_ok() {
        process(session, hardened)?;
        shell(session)?;
    } else {
        say("\n2., 3. Hand it to a process, and to a shell: needs sh, and there is none here\n")?;
    }

    step(
        session,
        "4. Answer Docker",
        "echo ghcr.io | docker-credential-oc get | tr , '\\n'",
    )?;
    registry(session)?;

    say(concat!(
        "\nYour own: put the names into oc-secrets.toml (see the README), run `op signin`,\n",
        "then `oc-secrets check` and `oc-secrets exec -- YOUR-COMMAND`.\n",
    ))?;
    Ok(Exit::Done)
}

fn process(session: &Session, hardened: Hardened) -> Result<()> {
    let shown = format!("oc-secrets exec -- sh -c '{PROCESS}'");
    step(
        session,
        "2. Hand it to a process, which this one then becomes",
        &shown,
    )?;
    in_a_child(session.ui, "step 2", None, || {
        let command = ["sh", "-c", PROCESS].map(Into::into).to_vec();
        let (clean, keep_op_env) = (false, false);
        exec::run(
            session,
            &Exec {
                clean,
                keep_op_env,
                mask: false,
                command,
            },
            hardened,
        )
    })
}

fn shell(session: &Session) -> Result<()> {
    let shown = format!("eval \"$(oc-secrets env)\"; {SHELL}");
    step(
        session,
        "3. Hand it to a shell, line breaks and all",
        &shown,
    )?;
    evaluated(session)
}

fn say(text: &str) -> Result<()> {
    stdout::print(text.as_bytes())
}

fn step(session: &Session, title: &str, command: &str) -> Result<()> {
    let command = session.ui.paint(Tone::Dim, &format!("$ {command}"));
    say(&format!("\n{title}\n{command}\n"))
}

/// Runs `action` in a forked child, with `stdout` as its standard output.
fn in_a_child(
    ui: Ui,
    step: &'static str,
    stdout: Option<OwnedFd>,
    action: impl FnOnce() -> Result<Exit>,
) -> Result<()> {
    // SAFETY: this process has a single thread, so the child may go on as it is.
    match unsafe { fork() }.map_err(|why| Error::system("start a child", why))? {
        ForkResult::Child => {
            if let Some(stdout) = stdout
                && nix::unistd::dup2_stdout(stdout).is_err()
            {
                std::process::exit(1);
            }
            let exit = action().unwrap_or_else(|error| {
                ui.error(&error);
                error.exit()
            });
            std::process::exit(exit as i32);
        }
        ForkResult::Parent { child } => {
            drop(stdout);
            let status =
                waitpid(child, None).map_err(|why| Error::system("wait for a child", why))?;
            match status {
                WaitStatus::Exited(_, 0) => Ok(()),
                _ => Err(Error::Demo { step }),
            }
        }
    }
}

/// The output of `env`, evaluated by a real shell.
fn evaluated(session: &Session) -> Result<()> {
    let failed = |why: std::io::Error| Error::system("start sh", why);
    let (read, write) = std::io::pipe().map_err(failed)?;
    let mut shell = Command::new("sh")
        .args(["-c", &format!("eval \"$(cat)\"; {SHELL}")])
        .stdin(Stdio::from(read))
        .spawn()
        .map_err(failed)?;
    in_a_child(session.ui, "step 3", Some(write.into()), || {
        let format = "sh".to_owned();
        let (unset, show) = (false, false);
        env::run(
            session,
            &Env {
                format,
                unset,
                show,
            },
        )
    })?;
    match shell.wait().map_err(failed)?.success() {
        true => Ok(()),
        false => Err(Error::Demo { step: "step 3" }),
    }
}

fn registry(session: &Session) -> Result<()> {
    let plan = session.plan_for("GHCR_TOKEN")?;
    let resolved = session.resolve(&plan)?;
    for secret in &resolved {
        let answer = docker::answer("ghcr.io", "x-access-token", &secret.value)?;
        // The answer is one line, wider than the screen.
        for part in answer.trim_ascii_end().split(|byte| *byte == b',') {
            stdout::print(part)?;
            say("\n")?;
        }
    }
    Ok(())
}
