//! The context of a run.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::base::env_name::EnvName;
use crate::base::secret::Secret;
use crate::deploy::host::Host;
use crate::deploy::journal::Journal;
use crate::deploy::redact::Redact;
use crate::deploy::reporter::Reporter;
use crate::deploy::settings::Settings;
use crate::deploy::token::Token;

/// What every step and every command is given.
pub(crate) struct Context {
    /// This host's files and programs.
    pub host: Host,
    /// The decided settings.
    pub settings: Settings,
    /// For warnings and progress.
    pub reporter: Reporter,
    /// `GHCR_TOKEN`, taken out of our environment.
    pub token: Option<Token>,
    /// `TAILSCALE_AUTH_KEY`, likewise.
    pub tailscale_key: Option<Token>,
    /// The app secrets, likewise; for a Swarm service.
    pub app_secrets: Vec<(EnvName, Secret)>,
    /// `SUDO_USER`: who called us through sudo.
    pub sudo_user: Option<String>,
    /// The record of what was done.
    pub journal: Journal,
    /// When the work began: the wait for another run is none of its time.
    pub began: Cell<Instant>,
    /// The steps that a dry run has only planned, so that later steps do not miss their results.
    pub planned: RefCell<Vec<&'static str>>,
    /// Lines for the summary: name and value.
    pub facts: RefCell<Vec<(&'static str, String)>>,
}

impl Context {
    /// A redactor that knows the secrets of this run.
    pub(crate) fn redact(&self) -> Redact {
        let mut redact = Redact::default();
        for token in [&self.token, &self.tailscale_key].into_iter().flatten() {
            redact.add(token.secret());
        }
        for (_, secret) in &self.app_secrets {
            redact.add(secret);
        }
        redact
    }

    /// Adds a line to the summary and to `--json`.
    pub(crate) fn fact(&self, name: &'static str, value: impl Into<String>) {
        let mut facts = self.facts.borrow_mut();
        facts.retain(|(there, _)| *there != name);
        facts.push((name, value.into()));
    }

    /// That of a run with no configuration, on the host below `root`.
    #[cfg(test)]
    pub(crate) fn below(root: &std::path::Path) -> Self {
        use crate::deploy::settings::{ConfigFile, Flags};
        Self {
            host: Host::new(root).expect("a host"),
            settings: Settings::decide(Flags::default(), ConfigFile::default()).expect("good"),
            reporter: Reporter::new(crate::base::ui::Color::Never, false, true, false),
            token: None,
            tailscale_key: None,
            app_secrets: Vec::new(),
            sudo_user: None,
            journal: Journal::new(None),
            began: Cell::new(Instant::now()),
            planned: RefCell::default(),
            facts: RefCell::default(),
        }
    }
}
