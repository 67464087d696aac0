//! The Docker engine, spoken to by its own API.
//!
//! A local engine is a socket. Any other (`ssh://`, `tcp://`, a context) is reached through
//! `docker … system dial-stdio`, so that the Docker client's own keys, certificates and known
//! hosts hold. The API version is negotiated. The registry token goes into one header of the
//! requests that pull, and nowhere else.
//!
//! Why not `bollard`: it brings some sixty crates; this needs some twenty calls over one kept
//! HTTP client (`hyper`).

pub(crate) mod auth;
mod compatibility;
mod connection;
pub(crate) mod pull_error;
pub(crate) mod client;
pub(crate) mod images;
pub(crate) mod containers;
pub(crate) mod volumes;
pub(crate) mod swarm;

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use serde_json::Value;
use tokio::sync::Mutex;

use self::auth::Auth;
pub(crate) use self::connection::client_env;
use self::connection::{Body, Connection, broken};
use super::error::{Cause, Exit, Failure, Result};
use super::settings::EngineAddress;

/// How long an answer may take that is not a stream.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to an engine, with its negotiated version.
pub(crate) struct Engine {
    address: EngineAddress,
    prefix: String,
    idle: Mutex<Option<Connection>>,
    /// Its platform, such as `linux/amd64`.
    pub platform: String,
    /// Its version, for people.
    pub version: String,
    /// Where it keeps images, if that is on this machine.
    pub data_root: Option<PathBuf>,
}

/// An answer of the engine.
pub(crate) struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Whether the status is 2xx or 304.
    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status) || self.status == 304
    }

    /// The body as JSON, `Null` where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The engine's `message`, or else the body.
    pub(crate) fn message(&self) -> String {
        match self.json()["message"].as_str() {
            Some(text) => text.trim().to_owned(),
            None => String::from_utf8_lossy(&self.body).trim().to_owned(),
        }
    }

    /// The JSON of a good answer.
    ///
    /// # Errors
    /// With the engine's message, for any other.
    pub(crate) fn good(self, doing: &str) -> Result<Value> {
        if self.ok() {
            return Ok(self.json());
        }
        Err(Failure::system(doing, self.message())
            .hint("see what the engine says: journalctl -u docker -n 50")
            .cause(Cause::Daemon))
    }
}

impl Engine {
    /// Connects and negotiates.
    ///
    /// # Errors
    /// When there is no engine, we may not use it, it is too old or too new, or it is rootless.
    pub(crate) async fn open(address: &EngineAddress) -> Result<Self> {
        let mut engine = Self {
            address: address.clone(),
            prefix: String::new(),
            idle: Mutex::new(None),
            platform: String::new(),
            version: String::new(),
            data_root: None,
        };
        let reply = engine.call(Method::GET, "/version", None, None).await;
        let reply = reply.map_err(|why| engine.out_of_reach(why))?;
        let about = reply.good("ask the Docker engine for its version")?;
        engine.prefix = compatibility::negotiate(
            about["MinAPIVersion"].as_str(),
            about["ApiVersion"].as_str(),
        )?;
        engine.version = about["Version"].as_str().unwrap_or("?").to_owned();
        engine.platform = format!(
            "{}/{}",
            about["Os"].as_str().unwrap_or("linux"),
            about["Arch"].as_str().unwrap_or("?")
        );
        let info = engine.call(Method::GET, "/info", None, None).await?;
        let info = info.good("ask the Docker engine about itself")?;
        compatibility::refuse_rootless(&info)?;
        if let EngineAddress::Socket(_) = address {
            engine.data_root = info["DockerRootDir"].as_str().map(PathBuf::from);
        }
        Ok(engine)
    }

    /// [`Engine::open`], or none where none listens at its socket. One that listens and does not answer
    /// may still run containers, and is an error.
    pub(crate) async fn open_if_there(address: &EngineAddress) -> Result<Option<Self>> {
        if let EngineAddress::Socket(path) = address
            && connection::is_deserted(path).await
        {
            return Ok(None);
        }
        Self::open(address).await.map(Some)
    }

    /// Why another machine's engine is out of reach only the Docker client can tell.
    fn out_of_reach(&self, why: Failure) -> Failure {
        match &self.address {
            EngineAddress::Client(args) if why.cause == Cause::Daemon => {
                why.hint(format!("see why: docker {} version", args.join(" ")))
            }
            _ => why,
        }
    }

    /// One request whose answer is read to its end.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        auth: Option<&Auth>,
    ) -> Result<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.deliver(method, path, Bytes::from(body), auth).await
    }

    /// [`Engine::call`] with a body of bytes, which may lie in locked memory.
    async fn deliver(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        auth: Option<&Auth>,
    ) -> Result<Reply> {
        let work = async {
            let (connection, response) = self.send(method, path, body, auth).await?;
            self.read(connection, response).await
        };
        tokio::time::timeout(PATIENCE, work).await.map_err(|_| {
            Failure::new(format!(
                "the Docker engine did not answer within {} s",
                PATIENCE.as_secs()
            ))
            .hint("see whether it is alive: systemctl status docker; docker info")
            .exit(Exit::Docker)
            .cause(Cause::Daemon)
        })?
    }

    /// One request whose answer comes as lines of JSON. Ends early when `each` says so.
    pub(crate) async fn lines(
        &self,
        path: &str,
        auth: Option<&Auth>,
        mut each: impl FnMut(&Value),
    ) -> Result<Reply> {
        let (_connection, response) = self.send(Method::POST, path, Bytes::new(), auth).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            if status != 200 {
                continue;
            }
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if let Ok(line) = serde_json::from_slice(&line) {
                    each(&line);
                }
            }
        }
        Ok(Reply { status, body: rest })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        auth: Option<&Auth>,
    ) -> Result<(Connection, Response<Incoming>)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header("host", "docker")
            .header("content-type", "application/json");
        if let Some(auth) = auth {
            request = request.header("x-registry-auth", auth.header());
        }
        self.exchange(request.body(whole(body))).await
    }

    /// Sends a request over the connection that is free, or a new one.
    async fn exchange(
        &self,
        request: hyper::http::Result<Request<Body>>,
    ) -> Result<(Connection, Response<Incoming>)> {
        let request =
            request.map_err(|_| Failure::new("a request to the engine could not be written"))?;
        let idle = self.idle.lock().await.take();
        let mut connection = match idle.filter(|idle| !idle.sender.is_closed()) {
            Some(idle) => idle,
            None => connection::connect(&self.address).await?,
        };
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(broken)?;
        Ok((connection, response))
    }

    /// Reads an answer to its end and keeps its connection for the next request.
    async fn read(
        &self,
        mut connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Reply> {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(broken)?;
        if connection.sender.ready().await.is_ok() {
            *self.idle.lock().await = Some(connection);
        }
        Ok(Reply {
            status,
            body: body.to_bytes().to_vec(),
        })
    }
}

/// A body whose bytes are there already.
fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A text of the engine's JSON, "" where there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}
