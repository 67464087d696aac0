//! An engine's containers: how they are, and how they start and end.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};

use crate::deploy::docker::{Engine, text, texts};
use crate::deploy::error::Result;

/// The labels of a container.
pub(crate) type Labels = BTreeMap<String, String>;

/// A container in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedContainer {
    /// Its id.
    pub id: String,
    /// `created`, `running`, `restarting`, `exited`, …
    pub state: String,
    /// Its labels.
    pub labels: Labels,
}

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
    /// `healthy`, `unhealthy` or `starting`; none without a health check.
    pub health: Option<String>,
    /// The host's address and port of every port that is published, or will be when it starts.
    pub published: Vec<(String, u16)>,
    /// What it has from outside: where it sees it, and the host's directory or the volume's name.
    pub mounts: Vec<(String, String)>,
    /// Its labels.
    pub labels: Labels,
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
}

impl Engine {
    /// All containers, the newest first.
    pub(crate) async fn containers(&self) -> Result<Vec<ListedContainer>> {
        let list = self
            .call(Method::GET, "/containers/json?all=1", None, None)
            .await?;
        let list = list.good("list containers")?;
        let listed = |it: &Value| ListedContainer {
            id: text(&it["Id"]),
            state: text(&it["State"]),
            labels: labels(&it["Labels"]),
        };
        Ok(list.as_array().into_iter().flatten().map(listed).collect())
    }

    /// The container `id`, if it is there.
    pub(crate) async fn container(&self, id: &str) -> Result<Option<Container>> {
        let path = format!("/containers/{id}/json");
        let reply = self.call(Method::GET, &path, None, None).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        Ok(Some(container(&reply.good("inspect the container")?)))
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

fn mounts(json: &Value) -> Vec<(String, String)> {
    let all = json.as_array().into_iter().flatten();
    let source = |it: &Value| match it["Type"].as_str() {
        Some("volume") => text(&it["Name"]),
        _ => text(&it["Source"]),
    };
    all.map(|it| (text(&it["Destination"]), source(it)))
        .collect()
}

fn labels(json: &Value) -> Labels {
    let all = json.as_object().into_iter().flatten();
    all.map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

fn container(json: &Value) -> Container {
    let state = &json["State"];
    let status = text(&state["Status"]);
    let host = &json["HostConfig"];
    let ports = [&json["NetworkSettings"]["Ports"], &host["PortBindings"]];
    let mut published: Vec<_> = ports.into_iter().flat_map(bindings).collect();
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
        health: state["Health"]["Status"].as_str().map(str::to_owned),
        published,
        mounts: mounts(&json["Mounts"]),
        labels: labels(&json["Config"]["Labels"]),
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
            let published = |address: &str| vec![(address.to_owned(), 18789)];
            assert_eq!(of("127.0.0.1", live).published, published("127.0.0.1"));
            assert_eq!(of("0.0.0.0", live).published, published("0.0.0.0"));
        }
        assert_eq!(of("", false).published, [("0.0.0.0".to_owned(), 18789)]);
        assert_eq!(container(&json!({})).published, []);
    }
}
