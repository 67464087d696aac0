//! One connection to an engine: its socket, or the Docker client as a pipe to wherever it is.

use std::path::Path;
use std::process::Stdio;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::task::AbortHandle;

use crate::base::process_group::ProcessGroup;
use crate::base::{environment, program};
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{self, SEARCH};
use crate::deploy::settings::EngineAddress;

/// What a request carries: a little JSON, or the answer to another request.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// One HTTP connection. It ends when it is dropped, whatever is on its way then.
pub(super) struct Connection {
    /// Where requests go.
    pub sender: SendRequest<Body>,
    task: AbortHandle,
    /// The Docker client that carries it; it is killed with the connection.
    _client: Option<ProcessGroup>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects.
pub(super) async fn connect(address: &EngineAddress) -> Result<Connection> {
    match address {
        EngineAddress::Socket(path) => {
            let stream = tokio::net::UnixStream::connect(path).await;
            over(stream.map_err(|why| unreachable_socket(path, &why))?, None).await
        }
        EngineAddress::Client(args) => dial_stdio(args).await,
    }
}

/// Whether nobody listens at this socket.
pub(super) async fn is_deserted(path: &Path) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    let stream = tokio::net::UnixStream::connect(path).await;
    stream.is_err_and(|why| matches!(why.kind(), NotFound | ConnectionRefused))
}

/// HTTP over this stream, which `client` carries where it is no socket.
async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static + Send,
    client: Option<ProcessGroup>,
) -> Result<Connection> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let task = tokio::spawn(connection).abort_handle();
    Ok(Connection {
        sender,
        task,
        _client: client,
    })
}

/// The Docker client as a pipe to whatever engine its arguments name. It ends with the connection.
async fn dial_stdio(args: &[String]) -> Result<Connection> {
    let missing = |failure: Failure| {
        failure
            .hint("install it: apt-get install docker.io")
            .exit(Exit::Docker)
            .cause(Cause::Client)
    };
    let docker = host::find_here("docker")
        .ok_or_else(|| missing(Failure::new("the Docker client is not installed")))?;
    let mut command = program::command(&docker, client_env());
    command
        .args(args)
        .args(["system", "dial-stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let fail = |why| missing(Failure::system("run the Docker client", why));
    let (client, mut child) = ProcessGroup::start(&mut command).map_err(fail)?;
    let (Some(out), Some(into)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(Failure::new("the Docker client has no pipes")
            .hint("see whether it works by hand: docker version"));
    };
    let out = pipe::Receiver::from_owned_fd(out.into()).map_err(fail)?;
    let into = pipe::Sender::from_owned_fd(into.into()).map_err(fail)?;
    over(tokio::io::join(out, into), Some(client)).await
}

/// What the Docker client may see of our environment: its configuration and ssh's agent.
pub(crate) fn client_env() -> Vec<(&'static str, std::ffi::OsString)> {
    let mut env = vec![("PATH", SEARCH.into()), ("LC_ALL", "C.UTF-8".into())];
    for name in [
        "HOME",
        "SSH_AUTH_SOCK",
        "DOCKER_CERT_PATH",
        "DOCKER_TLS_VERIFY",
    ] {
        if let Some(value) = environment::ours(name) {
            env.push((name, value));
        }
    }
    env
}

/// A connection that broke.
pub(super) fn broken(_: hyper::Error) -> Failure {
    Failure::new("the connection to the Docker engine broke")
        .hint("see what the engine says: journalctl -u docker, or docker info")
        .exit(Exit::Docker)
        .cause(Cause::Daemon)
}

fn unreachable_socket(path: &Path, why: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    let path = path.display();
    let failure = match why.kind() {
        ErrorKind::PermissionDenied => Failure::new(format!("not permitted to use the Docker engine at {path}"))
            .hint("run this as root: sudo openclaw-deploy …")
            .cause(Cause::Permission),
        ErrorKind::NotFound => Failure::new(format!("no Docker engine: {path} not found"))
            .hint("start it with `systemctl start docker`, or let step 1 install it: openclaw-deploy bootstrap --only docker")
            .cause(Cause::Daemon),
        _ => Failure::new(format!("the Docker engine at {path} is not running"))
            .hint("start it: systemctl start docker")
            .cause(Cause::Daemon),
    };
    failure.exit(Exit::Docker)
}
