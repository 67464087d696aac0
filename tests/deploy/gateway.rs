//! The tiny gateway of the tests: answers like OpenClaw's, in the mode that its image names.
//!
//! Modes: good, slow (3 s), never, exit78, html, old. It first writes `state/data` with its version, so that
//! a state that was put back can be told from one that was not. `never` and `exit78` also write over every
//! other file there, as a migration that goes wrong would.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn main() {
    let mode = std::env::var("GATEWAY_MODE").unwrap_or_else(|_| "good".into());
    let version = std::env::var("GATEWAY_VERSION").unwrap_or_else(|_| "1".into());
    if std::env::args().any(|word| word == "say") {
        println!("{}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
        std::process::exit(7);
    }
    if std::env::args().any(|word| word == "reload") {
        println!("reloaded");
        return;
    }
    if std::env::args().nth(1).as_deref() == Some("probe") {
        let up = std::net::TcpStream::connect("127.0.0.1:18789").and_then(|mut s| {
            s.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            s.read_to_string(&mut text)?;
            Ok(text.contains("\"ok\":true"))
        });
        std::process::exit(i32::from(!matches!(up, Ok(true))));
    }
    let state = std::path::Path::new("/home/node/.openclaw/state");
    let _ = std::fs::create_dir_all(state);
    let written = std::fs::write(state.join("data"), format!("written by {version}\n"));
    println!("gateway {version} mode {mode} state {:?} args {:?}", written.is_ok(), std::env::args().skip(1).collect::<Vec<_>>());
    if mode == "never" || mode == "exit78" {
        println!("migrated {} files", migrate(state, &version));
    }
    if mode == "never" {
        (1..=60).for_each(|line| println!("line {line} of 60"));
    }
    if let Ok(token) = std::env::var("OPENCLAW_GATEWAY_TOKEN") {
        println!("listening with token {token}");
    }
    if mode == "exit78" {
        // As a bad migration would: what was there is spoiled, and more is there.
        for name in ["ledger", "migrated"] {
            let _ = std::fs::write(state.join(name), "spoiled\n");
        }
        eprintln!("state: cannot migrate database safely");
        std::process::exit(78);
    }
    let begin = Instant::now();
    let wait = if mode == "slow" { 3.0 } else { 0.0 };
    let listener = TcpListener::bind(address()).expect("bind");
    for stream in listener.incoming().flatten() {
        let mut stream = stream;
        let mode = mode.clone();
        std::thread::spawn(move || {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let mut buffer = [0; 2048];
            let Ok(n) = stream.read(&mut buffer) else { return };
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let path = text.split_whitespace().nth(1).unwrap_or("/").to_owned();
            let up = begin.elapsed().as_secs_f64() >= wait;
            let (status, kind, body) = match (mode.as_str(), path.as_str()) {
                ("html", _) => ("200 OK", "text/html", "<html>OpenClaw</html>".to_owned()),
                ("old", _) => ("404 Not Found", "text/plain", "not found".to_owned()),
                ("never", "/startupz") => ("503 Service Unavailable", "application/json", r#"{"ok":false,"status":"starting"}"#.to_owned()),
                ("never", _) => ("503 Service Unavailable", "application/json", r#"{"ok":false}"#.to_owned()),
                (_, "/startupz") if !up => ("503 Service Unavailable", "application/json", r#"{"ok":false,"status":"starting"}"#.to_owned()),
                (_, "/startupz") => ("200 OK", "application/json", r#"{"ok":true,"status":"started"}"#.to_owned()),
                (_, "/healthz") => ("200 OK", "application/json", r#"{"ok":true,"status":"live"}"#.to_owned()),
                ("refused" | "channel", "/readyz") => ("503 Service Unavailable", "application/json", failing(&mode, &text)),
                (_, "/readyz") => ("200 OK", "application/json", r#"{"ready":true,"failing":[]}"#.to_owned()),
                (_, "/version") => ("200 OK", "text/plain", std::env::var("GATEWAY_VERSION").unwrap_or_default()),
                _ => ("200 OK", "text/html", "<html>OpenClaw</html>".to_owned()),
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        });
    }
}

/// What is not ready, told to whoever has the token alone, as OpenClaw does.
fn failing(mode: &str, request: &str) -> String {
    let token = std::env::var("OPENCLAW_GATEWAY_TOKEN").unwrap_or_default();
    let known = !token.is_empty() && request.to_ascii_lowercase().contains(&format!("authorization: bearer {token}"));
    let what = if mode == "refused" { "agent-database:main" } else { "telegram" };
    match known {
        true => format!(r#"{{"ready":false,"failing":["{what}"]}}"#),
        false => r#"{"ready":false}"#.to_owned(),
    }
}

/// What `--bind` and `--port` say, as OpenClaw heeds them.
fn address() -> String {
    let args: Vec<String> = std::env::args().collect();
    let after = |flag: &str| args.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1].clone());
    let host = if after("--bind").as_deref() == Some("loopback") { "127.0.0.1" } else { "0.0.0.0" };
    format!("{host}:{}", after("--port").unwrap_or_else(|| "18789".into()))
}

/// Writes over every file but `data`. Returns how many.
fn migrate(state: &std::path::Path, version: &str) -> usize {
    let files = std::fs::read_dir(state).into_iter().flatten().flatten();
    let others = files.filter(|it| it.file_name() != "data");
    others.filter(|it| std::fs::write(it.path(), format!("migrated by {version}\n")).is_ok()).count()
}
