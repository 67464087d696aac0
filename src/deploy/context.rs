//! What every step and every command is given.

use std::cell::RefCell;
use std::time::Instant;

use crate::base::env_name::EnvName;
use crate::base::secret::Secret;
use crate::deploy::host::Host;
use crate::deploy::journal::Journal;
use crate::deploy::redact::Redact;
use crate::deploy::reporter::Reporter;
use crate::deploy::settings::Settings;
use crate::deploy::token::Token;

/// What every step is given.
pub(crate) struct Context {
    /// The door to this host.
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
    /// What was done, for `stats`.
    pub journal: Journal,
    /// When we were started.
    pub started: Instant,
    /// Names of the steps that a dry run has planned so far: what they bring is not there yet.
    pub planned: RefCell<Vec<&'static str>>,
    /// What a step wants the summary to tell: name and value.
    pub facts: RefCell<Vec<(&'static str, String)>>,
}

impl Context {
    /// Hides the secrets of this run in foreign text.
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

    /// Leaves a fact for the summary and `--json`.
    pub(crate) fn fact(&self, name: &'static str, value: impl Into<String>) {
        let mut facts = self.facts.borrow_mut();
        facts.retain(|(there, _)| *there != name);
        facts.push((name, value.into()));
    }
}
