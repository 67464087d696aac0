//! An engine's containers: which is the gateway's, how it is, and how it starts and ends.

use hyper::Method;
use serde_json::{Value, json};

use crate::deploy::docker::{Engine, text, texts};
use crate::deploy::error::Result;
use crate::deploy::gateway::runtime;
use crate::deploy::settings::Shape;

/// A container as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its id.
    pub id: String,
    /// The id of its image.
    pub image: String,
    /// Whether it runs (and is not restarting).
    pub running: bool,
    /// `created`, `running`, `restarting`, `exited`, …
    pub status: String,
    /// Its last exit code.
    pub exit_code: i64,
    /// How often the engine restarted it.
    pub restarts: u64,
    /// When it started, as the engine writes it.
    pub started: String,
    /// `healthy`, `unhealthy`, `starting`, or "" without a health check.
    pub health: String,
    /// Whether Compose made it, or Swarm.
    pub shape: Shape,
    /// The host's address and port of every port that is published, or will be when it starts; of a
    /// service, which publishes none, those on which it was told to listen.
    pub published: Vec<(String, u16)>,
    /// Our label with the hash of what it was made from.
    pub render: String,
    /// Our label that names its volumes, or "" where it has directories.
    pub state: String,
    /// Whether the kernel ended it for lack of memory.
    pub out_of_memory: bool,
    /// Whether it was made without any capability.
    pub without_capabilities: bool,
    /// Whether it was made so that it cannot gain privileges.
    pub no_new_privileges: bool,
}

impl Container {
    /// Whether somebody froze it: it answers nothing, and holds its port.
    pub(crate) fn is_paused(&self) -> bool {
        self.status == "paused"
    }

    /// Whether it is published at this address and port, and nowhere else.
    pub(crate) fn is_published_at(&self, address: &str, port: u16) -> bool {
        self.published == [(address.to_owned(), port)]
    }
}

impl Engine {
    /// Our gateway's container, if there is one: the one that runs, or else the newest.
    pub(crate) async fn gateway(&self) -> Result<Option<Container>> {
        match self.gateways().await?.first() {
            Some((id, _)) => self.container(id).await,
            None => Ok(None),
        }
    }

    /// The ids of all our gateway's containers and who made them, in the order in which one of
    /// them is the gateway: what runs, what has run, what was only made; the newest first.
    pub(crate) async fn gateways(&self) -> Result<Vec<(String, Shape)>> {
        let list = self
            .call(Method::GET, "/containers/json?all=1", None, None)
            .await?;
        let list = list.good("list containers")?;
        let mut ours: Vec<_> = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| Some((runtime::of(&it["Labels"])?, it)))
            .collect();
        ours.sort_by_key(|(_, it)| match it["State"].as_str() {
            Some("running") => 0,
            Some("created") => 2,
            _ => 1,
        });
        let ours = ours.into_iter();
        Ok(ours.map(|(shape, it)| (text(&it["Id"]), shape)).collect())
    }

    /// The container `id`, if it is there.
    pub(crate) async fn container(&self, id: &str) -> Result<Option<Container>> {
        let path = format!("/containers/{id}/json");
        let reply = self.call(Method::GET, &path, None, None).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        Ok(Some(container(&reply.good("look at a container")?)))
    }

    /// Starts container `id`.
    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        let path = format!("/containers/{id}/start");
        let reply = self.call(Method::POST, &path, None, None).await?;
        reply.good("start the gateway").map(drop)
    }

    /// Stops container `id`, at the latest after so many seconds. One that is gone is stopped.
    pub(crate) async fn stop(&self, id: &str, seconds: u32) -> Result<()> {
        let path = format!("/containers/{id}/stop?t={seconds}");
        let reply = self.call(Method::POST, &path, None, None).await?;
        match reply.status {
            404 => Ok(()),
            _ => reply.good("stop the gateway").map(drop),
        }
    }

    /// Sets the restart policy.
    pub(crate) async fn restart_policy(&self, id: &str, policy: &str) -> Result<()> {
        let body = json!({"RestartPolicy": {"Name": policy}});
        let path = format!("/containers/{id}/update");
        let reply = self.call(Method::POST, &path, Some(&body), None).await?;
        reply.good("set the restart policy").map(drop)
    }

    /// The last `count` lines of a container, stdout and stderr as they came.
    pub(crate) async fn logs(&self, id: &str, count: usize) -> Result<Vec<String>> {
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail={count}");
        let reply = self.call(Method::GET, &path, None, None).await?;
        if !reply.ok() {
            return Ok(Vec::new());
        }
        let text = demultiplex(&reply.body);
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect())
    }
}

/// The addresses and ports of the host in a map of published ports.
fn bindings(ports: &Value) -> Vec<(String, u16)> {
    let all = ports.as_object().into_iter().flat_map(|it| it.values());
    all.filter_map(Value::as_array)
        .flatten()
        .filter_map(|binding| {
            let address = match text(&binding["HostIp"]) {
                every if every.is_empty() => "0.0.0.0".to_owned(),
                one => one,
            };
            Some((address, text(&binding["HostPort"]).parse().ok()?))
        })
        .collect()
}

fn container(json: &Value) -> Container {
    let state = &json["State"];
    let status = text(&state["Status"]);
    let host = &json["HostConfig"];
    let ports = [&json["NetworkSettings"]["Ports"], &host["PortBindings"]];
    let mut published: Vec<_> = ports.into_iter().flat_map(bindings).collect();
    let config = &json["Config"];
    let listens = text(&config["Labels"][runtime::PORT]).parse();
    published.extend(listens.map(|port| ("127.0.0.1".to_owned(), port)));
    published.sort();
    published.dedup();
    let has = |list: &Value, word: &str| texts(list).iter().any(|it| it.starts_with(word));
    Container {
        id: text(&json["Id"]),
        image: text(&json["Image"]),
        running: status == "running",
        exit_code: state["ExitCode"].as_i64().unwrap_or(0),
        restarts: json["RestartCount"].as_u64().unwrap_or(0),
        started: text(&state["StartedAt"]),
        health: text(&state["Health"]["Status"]),
        shape: runtime::of(&config["Labels"]).unwrap_or_default(),
        published,
        render: text(&config["Labels"]["openclaw-deploy.render"]),
        state: text(&config["Labels"]["openclaw-deploy.state"]),
        out_of_memory: state["OOMKilled"].as_bool().unwrap_or(false),
        without_capabilities: has(&host["CapDrop"], "ALL"),
        no_new_privileges: has(&host["SecurityOpt"], "no-new-privileges"),
        status,
    }
}

/// Takes the engine's eight-byte frame headers out of a log.
fn demultiplex(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    while let [kind @ 0..=2, 0, 0, 0, a, b, c, d, rest @ ..] = bytes {
        let _ = kind;
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (frame, after) = rest.split_at(length.min(rest.len()));
        out.extend_from_slice(frame);
        bytes = after;
    }
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_frames_are_taken_apart() {
        let framed = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x04two\n";
        assert_eq!(demultiplex(framed), b"onetwo\n");
        assert_eq!(demultiplex(b"a terminal's log"), b"a terminal's log");
        assert_eq!(demultiplex(b"\x01\0\0\0\0\0\0\x09cut"), b"cut");
    }

    #[test]
    fn a_port_is_known_before_it_is_published_and_is_no_second_one_then() {
        let of = |address: &str, live: bool| {
            let ports =
                json!({"18789/tcp": [{"HostIp": address, "HostPort": "18789"}], "1/tcp": null});
            let live = if live { ports.clone() } else { json!({}) };
            container(
                &json!({"HostConfig": {"PortBindings": ports}, "NetworkSettings": {"Ports": live}}),
            )
        };
        for live in [true, false] {
            assert!(of("127.0.0.1", live).is_published_at("127.0.0.1", 18789));
            assert!(!of("127.0.0.1", live).is_published_at("127.0.0.1", 1));
            assert!(!of("0.0.0.0", live).is_published_at("127.0.0.1", 18789));
        }
        assert_eq!(of("", false).published, [("0.0.0.0".to_owned(), 18789)]);
        assert!(!container(&json!({})).is_published_at("127.0.0.1", 18789));
    }
}
