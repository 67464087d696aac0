//! From the command line, the environment and the configuration to what a command is given.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{Cli, Command, Common};
use crate::base::env_name::EnvName;
use crate::base::environment::{self, Lookup};
use crate::base::secret::Secret;
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::env;
use crate::deploy::gateway::records::Records;
use crate::deploy::host::{Host, system};
use crate::deploy::image_reference::ImageRef;
use crate::deploy::journal::Journal;
use crate::deploy::reporter::Reporter;
use crate::deploy::settings::{CONFIG, ConfigFile, Settings, app_secrets};
use crate::deploy::token::{self, Token, take};

/// The secrets that were in our environment.
pub(super) struct Taken {
    ghcr: Option<Secret>,
    tailscale: Option<Secret>,
    app: Vec<(EnvName, Secret)>,
}

impl Taken {
    /// Takes them, before any thread exists.
    pub(super) fn from_environment() -> Self {
        Self {
            ghcr: take("GHCR_TOKEN"),
            tailscale: take("TAILSCALE_AUTH_KEY"),
            app: token::take_all(app_secrets::by_default()),
        }
    }
}

pub(super) fn reporter(cli: &Cli) -> Reporter {
    let Common {
        color,
        json,
        quiet,
        verbose,
        ..
    } = cli.common;
    Reporter::new(color.into(), json, quiet, is_dry_run(cli)).verbose(verbose)
}

fn is_dry_run(cli: &Cli) -> bool {
    matches!(&cli.command, Command::Bootstrap(run) | Command::Update(run) if run.selection().dry_run)
}

/// Everything that a command is given.
pub(super) fn context(cli: &Cli, taken: Taken) -> Result<Context> {
    let check = |name, secret: Option<_>| secret.map(|it| Token::new(name, it)).transpose();
    let given = environment::ours("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let ghcr = match (taken.ghcr, given) {
        (None, Some(directory)) => token::from_systemd(&directory)?,
        (ghcr, _) => ghcr,
    };
    let token = check("GHCR_TOKEN", ghcr)?;
    let tailscale_key = check("TAILSCALE_AUTH_KEY", taken.tailscale)?;
    let settings = settings(cli)?;
    system::can_serve(&settings.engine)?;
    let mut app = taken.app;
    // Those that are named only in the configuration.
    app.extend(token::take_all(settings.app_secrets.clone()));
    token::refuse_unresolved(&app)?;
    let mut host = Host::new(&settings.root)?;
    host.heed_signals()?;
    let journal = settings.records().join("journal.jsonl");
    let journal = (!is_dry_run(cli)).then(|| (host.clone(), journal));
    let mut cx = Context {
        journal: Journal::new(journal),
        host,
        settings,
        reporter: reporter(cli),
        token,
        tailscale_key,
        app_secrets: app,
        sudo_user: environment::ours("SUDO_USER").and_then(|it| it.into_string().ok()),
        planned: RefCell::default(),
        facts: RefCell::default(),
        began: Cell::new(Instant::now()),
    };
    if cx.settings.image_is_default {
        let runs_steps = matches!(&cli.command, Command::Bootstrap(_) | Command::Update(_));
        choose_image(&mut cx, runs_steps)?;
    }
    Ok(cx)
}

/// Where neither flag nor configuration names one: what was written into `.env`, or else what the
/// gateway that runs was asked for as. A default must not take its place.
fn choose_image(cx: &mut Context, runs_steps: bool) -> Result<()> {
    // Records that cannot be read are the business of the step that needs them.
    let records = Records::load(&cx.host, &cx.settings).unwrap_or_default();
    if let Some(Ok(image)) = records.asked_for().map(ImageRef::parse) {
        cx.settings.image = image;
    }
    let ours: Vec<_> = records
        .releases
        .iter()
        .map(|it| it.pinned.clone())
        .collect();
    if let Some(name) = env::chosen_image(cx, &ours).filter(|_| runs_steps) {
        cx.settings.image = from_env_file(&env::path(cx), &name)?;
        // For what was chosen there are no stand-ins that were meant for the default.
        cx.settings.image_is_default = false;
        cx.settings.image_is_named = true;
    }
    Ok(())
}

/// What cannot be an image is told with the file in which it stands.
fn from_env_file(path: &Path, name: &str) -> Result<ImageRef> {
    ImageRef::parse(name).map_err(|why| Failure {
        what: format!("OPENCLAW_IMAGE in {}: {}", path.display(), why.what),
        ..why
    })
}

fn settings(cli: &Cli) -> Result<Settings> {
    let mut flags = cli.flags();
    let lookup: Lookup<'_> = &environment::ours;
    let named = |name: &str| lookup(name)?.into_string().ok();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_image_is_told_with_its_file() {
        let path = Path::new("/home/deploy/openclaw/.env");
        let failure = from_env_file(path, "a b").expect_err("no image");
        let begin = "OPENCLAW_IMAGE in /home/deploy/openclaw/.env: not an image reference: a b";
        assert!(failure.what.starts_with(begin), "{failure}");
        assert!(from_env_file(path, "ghcr.io/me/it:1").is_ok());
    }
}
