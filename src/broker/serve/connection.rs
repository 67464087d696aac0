//! One connection of a client: who it is, what it asks, what it is told.
//!
//! A client is told of its own names and of nothing else: what it may not have and what does not
//! exist have the same answer, and why `op` fails is told in few words, since its reasons name
//! items and accounts.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::listen;
use super::log::Event;
use super::moment::Moment;
use super::state::{Client, State};
use super::values::{Told, find, still};
use crate::base::env_name::EnvName;
use crate::base::error::{Error, Exit};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::broker::cache;
use crate::broker::provider::Outcome;
use crate::broker::wire::{self, Misunderstood, Question};

/// How long a client may take to ask, and to hear.
const ASKING: Duration = Duration::from_secs(5);
const HEARING: Duration = Duration::from_secs(10);

/// How many names a question may have, unless the client has more secrets: nobody else is to wait
/// while one asks for a name a thousand times.
const MOST_NAMES: usize = 512;

/// What is sent.
struct Response {
    bytes: Locked,
    /// Its share of the client's memory limit, held until the client has read it.
    _room: Option<OwnedSemaphorePermit>,
}

impl From<Locked> for Response {
    fn from(bytes: Locked) -> Self {
        Self { bytes, _room: None }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(state: Rc<State>, client: Rc<Client>, mut stream: UnixStream) {
    let begun = Instant::now();
    let mut event = Event {
        client: client.spec.name.clone(),
        ..Event::default()
    };
    let answer = answer(&state, &client, &mut stream, &mut event).await;
    if let Some(answer) = &answer {
        let written = timeout(HEARING, async {
            stream.write_all(&answer.bytes).await?;
            stream.shutdown().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            event.why = "the client did not listen".to_owned();
        }
    }
    event.took = begun.elapsed();
    let client = still(&state, &client).unwrap_or(client);
    client.saw(state.log, event);
    state.warn_if_swappable();
}

fn refuse(event: &mut Event, why: &str) {
    event.outcome = "refused";
    event.why = why.to_owned();
}

/// What to send, if anything.
async fn answer(
    state: &Rc<State>,
    client: &Client,
    stream: &mut UnixStream,
    event: &mut Event,
) -> Option<Response> {
    let peer = stream.peer_cred().ok();
    event.uid = peer.map_or(u32::MAX, |peer| peer.uid());
    event.pid = peer.and_then(|peer| peer.pid()).unwrap_or_default();
    let loads = credential(stream).filter(|_| event.uid == 0);
    if event.uid != client.uid && loads.is_none() {
        refuse(event, "another user");
        return None;
    }
    if !client.questions.borrow_mut().take(Moment::now()) {
        refuse(event, "too many questions");
        let wait = client.questions.borrow().wait().as_secs() + 1;
        let text = format!("too many questions in a minute; retry in {wait} s");
        return Some(wire::refused(Exit::RateLimited, &text).into());
    }
    if let Some(name) = loads {
        return load(state, client, &name, event).await.map(Response::from);
    }
    let question = match timeout(ASKING, read(stream)).await {
        Ok(Ok(question)) => question,
        Ok(Err(Some(Misunderstood::Version))) => {
            refuse(event, "another version of the protocol");
            let text = "this broker speaks version 1 of the protocol: update the older one of the two programs";
            return Some(wire::refused(Exit::Usage, text).into());
        }
        Ok(Err(Some(Misunderstood::Nonsense))) => {
            refuse(event, "no question");
            return Some(no_question());
        }
        Ok(Err(None)) | Err(_) => {
            refuse(event, "it did not ask");
            return None;
        }
    };
    // It may have been let in by a manifest that is no longer in force.
    let Some(client) = still(state, client) else {
        refuse(event, "no longer in the manifest");
        return None;
    };
    Some(reply(state, &client, stream, question, event).await)
}

async fn reply(
    state: &Rc<State>,
    client: &Client,
    stream: &mut UnixStream,
    question: Question,
    event: &mut Event,
) -> Response {
    let most = MOST_NAMES.max(client.spec.secrets.len());
    match question {
        Question::Get(names) if names.len() > most => {
            refuse(event, "too many names in a question");
            let text = format!("a question has at most {most} names");
            wire::refused(Exit::Usage, &text).into()
        }
        Question::Get(names) => get(state, client, stream, names, event).await,
        Question::Names => {
            event.outcome = "ok";
            let names: Vec<&str> = client.spec.secrets.iter().map(EnvName::as_str).collect();
            wire::ok(names.join("\n").as_bytes()).into()
        }
        Question::Lock | Question::Clients => {
            refuse(event, "not a client's question");
            no_question()
        }
    }
}

fn no_question() -> Response {
    wire::refused(Exit::Usage, "this is no question for a broker").into()
}

/// The whole question; `None` for what is wrong where the client has gone.
async fn read(stream: &mut UnixStream) -> Result<Question, Option<Misunderstood>> {
    let mut bytes = Vec::with_capacity(512);
    loop {
        match Question::parse(&bytes) {
            Ok(Some(question)) => return Ok(question),
            Err(wrong) => return Err(Some(wrong)),
            Ok(None) if bytes.len() >= wire::LONGEST_QUESTION => {
                return Err(Some(Misunderstood::Nonsense));
            }
            Ok(None) => {}
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(_) => {}
        }
    }
}

async fn get(
    state: &Rc<State>,
    client: &Client,
    stream: &mut UnixStream,
    names: Vec<String>,
    event: &mut Event,
) -> Response {
    let mut told = Told::default();
    let found = tokio::select! {
        found = find(state, client, &names, &mut told) => found,
        why = gone(stream) => Err(Error::system("answer", why)),
    };
    let (found, room) = match make_room(client, found).await {
        Ok((found, room)) => (Ok(found), Some(room)),
        Err(error) => (Err(error), None),
    };
    event.names = names;
    event.kept = told.kept;
    event.asked = told.asked;
    event.stale = told.stale;
    event.why = told.why;
    event.outcome = outcome(&found);
    if let Err(error) = &found {
        event.why = error.to_string();
    }
    Response {
        bytes: wire::ok(&cache::relay(&found.map_err(|error| in_few_words(&error)))),
        _room: room,
    }
}

/// Reserves locked memory for an answer. One question may name a secret a thousand times, and many
/// may come at once: an answer is no longer than a client reads, and waits until those before it are
/// read.
async fn make_room(
    client: &Client,
    found: Result<Vec<Outcome>, Error>,
) -> Result<(Vec<Outcome>, OwnedSemaphorePermit), Error> {
    let found = found?;
    let bytes: usize = found.iter().flatten().map(Secret::len).sum();
    if bytes > wire::LONGEST_ANSWER {
        let why = "more is asked for than one answer may hold";
        return Err(Error::system("answer", why));
    }
    let pieces = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
    let room = Arc::clone(&client.room).acquire_many_owned(pieces);
    match timeout(HEARING, room).await {
        Ok(Ok(room)) => Ok((found, room)),
        _ => Err(Error::system(
            "answer",
            "the client does not listen to what it has asked for already",
        )),
    }
}

fn outcome(found: &Result<Vec<Outcome>, Error>) -> &'static str {
    let Ok(found) = found else { return "failed" };
    match found.iter().filter(|outcome| outcome.is_ok()).count() {
        all if all == found.len() => "ok",
        0 => "not found",
        _ => "partial",
    }
}

/// Returns when the client has hung up, so that nothing is done for it any more, or sends more than a
/// question; says which. A client that has only closed its sending side still reads.
async fn gone(stream: &mut UnixStream) -> &'static str {
    // Small, since each who waits has one.
    let (mut rest, mut said) = ([0; 256], 0);
    while let Ok(more @ 1..) = stream.read(&mut rest).await {
        said += more;
        if said > wire::LONGEST_QUESTION {
            return "the client goes on talking";
        }
    }
    while !matches!(stream.ready(Interest::WRITABLE).await, Ok(ready) if ready.is_write_closed()) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    "the client has gone"
}

/// What a client hears of a failure.
fn in_few_words(error: &Error) -> Error {
    let exit = error.exit();
    let text = match exit {
        Exit::RateLimited => error.to_string(),
        Exit::NotSignedIn => "the broker is not signed in to 1Password, or not allowed".to_owned(),
        Exit::OpUnavailable => "the broker cannot ask 1Password now".to_owned(),
        _ => "the broker has no answer".to_owned(),
    };
    Error::Relayed {
        text,
        hint: Some("the broker's log says why: journalctl -u oc-secrets".to_owned()),
        exit,
    }
}

/// The name of the credential that systemd loads by this connection.
fn credential(stream: &UnixStream) -> Option<String> {
    use std::os::unix::ffi::OsStrExt;
    let address = abstract_name(stream)?;
    listen::credential(std::ffi::OsStr::from_bytes(&address)).map(str::to_owned)
}

#[cfg(target_os = "linux")]
fn abstract_name(stream: &UnixStream) -> Option<Vec<u8>> {
    use std::os::fd::AsRawFd;
    let address = nix::sys::socket::getpeername::<nix::sys::socket::UnixAddr>(stream.as_raw_fd());
    Some(address.ok()?.as_abstract()?.to_vec())
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &UnixStream) -> Option<Vec<u8>> {
    None
}

/// One value without any frame, as systemd reads it.
async fn load(state: &Rc<State>, client: &Client, name: &str, event: &mut Event) -> Option<Locked> {
    let mut told = Told::default();
    let own = client.spec.secrets.iter().find(|own| own.is_like(name));
    let names = vec![own.map_or(name.to_owned(), EnvName::to_string)];
    let found = find(state, client, &names, &mut told).await;
    event.names = names;
    event.outcome = outcome(&found);
    (event.kept, event.asked, event.stale) = (told.kept, told.asked, told.stale);
    match found {
        Ok(outcomes) => {
            let value = outcomes.into_iter().next()?.ok()?;
            Some(Locked::copy_of(value.expose()))
        }
        Err(error) => {
            event.why = error.to_string();
            None
        }
    }
}
