//! The calls about Swarm: its state, one service, its tasks, and secrets.
//!
//! A secret's value goes into the body of one request, built in locked memory from which the
//! client writes it; the engine never gives a value back.

use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::auth::Auth;
use crate::base::encode;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::deploy::docker::{Engine, text};
use crate::deploy::error::Result;

/// A service as Swarm has it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Its id.
    pub id: String,
    /// The version that an update has to name.
    pub version: u64,
    /// What it shall be.
    pub spec: Value,
}

impl Service {
    /// The image that its next task will have.
    pub(crate) fn image(&self) -> &str {
        let image = &self.spec["TaskTemplate"]["ContainerSpec"]["Image"];
        image.as_str().unwrap_or_default()
    }
}

/// One attempt of Swarm to run a service.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Its id.
    pub id: String,
    /// `pending`, `starting`, `running`, `failed`, …
    pub state: String,
    /// What went wrong, or "".
    pub error: String,
    /// Its container, once it has one.
    pub container: Option<String>,
    /// When it was made, as the engine writes it; sorts by age.
    pub created: String,
}

impl Task {
    /// Whether nothing will run for it any more.
    pub(crate) fn is_over(&self) -> bool {
        ["complete", "failed", "shutdown", "rejected", "orphaned"].contains(&self.state.as_str())
    }
}

/// A secret as far as it can be read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SwarmSecret {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// [`FINGERPRINT`]; none where it is not ours.
    pub fingerprint: Option<String>,
}

/// The label by which a later run tells whether a secret has this value still.
pub(crate) const FINGERPRINT: &str = "openclaw-deploy.fingerprint";

/// The request's body: a view into locked memory, so that the client needs no copy of it.
struct SecretBody(Secret);

impl AsRef<[u8]> for SecretBody {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Engine {
    /// The id of this node, where it manages a swarm; else the state that it is in instead.
    pub(crate) async fn swarm(&self) -> Result<std::result::Result<String, String>> {
        let about = self.call(Method::GET, "/info", None, None).await?;
        let swarm = &about.good("ask the Docker engine about itself")?["Swarm"];
        Ok(match text(&swarm["LocalNodeState"]).as_str() {
            "active" if swarm["ControlAvailable"] == true => Ok(text(&swarm["NodeID"])),
            "active" => Err("worker".to_owned()),
            other => Err(other.to_owned()),
        })
    }

    /// Whether the swarm has a node of this id.
    pub(crate) async fn has_node(&self, id: &str) -> Result<bool> {
        let reply = self
            .call(Method::GET, &format!("/nodes/{id}"), None, None)
            .await?;
        match reply.status {
            404 => Ok(false),
            _ => reply.good("inspect the node").map(|_| true),
        }
    }

    /// The service `name`; `None` also where this node manages no swarm.
    pub(crate) async fn service(&self, name: &str) -> Result<Option<Service>> {
        let path = format!("/services/{name}");
        let reply = self.call(Method::GET, &path, None, None).await?;
        if matches!(reply.status, 404 | 503) {
            return Ok(None);
        }
        let json = reply.good("inspect the service")?;
        Ok(Some(Service {
            id: text(&json["ID"]),
            version: json["Version"]["Index"].as_u64().unwrap_or(0),
            spec: json["Spec"].clone(),
        }))
    }

    /// Makes a service, or turns the one that is there into this. Credentials that Swarm holds
    /// for it stay, unless `auth` takes their place; it keeps them on its disk.
    pub(crate) async fn put_service(
        &self,
        there: Option<&Service>,
        spec: &Value,
        auth: Option<&Auth>,
    ) -> Result<()> {
        let path = match there {
            Some(it) => format!("/services/{}/update?version={}", it.id, it.version),
            None => "/services/create".to_owned(),
        };
        let reply = self.call(Method::POST, &path, Some(spec), auth).await?;
        reply.good("create or update the service").map(drop)
    }

    /// The tasks of the service `name`, the oldest first.
    pub(crate) async fn tasks(&self, name: &str) -> Result<Vec<Task>> {
        let filter = json!({"service": [name]}).to_string();
        let path = format!("/tasks?filters={}", encode::query(&filter));
        let list = self.call(Method::GET, &path, None, None).await?;
        let list = list.good("list the tasks of the service")?;
        let mut tasks: Vec<_> = list.as_array().into_iter().flatten().map(task).collect();
        tasks.sort_by(|one, two| one.created.cmp(&two.created));
        Ok(tasks)
    }

    /// All secrets of the swarm; none where this node manages no swarm.
    pub(crate) async fn secrets(&self) -> Result<Vec<SwarmSecret>> {
        let reply = self.call(Method::GET, "/secrets", None, None).await?;
        if reply.status == 503 {
            return Ok(Vec::new());
        }
        let list = reply.good("list the secrets of the swarm")?;
        let secret = |it: &Value| SwarmSecret {
            id: text(&it["ID"]),
            name: text(&it["Spec"]["Name"]),
            fingerprint: it["Spec"]["Labels"][FINGERPRINT]
                .as_str()
                .map(str::to_owned),
        };
        Ok(list.as_array().into_iter().flatten().map(secret).collect())
    }

    /// Gives Swarm a secret, and returns its id.
    pub(crate) async fn create_secret(
        &self,
        name: &str,
        labels: &Value,
        value: &Secret,
    ) -> Result<String> {
        let head = format!("{{\"Name\":{},\"Labels\":{labels},\"Data\":\"", json!(name));
        let mut body = Locked::with_capacity(head.len() + value.len() * 4 / 3 + 8);
        body.push(head.as_bytes());
        encode::push_base64(&mut body, value.expose());
        body.push(b"\"}");
        let body = Bytes::from_owner(SecretBody(Secret::new(body)));
        let reply = self.deliver(Method::POST, "/secrets/create", body, None);
        let made = reply.await?.good(&format!("create the secret {name}"))?;
        Ok(text(&made["ID"]))
    }

    /// Removes the service, secret, container or network at `path`. One that is in use or not
    /// there is no failure.
    pub(crate) async fn remove(&self, path: &str) -> Result<()> {
        let reply = self.call(Method::DELETE, path, None, None).await?;
        if matches!(reply.status, 400 | 403 | 404 | 409 | 503) {
            return Ok(());
        }
        reply.good(&format!("remove {path}")).map(drop)
    }
}

/// An id, for which the engine also writes "" where there is none.
fn id(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
}

fn task(json: &Value) -> Task {
    let status = &json["Status"];
    Task {
        id: text(&json["ID"]),
        state: text(&status["State"]),
        error: text(&status["Err"]),
        container: id(&status["ContainerStatus"]["ContainerID"]),
        created: text(&json["CreatedAt"]),
    }
}
