//! Where the helpers' answers come from: a plan with one entry, on the pipeline of `oc-secrets`.
//!
//! A secret is taken from our own environment, from the cache, or from `op`, in this order. The
//! manifest is never the working directory's: clients start us wherever their user happens to be.

use std::cell::Cell;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::base::duration;
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Result};
use crate::base::locked_memory;
use crate::base::ui::Ui;
use crate::broker::cache::{self, Cached, Caller, Identity, Policy};
use crate::broker::manifest::{self, HostSpec, Manifest, Start};
use crate::broker::op::{Op, Settings};
use crate::broker::plan::{self, Choice, Plan};
use crate::broker::provider::{Provider, Request};
use crate::broker::registry::Asked;
use crate::broker::resolve;
use crate::credential_helper::client_config::disabled_hosts;
use crate::credential_helper::{Answers, Credential};

/// Clients give up after 30 s, or never; both are worse than an error.
const PATIENCE: Duration = Duration::from_secs(25);

/// Answers from a manifest.
pub(super) struct Broker {
    ui: Ui,
    environment: Vec<(OsString, OsString)>,
    manifest: Manifest,
    hosts: Vec<HostSpec>,
    choice: Choice,
    policy: Policy,
}

impl Broker {
    /// For Docker's helper: `[registries]`, without what `oc-secrets docker off` has named.
    pub(super) fn for_docker(ui: Ui) -> Result<Self> {
        let mut broker = Self::new(ui)?;
        let muted = disabled_hosts::read(&|name| broker.variable(name));
        let speaking = broker.manifest.registries.iter();
        let speaking = speaking.filter(|spec| !muted.contains(&spec.host));
        broker.hosts = speaking.cloned().collect();
        Ok(broker)
    }

    /// For git's helper: `[git]`.
    pub(super) fn for_git(ui: Ui) -> Result<Self> {
        let mut broker = Self::new(ui)?;
        broker.hosts.clone_from(&broker.manifest.git);
        Ok(broker)
    }

    fn new(ui: Ui) -> Result<Self> {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let lookup = |name: &str| value(&environment, name);
        let manifest = manifest::load(None, &Start::Environment, &lookup)?;
        let text = |name: &str| lookup(name).map(|value| value.to_string_lossy().into_owned());
        let timeout = text("OC_SECRETS_TIMEOUT").map(|text| {
            duration::timeout(&text)
                .map_err(|(what, hint)| Error::usage(format!("OC_SECRETS_TIMEOUT: {what}"), hint))
        });
        let choice = Choice {
            vault: text("OP_VAULT"),
            timeout: timeout
                .transpose()?
                .or(manifest.op.timeout)
                .or(Some(PATIENCE)),
            prefer_env: true,
            ..Choice::default()
        };
        let ttl = cache::ttl_variable(text("OC_SECRETS_CACHE_TTL").as_deref())?;
        let root = nix::unistd::geteuid().is_root();
        let policy = Policy::decide(manifest.cache, ttl, Caller::Helper, root);
        Ok(Self {
            ui,
            environment,
            hosts: vec![],
            choice,
            policy,
            manifest,
        })
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        value(&self.environment, name)
    }

    fn host(&self, asked: &Asked) -> Option<&HostSpec> {
        self.hosts.iter().find(|spec| spec.serves(asked))
    }

    fn plan(&self, name: &EnvName) -> Result<Plan> {
        let one = vec![name.as_str().to_owned()];
        let choice = Choice {
            only: one.clone(),
            require: one,
            ..self.choice.clone()
        };
        plan::plan(&self.manifest, None, &choice, |name| {
            self.variable(name).is_some()
        })
    }

    fn identity(&self, plan: &Plan) -> Identity {
        Identity::new(
            &self.environment,
            &self.manifest.origin,
            plan.account.as_deref(),
        )
    }

    fn provider<'a>(
        &'a self,
        plan: &'a Plan,
        asked: &'a Cell<bool>,
    ) -> Result<Box<dyn Provider + 'a>> {
        let inner = move || {
            if !asked.replace(true) {
                give_up_with_the_client();
            }
            let settings = Settings {
                path: plan.op_path.as_deref(),
                account: plan.account.clone(),
                timeout: plan.timeout,
                environment: &self.environment,
            };
            let op = Op::new(settings, self.ui)?;
            Ok(Box::new(op) as Box<dyn Provider>)
        };
        Ok(Box::new(Cached {
            inner: Box::new(inner),
            policy: self.policy,
            identity: self.identity(plan),
            timeout: plan.timeout,
        }))
    }
}

impl Answers for Broker {
    fn credential(&self, asked: &Asked) -> Result<Option<Credential>> {
        let Some(host) = self.host(asked) else {
            return Ok(None);
        };
        let plan = self.plan(&host.secret)?;
        let inherited = plan.wanted.iter().any(|wanted| wanted.inherited);
        let fetched = Cell::new(false);
        let own = |name: &str| self.variable(name);
        let findings = resolve::survey(&plan, || self.provider(&plan, &fetched), own)?;
        let (resolved, _) = resolve::all_or_nothing(&plan, findings)?;
        if fetched.get() && locked_memory::refused() {
            self.ui
                .warn("memory could not be locked, so secrets may reach swap: raise `ulimit -l`");
        }
        Ok(resolved.into_iter().next().map(|resolved| Credential {
            username: host.username().to_owned(),
            chosen: host.username.is_some(),
            secret: resolved.value,
            fresh: inherited || fetched.get(),
        }))
    }

    fn forget(&self, asked: &Asked) -> bool {
        let Some(host) = self.host(asked) else {
            return false;
        };
        if let Ok(plan) = self.plan(&host.secret) {
            let identity = self.identity(&plan);
            for wanted in &plan.wanted {
                let request = Request {
                    reference: &wanted.reference,
                    exact: wanted.exact,
                };
                cache::forget(&identity, &request);
            }
        }
        true
    }

    fn entries(&self) -> Vec<(String, String)> {
        let entry = |spec: &HostSpec| {
            (
                spec.host.docker_key().to_owned(),
                spec.username().to_owned(),
            )
        };
        self.hosts.iter().map(entry).collect()
    }

    fn anonymous_when_locked(&self) -> bool {
        self.variable("OC_DOCKER_ON_LOCKED")
            .is_some_and(|value| value == "notfound")
    }
}

/// A variable that is set and not empty.
fn value(environment: &[(OsString, OsString)], name: &str) -> Option<OsString> {
    let found = environment
        .iter()
        .find(|(own, value)| own == name && !value.is_empty());
    found.map(|(_, value)| value.clone())
}

/// Ends us, and with us `op` and its prompt, when nobody reads our answer any more. Started only
/// before `op` is; the thread ends with the process.
fn give_up_with_the_client() {
    let _ = std::thread::Builder::new().spawn(|| {
        let stdout = std::io::stdout();
        loop {
            // Nothing is asked for, so only the reader's end is told.
            match poll(
                &mut [PollFd::new(stdout.as_fd(), PollFlags::empty())],
                PollTimeout::NONE,
            ) {
                Ok(_) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
        }
        let _ = kill(Pid::this(), Signal::SIGTERM);
    });
}
