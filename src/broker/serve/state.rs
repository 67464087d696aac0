//! What all connections share: the clients, what is known, and who waits for `op`. One thread has
//! it, so that nothing here is locked.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::bucket::Bucket;
use super::log::{Event, Log};
use super::moment::Moment;
use super::store::Store;
use crate::base::env_name::EnvName;
use crate::base::error::Error;
use crate::base::locked_memory;
use crate::base::secret::Secret;
use crate::base::units;
use crate::broker::manifest::{ClientSpec, Manifest};
use crate::broker::provider::Outcome;
use crate::broker::session::Session;
use crate::broker::wire::LONGEST_ANSWER;

/// How many questions a client may ask in a minute, and how many of them may need `op`.
const QUESTIONS: u32 = 6000;
const CALLS: u32 = 60;

/// How many questions of a client are logged in a minute: a container is not to fill the journal.
const LINES: u32 = 120;

/// How many KiB of answers may be on their way to one client: all of it is locked memory, and a
/// client that does not read holds it for some seconds.
const ROOM: usize = 4 * LONGEST_ANSWER / 1024;

/// What `op` said, for all who wait for it.
pub(super) type SharedAnswer = Rc<Result<Vec<(EnvName, Outcome)>, Error>>;

/// One who waits for `op`.
pub(super) struct Waiter {
    /// Whose question it is.
    pub client: String,
    /// In the order of the alphabet.
    pub names: Vec<EnvName>,
    pub reply: oneshot::Sender<SharedAnswer>,
    /// Whether a call with others' names has failed, so that its names are to be asked for alone.
    pub alone: bool,
}

/// What is being asked of `op` now, and who waits for it.
#[derive(Default)]
pub(super) struct Flight {
    pub names: Vec<EnvName>,
    pub waiting: Vec<Waiter>,
    /// Whoever came after everything was forgotten asks anew.
    pub generation: u64,
    /// Ends the call.
    pub cancel: Arc<Notify>,
}

/// What all connections share.
pub(super) struct State {
    pub log: Log,
    session: RefCell<Session>,
    /// The token that was handed over since the start.
    token: RefCell<Option<Secret>>,
    pub clients: RefCell<BTreeMap<String, Rc<Client>>>,
    pub store: RefCell<Store>,
    pub queue: RefCell<Vec<Waiter>>,
    pub flight: RefCell<Option<Flight>>,
    /// Notified when somebody joins the queue.
    pub asked: Notify,
    /// Notified when something is kept that will expire.
    pub kept: Notify,
    /// Notified when everything was forgotten.
    forgotten: Notify,
    /// How many connections are served.
    active: Cell<usize>,
    /// Whether it was said that memory could not be locked.
    is_swappable: Cell<bool>,
    /// How often everything was forgotten: what was asked before that is not kept.
    pub generation: Cell<u64>,
    /// How often token or manifest have changed: what was asked before that is asked anew.
    pub sessions: Cell<u64>,
    /// Signals that came while `op` ran.
    pub signals: mpsc::UnboundedSender<i32>,
}

/// One client, as long as the manifest has it.
pub(super) struct Client {
    pub spec: ClientSpec,
    pub uid: u32,
    /// How many connections it may have at a time.
    pub slots: Arc<Semaphore>,
    /// How many KiB of answers.
    pub room: Arc<Semaphore>,
    pub questions: RefCell<Bucket>,
    pub calls: RefCell<Bucket>,
    /// Whether the last question was refused: of refusals in a row only the first is logged.
    told: Cell<bool>,
    lines: RefCell<Bucket>,
    /// How many questions found no room in the log since the last that did.
    unlogged: Cell<u64>,
    pub seen: RefCell<Seen>,
}

/// What is known of what a client asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub questions: u64,
    pub refused: u64,
    /// Seconds since 1970.
    pub last: Option<u64>,
    pub event: Event,
}

/// A connection that is served.
pub(super) struct Serving(Rc<State>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
    }
}

impl Client {
    fn new(spec: ClientSpec, slots: usize) -> Self {
        let now = Moment::now();
        Self {
            uid: spec.uid.unwrap_or(geteuid().as_raw()),
            spec,
            slots: Arc::new(Semaphore::new(slots)),
            room: Arc::new(Semaphore::new(ROOM)),
            questions: RefCell::new(Bucket::new(QUESTIONS, now)),
            calls: RefCell::new(Bucket::new(CALLS, now)),
            told: Cell::new(false),
            lines: RefCell::new(Bucket::new(LINES, now)),
            unlogged: Cell::new(0),
            seen: RefCell::default(),
        }
    }

    /// Counts what happened, and logs it as long as there is room.
    pub(super) fn saw(&self, log: Log, event: Event) {
        let refused = event.outcome == "refused";
        let is_told = self.told.replace(refused) && refused;
        if !is_told && self.lines.borrow_mut().take(Moment::now()) {
            if let more @ 1.. = self.unlogged.take() {
                log.note(&format!(
                    "client={} {more} questions not logged",
                    event.client
                ));
            }
            log.event(&event);
        } else if !is_told {
            self.unlogged.set(self.unlogged.get() + 1);
        }
        let mut seen = self.seen.borrow_mut();
        seen.questions += 1;
        seen.refused += u64::from(refused);
        seen.last = Some(units::now());
        seen.event = event;
    }
}

impl State {
    /// With no clients yet.
    pub(super) fn new(log: Log, session: Session, signals: mpsc::UnboundedSender<i32>) -> Self {
        Self {
            log,
            session: RefCell::new(session),
            token: RefCell::default(),
            clients: RefCell::default(),
            store: RefCell::default(),
            queue: RefCell::default(),
            flight: RefCell::default(),
            asked: Notify::new(),
            kept: Notify::new(),
            forgotten: Notify::new(),
            active: Cell::new(0),
            is_swappable: Cell::new(false),
            generation: Cell::new(0),
            sessions: Cell::new(0),
            signals,
        }
    }

    /// Takes the clients of `manifest`, which may have changed; `slots` for each. Nothing is kept.
    pub(super) fn admit(&self, manifest: &Manifest, slots: usize) {
        let mut longest: HashMap<EnvName, Duration> = HashMap::new();
        for spec in &manifest.clients {
            for name in &spec.secrets {
                let kept = longest.entry(name.clone()).or_default();
                *kept = (*kept).max(spec.ttl).max(spec.stale);
            }
        }
        self.store.borrow_mut().reset(longest);
        let mut clients = self.clients.borrow_mut();
        let former = std::mem::take(&mut *clients);
        for spec in &manifest.clients {
            let client = Rc::new(Client::new(spec.clone(), slots));
            if let Some(former) = former.get(&spec.name) {
                client.seen.swap(&former.seen);
            }
            clients.insert(spec.name.clone(), client);
        }
    }

    /// Says once that a secret may reach swap, where one may.
    pub(super) fn warn_if_swappable(&self) {
        if locked_memory::refused() && !self.is_swappable.replace(true) {
            self.log.warn(
                "memory could not be locked, so secrets may reach swap: raise `ulimit -l`, LimitMEMLOCK= in a unit",
            );
        }
    }

    /// Counts a connection as long as what is returned lives.
    pub(super) fn serving(state: &Rc<Self>) -> Serving {
        state.active.set(state.active.get() + 1);
        Serving(Rc::clone(state))
    }

    /// Whether any connection is served.
    pub(super) fn is_serving(&self) -> bool {
        self.active.get() > 0
    }

    /// The client of this name.
    pub(super) fn client(&self, name: &str) -> Option<Rc<Client>> {
        self.clients.borrow().get(name).cloned()
    }

    /// How `op` is asked now.
    pub(super) fn session(&self) -> Session {
        self.session.borrow().clone()
    }

    /// From now on `op` is asked by `session`, and by the token that was handed over, if one was. A
    /// call by the former session is ended, and made anew.
    pub(super) fn ask_by(&self, mut session: Session) {
        if let Some(token) = &*self.token.borrow() {
            session.environment.sign_in(token.clone());
        }
        *self.session.borrow_mut() = session;
        self.sessions.set(self.sessions.get() + 1);
        if let Some(flight) = &*self.flight.borrow() {
            flight.cancel.notify_one();
        }
    }

    /// Asks `op` by `token` from now on, and forgets what the former one gave; tells how many values
    /// there were.
    pub(super) fn sign_in(&self, token: Secret) -> usize {
        *self.token.borrow_mut() = Some(token);
        self.ask_by(self.session());
        self.forget()
    }

    /// Forgets every value; tells how many there were.
    pub(super) fn forget(&self) -> usize {
        self.generation.set(self.generation.get() + 1);
        self.forgotten.notify_waiters();
        self.store.borrow_mut().forget()
    }

    /// Waits until everything has been forgotten since `generation`.
    pub(super) async fn is_past(&self, generation: u64) {
        while self.generation.get() == generation {
            self.forgotten.notified().await;
        }
    }

    /// What is known, without what is too old.
    pub(super) fn tidy(&self) -> Moment {
        let now = Moment::now();
        self.store.borrow_mut().tidy(now);
        now
    }
}
