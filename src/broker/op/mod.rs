//! (3) Everything about running `op`: which binary, which credentials, how many processes, what its
//! failures mean.
//!
//! All references that the `op://` syntax can carry go into one `op run`, which hands the values to
//! a child that prints them. `op inject` would be simpler, but it silently drops control
//! characters. What the syntax cannot carry, and secrets marked `exact`, come from `op item get
//! --format json`, one process per item. When the batch fails because something in it is missing,
//! the same items are asked for one by one, which names everything that is missing at once: two
//! rounds in sequence at the most. Processes run side by side only where no prompt can appear.

pub(crate) mod credentials;
pub(crate) mod failure;
pub(crate) mod find;
pub(crate) mod frame;
pub(crate) mod interrupt;
pub(crate) mod item;
pub(crate) mod process;
pub(crate) mod rate_limit;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::base::environment::among;
use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::{self, Locked};
use crate::base::runtime_directory::Place;
use crate::base::secret::Secret;
use crate::base::shell_quote;
use crate::base::ui::Ui;
use crate::broker::provider::{Outcome, Provider, Request};
use crate::broker::reference::Reference;
use credentials::Credentials;
use failure::{FailedCall, Failure};
use frame::Frame;
use interrupt::Interrupts;
use process::Call;
use rate_limit::RateLimit;

/// How many `op` run at once where no prompt can appear.
const SIDE_BY_SIDE: usize = 16;

/// 1Password's CLI, found, trusted and ready to be asked.
pub(crate) struct Op {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
    account: Option<String>,
    timeout: Duration,
    promptless: bool,
    session: bool,
    limit: RateLimit,
    ask_anyway: bool,
    ui: Ui,
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
    pub environment: &'a [(OsString, OsString)],
    /// Whether `op` is asked although it told us to wait.
    pub ask_anyway: bool,
}

/// The result of a single call.
type Answered = std::result::Result<Locked, Trouble>;

impl Op {
    /// Finds `op` and chooses the credentials.
    ///
    /// # Errors
    /// When `op` is missing or not trusted, or a token file cannot be used.
    pub(crate) fn new(options: Options<'_>, ui: Ui) -> Result<Self> {
        let ours = options.environment;
        let chosen = among(ours, "OC_SECRETS_OP").map(Path::new);
        let program = find::find([chosen, options.path], among(ours, "PATH"))?;
        let credentials = Credentials::choose(ours)?;
        let place = Place::of(&|name| among(ours, name).map(OsStr::to_owned));
        let limit = RateLimit::of(place, credentials.parts(ours, options.account.as_deref()));
        ui.detail(&format!(
            "using {}, {}",
            program.display(),
            credentials.describe()
        ));
        Ok(Self {
            program,
            environment: credentials.environment(ours),
            account: options.account,
            timeout: options.timeout,
            promptless: credentials.promptless(),
            session: credentials.mode() == credentials::Mode::Session,
            limit,
            ask_anyway: options.ask_anyway,
            ui,
        })
    }

    /// All rounds, under one deadline, and cancelled by a signal; running processes are then
    /// killed.
    async fn in_time(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let mut interrupts = Interrupts::listen()?;
        let found = tokio::select! {
            biased;
            // Polled first: if we were stopped (SIGSTOP) past the deadline, the answer may be there
            // by now.
            found = self.rounds(requests) => found,
            error = interrupts.next() => Err(error),
            () = self.deadline() => Err(Error::OpTimeout { after: self.timeout }),
        };
        // A signal that came with the last byte still ends us, before anything is handed over.
        interrupts.end().and(found)
    }

    /// The deadline, and a moment more in which output that came while we were stopped is noticed.
    async fn deadline(&self) {
        tokio::time::sleep(self.timeout).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    async fn rounds(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let whole =
            |&index: &usize| requests[index].reference.fits_syntax() && !requests[index].exact;
        let (batch, singles): (Vec<usize>, Vec<usize>) = (0..requests.len()).partition(whole);
        let mut found = if self.promptless {
            let (batch, singles) =
                tokio::try_join!(self.batch(requests, &batch), self.items(requests, &singles))?;
            [batch, singles].concat()
        } else {
            let batch = self.batch(requests, &batch).await?;
            [batch, self.items(requests, &singles).await?].concat()
        };
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Asks for everything in one process and, if something is missing, item by item.
    async fn batch(
        &self,
        requests: &[Request<'_>],
        batch: &[usize],
    ) -> Result<Vec<(usize, Outcome)>> {
        if batch.is_empty() {
            return Ok(vec![]);
        }
        let frame = Frame::new(batch.iter().map(|&index| requests[index].reference))?;
        let first = requests[batch[0]].reference.to_string();
        let by_hand = ["read", &first];
        match self
            .call(frame::COMMAND, frame.variables(), &by_hand)
            .await?
        {
            Ok(answer) => {
                let values = frame.parse(&answer);
                locked_memory::burn_stack();
                let values = values?;
                let whole = Secret::new(answer);
                let slices = values.into_iter().map(|range| Ok(whole.slice(range)));
                Ok(batch.iter().copied().zip(slices).collect())
            }
            Err(trouble) if batch.len() == 1 && settles(&trouble) => {
                Ok(vec![(batch[0], Err(trouble))])
            }
            Err(_) => self.items(requests, batch).await,
        }
    }

    /// Fetches each item once and takes all wanted fields from it.
    async fn items(
        &self,
        requests: &[Request<'_>],
        wanted: &[usize],
    ) -> Result<Vec<(usize, Outcome)>> {
        let at_once = if self.promptless { SIDE_BY_SIDE } else { 1 };
        let groups = by_item(requests, wanted);
        let answers: Vec<_> = stream::iter(&groups)
            .map(|group| self.item(requests, group))
            .buffered(at_once)
            .try_collect()
            .await?;
        Ok(answers.concat())
    }

    async fn item(
        &self,
        requests: &[Request<'_>],
        group: &[usize],
    ) -> Result<Vec<(usize, Outcome)>> {
        let Reference { vault, item, .. } = requests[group[0]].reference;
        if item == "-" {
            let why = "`op` takes an item named `-` for its stdin; name it by its id";
            let trouble = Trouble::Unusable { why };
            return Ok(group
                .iter()
                .map(|&index| (index, Err(trouble.clone())))
                .collect());
        }
        let vault = format!("--vault={vault}");
        let words = ["item", "get", &vault, "--format=json", "--", item];
        let answer = self.call(&words, [], &words).await?;
        let mut outcomes = Vec::with_capacity(group.len());
        for &index in group {
            let outcome = match &answer {
                Ok(answer) => self.field(answer, requests[index].reference).await?,
                Err(trouble) => Err(trouble.clone()),
            };
            outcomes.push((index, outcome));
        }
        Ok(outcomes)
    }

    /// Takes one value out of an item. Files are not part of it: only `op read` gives those.
    async fn field(&self, answer: &Locked, reference: &Reference) -> Result<Outcome> {
        let item = item::parse(answer)?;
        let value = item.value(reference);
        locked_memory::burn_stack();
        let file = value.is_err() && item.has_file(reference) && reference.fits_syntax();
        if !file {
            return Ok(value);
        }
        let reference = reference.to_string();
        let words = ["read", "--no-newline", &reference];
        let read = self.call(&words, [], &words).await?;
        Ok(read.map(Secret::new))
    }

    /// Runs `op` once, with `variables` beside its environment. `by_hand` is the command that shows
    /// an unknown failure to a person; it can be another one, since `op run` needs our variables.
    async fn call(
        &self,
        arguments: &[&str],
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        by_hand: &[&str],
    ) -> Result<Answered> {
        let account = self
            .account
            .iter()
            .map(|name| format!("--account={name}").into());
        let all: Vec<OsString> = account
            .chain(arguments.iter().map(OsString::from))
            .collect();
        let variables: Vec<_> = variables.into_iter().collect();
        let begun = Instant::now();
        let answer = Call {
            program: &self.program,
            arguments: &all,
            environment: [&self.environment, &variables],
        }
        .run()
        .await?;
        let words = arguments.iter().take_while(|word| !word.starts_with('-'));
        self.ui.detail(&format!(
            "`op {}`: {}, {:.2} s, {} bytes of diagnostic withheld",
            words.copied().collect::<Vec<_>>().join(" "),
            answer.status,
            begun.elapsed().as_secs_f64(),
            answer.stderr_length
        ));
        if answer.status.success() {
            return Ok(Ok(answer.stdout));
        }
        let context = FailedCall {
            code: answer.status.code().unwrap_or_default(),
            length: answer.stderr_length,
            session: self.session,
            account: self.account.as_deref(),
            by_hand: &self.by_hand(by_hand),
        };
        match failure::classify(&answer.stderr, context) {
            Failure::NotThere(trouble) => Ok(Err(trouble)),
            Failure::Fatal(error) => Err(error),
        }
    }

    /// The command line of `op` with these words, for a person: its output must not show the
    /// secret.
    fn by_hand(&self, words: &[&str]) -> String {
        let account = self
            .account
            .as_ref()
            .map(|name| format!("--account={name}"));
        let words = account.as_deref().into_iter().chain(words.iter().copied());
        format!("op {} > /dev/null", shell_quote::command(words))
    }
}

impl Provider for Op {
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        if requests.is_empty() {
            return Ok(vec![]);
        }
        if !self.ask_anyway {
            self.limit.check()?;
        }
        // The runtime is dropped here, so no thread and no descriptor outlives the fetch.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|why| Error::system("start the event loop", why))?;
        let found = runtime.block_on(self.in_time(requests));
        self.limit.learn(&found);
        if self.ask_anyway && found.is_ok() {
            self.limit.forget();
        }
        found
    }

    fn may_prompt(&self) -> bool {
        !self.promptless
    }

    fn limit(&mut self, timeout: Duration) {
        self.timeout = timeout.min(self.timeout);
    }
}

/// Whether fetching the item would give the same failure. It may not if `op run` refused the
/// reference or could not pass the value to its child.
fn settles(trouble: &Trouble) -> bool {
    !matches!(
        trouble,
        Trouble::Unusable { .. } | Trouble::Missing { part: "secret", .. }
    )
}

/// The wanted requests, grouped by the item that holds them; `op` ignores case in names.
fn by_item(requests: &[Request<'_>], wanted: &[usize]) -> Vec<Vec<usize>> {
    let key = |index: usize| {
        let reference = requests[index].reference;
        (
            reference.vault.to_lowercase(),
            reference.item.to_lowercase(),
        )
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &index in wanted {
        match groups.iter_mut().find(|group| key(group[0]) == key(index)) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}
