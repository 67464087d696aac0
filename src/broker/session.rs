//! The one way from settings and environment to secrets: manifest, plan, provider, answers.
//!
//! The command line and the credential helpers both use it, and then hand over by a sink. Where
//! they differ, the [`Caller`] decides: which manifest is looked for, and what may be cached. The
//! environment is read once, here.

mod settings;
mod remote;
mod open;
mod providers;

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::env_name::EnvName;
use crate::base::error::{Error, Problem, Result, Trouble};
use crate::base::locked_memory;
use crate::base::own_environment::OwnEnvironment;
use crate::base::suggest;
use crate::base::ui::Ui;
use crate::broker::cache::{self, Policy};
use crate::broker::dotenv::Definition;
use crate::broker::manifest::{Manifest, Origin};
use crate::broker::plan::{self, Environments, Plan, Selection};
use crate::broker::provider::{Outcome, Provider, Request};
use crate::broker::reference::Reference;
use crate::broker::resolve::{self, Finding, Resolved, Survey};

pub(crate) use settings::{
    BROKER_TIMEOUT, CacheUse, DOCTOR_TIMEOUT, GATEWAY_TIMEOUT, SessionSettings, timeout,
};

/// Decided settings, and the manifest they apply to.
#[derive(Clone)]
pub(crate) struct Session {
    /// Where messages go.
    pub ui: Ui,
    /// Our own environment.
    pub environment: OwnEnvironment,
    /// The manifest in use.
    pub manifest: Manifest,
    env_file: Option<Vec<Definition>>,
    selection: Selection,
    policy: Policy,
    cache_off: Option<&'static str>,
    grace: Duration,
    backend: Backend,
    before_op: fn(),
    asked_op: Cell<bool>,
    without_prompts: Option<Duration>,
    cancel: Option<Arc<Notify>>,
}

/// Who has the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Backend {
    Op,
    Socket(PathBuf),
    Demo,
}

impl Session {
    /// What is asked for.
    ///
    /// # Errors
    /// When the selection does not fit the manifest.
    pub(crate) fn plan(&self) -> Result<Plan> {
        self.plan_of(&self.selection)
    }

    /// The manifest as the selection leaves it, with what `--env-file` defines.
    pub(crate) fn contents(&self) -> Result<Manifest> {
        plan::contents(&self.manifest, self.env_file.as_deref(), &self.selection)
    }

    /// What `--env-file` defines.
    pub(crate) fn env_file(&self) -> &[Definition] {
        self.env_file.as_deref().unwrap_or_default()
    }

    /// What the user chose.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The socket of the broker that has the secrets, where it is one: then no `op` is run here.
    pub(crate) fn broker(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Socket(path) => Some(path),
            Backend::Op | Backend::Demo => None,
        }
    }

    /// How long a value is kept, if at all.
    pub(crate) fn kept_for(&self) -> Option<Duration> {
        self.policy.keeps()
    }

    /// The plan for one secret that the manifest itself names.
    pub(crate) fn plan_only(&self, name: &EnvName) -> Result<Plan> {
        let one = vec![name.as_str().to_owned()];
        self.plan_by_name(&Selection {
            only: one.clone(),
            require: one,
            ..self.selection.clone()
        })
    }

    /// The plan for one secret, by its name in the manifest or by its reference.
    ///
    /// # Errors
    /// When there is no such name, or the reference cannot be one.
    pub(crate) fn plan_for(&self, what: &str) -> Result<Plan> {
        if what.starts_with("op://") {
            let reference = Reference::parse(what).map_err(|why| {
                Error::usage(
                    format!("`{what}`: {why}"),
                    "write op://vault/item/field, in quotes where it has blanks",
                )
            })?;
            return Ok(plan::single(&self.manifest, reference, &self.selection));
        }
        let plan = self.plan()?;
        let (mut asked, others): (Vec<_>, Vec<_>) = plan
            .wanted
            .into_iter()
            .partition(|wanted| wanted.name.as_str() == what);
        match asked.first_mut() {
            // It was asked for by name, so it is required.
            Some(wanted) => {
                wanted.required = true;
                wanted.waivable = false;
            }
            None if !plan.environments.is_empty() && !self.defines(what) => {
                return Ok(Plan {
                    wanted: vec![],
                    environments: plan.environments.for_one(what),
                    ..plan
                });
            }
            None => {
                let names: Vec<&str> = others.iter().map(|it| it.name.as_str()).collect();
                return Err(self.unknown(what, &plan.vars, &names));
            }
        }
        Ok(Plan {
            wanted: asked,
            environments: Environments::default(),
            ..plan
        })
    }

    /// Whether the manifest or `--env-file` holds this name.
    fn defines(&self, what: &str) -> bool {
        let secrets = self.manifest.secrets.iter().map(|spec| &spec.name);
        let vars = self.manifest.vars.iter().map(|(name, _)| name);
        let file = self.env_file().iter().map(|one| &one.name);
        let mut names = secrets.chain(vars).chain(file);
        names.any(|name| name.as_str() == what)
    }

    /// A plan for secrets that the manifest itself names, without Environments.
    fn plan_by_name(&self, selection: &Selection) -> Result<Plan> {
        Ok(Plan {
            environments: Environments::default(),
            ..self.plan_of(selection)?
        })
    }

    fn plan_of(&self, selection: &Selection) -> Result<Plan> {
        let present = |name: &str| self.variable(name).is_some();
        plan::plan(&self.manifest, self.env_file.as_deref(), selection, present)
    }

    fn unknown(&self, what: &str, vars: &[(EnvName, String)], names: &[&str]) -> Error {
        if vars.iter().any(|(name, _)| name.as_str() == what) {
            let hint = "its value is in the manifest itself";
            return Error::usage(format!("{what} is a plain value, not a secret"), hint);
        }
        if let Some(profile) = &self.selection.profile
            && self
                .manifest
                .secrets
                .iter()
                .any(|spec| spec.name.as_str() == what)
        {
            return Error::usage(
                format!("`{what}` is not in profile `{profile}`"),
                "add it to the profile, or leave out --profile (OC_SECRETS_PROFILE)",
            );
        }
        let hint = suggest::hint(what, names, "the secrets are");
        let origin = &self.manifest.origin;
        Error::usage(
            format!("no secret `{what}` in the manifest ({origin})"),
            hint,
        )
    }

    /// The outcome of every secret of `plan`, past the cache.
    pub(crate) fn survey<'a>(&self, plan: &'a Plan) -> Result<Survey<'a>> {
        self.survey_by(plan, || self.provider(plan))
    }

    fn survey_by<'a, 'p>(
        &self,
        plan: &'a Plan,
        provider: impl FnOnce() -> Result<Box<dyn Provider + 'p>>,
    ) -> Result<Survey<'a>> {
        resolve::survey(plan, provider, self.lookup())
    }

    /// The outcome of every secret of `plan`, which others may have asked for already.
    pub(crate) fn ask<'a>(&self, plan: &'a Plan) -> Result<Survey<'a>> {
        let survey = self.survey_by(plan, || self.cached(plan))?;
        let asked = !plan.wanted.is_empty() && self.backend == Backend::Op;
        match self.cache_off {
            _ if !plan.environments.is_empty() => {
                self.ui.detail("nothing is cached: an Environment is asked for each time");
            }
            _ if !asked => {}
            Some(why) => self.ui.detail(&format!("nothing is cached: {why}")),
            None if self.asked_op.get() => {}
            None => self.ui.detail("`op` was not started: the cache, or somebody who asked at the same time, had the answers"),
        }
        Ok(survey)
    }

    /// What `op` says of the secrets of these names, past everything that is kept.
    pub(crate) fn fetch(&self, names: &[EnvName]) -> Result<Vec<(EnvName, Outcome)>> {
        let plan = self.plan_by_name(&Selection {
            only: names.iter().map(EnvName::to_string).collect(),
            ..self.selection.clone()
        })?;
        let findings = self.survey(&plan)?.findings.into_iter();
        let pair = |finding: Finding<'_>| (finding.wanted.name.clone(), finding.outcome);
        Ok(findings.map(pair).collect())
    }

    /// Everything that `plan` wants, or nothing; warns of optional secrets that are absent.
    pub(crate) fn resolve<'a>(&self, plan: &'a Plan) -> Result<Vec<Resolved<'a>>> {
        let survey = self.ask(plan)?;
        let (resolved, absent) =
            resolve::all_or_nothing(plan, survey).map_err(|error| match self.broker() {
                Some(path) => remote::without_references(path, error),
                None => error,
            })?;
        self.warn_of(&absent);
        Ok(resolved)
    }

    /// Whether [`Self::resolve`] has asked `op`, and not only the cache or another process.
    pub(crate) fn asked_op(&self) -> bool {
        self.asked_op.get()
    }

    /// Deletes the cached secrets of `plan`.
    pub(crate) fn forget(&self, plan: &Plan) {
        let identity = self.identity(plan);
        for wanted in &plan.wanted {
            let request = Request {
                reference: &wanted.reference,
                exact: wanted.exact,
            };
            cache::forget(&identity, &request);
        }
    }

    /// One warning for all that are missing, and one for each that is unusable.
    fn warn_of(&self, absent: &[Problem]) {
        let missing = |problem: &&Problem| matches!(problem.trouble, Trouble::Missing { .. });
        let (missing, unusable): (Vec<&Problem>, Vec<&Problem>) = absent.iter().partition(missing);
        let names: Vec<&str> = missing
            .iter()
            .map(|problem| problem.name.as_str())
            .collect();
        if !names.is_empty() {
            let names = names.join(", ");
            self.ui
                .warn(&format!("optional secrets are missing: {names}"));
        }
        for Problem { name, trouble, .. } in unusable {
            self.ui
                .warn(&format!("{name} is optional and left out: {trouble}"));
        }
    }

    /// Warns if any secret may reach swap. Called last, when all memory for secrets is there.
    pub(crate) fn warn_if_swappable(&self) {
        if locked_memory::refused() {
            self.ui
                .warn("memory could not be locked, so secrets may reach swap: raise `ulimit -l`");
        }
    }

    /// A variable of our own environment that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.variable(name)
    }

    /// The same, as what decides by variables asks for them.
    pub(crate) fn lookup(&self) -> impl Fn(&str) -> Option<OsString> {
        |name| self.variable(name).map(OsStr::to_owned)
    }

    /// Where the list of secrets came from, for people; an env-file replaces the built-in one.
    pub(crate) fn source(&self) -> String {
        let origin = &self.manifest.origin;
        let source = match (origin, &self.env_file) {
            (Origin::BuiltIn, None) if !self.selection.environments.is_empty() => {
                "--environment".to_owned()
            }
            (Origin::BuiltIn, None) => "built-in manifest".to_owned(),
            (Origin::BuiltIn, Some(_)) => "--env-file".to_owned(),
            (_, None) => origin.to_string(),
            (_, Some(_)) => format!("{origin} and --env-file"),
        };
        match (self.broker(), origin) {
            (None, _) | (_, Origin::Broker(_)) => source,
            (Some(path), _) => format!("{source}, answered by the broker {}", path.display()),
        }
    }
}
