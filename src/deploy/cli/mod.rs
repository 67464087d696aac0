//! `openclaw-deploy`'s `main`, and one short function for each command.

mod args;
mod startup;
mod run_lock;
mod question;
mod newer;
mod way_in;
mod report;
mod doctor;
mod rollback;
mod restore;
mod inside;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::json;

use self::args::{Cli, Command};
use self::startup::Taken;
use super::backup;
use super::context::Context;
use super::docker::Engine;
use super::docker::client::docker;
use super::error::{Exit, Failure, Result};
use super::gateway::records::Records;
use super::gateway::{container, logs, secrets};
use super::hooks::{self, Fact, Hooked};
use super::outcome::{Ran, StepOutcome};
use super::reporter::{PROGRAM, Reporter};
use super::run::{StepSelection, run};
use super::settings::Deliver;
use super::steps::{all, of_update};
use crate::base::command_line;
use crate::base::environment;
use crate::base::harden;
use crate::base::ui::{self, Color};

/// The command line, as clap sees it.
pub(crate) fn command_line() -> clap::Command {
    Cli::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    // Never restored: the programs that we start get neither cores nor our caller's descriptors.
    let _hardened = harden::harden();
    ui::hide_panics(PROGRAM);
    // Out of the environment before any program is started.
    let taken = Taken::from_environment();
    // A panic unwinds to here, so that every secret is wiped.
    let done = catch_unwind(AssertUnwindSafe(|| run_program(taken)));
    done.unwrap_or(Exit::Step).into()
}

fn run_program(taken: Taken) -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let done = startup::context(&cli, taken).and_then(|cx| {
        let exit = command(&cx, &cli)?;
        // A command that failed reports its own failure rather than that of the output.
        if exit == Exit::Done {
            cx.reporter.finish()?;
        }
        Ok(exit)
    });
    done.unwrap_or_else(|failure| {
        let reporter = startup::reporter(&cli);
        reporter.result(&json!({"exit": failure.exit as u8, "error": report::error(&failure)}));
        reporter.error(&failure);
        failure.exit
    })
}

/// Help and version go to standard output; anything else is a usage error in our words.
fn misunderstood(error: &clap::Error) -> Exit {
    let reporter = Reporter::new(Color::Auto, false, false, false);
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        reporter.data(error.render().to_string().trim_end());
        return reporter.finish().map_or(Exit::Step, |()| Exit::Done);
    }
    let (what, hint) = command_line::explain(error, PROGRAM);
    reporter.error(&Failure::usage(what).hint(hint));
    Exit::Usage
}

fn command(cx: &Context, cli: &Cli) -> Result<Exit> {
    match &cli.command {
        Command::Bootstrap(run) | Command::Update(run) if run.failed => tell(cx, "update-failed"),
        Command::Bootstrap(run) => steps(cx, Hooked::Bootstrap, &run.selection(), run.wait),
        Command::Update(run) => steps(cx, Hooked::Update, &run.selection(), run.wait),
        Command::Rollback {
            to,
            keep_state,
            yes,
            forget,
            wait,
            ..
        } => rollback::rollback(
            cx,
            &rollback::Wanted {
                to: *to,
                keep_state: *keep_state,
                yes: *yes,
                forget: forget.as_deref(),
                wait: *wait,
            },
        ),
        Command::Status { check, show_token } => {
            report::status(cx, *check, *show_token, cli.common.json)
        }
        Command::Stats { plan } => report::stats(cx, *plan, cli.common.json),
        Command::Logs { lines } => show_logs(cx, *lines, cli.common.json),
        Command::Exec { command } => inside::exec(cx, command),
        Command::Console { args } => inside::console(cx, args),
        Command::ReloadSecrets => reload_secrets(cx),
        Command::Doctor => doctor::doctor(cx, cli.common.json),
        Command::Backup { failed: true, .. } => tell(cx, "backup-failed"),
        Command::Backup { resume, wait, .. } => back_up(cx, *resume, *wait),
        Command::Restore {
            archive, yes, wait, ..
        } => restore::restore(cx, archive, *yes, *wait),
    }
}

/// `bootstrap` and `update`.
fn steps(cx: &Context, command: Hooked, selection: &StepSelection, wait: bool) -> Result<Exit> {
    let steps = match command {
        Hooked::Bootstrap => all(),
        _ => of_update(),
    };
    selection.refuse_unknown(&steps)?;
    let _lock = match selection.dry_run {
        true => None,
        false => Some(run_lock::lock(cx, wait)?),
    };
    let tls = environment::ours("DOCKER_TLS_VERIFY").is_some();
    if cx.settings.engine.is_in_the_clear(tls) {
        cx.reporter.warn(
            "that engine is spoken to in the clear: whoever is on the way reads the token; use ssh:// or TLS",
        );
    }
    if !selection.dry_run {
        run_lock::prepare(cx)?;
        begin(cx, command)?;
    }
    let ran = run(cx, &steps, selection);
    let failures: Vec<&Failure> = ran.iter().filter_map(|it| it.outcome.failure()).collect();
    if !selection.dry_run {
        let facts = facts(cx, &ran);
        let first = failures.first().copied();
        cx.host.wait(hooks::after(cx, command, first, facts));
    }
    run_lock::warn_of_journal(cx);
    let not_run: Vec<_> = steps[ran.len()..].iter().map(|step| step.name).collect();
    report::summary(cx, &ran, &not_run, failures.first().copied());
    for failure in &failures {
        cx.reporter.error(failure);
    }
    // The first says what went wrong; after the gateway's the others go on.
    Ok(failures.first().map_or(Exit::Done, |failure| failure.exit))
}

/// The hook before a run; one that stops it is a failure to tell of, as any other.
fn begin(cx: &Context, command: Hooked) -> Result<()> {
    cx.host.wait(async {
        let image = cx.settings.image.to_string();
        let begun = hooks::before(cx, command, &image).await;
        if let Err(why) = &begun {
            hooks::after(cx, command, Some(why), vec![("IMAGE", image)]).await;
        }
        begun
    })
}

/// What a run came to, for the hook after it.
fn facts(cx: &Context, ran: &[Ran]) -> Vec<Fact> {
    let changed = |it: &Ran| matches!(it.outcome, StepOutcome::Changed { .. });
    let mut all = vec![("CHANGED", ran.iter().any(changed).to_string())];
    for (name, value) in cx.facts.borrow().iter() {
        match *name {
            "image" => all.push(("IMAGE", value.clone())),
            "source" => all.push(("SOURCE", value.clone())),
            _ => {}
        }
    }
    all
}

/// What runs after a nightly backup, or an update by itself, that failed.
fn tell(cx: &Context, event: &str) -> Result<Exit> {
    let told = cx.host.wait(hooks::after_timer(cx, event));
    told.map(|()| Exit::Done)
}

/// What the timer of step 8 runs.
fn back_up(cx: &Context, resume: bool, wait: bool) -> Result<Exit> {
    let _lock = run_lock::lock(cx, wait)?;
    run_lock::prepare(cx)?;
    if resume {
        backup::resume(cx)?;
        cx.reporter.result(&json!({"exit": 0, "error": null}));
    } else {
        let path = backup::run(cx);
        run_lock::warn_of_journal(cx);
        let path = path?.display().to_string();
        cx.reporter
            .result(&json!({"exit": 0, "archive": path, "error": null}));
        cx.reporter.line(&path);
    }
    Ok(Exit::Done)
}

/// The broker forgets, and the gateway asks again; nothing is restarted.
fn reload_secrets(cx: &Context) -> Result<Exit> {
    let records = Records::load(&cx.host, &cx.settings)?;
    let current = records.current();
    let current = current.filter(|it| it.delivers() == Deliver::Broker);
    let current = current.ok_or_else(|| {
        Failure::usage("the gateway does not ask the broker for its keys")
            .hint("a changed key reaches it by: oc-secrets exec -- openclaw-deploy bootstrap")
    })?;
    cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        let container = container::find(&engine).await?.filter(|it| it.running);
        let container = container.ok_or_else(|| {
            Failure::new("the gateway does not run").hint("openclaw-deploy bootstrap")
        })?;
        secrets::reload(cx).await?;
        let openclaw = current.spec.openclaw().unwrap_or_default();
        let program = docker(&cx.settings.engine)
            .args(["exec", &container.id])
            .args(openclaw)
            .args(["secrets", "reload"])
            .deadline(Duration::from_secs(120));
        let answer = cx.host.run_async(&program).await?;
        if answer.ok() {
            return Ok(());
        }
        let why = format!(
            "the gateway did not reload its keys: {}",
            answer.first_line()
        );
        Err(Failure::new(why).hint("try again; what it says itself: openclaw-deploy logs"))
    })?;
    cx.reporter.result(&json!({"exit": 0, "error": null}));
    cx.reporter.line("the gateway has asked for its keys again");
    Ok(Exit::Done)
}

fn show_logs(cx: &Context, lines: usize, json: bool) -> Result<Exit> {
    let lines = cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        match container::find(&engine).await? {
            Some(container) => logs::last(cx, &engine, &container.id, lines).await,
            None => Err(Failure::new("there is no gateway").hint("openclaw-deploy bootstrap")),
        }
    })?;
    if json {
        cx.reporter.data(&json!({"lines": lines}).to_string());
    } else {
        for line in lines {
            cx.reporter.data(&crate::base::ui::clean(&line));
        }
    }
    Ok(Exit::Done)
}
