//! The control socket, for whoever runs the broker: `oc-secrets lock`, `oc-secrets clients`, and the
//! new token of `oc-secrets login --systemd`.

use std::rc::Rc;
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::state::{Client, State};
use crate::base::error::Exit;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::base::units::counted;
use crate::broker::op::os_keyring::LARGEST;
use crate::broker::op::token_source::TokenSource;
use crate::broker::wire::{self, Question};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest question: a token, and the line before it.
const LONGEST: usize = LARGEST + 64;

/// Serves one connection to its end.
pub(super) async fn serve(state: Rc<State>, mut stream: UnixStream) {
    let us = geteuid().as_raw();
    let trusted = |uid: u32| uid == us || uid == 0;
    if !stream.peer_cred().is_ok_and(|peer| trusted(peer.uid())) {
        state
            .log
            .warn("the control socket was asked by another user");
        return;
    }
    let _ = timeout(PATIENCE, async {
        let mut bytes = Locked::with_capacity(LONGEST);
        while wants_more(&bytes) {
            match stream.read(bytes.spare()).await {
                Ok(0) | Err(_) => return,
                Ok(more) => bytes.advance(more),
            }
        }
        let _ = stream.write_all(&answer(&state, &bytes)).await;
    })
    .await;
}

/// Whether more of the question is to come. A token is looked for first: parsing would copy it into
/// ordinary memory.
fn wants_more(bytes: &[u8]) -> bool {
    let is_whole =
        || wire::signed_in(bytes).is_some() || !matches!(Question::parse(bytes), Ok(None));
    bytes.len() < LONGEST && !is_whole()
}

fn answer(state: &State, bytes: &[u8]) -> Locked {
    if let Some(token) = wire::signed_in(bytes) {
        return sign_in(state, token);
    }
    match Question::parse(bytes) {
        Ok(Some(Question::Lock)) => {
            let values = state.forget();
            let forgotten = counted(values as u64, "value");
            state.log.note(&format!("locked: {forgotten} forgotten"));
            wire::ok(values.to_string().as_bytes())
        }
        Ok(Some(Question::Clients)) => {
            let clients = state.clients.borrow();
            let clients: Vec<Value> = clients.values().map(|client| shown(client)).collect();
            wire::ok(Value::from(clients).to_string().as_bytes())
        }
        _ => wire::refused(
            Exit::Usage,
            "this broker speaks version 1 of the protocol, and here of `lock`, `clients` and `token`",
        ),
    }
}

/// Takes a new token, unless one is read from a file or the keyring before each call anyway.
fn sign_in(state: &State, token: &[u8]) -> Locked {
    if token.len() > LARGEST {
        return wire::refused(Exit::Usage, "it is too large for a token");
    }
    let source = TokenSource::all(&state.session().environment);
    if let Some(source @ (TokenSource::File(_) | TokenSource::Keyring)) = source.first() {
        let text = format!("it signs in by another: {source}");
        return wire::refused(Exit::Usage, &text);
    }
    let values = state.sign_in(Secret::copy_of(token));
    let values = counted(values as u64, "value");
    state
        .log
        .note(&format!("signed in by a new token: {values} forgotten"));
    wire::ok(b"")
}

/// What `oc-secrets clients` shows.
fn shown(client: &Client) -> Value {
    let names = client.spec.secrets.iter().map(|name| name.as_str());
    let seen = client.seen.borrow();
    let last = seen.last.map(|at| {
        let event = &seen.event;
        json!({ "at": at, "uid": event.uid, "pid": event.pid, "names": event.names, "outcome": event.outcome, "why": event.why })
    });
    json!({
        "client": client.spec.name,
        "uid": client.uid,
        "secrets": names.collect::<Vec<_>>(),
        "questions": seen.questions,
        "refused": seen.refused,
        "last": last,
    })
}
