//! The control socket: `oc-secrets lock` and `oc-secrets clients`, for whoever runs the broker.

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
use crate::broker::wire::{self, Question};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

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
        let mut bytes = Vec::with_capacity(64);
        while matches!(Question::parse(&bytes), Ok(None)) && bytes.len() < 1024 {
            if stream.read_buf(&mut bytes).await.unwrap_or_default() == 0 {
                return;
            }
        }
        let _ = stream.write_all(&answer(&state, &bytes)).await;
    })
    .await;
}

fn answer(state: &State, bytes: &[u8]) -> Locked {
    match Question::parse(bytes) {
        Ok(Some(Question::Lock)) => {
            let values = state.forget();
            state
                .log
                .note(&format!("locked: {values} values forgotten"));
            wire::ok(values.to_string().as_bytes())
        }
        Ok(Some(Question::Clients)) => {
            let clients = state.clients.borrow();
            let clients: Vec<Value> = clients.values().map(|client| shown(client)).collect();
            wire::ok(Value::from(clients).to_string().as_bytes())
        }
        _ => wire::refused(
            Exit::Usage,
            "this broker speaks version 1 of the protocol, and here of `lock` and `clients`",
        ),
    }
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
