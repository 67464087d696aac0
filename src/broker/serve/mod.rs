//! The broker: a process on the host that gives clients their secrets, each by a socket of its own.
//!
//! ```text
//!  listen: folders, sockets ──▶ connection: who asks for what ──▶ store: what is known
//!                                                            └──▶ asker: one `op` for all who wait
//!  control: lock, clients, a new token       log: who asked, never a value
//! ```
//!
//! One thread does all of it but for the call of `op`, and sleeps where there is nothing to do.
//! Nothing outlives it but the folders, which containers may have mounted.

mod moment;
mod store;
mod bucket;
mod log;
mod notify;
pub(crate) mod listen;
mod state;
mod asker;
mod values;
mod connection;
mod control;
mod sockets;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::base::environment::ours;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::Ui;
use crate::base::units::counted;
use crate::broker::session::Session;
use log::Log;
use sockets::Sockets;
use state::State;

pub(crate) use log::Style;

/// Descriptors for the rest: the event loop, signals, and the pipes of `op`.
const RESERVED: usize = 28;

/// How many connections a client may have, if there are descriptors enough.
const CONNECTIONS: usize = 256;

/// How long the requests that are under way may take once we are ending.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until a signal ends it. `open` reads the manifest, again at every SIGHUP.
///
/// # Errors
/// When the manifest has no clients, or their sockets cannot be made.
pub(crate) fn run(
    open: &dyn Fn() -> Result<Session>,
    directory: Option<PathBuf>,
    style: Style,
    ui: Ui,
) -> Result<Exit> {
    let sockets = Sockets::new(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Error::system("start the event loop", why))?;
    let local = LocalSet::new();
    let done = local.block_on(&runtime, serve(open, sockets, Log { ui, style }));
    drop(local);
    // A call of `op` was ended by the same signal, and its thread with it.
    runtime.shutdown_timeout(GRACE);
    done.map(|()| Exit::Done)
}

/// Gives the socket that systemd made for a client to the client's user. The units' broker has no
/// right to do that, and `SocketUser=` would name the user a second time.
///
/// # Errors
/// When the manifest has no such client, or there is no such socket.
pub(crate) fn own(session: &Session, directory: Option<&Path>, name: &str) -> Result<Exit> {
    let clients = &session.manifest.clients;
    let Some(spec) = clients.iter().find(|spec| spec.name == name) else {
        return Err(Error::usage(
            format!(
                "no client {name} in the manifest ({})",
                session.manifest.origin
            ),
            format!("add it: [clients.{name}] with secrets = [\"…\"] and uid = 1000"),
        ));
    };
    // The broker's own user would be another one each time.
    let Some(uid) = spec.uid else {
        return Err(Error::usage(
            format!(
                "client {name} has no uid in the manifest ({})",
                session.manifest.origin
            ),
            "say which user may connect, as the host sees it: uid = 1000",
        ));
    };
    listen::own(&listen::folder(directory, &ours)?, name, uid)?;
    Ok(Exit::Done)
}

async fn serve(open: &dyn Fn() -> Result<Session>, mut sockets: Sockets, log: Log) -> Result<()> {
    let mut signals = Signals::listen()?;
    let session = checked(open()?)?;
    let manifest = session.manifest.clone();
    let (sender, mut interrupted) = mpsc::unbounded_channel();
    let state = Rc::new(State::new(log, session, sender));
    let prepared = sockets.prepare(&manifest)?;
    sockets.adopt(prepared, &state)?;
    state.admit(&manifest, slots(manifest.clients.len()));
    sockets.compare(&state);
    let mut asker = tokio::task::spawn_local(asker::run(Rc::clone(&state)));
    tokio::task::spawn_local(expire(Rc::clone(&state)));
    notify::notify(&ours, "READY=1");
    log.note(&format!(
        "serving {} of {}",
        counted(manifest.clients.len() as u64, "client"),
        manifest.origin
    ));
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            Some(signal) = interrupted.recv() => signal,
            // It ends only by a panic. To be restarted is better than to go on without anybody who
            // asks `op`.
            _ = &mut asker => return Err(Error::Bug { place: "the broker's asking".to_owned() }),
        };
        if signal != libc::SIGHUP {
            break;
        }
        reload(open, &state, &mut sockets);
    }
    notify::notify(&ours, "STOPPING=1");
    sockets.close();
    end(&state).await;
    log.note("ended; nothing is kept");
    Ok(())
}

/// The manifest anew, with nothing kept. One that cannot be used leaves the former in force, and so
/// do sockets that cannot be made.
fn reload(open: &dyn Fn() -> Result<Session>, state: &Rc<State>, sockets: &mut Sockets) {
    let values = counted(state.forget() as u64, "value");
    let opened = open().and_then(checked);
    let outcome = opened.and_then(|session| {
        let prepared = sockets.prepare(&session.manifest)?;
        sockets.adopt(prepared, state)?;
        state.admit(&session.manifest, slots(session.manifest.clients.len()));
        state.ask_by(session);
        sockets.compare(state);
        Ok(())
    });
    match outcome {
        Ok(()) => state.log.note(&format!("reloaded: {values} forgotten")),
        Err(error) => state
            .log
            .warn(&format!("{values} forgotten, but not reloaded: {error}")),
    }
}

/// A manifest without clients serves nobody.
fn checked(session: Session) -> Result<Session> {
    match session.manifest.clients.is_empty() {
        false => Ok(session),
        true => Err(Error::usage(
            format!("no clients in the manifest ({})", session.manifest.origin),
            "add them: [clients.NAME] with secrets = [\"…\"] and uid = 1000",
        )),
    }
}

/// Lets the requests that are under way be answered, and ends a running `op`.
async fn end(state: &State) {
    let until = tokio::time::Instant::now() + GRACE;
    while state.flight.borrow().is_some() && tokio::time::Instant::now() < until {
        // The call takes signals for itself while it runs, and ends `op` with all it has started.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while state.is_serving() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Drops values when their time is over, without waking up for anything else.
async fn expire(state: Rc<State>) {
    loop {
        let now = state.tidy();
        let next = state.store.borrow().next(now);
        match next {
            None => state.kept.notified().await,
            Some(left) => {
                let left = left + Duration::from_millis(10);
                let _ = tokio::time::timeout(left, state.kept.notified()).await;
            }
        }
    }
}

/// How many connections each client may have, so that all together leave room for `op`.
fn slots(clients: usize) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let rest = limit.saturating_sub(RESERVED + clients) / clients.max(1);
    rest.clamp(1, CONNECTIONS)
}

/// The signals that end or reload us.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let on = |kind| signal(kind).map_err(|why| Error::system("watch for signals", why));
        Ok(Self {
            hangup: on(SignalKind::hangup())?,
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            quit: on(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.hangup.recv() => libc::SIGHUP,
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.quit.recv() => libc::SIGQUIT,
        }
    }
}
