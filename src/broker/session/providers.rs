//! Whom a session asks: `op` behind the cache, a broker, or the demo.

use std::time::Duration;

use super::{Backend, Session, remote};
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::broker::cache::{Cached, Identity};
use crate::broker::demo::Demo;
use crate::broker::op::{Op, Options};
use crate::broker::plan::{self, Plan};
use crate::broker::provider::Provider;

impl Session {
    /// The provider, behind the cache.
    pub(super) fn cached<'p>(&'p self, plan: &'p Plan) -> Result<Box<dyn Provider + 'p>> {
        if self.backend != Backend::Op {
            return self.provider(plan);
        }
        let inner = move || {
            if !self.asked_op.replace(true) {
                (self.before_op)();
            }
            let mut provider = self.provider(plan)?;
            if let Some(patience) = self.without_prompts {
                if provider.may_prompt() {
                    return Err(Error::WouldPrompt);
                }
                provider.limit(patience);
            }
            Ok(provider)
        };
        Ok(Box::new(Cached {
            inner: Box::new(inner),
            policy: self.policy,
            identity: self.identity(plan),
            timeout: plan.timeout,
            grace: self.grace,
        }))
    }

    pub(super) fn provider<'p>(&'p self, plan: &'p Plan) -> Result<Box<dyn Provider + 'p>> {
        match &self.backend {
            Backend::Op => {}
            Backend::Demo => return Ok(Box::new(Demo)),
            Backend::Socket(path) => {
                self.ui
                    .detail(&format!("asking the broker {}", path.display()));
                return remote::provider(path, plan);
            }
        }
        let options = Options {
            path: plan.op_path.as_deref(),
            account: plan.account.clone(),
            // The OS keyring may have to open a window as well.
            timeout: self
                .without_prompts
                .map_or(plan.timeout, |patience| patience.min(plan.timeout)),
            environment: &self.environment,
            ask_anyway: self.policy.asks_anyway(),
            token: None,
            cancel: self.cancel.clone(),
        };
        Ok(Box::new(Op::new(options, self.ui)?))
    }

    /// `op` itself, for what is no secret of the manifest; with `timeout` where nobody chose another.
    ///
    /// # Errors
    /// When it is missing or not trusted, or a token file cannot be used.
    pub(crate) fn op(&self, timeout: Option<Duration>) -> Result<Op> {
        let chosen = self.selection.timeout.or(self.manifest.op.timeout);
        self.op_with(None, chosen.or(timeout))
    }

    /// The same with a token that is only to be tried.
    pub(crate) fn op_of(&self, token: &Secret) -> Result<Op> {
        self.op_with(Some(token.clone()), None)
    }

    /// How long `op` may take.
    pub(crate) fn timeout(&self) -> Duration {
        plan::nothing_wanted(&self.manifest, &self.selection).timeout
    }

    fn op_with(&self, token: Option<Secret>, timeout: Option<Duration>) -> Result<Op> {
        let how = plan::nothing_wanted(&self.manifest, &self.selection);
        let options = Options {
            path: how.op_path.as_deref(),
            account: how.account.clone(),
            timeout: timeout.unwrap_or(how.timeout),
            environment: &self.environment,
            // A token that is tried has not been told to wait.
            ask_anyway: token.is_some() || self.policy.asks_anyway(),
            token,
            cancel: None,
        };
        Op::new(options, self.ui)
    }

    pub(super) fn identity(&self, plan: &Plan) -> Identity {
        let account = plan.account.as_deref();
        Identity::new(&self.environment, &self.manifest.origin, account)
    }
}
