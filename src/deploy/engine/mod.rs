//! The Docker engine, spoken to by its own API.
//!
//! A local engine is a socket. Any other (`ssh://`, `tcp://`, a context) is reached through
//! `docker … system dial-stdio`, so that the Docker client's own keys, certificates and known
//! hosts hold. The API version is negotiated. The registry token goes into one header of the
//! requests that pull, and nowhere else.
//!
//! Why not `bollard`: it brings some sixty crates; this needs some twenty calls over one kept
//! HTTP client (`hyper`).

pub mod api;
pub mod auth;
pub mod swarm;
pub mod volumes;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use self::auth::Auth;
use super::exit::{Exit, Failure, Result};
use super::host::SEARCH;
use super::settings::Engine as Choice;

/// The newest API that we know.
const NEWEST: (u32, u32) = (1, 47);
/// The oldest that has what we need (Docker 19.03).
const OLDEST: (u32, u32) = (1, 40);
/// How long an answer may take that is not a stream.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request carries: a little JSON, or the answer to another request.
type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A connection to an engine, with its negotiated version.
pub struct Engine {
    choice: Choice,
    prefix: String,
    idle: Mutex<Option<Line>>,
    /// Its platform, such as `linux/amd64`.
    pub platform: String,
    /// Its version, for people.
    pub version: String,
    /// Where it keeps images, on its own machine.
    pub data_root: String,
}

/// One HTTP connection. It ends when it is dropped, whatever is on its way then.
struct Line {
    sender: SendRequest<Body>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer of the engine.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Whether the status is 2xx or 304.
    #[must_use]
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status) || self.status == 304
    }

    /// The body as JSON, `Null` where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The engine's `message`, or else the body.
    #[must_use]
    pub fn message(&self) -> String {
        match self.json()["message"].as_str() {
            Some(text) => text.trim().to_owned(),
            None => String::from_utf8_lossy(&self.body).trim().to_owned(),
        }
    }

    /// The JSON of a good answer.
    ///
    /// # Errors
    /// With the engine's message, for any other.
    pub fn good(self, doing: &str) -> Result<Value> {
        if self.ok() {
            return Ok(self.json());
        }
        Err(Failure::system(doing, self.message()).cause("daemon"))
    }
}

impl Engine {
    /// Connects and negotiates.
    ///
    /// # Errors
    /// When there is no engine, we may not use it, it is too old or too new, or it is rootless.
    pub async fn open(choice: &Choice) -> Result<Self> {
        let mut engine = Self {
            choice: choice.clone(),
            prefix: String::new(),
            idle: Mutex::new(None),
            platform: String::new(),
            version: String::new(),
            data_root: String::new(),
        };
        let reply = engine.call(Method::GET, "/version", None, None).await;
        let reply = reply.map_err(|why| engine.out_of_reach(why))?;
        let about = reply.good("ask the Docker engine for its version")?;
        engine.prefix = negotiate(
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
        refuse_rootless(&info)?;
        engine.data_root = info["DockerRootDir"].as_str().unwrap_or("").to_owned();
        Ok(engine)
    }

    /// Why another machine's engine is out of reach only the Docker client can tell.
    fn out_of_reach(&self, why: Failure) -> Failure {
        match &self.choice {
            Choice::Client(args) if why.cause == "daemon" => {
                why.hint(format!("see why: docker {} version", args.join(" ")))
            }
            _ => why,
        }
    }

    /// One request whose answer is read to its end.
    ///
    /// # Errors
    /// When the engine cannot be reached or does not answer in time.
    pub async fn call(
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
            let (line, response) = self.send(method, path, body, auth).await?;
            self.read(line, response).await
        };
        tokio::time::timeout(PATIENCE, work).await.map_err(|_| {
            Failure::new(format!(
                "the Docker engine did not answer within {} s",
                PATIENCE.as_secs()
            ))
            .exit(Exit::Docker)
            .cause("daemon")
        })?
    }

    /// One request whose answer comes as lines of JSON. Ends early when `each` says so.
    ///
    /// # Errors
    /// When the engine cannot be reached, or the connection breaks.
    pub async fn lines(
        &self,
        path: &str,
        auth: Option<&Auth>,
        mut each: impl FnMut(&Value),
    ) -> Result<Reply> {
        let (_line, response) = self.send(Method::POST, path, Bytes::new(), auth).await?;
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
    ) -> Result<(Line, Response<Incoming>)> {
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
    ) -> Result<(Line, Response<Incoming>)> {
        let request =
            request.map_err(|_| Failure::new("a request to the engine could not be written"))?;
        let idle = self.idle.lock().await.take();
        let mut line = match idle.filter(|idle| !idle.sender.is_closed()) {
            Some(line) => line,
            None => self.dial().await?,
        };
        let response = line.sender.send_request(request).await.map_err(broken)?;
        Ok((line, response))
    }

    /// Reads an answer to its end and keeps its connection for the next request.
    async fn read(&self, mut line: Line, response: Response<Incoming>) -> Result<Reply> {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(broken)?;
        if line.sender.ready().await.is_ok() {
            *self.idle.lock().await = Some(line);
        }
        Ok(Reply {
            status,
            body: body.to_bytes().to_vec(),
        })
    }

    async fn dial(&self) -> Result<Line> {
        match &self.choice {
            Choice::Socket(path) => {
                let stream = tokio::net::UnixStream::connect(path).await;
                speak(stream.map_err(|why| unreachable_socket(path, &why))?).await
            }
            Choice::Client(args) => speak(dial_stdio(args)?).await,
        }
    }
}

/// A body whose bytes are there already.
fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + 'static + Send) -> Result<Line> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let task = tokio::spawn(connection).abort_handle();
    Ok(Line { sender, task })
}

/// The Docker client as a pipe to whatever engine its arguments name.
fn dial_stdio(args: &[String]) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let mut command = tokio::process::Command::new("docker");
    command
        .args(args)
        .args(["system", "dial-stdio"])
        .env_clear()
        .envs(client_env())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|why| {
        Failure::system("run the Docker client", why)
            .hint("install it: apt-get install docker.io")
            .exit(Exit::Docker)
            .cause("client")
    })?;
    let (Some(out), Some(into)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(Failure::new("the Docker client has no pipes"));
    };
    // The client ends by itself when its stdin closes with the connection.
    tokio::spawn(async move { child.wait().await });
    Ok(tokio::io::join(out, into))
}

/// What the Docker client may see of our environment: its configuration and ssh's agent.
#[must_use]
pub fn client_env() -> Vec<(&'static str, std::ffi::OsString)> {
    let mut env = vec![("PATH", SEARCH.into()), ("LC_ALL", "C.UTF-8".into())];
    for name in [
        "HOME",
        "SSH_AUTH_SOCK",
        "DOCKER_CERT_PATH",
        "DOCKER_TLS_VERIFY",
    ] {
        if let Some(value) = std::env::var_os(name) {
            env.push((name, value));
        }
    }
    env
}

fn broken(_: hyper::Error) -> Failure {
    Failure::new("the connection to the Docker engine broke")
        .hint("see what the engine says: journalctl -u docker, or docker info")
        .exit(Exit::Docker)
        .cause("daemon")
}

fn unreachable_socket(path: &Path, why: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    let path = path.display();
    let failure = match why.kind() {
        ErrorKind::PermissionDenied => Failure::new(format!("not permitted to use the Docker engine at {path}"))
            .hint("run this as root: sudo openclaw-deploy …")
            .cause("permission"),
        ErrorKind::NotFound => Failure::new(format!("no Docker engine: {path} is not there"))
            .hint("start it with `systemctl start docker`, or let step 1 install it: openclaw-deploy bootstrap --only docker")
            .cause("daemon"),
        _ => Failure::new(format!("the Docker engine at {path} is not running"))
            .hint("start it: systemctl start docker")
            .cause("daemon"),
    };
    failure.exit(Exit::Docker)
}

/// A rootless engine cannot hold the gateway: its containers' uid 1000 is another one on the host, so
/// the state would be out of their reach, and it ends when its user logs out.
fn refuse_rootless(info: &Value) -> Result<()> {
    let options = info["SecurityOptions"].as_array().into_iter().flatten();
    let is_rootless = |option: &Value| {
        option
            .as_str()
            .is_some_and(|it| it.split(',').any(|it| it == "name=rootless"))
    };
    if !options.into_iter().any(is_rootless) {
        return Ok(());
    }
    Err(Failure::new("the Docker engine is rootless: its containers cannot use the gateway's state, which belongs to uid 1000")
        .hint("use the system's engine: openclaw-deploy bootstrap --docker-host unix:///var/run/docker.sock")
        .exit(Exit::Docker)
        .cause("rootless"))
}

/// The path prefix of the newest version that both sides know.
fn negotiate(least: Option<&str>, most: Option<&str>) -> Result<String> {
    let parse = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let refuse = |what: String, hint: &str| {
        Failure::new(what)
            .hint(hint)
            .exit(Exit::Docker)
            .cause("version")
    };
    let Some(most) = most.and_then(parse) else {
        return Err(refuse(
            "what answers at the Docker socket does not speak the Docker API".to_owned(),
            "check DOCKER_HOST",
        ));
    };
    let least = least.and_then(parse).unwrap_or((1, 12));
    if most < OLDEST {
        return Err(refuse(
            format!(
                "the Docker engine speaks API {}.{}, at least 1.40 is needed",
                most.0, most.1
            ),
            "upgrade Docker: apt-get install docker.io",
        ));
    }
    if least > NEWEST {
        return Err(refuse(
            format!(
                "the Docker engine asks for API {}.{} or newer, we know 1.47",
                least.0, least.1
            ),
            "upgrade openclaw-deploy",
        ));
    }
    let chosen = most.min(NEWEST);
    Ok(format!("/v{}.{}", chosen.0, chosen.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_know_is_chosen() {
        assert_eq!(negotiate(Some("1.12"), Some("1.41")), Ok("/v1.41".into()));
        assert_eq!(negotiate(Some("1.44"), Some("1.52")), Ok("/v1.47".into()));
        assert!(negotiate(Some("1.12"), Some("1.25")).is_err());
        assert!(negotiate(Some("1.99"), Some("1.99")).is_err());
        assert!(negotiate(None, None).is_err());
    }

    #[test]
    fn a_rootless_engine_is_told_by_its_security_options() {
        let info = |options: &[&str]| serde_json::json!({ "SecurityOptions": options });
        assert!(
            refuse_rootless(&info(&["name=seccomp,profile=default", "name=rootless"])).is_err()
        );
        assert!(refuse_rootless(&info(&["name=seccomp,profile=rootless"])).is_ok());
        assert!(refuse_rootless(&Value::Null).is_ok());
    }
}
