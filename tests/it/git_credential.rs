//! `git-credential-oc` with the real git, against a web server on loopback that wants a password.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::docker_world::{CACHE, TOKEN, World};
use crate::sandbox::Done;

/// A repository behind a password, and what was said to it.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    accepted: Arc<Mutex<String>>,
}

impl Server {
    /// Serves an empty repository to who shows `password`.
    fn start(password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let (seen, accepted) = (
            Arc::new(Mutex::new(vec![])),
            Arc::new(Mutex::new(basic(password))),
        );
        let (theirs, wanted) = (Arc::clone(&seen), Arc::clone(&accepted));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &theirs, &wanted.lock().expect("unpoisoned").clone());
            }
        });
        Self {
            port,
            seen,
            accepted,
        }
    }

    fn accept(&self, password: &str) {
        *self.accepted.lock().expect("unpoisoned") = basic(password);
    }

    /// The `Authorization` of each request, `-` for none.
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().expect("unpoisoned"))
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, accepted: &str) -> std::io::Result<()> {
    let mut authorization = "-".to_owned();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Authorization: ") {
            authorization = value.to_owned();
        }
    }
    let good = authorization == accepted;
    seen.lock().expect("unpoisoned").push(authorization);
    let empty = "001e# service=git-upload-pack\n00000000";
    let answer = match good {
        true => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{empty}",
            empty.len()
        ),
        false => "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"GitHub\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes())
}

/// `Basic` with the user name that we answer with.
fn basic(password: &str) -> String {
    let text = format!("x-access-token:{password}");
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::from("Basic ");
    for three in text.as_bytes().chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
            encoded.push(if at > three.len() { '=' } else { letter });
        }
    }
    encoded
}

fn world(server: &Server) -> World {
    let host = format!(
        "[git.\"127.0.0.1:{}\"]\nsecret = \"GHCR_TOKEN\"\ninsecure = true\n",
        server.port
    );
    World::with(&format!("{host}{CACHE}"))
}

/// `git ls-remote` with our helper alone, and nobody to ask.
fn ls_remote(world: &World, server: &Server) -> Done {
    let url = format!("http://127.0.0.1:{}/o/r.git", server.port);
    let words = [
        "-c",
        "credential.helper=",
        "-c",
        "credential.helper=oc",
        "ls-remote",
        &url,
    ];
    let run = world.sandbox.run("git".as_ref(), words);
    run.env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token())
        .env("GIT_TERMINAL_PROMPT", "0")
        .done()
}

#[test]
fn git_gets_its_password_and_the_server_sees_it() {
    let server = Server::start(TOKEN);
    let world = world(&server);
    assert_eq!(ls_remote(&world, &server).succeeds(), "");
    assert_eq!(server.seen(), ["-".to_owned(), basic(TOKEN)]);
    ls_remote(&world, &server).succeeds();
    assert_eq!(world.asked(), 1, "the second time it was kept");
}

#[test]
fn a_rejected_password_is_forgotten_and_asked_for_again() {
    let server = Server::start("ghp_new");
    let world = world(&server);
    let rejected = ls_remote(&world, &server);
    assert_eq!(rejected.status.code(), Some(128));
    assert!(
        server.seen().contains(&basic(TOKEN)),
        "the old one was tried"
    );
    world.token("ghp_new");
    ls_remote(&world, &server).succeeds();
    assert_eq!(server.seen().last(), Some(&basic("ghp_new")));
    assert_eq!(world.asked(), 2, "asked again only since git had it erased");
    // Control: without a rejection the kept one stays.
    world.token("ghp_newer");
    ls_remote(&world, &server).succeeds();
    assert_eq!(world.asked(), 2);
    server.accept("ghp_newer");
    ls_remote(&world, &server);
    ls_remote(&world, &server).succeeds();
}

#[test]
fn another_host_is_told_nothing() {
    let (ours, other) = (Server::start(TOKEN), Server::start(TOKEN));
    let world = world(&ours);
    let done = ls_remote(&world, &other);
    assert_eq!(done.status.code(), Some(128));
    assert_eq!(other.seen(), ["-"]);
    assert_eq!(world.asked(), 0);
}

#[test]
fn without_insecure_nothing_is_said_in_the_clear() {
    let server = Server::start(TOKEN);
    let world = World::with(&format!(
        "[git.\"127.0.0.1:{}\"]\nsecret = \"GHCR_TOKEN\"\n{CACHE}",
        server.port
    ));
    assert_eq!(ls_remote(&world, &server).status.code(), Some(128));
    assert_eq!((server.seen(), world.asked()), (vec!["-".to_owned()], 0));
}

#[test]
fn the_protocol_to_the_byte() {
    let world = World::new();
    let ask = |words: &[&str], input: &str| {
        world
            .program("git-credential-oc", words)
            .input(input)
            .done()
    };
    let question = "protocol=https\nhost=github.com\nwwwauth[]=Basic realm=\"GitHub\"\n";
    assert_eq!(
        ask(&["get"], question).succeeds(),
        format!("username=x-access-token\npassword={TOKEN}\n")
    );
    for action in ["store", "erase", "capability", "foo"] {
        assert_eq!(ask(&[action], question).succeeds(), "", "{action}");
    }
    assert_eq!(
        ask(&["get"], "protocol=https\nhost=github.com.evil.example\n").succeeds(),
        ""
    );
    assert_eq!(
        ask(&["-h"], "").succeeds(),
        "Usage: git-credential-oc <get|store|erase>\n"
    );
    let done = ask(&[], "");
    assert_eq!((done.status.code(), done.text().as_str()), (Some(1), ""));
    world.sandbox.mode("network");
    let failed = ask(&["get"], question);
    assert_eq!(
        (failed.status.code(), failed.text().as_str()),
        (Some(1), "")
    );
    assert!(
        failed
            .stderr
            .starts_with("git-credential-oc: error: 1Password cannot be reached\nhint: ")
    );
}

#[test]
fn a_secret_with_a_line_break_is_refused() {
    let world = World::new();
    world.token("ghp_x\nhost=evil.example");
    let done = world
        .program("git-credential-oc", &["get"])
        .input("protocol=https\nhost=github.com\n")
        .done();
    assert_eq!((done.status.code(), done.text().as_str()), (Some(1), ""));
    assert!(
        done.stderr.contains("it holds a line break or a NUL byte")
            && !done.stderr.contains("evil")
    );
}
