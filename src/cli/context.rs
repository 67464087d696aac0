//! Raw arguments and environment, turned into decided settings once.

use std::ffi::{OsStr, OsString};

use super::arguments::Global;
use crate::base::duration;
use crate::base::error::{Error, Problem, Result, Trouble};
use crate::base::locked_memory;
use crate::base::suggest;
use crate::base::ui::Ui;
use crate::broker::cache::{self, Cached, Caller, Identity, Policy};
use crate::broker::demo::Demo;
use crate::broker::dotenv::{self, Definition};
use crate::broker::manifest::{self, Manifest, Origin, Start};
use crate::broker::op::{Op, Settings};
use crate::broker::plan::{self, Choice, Plan};
use crate::broker::provider::Provider;
use crate::broker::reference::Reference;
use crate::broker::registry::Host;
use crate::broker::resolve::{self, Finding, Resolved};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vault {
    /// 1Password, through `op`.
    Op,
    /// The made-up secrets of the demo, for the built-in manifest.
    Demo,
    /// Nobody; the manifest is the one that `docker-credential-oc` reads.
    Helper,
}

/// Everything that a command needs to know.
pub(super) struct Context {
    /// Who talks.
    pub ui: Ui,
    /// Our own environment.
    pub environment: Vec<(OsString, OsString)>,
    manifest: Manifest,
    env_file: Option<Vec<Definition>>,
    choice: Choice,
    policy: Policy,
    vault: Vault,
}

impl Context {
    /// Decides the settings and reads the manifest.
    ///
    /// # Errors
    /// When a manifest, a dotenv file or a setting cannot be used.
    pub(super) fn new(global: Global, ui: Ui, vault: Vault) -> Result<Self> {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let lookup = |name: &str| value(&environment, name).map(OsStr::to_owned);
        let (manifest, env_file) = match vault {
            Vault::Demo => (manifest::builtin(), None),
            Vault::Helper => {
                let here = Start::Environment;
                let asked = global.manifest.as_deref();
                (manifest::load(asked, &here, &lookup)?, None)
            }
            Vault::Op => {
                let here = std::env::current_dir()
                    .map_err(|why| Error::system("tell the working directory", why))?;
                let start = Start::WorkingDirectory(here);
                let asked = global.manifest.as_deref();
                let manifest = manifest::load(asked, &start, &lookup)?;
                let env_file = dotenv::load(&global.env_file, &lookup)?;
                // Somebody who has never heard of OpenClaw should not wonder about its names.
                if manifest.origin == Origin::BuiltIn && asked.is_none() && env_file.is_none() {
                    ui.note("no oc-secrets.toml found: using the built-in list for OpenClaw");
                }
                (manifest, env_file)
            }
        };
        let (policy, choice) = match vault {
            Vault::Demo => (Policy::NOTHING, Choice::default()),
            Vault::Op | Vault::Helper => (
                policy(&global, &manifest, &lookup)?,
                choice(global, &lookup)?,
            ),
        };
        Ok(Self {
            ui,
            environment,
            manifest,
            env_file,
            choice,
            policy,
            vault,
        })
    }

    /// The same, saying nothing but errors.
    pub(super) fn quietly(self) -> Self {
        Self {
            ui: self.ui.quiet(),
            ..self
        }
    }

    /// What is asked for.
    ///
    /// # Errors
    /// When the choice does not fit the manifest.
    pub(super) fn plan(&self) -> Result<Plan> {
        let present = |name: &str| self.variable(name).is_some();
        plan::plan(
            &self.manifest,
            self.env_file.as_deref(),
            &self.choice,
            present,
        )
    }

    /// The plan for one secret, by its name in the manifest or by its reference.
    ///
    /// # Errors
    /// When there is no such name, or the reference cannot be one.
    pub(super) fn plan_for(&self, what: &str) -> Result<Plan> {
        if what.starts_with("op://") {
            let reference = Reference::parse(what).map_err(|why| {
                Error::usage(
                    format!("`{what}`: {why}"),
                    "write op://vault/item/field, in quotes where it has blanks",
                )
            })?;
            return Ok(plan::single(&self.manifest, reference, &self.choice));
        }
        let mut plan = self.plan()?;
        let names: Vec<String> = plan
            .wanted
            .iter()
            .map(|wanted| wanted.name.to_string())
            .collect();
        plan.wanted.retain(|wanted| wanted.name.as_str() == what);
        match plan.wanted.first_mut() {
            // Whoever asks for it by name wants it.
            Some(wanted) => {
                wanted.required = true;
                wanted.waivable = false;
            }
            None => return Err(self.unknown(what, &plan, &names)),
        }
        Ok(plan)
    }

    fn unknown(&self, what: &str, plan: &Plan, names: &[String]) -> Error {
        if plan.vars.iter().any(|(name, _)| name.as_str() == what) {
            let hint = "it stands in the manifest itself";
            return Error::usage(format!("{what} is a plain value, not a secret"), hint);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = suggest::hint(what, &names, "the secrets are");
        Error::usage(
            format!("no secret `{what}` in the manifest ({})", self.origin()),
            hint,
        )
    }

    /// Asks for everything that `plan` wants.
    pub(super) fn survey<'a>(&self, plan: &'a Plan) -> Result<Vec<Finding<'a>>> {
        self.survey_by(plan, || self.provider(plan))
    }

    fn survey_by<'a, 'p>(
        &self,
        plan: &'a Plan,
        provider: impl FnOnce() -> Result<Box<dyn Provider + 'p>>,
    ) -> Result<Vec<Finding<'a>>> {
        let own = |name: &str| self.variable(name).map(OsStr::to_owned);
        resolve::survey(plan, provider, own)
    }

    /// Everything that `plan` wants, or nothing; what is optional and absent is said once.
    pub(super) fn resolve<'a>(&self, plan: &'a Plan) -> Result<(Vec<Resolved<'a>>, Vec<Problem>)> {
        let (resolved, absent) =
            resolve::all_or_nothing(plan, self.survey_by(plan, || self.cached(plan))?)?;
        self.tell_of(&absent);
        Ok((resolved, absent))
    }

    /// Names what is optional and absent, once; what is there but of no use, with the reason.
    fn tell_of(&self, absent: &[Problem]) {
        let missing = |problem: &&Problem| matches!(problem.trouble, Trouble::Missing { .. });
        let (missing, unusable): (Vec<&Problem>, Vec<&Problem>) = absent.iter().partition(missing);
        let names: Vec<&str> = missing
            .iter()
            .map(|problem| problem.name.as_str())
            .collect();
        if !names.is_empty() {
            self.ui.warn(&format!(
                "optional secrets are missing: {}",
                names.join(", ")
            ));
        }
        for Problem { name, trouble, .. } in unusable {
            self.ui
                .warn(&format!("{name} is optional and left out: {trouble}"));
        }
    }

    /// Says so if any secret may reach swap. Called last, when all memory for secrets is there.
    pub(super) fn tell_if_swappable(&self) {
        if locked_memory::refused() {
            self.ui
                .warn("memory could not be locked, so secrets may reach swap: raise `ulimit -l`");
        }
    }

    /// Who answers, behind what is kept.
    fn cached<'p>(&'p self, plan: &'p Plan) -> Result<Box<dyn Provider + 'p>> {
        if self.vault == Vault::Demo {
            return self.provider(plan);
        }
        let origin = &self.manifest.origin;
        Ok(Box::new(Cached {
            inner: Box::new(move || self.provider(plan)),
            policy: self.policy,
            identity: Identity::new(&self.environment, origin, plan.account.as_deref()),
            timeout: plan.timeout,
        }))
    }

    fn provider<'p>(&self, plan: &'p Plan) -> Result<Box<dyn Provider + 'p>> {
        if self.vault == Vault::Demo {
            return Ok(Box::new(Demo));
        }
        let settings = Settings {
            path: plan.op_path.as_deref(),
            account: plan.account.clone(),
            timeout: plan.timeout,
            environment: &self.environment,
        };
        Ok(Box::new(Op::new(settings, self.ui)?))
    }

    /// A variable of our own environment that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        value(&self.environment, name)
    }

    /// The hosts that the manifest has a password for.
    pub(super) fn registries(&self) -> Vec<Host> {
        self.manifest
            .registries
            .iter()
            .map(|spec| spec.host.clone())
            .collect()
    }

    /// Where the manifest came from, for people.
    pub(super) fn origin(&self) -> String {
        match &self.manifest.origin {
            Origin::BuiltIn => "built-in".to_owned(),
            Origin::File(path) | Origin::Found(path) => path.display().to_string(),
        }
    }

    /// Where the list of secrets came from, for people; an env-file replaces the built-in one.
    pub(super) fn source(&self) -> String {
        match (&self.manifest.origin, &self.env_file) {
            (Origin::BuiltIn, None) => "built-in manifest".to_owned(),
            (Origin::BuiltIn, Some(_)) => "--env-file".to_owned(),
            (Origin::File(_) | Origin::Found(_), None) => self.origin(),
            (Origin::File(_) | Origin::Found(_), Some(_)) => {
                format!("{} and --env-file", self.origin())
            }
        }
    }
}

fn value<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    let found = environment
        .iter()
        .find(|(own, value)| own == name && !value.is_empty());
    found.map(|(_, value)| value.as_os_str())
}

fn policy(global: &Global, manifest: &Manifest, lookup: manifest::Lookup<'_>) -> Result<Policy> {
    let ttl = lookup("OC_SECRETS_CACHE_TTL").map(|value| value.to_string_lossy().into_owned());
    let ttl = cache::ttl_variable(ttl.as_deref())?;
    let root = nix::unistd::geteuid().is_root();
    let policy = Policy::decide(manifest.cache, ttl, Caller::Command, root);
    Ok(match (global.no_cache, global.refresh) {
        (true, _) => Policy::NOTHING,
        (_, true) => policy.refreshing(),
        _ => policy,
    })
}

fn choice(global: Global, lookup: manifest::Lookup<'_>) -> Result<Choice> {
    let variable = |name: &str| lookup(name).map(|value| value.to_string_lossy().into_owned());
    let timeout = global
        .timeout
        .map(|text| ("--timeout", text))
        .or_else(|| variable("OC_SECRETS_TIMEOUT").map(|text| ("OC_SECRETS_TIMEOUT", text)));
    let timeout = timeout.map(|(source, text)| {
        duration::timeout(&text)
            .map_err(|(what, hint)| Error::usage(format!("{source}: {what}"), hint))
    });
    Ok(Choice {
        profile: global.profile.or_else(|| variable("OC_SECRETS_PROFILE")),
        vault: global.vault.or_else(|| variable("OP_VAULT")),
        account: global.account,
        only: global.only,
        require: global.require,
        strict: global.strict,
        prefer_env: global.prefer_env,
        timeout: timeout.transpose()?,
    })
}
