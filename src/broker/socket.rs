//! The broker as a provider: whoever has a socket of it asks there, and needs neither `op` nor a
//! token nor a manifest.
//!
//! It knows secrets by the names of its own manifest. Nothing here waits beyond the deadline: a
//! broker whose queue is full is asked again, one that is silent is given up.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::UnixAddr;

use crate::base::env_name::EnvName;
use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::base::unix_socket;
use crate::broker::cache;
use crate::broker::provider::{Outcome, Provider, Request};
use crate::broker::wire::{self, Head, Question, head};

/// How often a broker is tried again that is restarting, or whose queue is full.
const AGAIN: Duration = Duration::from_millis(20);

/// How long one that is not there may take to come back, as in a restart.
const RESTART: Duration = Duration::from_millis(500);

/// Whom it does not serve it does not answer.
const HUNG_UP: &str = "it hung up without an answer";

/// A broker, and what is asked of it.
pub(crate) struct Socket {
    path: PathBuf,
    names: Vec<EnvName>,
    timeout: Duration,
}

impl Socket {
    /// For the secrets of these names, in the order in which they are then asked for.
    pub(crate) fn new(path: &Path, names: Vec<EnvName>, timeout: Duration) -> Self {
        Self {
            path: path.to_owned(),
            names,
            timeout,
        }
    }
}

impl Provider for Socket {
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let names = self.names.iter().map(EnvName::to_string).collect();
        let body = ask(&self.path, &Question::Get(names), self.timeout)?;
        match cache::relayed(&body, requests.len())? {
            Some(outcomes) => Ok(outcomes),
            None => Err(unreachable(&self.path, "its answer makes no sense")),
        }
    }

    fn limit(&mut self, timeout: Duration) {
        self.timeout = timeout.min(self.timeout);
    }
}

/// The names that the client of this socket may ask for.
pub(crate) fn names(path: &Path, timeout: Duration) -> Result<Vec<EnvName>> {
    let body = ask(path, &Question::Names, timeout)?;
    let text = std::str::from_utf8(body.expose()).unwrap_or_default();
    let parsed = text.lines().map(EnvName::parse);
    parsed
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| unreachable(path, "its answer makes no sense"))
}

/// Asks, and gives the body of the answer.
///
/// # Errors
/// [`Error::Broker`] where there is none, [`Error::BrokerRefuses`] where it is another user's; what the broker says
/// where it says no.
pub(crate) fn ask(path: &Path, question: &Question, timeout: Duration) -> Result<Secret> {
    exchange(path, &question.written(), timeout)
}

/// Hands the broker of the control socket at `path` a token to ask `op` by from now on.
///
/// # Errors
/// As [`ask`]; an older broker does not know this question.
pub(crate) fn sign_in(path: &Path, token: &Secret, timeout: Duration) -> Result<()> {
    exchange(path, &wire::sign_in(token), timeout).map(drop)
}

fn exchange(path: &Path, question: &[u8], timeout: Duration) -> Result<Secret> {
    let begun = Instant::now();
    let deadline = begun + timeout;
    let failed = |why: std::io::Error| match why.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::BrokerSilent { after: timeout },
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => refused(path, HUNG_UP),
        _ => unreachable(path, &why.to_string()),
    };
    let mut stream = dial(path, begun, deadline)?;
    stream.set_nonblocking(false).map_err(failed)?;
    stream
        .set_write_timeout(Some(left(deadline)))
        .map_err(failed)?;
    stream.write_all(question).map_err(failed)?;
    let mut heard = Locked::with_capacity(4096);
    loop {
        match head(&heard).map_err(|why| unreachable(path, why))? {
            Some(Head::Refused(error)) => return Err(error),
            Some(Head::Ok { start, length }) if heard.len() >= start + length => {
                return Ok(Secret::new(heard).slice(start..start + length));
            }
            Some(Head::Ok { start, length }) => heard.reserve(start + length - heard.len()),
            None => heard.reserve(4096),
        }
        stream
            .set_read_timeout(Some(left(deadline)))
            .map_err(failed)?;
        match stream.read(heard.spare()) {
            Ok(0) if heard.is_empty() => return Err(refused(path, HUNG_UP)),
            Ok(0) => return Err(unreachable(path, "its answer breaks off")),
            Ok(bytes) => heard.advance(bytes),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(failed(why)),
        }
        if Instant::now() >= deadline {
            return Err(Error::BrokerSilent { after: timeout });
        }
    }
}

/// What is left, but never nothing, which would mean for ever.
fn left(deadline: Instant) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.max(Duration::from_millis(1))
}

fn unreachable(path: &Path, why: &str) -> Error {
    Error::Broker {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

fn refused(path: &Path, why: &str) -> Error {
    Error::BrokerRefuses {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

/// Connects without being held up by a full queue, and waits a moment for one that restarts.
fn dial(path: &Path, begun: Instant, deadline: Instant) -> Result<UnixStream> {
    let address = UnixAddr::new(path).map_err(|why| unreachable(path, why.desc()))?;
    loop {
        let why = match unix_socket::dial(&address) {
            Ok(stream) => return Ok(stream),
            Err(why) => why,
        };
        let until = match why {
            Errno::EAGAIN | Errno::EINTR => deadline,
            Errno::ENOENT | Errno::ECONNREFUSED => deadline.min(begun + RESTART),
            _ => begun,
        };
        if Instant::now() + AGAIN >= until {
            return Err(match why {
                Errno::EAGAIN => Error::BrokerSilent {
                    after: deadline - begun,
                },
                Errno::EACCES => refused(path, why.desc()),
                why => unreachable(path, why.desc()),
            });
        }
        std::thread::sleep(AGAIN);
    }
}
