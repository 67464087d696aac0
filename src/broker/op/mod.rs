//! (3) Everything about running `op`: which binary, which credentials, how many processes, what its
//! failures mean.
//!
//! Which command of `op` is asked for what, is in `rounds`; how one is run, in `program` and
//! `process`.

pub(crate) mod login_marker;
pub(crate) mod os_keyring;
pub(crate) mod token_source;
pub(crate) mod credentials;
mod diagnostic;
pub(crate) mod failure;
pub(crate) mod find;
pub(crate) mod frame;
pub(crate) mod interrupt;
pub(crate) mod item;
pub(crate) mod list;
pub(crate) mod process;
pub(crate) mod presence;
mod program;
pub(crate) mod rate_limit;
mod environments;
mod rounds;
mod waiting;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;
use crate::base::open_files;
use crate::base::own_environment::OwnEnvironment;
use crate::base::runtime_directory::Place;
use crate::base::secret::Secret;
use crate::base::ui::Ui;
use crate::broker::id::EnvironmentId;
use crate::broker::provider::{Fetched, Outcome, Provider, Request};
use credentials::Credentials;
pub(crate) use credentials::Mode;
use environments::EnvironmentsRequest;
use interrupt::Interrupts;
use os_keyring::OsKeyring;
use program::OpProgram;
use rate_limit::RateLimit;
use rounds::Rounds;
pub(crate) use rounds::processes;
use token_source::TokenSource;
use waiting::Waiting;

/// How many `op` run at once where no prompt can appear.
const SIDE_BY_SIDE: usize = 16;

/// 1Password's CLI, found, trusted and ready to be asked.
pub(crate) struct Op {
    program: OpProgram,
    timeout: Duration,
    promptless: bool,
    mode: Mode,
    described: String,
    source: Option<TokenSource>,
    limit: RateLimit,
    ask_anyway: bool,
    cancel: Option<Arc<Notify>>,
}

/// What decides which `op` is run and how.
pub(crate) struct Options<'a> {
    /// `[op] path` of the manifest.
    pub path: Option<&'a Path>,
    /// `--account`.
    pub account: Option<String>,
    /// The deadline for everything that is asked at once.
    pub timeout: Duration,
    /// Our own environment.
    pub environment: &'a OwnEnvironment,
    /// Whether `op` is asked although it told us to wait.
    pub ask_anyway: bool,
    /// A token that is to be tried, instead of what there is.
    pub token: Option<Secret>,
    /// Ends what is asked, with [`Error::Cancelled`].
    pub cancel: Option<Arc<Notify>>,
}

impl Op {
    /// Finds `op` and chooses the credentials.
    ///
    /// # Errors
    /// When `op` is missing or not trusted, or the token cannot be had where it should be.
    pub(crate) fn new(options: Options<'_>, ui: Ui) -> Result<Self> {
        let ours = options.environment;
        let chosen = ours.variable("OC_SECRETS_OP").map(Path::new);
        let path = find::find([chosen, options.path], ours.variable("PATH"))?;
        let begun = Instant::now();
        let credentials = match options.token {
            Some(token) => Credentials::given(token),
            None => Credentials::choose(ours, || {
                let keyring = OsKeyring {
                    environment: ours,
                    timeout: options.timeout,
                    ui,
                };
                keyring.token()
            })?,
        };
        let source = credentials.source().cloned();
        let waited = match source {
            Some(TokenSource::Keyring) => begun.elapsed(),
            _ => Duration::ZERO,
        };
        let place = Place::of(&|name| ours.variable(name).map(OsStr::to_owned));
        let limit = RateLimit::of(place, credentials.parts(ours, options.account.as_deref()));
        ui.detail(&format!(
            "using {}, {}",
            path.display(),
            credentials.describe()
        ));
        Ok(Self {
            program: OpProgram {
                path,
                environment: credentials.environment(ours),
                account: options.account,
                session: credentials.mode() == credentials::Mode::Session,
                ui,
            },
            timeout: options.timeout.saturating_sub(waited),
            source,
            promptless: credentials.promptless(),
            mode: credentials.mode(),
            described: credentials.describe(),
            limit,
            ask_anyway: options.ask_anyway,
            cancel: options.cancel,
        })
    }

    /// The answer to one call with these words, such as a list of vaults. It is as secret as any.
    ///
    /// # Errors
    /// As [`Provider::fetch`]; what is not there is an [`Error::NotListed`].
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Locked> {
        let answer = self.wait_for(self.program.call(words, &[], words))?;
        answer.map_err(|none| Error::NotListed {
            trouble: none.trouble(),
        })
    }

    /// Where `op` is.
    pub(crate) fn path(&self) -> &Path {
        &self.program.path
    }

    /// How it signs in.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The same in words, and what is set besides and not used.
    pub(crate) fn describe(&self) -> &str {
        &self.described
    }

    /// Where its service-account token comes from, if it has one.
    pub(crate) fn source(&self) -> Option<&TokenSource> {
        self.source.as_ref()
    }

    /// Whether no prompt can appear.
    pub(crate) fn promptless(&self) -> bool {
        self.promptless
    }

    fn rounds<'a>(
        &'a self,
        requests: &'a [Request<'a>],
        environments: &'a [EnvironmentId],
    ) -> Rounds<'a> {
        Rounds {
            program: &self.program,
            at_once: if self.promptless { SIDE_BY_SIDE } else { 1 },
            requests,
            environments: EnvironmentsRequest::new(environments, self.mode == Mode::ServiceAccount),
        }
    }

    /// Does `work` under the deadline, on a runtime of its own: no thread and no descriptor
    /// outlives it.
    fn wait_for<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.ask_anyway {
            self.limit.check()?;
        }
        open_files::enough().map_err(|_| Error::OpenFiles)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|why| Error::system("start the event loop", why))?;
        let found = runtime.block_on(self.in_time(work));
        self.limit.learn(&found);
        if self.ask_anyway && found.is_ok() {
            self.limit.forget();
        }
        found
    }

    /// Under one deadline, and cancelled by a signal; running processes are then killed.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut interrupts = Interrupts::listen()?;
        let waiting = Waiting {
            ui: self.program.ui,
            promptless: self.promptless,
            timeout: self.timeout,
        };
        let found = tokio::select! {
            biased;
            // Polled first: if we were stopped (SIGSTOP) past the deadline, the answer may be there
            // by now.
            found = work => found,
            error = interrupts.next() => Err(error),
            () = self.cancelled() => Err(Error::Cancelled),
            () = self.deadline() => Err(Error::OpTimeout { after: self.timeout }),
            never = waiting.announce() => match never {},
        };
        // A signal that came with the last byte still ends us, before anything is handed over.
        interrupts.end(found)
    }

    async fn cancelled(&self) {
        match &self.cancel {
            Some(cancel) => cancel.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The deadline, and a moment more in which output that came while we were stopped is noticed.
    async fn deadline(&self) {
        tokio::time::sleep(self.timeout).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Provider for Op {
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        if requests.is_empty() {
            return Ok(vec![]);
        }
        let rounds = self.rounds(requests, &[]);
        self.wait_for(rounds.all())
    }

    fn fetch_with(
        &self,
        requests: &[Request<'_>],
        environments: &[EnvironmentId],
    ) -> Result<Fetched> {
        let rounds = self.rounds(requests, environments);
        let outcomes = self.wait_for(rounds.all())?;
        Ok((outcomes, rounds.environments.arrived()))
    }

    fn may_prompt(&self) -> bool {
        !self.promptless
    }

    fn limit(&mut self, timeout: Duration) {
        self.timeout = timeout.min(self.timeout);
    }
}
