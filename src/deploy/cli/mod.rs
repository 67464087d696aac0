//! `openclaw-deploy`'s `main`, and one short function for each command.

mod args;
mod doctor;
mod report;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::json;

use self::args::{Cli, Command, Common};
use super::backup;
use super::context::Context;
use super::docker::Engine;
use super::error::{Exit, Failure, Result};
use super::gateway::records::{Pending, Records, Release};
use super::gateway::{container, logs, rollback, state};
use super::host::Host;
use super::host::lock::Lock;
use super::journal::Journal;
use super::outcome::Outcome;
use super::reporter::{PROGRAM, Reporter};
use super::run::{StepSelection, run};
use super::settings::{CONFIG, ConfigFile, Settings};
use super::token::{self, Token, take};
use crate::base::command_line;
use crate::base::env_name::EnvName;
use crate::base::environment::{self, Lookup};
use crate::base::harden;
use crate::base::secret::Secret;
use crate::base::ui::{self, Color};
use crate::deploy::settings::swarm_secrets;

/// The secrets of our environment, which are in it no more.
struct Taken {
    ghcr: Option<Secret>,
    tailscale: Option<Secret>,
    app: Vec<(EnvName, Secret)>,
}

/// The whole program.
pub fn main() -> ExitCode {
    // Kept: what the caller passed down stays closed to what we start.
    let _hardened = harden::harden();
    ui::hide_panics(PROGRAM);
    // Out of the environment, before anything is started.
    let taken = Taken {
        ghcr: take("GHCR_TOKEN"),
        tailscale: take("TAILSCALE_AUTH_KEY"),
        app: token::take_all(swarm_secrets::by_default()),
    };
    // Unwinding wipes every secret on its way; only then do we end.
    let done = catch_unwind(AssertUnwindSafe(|| run_program(taken)));
    done.unwrap_or(Exit::Step).into()
}

fn run_program(taken: Taken) -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let done = context(&cli, taken).and_then(|cx| {
        let exit = command(&cx, &cli)?;
        // A command that failed reports its own failure rather than that of the output.
        if exit == Exit::Done {
            cx.reporter.finish()?;
        }
        Ok(exit)
    });
    done.unwrap_or_else(|failure| {
        let reporter = reporter(&cli);
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

fn reporter(cli: &Cli) -> Reporter {
    let Common {
        color, json, quiet, ..
    } = cli.common;
    Reporter::new(color.into(), json, quiet, is_dry_run(cli))
}

fn is_dry_run(cli: &Cli) -> bool {
    matches!(&cli.command, Command::Bootstrap(run) | Command::Update(run) if run.selection(false).dry_run)
}

/// Everything that a command is given.
fn context(cli: &Cli, taken: Taken) -> Result<Context> {
    let check = |name, secret: Option<_>| secret.map(|it| Token::new(name, it)).transpose();
    let token = check("GHCR_TOKEN", taken.ghcr)?;
    let tailscale_key = check("TAILSCALE_AUTH_KEY", taken.tailscale)?;
    let settings = settings(cli)?;
    let mut app = taken.app;
    // Those that only the configuration names.
    app.extend(token::take_all(settings.swarm_secrets.clone()));
    token::resolved(&app)?;
    let mut host = Host::new(&settings.root)?;
    host.heed_signals()?;
    let journal = settings.records().join("journal.jsonl");
    let journal = (!is_dry_run(cli)).then(|| (host.clone(), journal));
    Ok(Context {
        journal: Journal::new(journal),
        host,
        settings,
        reporter: reporter(cli),
        token,
        tailscale_key,
        app_secrets: app,
        sudo_user: std::env::var("SUDO_USER").ok(),
        planned: RefCell::default(),
        facts: RefCell::default(),
        started: Instant::now(),
    })
}

fn settings(cli: &Cli) -> Result<Settings> {
    let mut flags = cli.flags();
    let lookup: Lookup<'_> = &|name| std::env::var_os(name);
    let named = |name: &str| environment::value(lookup, name)?.into_string().ok();
    flags.github_user = named("GITHUB_USER");
    flags.state_home = environment::state_home(lookup);
    if flags.docker_host.is_none() && flags.context.is_none() {
        flags.docker_host = named("DOCKER_HOST");
        flags.context = named("DOCKER_CONTEXT").filter(|_| flags.docker_host.is_none());
    }
    let root = flags.root.as_deref().unwrap_or(Path::new("/"));
    let file = match &cli.common.config {
        Some(path) => ConfigFile::read(path)?.ok_or_else(|| {
            Failure::usage(format!("there is no {}", path.display())).hint("check --config")
        })?,
        None => ConfigFile::read(&root.join(CONFIG.trim_start_matches('/')))?.unwrap_or_default(),
    };
    Settings::decide(flags, file)
}

fn command(cx: &Context, cli: &Cli) -> Result<Exit> {
    match &cli.command {
        Command::Bootstrap(run) => steps(cx, &run.selection(false), run.wait),
        Command::Update(run) => steps(cx, &run.selection(true), run.wait),
        Command::Rollback {
            to,
            keep_state,
            wait,
            ..
        } => rollback(cx, *to, *keep_state, *wait),
        Command::Status { show_token } => report::status(cx, *show_token, cli.common.json),
        Command::Stats => report::stats(cx, cli.common.json),
        Command::Logs { lines } => show_logs(cx, *lines, cli.common.json),
        Command::Doctor => doctor::doctor(cx, cli.common.json),
        Command::Backup { resume, wait } => back_up(cx, *resume, *wait),
    }
}

/// One run at a time.
fn lock(cx: &Context, wait: bool) -> Result<Lock> {
    Lock::take(
        &cx.host,
        wait.then_some(&|| cx.reporter.note("waiting for another run")),
    )
}

/// `bootstrap` and `update`.
fn steps(cx: &Context, selection: &StepSelection, wait: bool) -> Result<Exit> {
    let steps = super::steps::all();
    selection.refuse_unknown(&steps)?;
    let _lock = match selection.dry_run {
        true => None,
        false => Some(lock(cx, wait)?),
    };
    let tls = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|it| !it.is_empty());
    if cx.settings.engine.is_in_the_clear(tls) {
        cx.reporter.warn(
            "that engine is spoken to in the clear: whoever is on the way reads the token; use ssh:// or TLS",
        );
    }
    if !selection.dry_run {
        prepare(cx)?;
    }
    let ran = run(cx, &steps, selection);
    let failure = ran.iter().find_map(|step| match &step.outcome {
        Outcome::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    warn_of_journal(cx);
    report::summary(cx, &ran, failure.as_ref());
    match failure {
        Some(failure) => {
            cx.reporter.error(&failure);
            Ok(failure.exit)
        }
        None => Ok(Exit::Done),
    }
}

fn warn_of_journal(cx: &Context) {
    if let Some(warning) = cx.journal.take_warning() {
        cx.reporter.warn(warning);
    }
}

/// Where the journal lies has to be there before the first step.
fn prepare(cx: &Context) -> Result<()> {
    let access = super::host::Access {
        mode: 0o700,
        owner: None,
    };
    cx.host.directory(cx.settings.records(), access).map(drop)
}

fn rollback(cx: &Context, to: Option<u64>, keep_state: bool, wait: bool) -> Result<Exit> {
    let _lock = lock(cx, wait)?;
    cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        let mut records = Records::load(&cx.host, &cx.settings)?;
        let target = report::target(&records, to)?.clone();
        let snapshot = state_of(cx, &engine, &records, &target, keep_state).await?;
        let new = rollback::run(cx, &engine, &mut records, &target, snapshot.as_deref()).await;
        warn_of_journal(cx);
        let new = new?;
        cx.reporter.result(&json!({
            "exit": 0, "to": target.id, "release": new, "image": target.pinned,
            "warnings": cx.reporter.warnings(), "error": null,
        }));
        cx.reporter.line(&format!(
            "release {} runs and answers: {} (as release {new})",
            target.id, target.pinned
        ));
        Ok(Exit::Done)
    })
}

/// The snapshot that holds the state of `target`: the one taken when the release after it began.
async fn state_of(
    cx: &Context,
    engine: &Engine,
    records: &Records,
    target: &Release,
    keep_state: bool,
) -> Result<Option<String>> {
    let mut after = records.releases.iter().filter(|it| it.id > target.id);
    let pending = records.pending.as_ref().and_then(|it| it.snapshot.clone());
    // What failed last has its old state back already.
    let is_back = |it: &Pending| it.from == Some(target.id) && it.snapshot.is_none();
    let storage = state::of(&cx.settings);
    let is_back = storage.restores_in_place() && records.pending.as_ref().is_some_and(is_back);
    if keep_state || is_back {
        return Ok(None);
    }
    let snapshot = after.next().and_then(|it| it.snapshot.clone()).or(pending);
    match snapshot {
        Some(id) if storage.has_snapshot(cx, engine, &id).await? => Ok(Some(id)),
        _ => Err(Failure::new(format!(
            "there is no snapshot of the state of release {}",
            target.id
        ))
        .hint("go back with the state as it is now: add --keep-state")),
    }
}

/// What the timer of step 8 runs.
fn back_up(cx: &Context, resume: bool, wait: bool) -> Result<Exit> {
    let _lock = lock(cx, wait)?;
    prepare(cx)?;
    if resume {
        backup::resume(cx)?;
    } else {
        let path = backup::run(cx);
        warn_of_journal(cx);
        let path = path?.display().to_string();
        cx.reporter
            .result(&json!({"exit": 0, "archive": path, "error": null}));
        cx.reporter.line(&path);
    }
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
