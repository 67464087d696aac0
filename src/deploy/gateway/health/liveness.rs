//! Whether the gateway answers, and whether it is ours that does.
//!
//! `/startupz` as JSON `started`, else `/healthz` as JSON `ok: true`, else, for versions that
//! have neither, a TCP connection with a warning. A web page that answers 200 is not health.
//! The container is watched at the same time: its first exit ends the wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::Result;

const EVERY: Duration = Duration::from_millis(150);
const ONE_PROBE: Duration = Duration::from_secs(3);

/// By what it was seen that the gateway is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `/startupz` says `started`.
    Startup,
    /// `/healthz` says `ok`.
    Health,
    /// The image's own check, as the engine runs it.
    EngineCheck,
    /// Its port takes connections, and there is no more to ask.
    Port,
}

impl Sign {
    /// The word in the journal.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Startup => "/startupz",
            Self::Health => "/healthz",
            Self::EngineCheck => "the engine's health check",
            Self::Port => "TCP",
        }
    }
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It is up.
    Up(Sign),
    /// It answers, but has neither endpoint: an old version, or another program.
    NoEndpoint,
    /// Not (yet) up, and how.
    Down(String),
}

/// An HTTP answer, as far as a probe needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The status.
    pub status: u16,
    /// The body as JSON; `None` when it is none.
    pub json: Option<Value>,
}

/// Decides from the two answers. Pure.
pub(crate) fn judge(startup: Option<&Page>, health: Option<&Page>) -> Liveness {
    if let Some(Page {
        status,
        json: Some(json),
    }) = startup
    {
        let word = json["status"].as_str().unwrap_or("?");
        if *status == 200 && word == "started" {
            return Liveness::Up(Sign::Startup);
        }
        if *status == 503 {
            let reason = json["pendingReason"].as_str().unwrap_or(word);
            return Liveness::Down(format!("/startupz says {reason}"));
        }
    }
    match (startup, health) {
        (
            _,
            Some(Page {
                status: 200,
                json: Some(json),
            }),
        ) if json["ok"] == true => Liveness::Up(Sign::Health),
        (
            _,
            Some(Page {
                status: 200,
                json: None,
            }),
        ) => Liveness::Down("/healthz answers with a page, not with JSON".to_owned()),
        (Some(Page { status: 404, .. }), Some(Page { status: 404, .. })) => Liveness::NoEndpoint,
        (_, Some(page)) => Liveness::Down(format!("/healthz answers {}", page.status)),
        (Some(page), None) => Liveness::Down(format!(
            "/startupz answers {}, /healthz does not",
            page.status
        )),
        (None, None) => Liveness::Down("nothing answers".to_owned()),
    }
}

/// One look at the port on loopback.
pub(crate) async fn probe(port: u16) -> Liveness {
    let startup = page(port, "/startupz", None).await;
    if let seen @ Liveness::Up(_) = judge(startup.as_ref(), None) {
        return seen;
    }
    let health = page(port, "/healthz", None).await;
    judge(startup.as_ref(), health.as_ref())
}

/// [`probe`], until the deadline: a gateway may accept connections and never answer. One that began in
/// time may take [`ONE_PROBE`] longer.
async fn probe_until(port: u16, deadline: Instant) -> Liveness {
    let left = deadline.saturating_duration_since(Instant::now());
    match tokio::time::timeout(left.max(ONE_PROBE), probe(port)).await {
        Ok(seen) => seen,
        Err(_) => Liveness::Down("it accepts connections and does not answer".to_owned()),
    }
}

/// `GET path`, at most 64 kB of it, with the gateway's own token where it shall say more.
pub(crate) async fn page(port: u16, path: &str, token: Option<&Secret>) -> Option<Page> {
    let work = async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        let running = tokio::spawn(connection);
        let mut request = hyper::Request::get(path)
            .header("host", format!("127.0.0.1:{port}"))
            .header("connection", "close");
        if let Some(token) = token {
            request = request.header("authorization", bearer(token)?);
        }
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), 64 << 10)
            .collect()
            .await
            .ok()?;
        running.abort();
        Some(Page {
            status,
            json: serde_json::from_slice(&body.to_bytes()).ok(),
        })
    };
    tokio::time::timeout(ONE_PROBE, work).await.ok().flatten()
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut text = Locked::with_capacity(token.len() + 7);
    text.push(b"Bearer ");
    text.push(token.expose());
    let mut value = HeaderValue::from_bytes(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How a wait for health ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unhealthy {
    /// The process ended.
    Exited(i64),
    /// The kernel ended it for lack of memory.
    OutOfMemory,
    /// The deadline passed; what was seen last.
    TooLate(String),
    /// It answers, and refuses these databases.
    Refuses(String),
}

impl std::fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(78) => f.write_str(
                "the gateway exited with 78: its configuration or state cannot be used by this version",
            ),
            Self::Exited(code) => write!(f, "the gateway exited with {code}"),
            Self::OutOfMemory => f.write_str("the gateway was ended for lack of memory"),
            Self::Refuses(what) => write!(
                f,
                "the gateway answers, but its state cannot be used by this version: {what}"
            ),
            Self::TooLate(seen) => write!(f, "the gateway did not become healthy in time: {seen}"),
        }
    }
}

/// Waits until the container answers, exits, or `deadline` passes. `each` is told what is seen meanwhile.
pub(crate) async fn wait(
    engine: &Engine,
    id: &str,
    port: Option<u16>,
    deadline: Instant,
    each: impl Fn(&str),
) -> Result<std::result::Result<Sign, Unhealthy>> {
    let mut no_endpoint_since = None;
    let mut restarts = None;
    loop {
        let Some(container) = engine.container(id).await? else {
            return Ok(Err(Unhealthy::TooLate(
                "its container was removed".to_owned(),
            )));
        };
        // Only restarts since we have begun to look count.
        let before = *restarts.get_or_insert(container.restarts);
        if let Some(end) = exit_of(&container, before) {
            return Ok(Err(end));
        }
        let seen = match port {
            Some(port) => probe_until(port, deadline).await,
            None => from_health_check(&container),
        };
        let seen = match seen {
            Liveness::Up(sign) => return Ok(Ok(sign)),
            Liveness::Down(how) => how,
            // A new version may answer 404 for a moment while it starts.
            Liveness::NoEndpoint => {
                let since = no_endpoint_since.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_secs(3) {
                    return Ok(Ok(Sign::Port));
                }
                "it answers neither /startupz nor /healthz".to_owned()
            }
        };
        if Instant::now() >= deadline {
            return Ok(Err(Unhealthy::TooLate(seen)));
        }
        each(&seen);
        let pause = if port.is_some() { EVERY } else { 4 * EVERY };
        tokio::time::sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
    }
}

fn exit_of(container: &Container, restarts: u64) -> Option<Unhealthy> {
    let over = matches!(container.status.as_str(), "exited" | "dead" | "restarting");
    if !over && container.restarts == restarts {
        return None;
    }
    Some(match container.out_of_memory {
        true => Unhealthy::OutOfMemory,
        false => Unhealthy::Exited(container.exit_code),
    })
}

/// The port of a remote engine cannot be reached, so the image's own health check decides.
fn from_health_check(container: &Container) -> Liveness {
    match container.health.as_deref() {
        Some("healthy") => Liveness::Up(Sign::EngineCheck),
        None => Liveness::NoEndpoint,
        Some(other) => Liveness::Down(format!("the engine says {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(status: u16, json: Option<Value>) -> Page {
        Page { status, json }
    }

    #[test]
    fn only_json_that_says_so_is_health() {
        let started = page(200, Some(json!({"ok": true, "status": "started"})));
        let starting = page(
            503,
            Some(json!({"ok": false, "status": "starting", "pendingReason": "startup-sidecars"})),
        );
        let live = page(200, Some(json!({"ok": true, "status": "live"})));
        let web = page(200, None);
        let none = page(404, None);
        assert_eq!(judge(Some(&started), None), Liveness::Up(Sign::Startup));
        assert_eq!(judge(Some(&none), Some(&live)), Liveness::Up(Sign::Health));
        assert_eq!(judge(Some(&none), Some(&none)), Liveness::NoEndpoint);
        let down = |seen: Liveness| matches!(seen, Liveness::Down(_));
        assert!(
            down(judge(Some(&starting), Some(&live))),
            "a start that goes on is not health"
        );
        assert!(
            down(judge(Some(&web), Some(&web))),
            "a web page is not health"
        );
        assert!(down(judge(None, None)));
    }

    #[test]
    fn exit_78_is_named() {
        let text = Unhealthy::Exited(78).to_string();
        assert!(text.contains("configuration or state"), "{text}");
    }
}
