//! What clients say to the helpers, and their own files, as targets of `tests/fuzz`.

use super::answers::{Answers, Credential};
use super::client_config::docker::{Client, Config, Install};
use super::{docker, git, openclaw as provider};
use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::broker::registry::{HostPort, HostQuery};
use crate::broker::sink::openclaw as sink;

const SECRET: &str = "cAnArY7f3a9b51";
const HOST: &str = "ghcr.io";

/// Answers for one host.
struct Fake;

impl Answers for Fake {
    fn credential(&self, asked: &HostQuery) -> Result<Option<Credential>> {
        let ours = asked.host.as_str() == HOST && !asked.plain;
        Ok(ours.then(|| Credential {
            username: "x-access-token".to_owned(),
            chosen: false,
            secret: Secret::copy_of(SECRET.as_bytes()),
            fresh: true,
        }))
    }

    fn forget(&self, asked: &HostQuery) -> bool {
        asked.host.as_str() == HOST
    }

    fn entries(&self) -> Vec<(String, String)> {
        vec![(HOST.to_owned(), "x-access-token".to_owned())]
    }

    fn anonymous_when_locked(&self) -> bool {
        false
    }
}

/// The first byte chooses among `actions`, the rest is what the client says.
fn split<'a>(bytes: &'a [u8], actions: &[&'static str]) -> Option<(&'static str, &'a [u8])> {
    let (&choice, input) = bytes.split_first()?;
    Some((actions[usize::from(choice) % actions.len()], input))
}

fn has_secret(bytes: &[u8]) -> bool {
    bytes
        .windows(SECRET.len())
        .any(|window| window == SECRET.as_bytes())
}

/// The secret is given only to who names its host, and a good answer to `get` is JSON.
pub(crate) fn docker(bytes: &[u8]) {
    let Some((action, input)) = split(bytes, &["get", "store", "erase", "list"]) else {
        return;
    };
    let reply = docker::handle(&[action], input, || Ok(Fake));
    if has_secret(&reply.stdout) {
        assert!(reply.success && action == "get");
        let answer: serde_json::Value = serde_json::from_slice(&reply.stdout).expect("JSON");
        let server = answer["ServerURL"].as_str().expect("a server");
        let asked = HostQuery::parse(server.trim()).expect("a host");
        assert!(asked.host.as_str() == HOST && !asked.plain, "{server}");
    }
}

/// The secret is given only for its host, in a line of its own.
pub(crate) fn git(bytes: &[u8]) {
    let Some((action, input)) = split(bytes, &["get", "store", "erase"]) else {
        return;
    };
    let reply = git::handle(&[action], input, || Ok(Fake));
    if has_secret(&reply.stdout) {
        assert_eq!(action, "get");
        let said = String::from_utf8_lossy(input).to_lowercase();
        assert!(said.contains(HOST), "{said}");
        let text = String::from_utf8(reply.stdout.to_vec()).expect("text");
        let ours = format!("password={SECRET}");
        assert_eq!(text.lines().filter(|line| **line == ours).count(), 1);
    }
}

/// What is understood is written as it was read, and after `install` and `uninstall` nothing of
/// ours is left and nothing else is gone.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for client in [Client::Docker, Client::Podman] {
        let Ok(config) = Config::parse(client, text) else {
            return;
        };
        let written = config.render();
        let again = Config::parse(client, &written).expect("what we wrote");
        assert_eq!(again.render(), written);
        let known = serde_json::from_str::<serde_json::Value>(text);
        if let Ok(known) = known {
            let read: serde_json::Value = serde_json::from_str(&written).expect("JSON");
            assert_eq!(read, known);
        }
        round(config, client);
    }
}

fn round(mut config: Config, client: Client) {
    let hosts = [HostPort::parse(HOST).expect("a host")];
    let install = Install {
        hosts: &hosts,
        ..Install::default()
    };
    let old = config.clone();
    config.install(&install);
    let before = old.before(&config, false, None);
    assert_eq!(config.overview().asks(&hosts[0]).as_deref(), Some("oc"));
    assert!(config.uninstall(&[], &before));
    assert_ne!(config.overview().asks(&hosts[0]).as_deref(), Some("oc"));
    Config::parse(client, &config.render()).expect("what we wrote");
}

/// Whatever a gateway asks, each id has one answer, all of them are within its limit, and none is
/// what makes it exit: an empty text, a number, `values` that are missing.
pub(crate) fn openclaw(bytes: &[u8]) {
    let Ok(request) = serde_json::from_slice::<provider::Request>(bytes) else {
        return;
    };
    let (mut answers, _) = provider::refuse_all(&request.ids, "why");
    for (id, outcome) in &mut answers {
        if id.len() % 2 == 1 {
            let long = id.repeat(1 + id.len() * 64);
            *outcome = Ok(Secret::copy_of(long.as_bytes()));
        }
    }
    sink::fit(&mut answers);
    let text = sink::render(&answers);
    assert!(text.len() <= sink::LONGEST || answers.iter().all(|(_, outcome)| outcome.is_err()));
    let answer: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let values = answer["values"].as_object().expect("values");
    assert!(
        values
            .values()
            .all(|it| it.as_str().is_some_and(|it| !it.is_empty()))
    );
    let refused = answer["errors"]
        .as_object()
        .map_or(0, |errors| errors.len());
    assert_eq!(values.len() + refused, answers.len());
}
