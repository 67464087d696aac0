//! `oc-secrets clients`: who asked the broker for what, and when last.

use std::time::Duration;

use serde::Deserialize;

use super::arguments;
use super::stdout;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::{Tone, Ui, clean};
use crate::base::units;
use crate::broker::serve::listen::{self, CONTROL};
use crate::broker::socket;
use crate::broker::wire::Question;

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Client {
    client: String,
    uid: u32,
    secrets: Vec<String>,
    questions: u64,
    refused: u64,
    last: Option<Last>,
}

#[derive(Deserialize)]
struct Last {
    at: u64,
    uid: u32,
    pid: i32,
    names: Vec<String>,
    outcome: String,
    why: String,
}

/// Prints the table or the broker's JSON.
pub(super) fn run(ui: Ui, arguments: &arguments::Clients, lookup: Lookup<'_>) -> Result<Exit> {
    let folder = listen::folder(arguments.directory.as_deref(), lookup)?;
    let answer = socket::ask(&folder.join(CONTROL), &Question::Clients, PATIENCE)?;
    let text = answer.expose();
    if arguments.json {
        stdout::print(text)?;
        stdout::print(b"\n")?;
        return Ok(Exit::Done);
    }
    let clients: Vec<Client> = serde_json::from_slice(text).map_err(|why| {
        Error::system(
            "read the broker's answer",
            format_args!("at line {}", why.line()),
        )
    })?;
    for client in &clients {
        stdout::print(row(ui, client).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn row(ui: Ui, client: &Client) -> String {
    let last = match &client.last {
        None => ui.paint(Tone::Dim, "has not asked yet"),
        Some(last) => told(last),
    };
    format!(
        "{}  uid {}  {}\n  {}, {} refused; {last}\n",
        client.client,
        client.uid,
        clean(&client.secrets.join(", ")),
        units::counted(client.questions, "question"),
        client.refused
    )
}

fn told(last: &Last) -> String {
    let asked = match (last.names.is_empty(), last.outcome.as_str()) {
        (true, "refused") => format!("uid {}", last.uid),
        (true, _) => "which names it has".to_owned(),
        (false, _) => last.names.join(", "),
    };
    let outcome = match last.why.is_empty() {
        true => last.outcome.clone(),
        false => format!("{}: {}", last.outcome, last.why),
    };
    format!(
        "last {} by pid {}: {} ({})",
        units::clock(last.at),
        last.pid,
        clean(&asked),
        clean(&outcome),
    )
}
