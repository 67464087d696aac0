//! `docker-credential-oc`: Docker's credential helper protocol, to the byte of its reference
//! implementation (docker-credential-helpers 0.9.8).
//!
//! Errors go to stdout, where clients look for them, with exit code 1, since they know no other.
//! The sentence for "not found" is a word of the protocol: said of every host that is not ours,
//! and never of one that is, because a client takes it for leave to go on without credentials.

mod store;

use std::process::ExitCode;

use crate::base::error::{Error, Exit, Result};
use crate::base::token_kind;
use crate::broker::registry::HostQuery;
use crate::broker::sink::docker;
use crate::credential_helper::answers::{Answers, Credential, ManifestAnswers};
use crate::credential_helper::program;
use crate::credential_helper::reply::{Message, Reply, one_line};

/// Our name, whatever we were started as.
const NAME: &str = "docker-credential-oc";
const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_SERVER: &str = "no credentials server URL";
const USAGE: &str = "Usage: docker-credential-oc <store|get|erase|list|version>";

/// What the reference implementation's line scanner takes, in bytes.
const LONGEST_LINE: usize = 65_535;

/// The whole program.
pub fn main() -> ExitCode {
    let answer =
        |words: &[&str], input: &[u8], ui| handle(words, input, || ManifestAnswers::for_docker(ui));
    program::run(NAME, answer, failure)
}

/// One action: `words` are the arguments, `input` all of stdin. `answers` is made only where it
/// is needed, so that no manifest can keep us from telling our version.
pub(crate) fn handle<A: Answers>(
    words: &[&str],
    input: &[u8],
    answers: impl FnOnce() -> Result<A>,
) -> Reply {
    match words {
        ["get"] => get(input, answers),
        ["store"] => store(input, answers),
        ["erase"] => erase(input, answers),
        ["list"] => match answers() {
            Ok(answers) => Reply::answer(docker::entries(answers.entries())),
            Err(error) => failure(error),
        },
        ["version" | "--version" | "-v"] => {
            let line = format!(
                "{NAME} ({}) v{}\n",
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION")
            );
            Reply::answer(crate::base::locked_memory::Locked::copy_of(line.as_bytes()))
        }
        ["--help" | "-h"] => Reply {
            success: true,
            ..Reply::refusal(USAGE)
        },
        [action] => Reply::refusal(&format!("{NAME}: unknown action: {action}")),
        _ => Reply::refusal(USAGE),
    }
}

fn get<A: Answers>(input: &[u8], answers: impl FnOnce() -> Result<A>) -> Reply {
    let (server, asked) = match server(input) {
        Ok(Some(found)) => found,
        Ok(None) => return Reply::refusal(NOT_FOUND),
        Err(line) => return Reply::refusal(line),
    };
    let answers = match answers() {
        Ok(answers) => answers,
        Err(error) => return failure(error),
    };
    match answers.credential(&asked) {
        Ok(None) => Reply::refusal(NOT_FOUND),
        Ok(Some(credential)) => {
            match docker::answer(&server, &credential.username, &credential.secret) {
                Ok(answer) => {
                    let warning = warning(&asked, &credential).map(Message::Warning);
                    Reply {
                        messages: warning.into_iter().collect(),
                        ..Reply::answer(answer)
                    }
                }
                Err(error) => {
                    // Once it is fixed it should not take minutes until we know.
                    answers.forget(&asked);
                    failure(error)
                }
            }
        }
        Err(error) if error.exit() == Exit::NotSignedIn && answers.anonymous_when_locked() => {
            Reply::refusal(NOT_FOUND).with(Message::Error(error))
        }
        Err(error) => failure(error),
    }
}

fn store<A: Answers>(input: &[u8], answers: impl FnOnce() -> Result<A>) -> Reply {
    let login = match store::parse(input) {
        Ok(login) => login,
        Err(line) => return Reply::refusal(&line),
    };
    let Some(asked) = HostQuery::parse(login.server.trim()) else {
        return refused("the manifest has no such registry");
    };
    match answers().and_then(|answers| answers.credential(&asked)) {
        Err(error) => failure(error),
        Ok(None) => refused("the manifest has no such registry"),
        Ok(Some(ours)) if ours.username != login.username => {
            refused("the manifest gives another user name")
        }
        Ok(Some(ours)) if ours.secret.expose() != login.secret.expose() => {
            refused("1Password holds another secret for this registry")
        }
        Ok(Some(_)) => Reply::success(),
    }
}

/// Secrets are kept in 1Password, not by us: only what is there already is "stored".
fn refused(why: &'static str) -> Reply {
    failure(Error::NotStored { why })
}

fn erase<A: Answers>(input: &[u8], answers: impl FnOnce() -> Result<A>) -> Reply {
    let asked = match server(input) {
        Ok(Some((_, asked))) => asked,
        Ok(None) => return Reply::success(),
        Err(line) => return Reply::refusal(line),
    };
    match answers() {
        Ok(answers) if answers.forget(&asked) => {
            let text = "nothing was deleted in 1Password; the cached copy is forgotten";
            Reply::success().with(Message::Warning(text.to_owned()))
        }
        Ok(_) => Reply::success(),
        Err(error) => Reply::success().with(Message::Error(error)),
    }
}

fn failure(error: Error) -> Reply {
    let line = one_line(&error);
    // Some clients look for the sentence anywhere in the line.
    let line = if line.contains(NOT_FOUND) {
        "cannot answer".to_owned()
    } else {
        line
    };
    Reply::refusal(&line).with(Message::Error(error))
}

/// The server that is asked about, as the client wrote it and as we understand it; `None` for
/// what can be no host. The lines of the input are joined, as the reference implementation does.
fn server(input: &[u8]) -> std::result::Result<Option<(String, HostQuery)>, &'static str> {
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    if lines.iter().any(|line| line.len() > LONGEST_LINE) {
        return Err("bufio.Scanner: token too long");
    }
    for line in &mut lines {
        *line = line.strip_suffix(b"\r").unwrap_or(line);
    }
    let joined = lines.concat();
    let Ok(text) = std::str::from_utf8(&joined) else {
        return Ok(None);
    };
    match text.trim() {
        "" => Err(NO_SERVER),
        server => Ok(HostQuery::parse(server).map(|asked| (server.to_owned(), asked))),
    }
}

/// A token that cannot work, which the registry would only call "denied".
fn warning(asked: &HostQuery, credential: &Credential) -> Option<String> {
    let github = asked.host.as_str() == "ghcr.io"
        && token_kind::of(&credential.secret) == token_kind::FINE_GRAINED;
    (github && credential.fresh).then(|| {
        "ghcr.io takes no fine-grained token (github_pat_…): make a classic one with read:packages; \
         `oc-secrets docker off ghcr.io` pulls public images without any"
            .to_owned()
    })
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
