//! How a session begins: which manifest, which env-files, and what is decided by them.

use std::cell::Cell;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Backend, Session, SessionSettings, remote, settings};
use crate::base::environment::{self, Lookup};
use crate::base::error::Result;
use crate::base::own_environment::OwnEnvironment;
use crate::base::token_kind;
use crate::base::ui::Ui;
use crate::broker::cache::{self, Caller, Policy};
use crate::broker::dotenv::{self, Value};
use crate::broker::manifest::{self, Manifest, Origin, Start};
use crate::broker::plan::Selection;

impl Session {
    /// Reads the manifest and decides what `settings` leave open.
    ///
    /// # Errors
    /// When a manifest, a dotenv file or a variable of ours cannot be used.
    pub(crate) fn open(caller: Caller, settings: SessionSettings, ui: Ui) -> Result<Self> {
        let asked = settings.manifest.is_some();
        let session = Self::read(caller, settings, ui, manifest::load)?;
        if caller == Caller::Command {
            if !asked {
                session.announce();
            }
            session.warn_of_plain_tokens();
        }
        Ok(session)
    }

    /// The same for a look at the manifest, which nobody needs to have allowed. It is not to ask
    /// `op` for anything.
    pub(crate) fn inspect(settings: SessionSettings, ui: Ui) -> Result<Self> {
        let asked = settings.manifest.is_some();
        let session = Self::read(Caller::Command, settings, ui, manifest::inspect)?;
        if !asked {
            session.announce();
        }
        Ok(session)
    }

    /// The same past the working directory, where a manifest is only about to be written.
    pub(crate) fn beside(settings: SessionSettings, ui: Ui) -> Result<Self> {
        Self::read(Caller::Command, settings, ui, |asked, _, lookup| {
            manifest::load(asked, &Start::Environment, lookup)
        })
    }

    /// Names plain values that look like tokens: whoever reads the file has them.
    fn warn_of_plain_tokens(&self) {
        let of_file = self
            .env_file()
            .iter()
            .filter_map(|definition| match &definition.value {
                Value::Plain(value) => Some((definition.name.to_string(), value.as_str())),
                Value::Secret(_) => None,
            });
        for (name, value) in self.manifest.plain_values().chain(of_file) {
            if let Some(kind) = token_kind::of_text(value) {
                self.ui.warn(&format!(
                    "{name} is a plain value that looks like a secret ({kind}): keep it in 1Password"
                ));
            }
        }
    }

    /// A user who does not know OpenClaw should see where its names come from.
    fn announce(&self) {
        let instead = self.env_file.is_some() || !self.selection.environments.is_empty();
        if self.manifest.origin == Origin::BuiltIn && !instead {
            self.ui
                .note("no oc-secrets.toml found: using the built-in list for OpenClaw");
        }
    }

    fn read(
        caller: Caller,
        settings: SessionSettings,
        ui: Ui,
        load: fn(Option<&Path>, &Start, Lookup<'_>) -> Result<Manifest>,
    ) -> Result<Self> {
        let environment = OwnEnvironment::take();
        let lookup = |name: &str| environment.variable(name).map(OsStr::to_owned);
        let asked = settings.manifest.as_deref();
        let socket =
            environment::path(&lookup, remote::SOCKET).filter(|_| caller != Caller::Broker);
        let named = asked.is_some() || lookup("OC_SECRETS_MANIFEST").is_some();
        let manifest = match &socket {
            Some(path) if !named => remote::manifest(path, settings.selection.timeout)?,
            _ => load(asked, &settings::start(caller)?, &lookup)?,
        };
        let env_file = dotenv::load(&settings.env_file, &lookup)?;
        let (policy, cache_off) = settings::policy(caller, settings.cache, &manifest, &lookup)?;
        let selection = settings::selection(caller, settings.selection, &manifest, &lookup)?;
        Ok(Self {
            ui,
            environment,
            manifest,
            env_file,
            selection,
            policy,
            cache_off,
            // A gateway does not wait any longer than it says.
            grace: match caller {
                Caller::Gateway => Duration::ZERO,
                Caller::Helper | Caller::Broker | Caller::Command => cache::GRACE,
            },
            backend: socket.map_or(Backend::Op, Backend::Socket),
            before_op: || {},
            asked_op: Cell::new(false),
            without_prompts: None,
            cancel: None,
        })
    }

    /// Our environment with no manifest of anybody's, where none can be used.
    pub(crate) fn without_manifest(ui: Ui) -> Self {
        let session = Self::demo(ui);
        let socket = environment::path(&session.lookup(), remote::SOCKET);
        Self {
            backend: socket.map_or(Backend::Op, Backend::Socket),
            manifest: Manifest::empty(Origin::BuiltIn),
            ..session
        }
    }

    /// The built-in manifest, with made-up secrets for all of it.
    pub(crate) fn demo(ui: Ui) -> Self {
        Self {
            ui,
            environment: OwnEnvironment::take(),
            manifest: manifest::builtin(),
            env_file: None,
            selection: Selection::default(),
            policy: Policy::NOTHING,
            cache_off: None,
            grace: cache::GRACE,
            backend: Backend::Demo,
            before_op: || {},
            asked_op: Cell::new(false),
            without_prompts: None,
            cancel: None,
        }
    }

    /// Fails where 1Password would have to ask the user for leave, and waits no longer than that.
    pub(crate) fn without_prompts(self, patience: Duration) -> Self {
        Self {
            without_prompts: Some(patience),
            ..self
        }
    }

    /// The same, ended by `cancel` while `op` runs.
    pub(crate) fn cancelled_by(self, cancel: Arc<Notify>) -> Self {
        Self {
            cancel: Some(cancel),
            ..self
        }
    }

    /// Calls `hook` once, before `op` is started for [`Self::resolve`].
    pub(crate) fn before_op(self, hook: fn()) -> Self {
        Self {
            before_op: hook,
            ..self
        }
    }
}
