//! The proxy before the registry: forwards, and is slow, cut off, corrupt or strict as asked.
//!
//! It can ask for a token as GHCR does: a Bearer challenge, a token endpoint that answers
//! `denied` to a bad token (for public images too) and 405 to POST.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who is let in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Rule {
    /// Everybody.
    #[default]
    Open,
    /// Like GHCR: a token, or nothing where the image is public.
    Tokens {
        /// The token that counts.
        token: String,
        /// Whether it also goes without one.
        public: bool,
    },
    /// Everybody is refused, in words that repeat the credentials that were given.
    Echo,
    /// HTTP basic auth.
    Basic {
        /// base64 of `user:token`.
        pair: String,
    },
}

/// What happens to layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Harm {
    /// Nothing.
    #[default]
    None,
    /// So many bytes each second.
    Slow(usize),
    /// The connection closes after so many bytes, and no other is taken. Layers of these digests are
    /// let through first.
    Cut {
        /// So many bytes of a layer.
        after: usize,
        /// Digests of layers.
        spare: Vec<String>,
    },
    /// A byte is changed.
    Corrupt,
    /// The end is missing, with a length that agrees.
    Truncate,
    /// No connection is answered.
    Down,
}

#[derive(Default)]
struct Inside {
    rule: Rule,
    harm: Harm,
    log: Vec<String>,
    cut: bool,
    spared: usize,
}

/// The proxy.
pub struct RegistryProxy {
    /// Where it listens.
    pub port: u16,
    inside: Arc<Mutex<Inside>>,
}

fn look(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RegistryProxy {
    /// Opens it before the registry at `behind`.
    pub fn open(behind: u16) -> Self {
        let listener =
            TcpListener::bind("127.0.0.1:5001").expect("the port is ours in this namespace");
        let inside = Arc::new(Mutex::new(Inside::default()));
        let shared = Arc::clone(&inside);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inside = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = serve(stream, behind, &inside);
                });
            }
        });
        Self { port: 5001, inside }
    }

    /// Who is let in from now on.
    pub fn rule(&self, rule: Rule) {
        look(&self.inside).rule = rule;
    }

    /// What happens to layers from now on.
    pub fn harm(&self, harm: Harm) {
        let mut inside = look(&self.inside);
        inside.harm = harm;
        inside.cut = false;
        inside.spared = 0;
    }

    /// Open, harmless, and nothing logged.
    pub fn reset(&self) {
        *look(&self.inside) = Inside::default();
    }

    /// `GET /v2/…` of every request so far; forgets them.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut look(&self.inside).log)
    }
}

fn serve(mut client: TcpStream, behind: u16, inside: &Mutex<Inside>) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = head(&mut client)?;
    let mut first = head.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (
        first.next().unwrap_or_default(),
        first.next().unwrap_or("/"),
    );
    let (rule, harm) = {
        let mut inside = look(inside);
        if inside.harm == Harm::Down || inside.cut {
            return Ok(());
        }
        inside.log.push(format!("{method} {path}"));
        (inside.rule.clone(), inside.harm.clone())
    };
    let given = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization")
            .then(|| value.trim().to_owned())
    });
    if let Some(answer) = admit(&rule, method, path, given.as_deref()) {
        return client.write_all(answer.as_bytes());
    }
    let mut registry = TcpStream::connect(("127.0.0.1", behind))?;
    let lines: String = head
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .filter(|line| {
            let name = line
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            name != "authorization" && name != "connection"
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    write!(
        registry,
        "{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
    )?;
    let layer = method == "GET" && path.contains("/blobs/");
    let is_spared =
        matches!(&harm, Harm::Cut { spare, .. } if spare.iter().any(|it| path.ends_with(it)));
    if !is_spared {
        return pass(&mut client, &mut registry, layer, &harm, inside);
    }
    pass(&mut client, &mut registry, layer, &Harm::None, inside)?;
    look(inside).spared += 1;
    Ok(())
}

/// The answer of somebody who is not let in, or of the token endpoint.
fn admit(rule: &Rule, method: &str, path: &str, given: Option<&str>) -> Option<String> {
    let json = |status: &str, more: &str, body: &str| {
        Some(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    };
    match rule {
        Rule::Open => None,
        Rule::Echo if given.is_none() => json(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"test\"\r\n",
            "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}",
        ),
        Rule::Echo => {
            let given = given.unwrap_or_default();
            let word = password(given).unwrap_or_default();
            let word = String::from_utf8_lossy(&word)
                .replace('\\', "\\\\")
                .replace('"', "\\\"");
            let said = format!(
                "{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"denied: {word} and {given}\"}}]}}"
            );
            json("403 Forbidden", "", &said)
        }
        Rule::Basic { pair } if given == Some(&format!("Basic {pair}")) => None,
        Rule::Basic { .. } => json(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"test\"\r\n",
            "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}",
        ),
        Rule::Tokens { token, public } if path.starts_with("/token") => match given {
            _ if method != "GET" => json("405 Method Not Allowed", "", ""),
            // As GHCR does, whatever the user's name is.
            Some(basic) if password(basic) == Some(token.as_bytes().to_vec()) => {
                json("200 OK", "", "{\"token\":\"full\"}")
            }
            Some(_) => json(
                "403 Forbidden",
                "",
                "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"denied\"}]}",
            ),
            None if *public => json("200 OK", "", "{\"token\":\"full\"}"),
            None => json(
                "401 Unauthorized",
                "",
                "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}",
            ),
        },
        Rule::Tokens { .. } if given == Some("Bearer full") => None,
        Rule::Tokens { .. } => json(
            "401 Unauthorized",
            "Docker-Distribution-Api-Version: registry/2.0\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1:5001/token\",service=\"ghcr.test\",scope=\"repository:me/openclaw:pull\"\r\n",
            "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}",
        ),
    }
}

fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") && bytes.len() < 64 << 10 {
        if stream.read(&mut one)? == 0 {
            break;
        }
        bytes.push(one[0]);
        if bytes == [0x16] {
            // The engine tries TLS first, and the newer ones try again without it only where HTTP answers, as Go's
            // servers do.
            let _ = stream.read(&mut [0; 16 << 10])?;
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n")?;
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The registry's answer to the client; layers suffer `harm`.
fn pass(
    client: &mut TcpStream,
    registry: &mut TcpStream,
    layer: bool,
    harm: &Harm,
    inside: &Mutex<Inside>,
) -> std::io::Result<()> {
    let mut head = head(registry)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    // Small ones are configurations: only real layers are harmed.
    let layer = layer && length.is_some_and(|length| length > 20_000);
    let harm = if layer { harm.clone() } else { Harm::None };
    let mut left = length.unwrap_or(usize::MAX);
    if harm == Harm::Truncate {
        head = head.replace(
            &format!("Content-Length: {left}"),
            &format!("Content-Length: {}", left / 2),
        );
        left /= 2;
    }
    client.write_all(
        head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )?;
    if let Harm::Cut { spare, .. } = &harm {
        crate::world::wait_for(20, || look(inside).spared >= spare.len());
    }
    let mut sent = 0;
    let mut buffer = vec![0; 16 << 10];
    while left > 0 {
        let count = registry.read(&mut buffer)?.min(left);
        if count == 0 {
            break;
        }
        if harm == Harm::Corrupt && sent == 0 {
            buffer[count / 2] ^= 0xff;
        }
        client.write_all(&buffer[..count])?;
        sent += count;
        left -= count;
        match &harm {
            Harm::Slow(speed) => {
                std::thread::sleep(Duration::from_secs_f64(count as f64 / *speed as f64))
            }
            Harm::Cut { after, .. } if sent >= *after => {
                look(inside).cut = true;
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The password of `Basic …`.
fn password(header: &str) -> Option<Vec<u8>> {
    let digits = header.strip_prefix("Basic ")?.trim_end_matches('=').bytes();
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits {
        bits = bits << 6 | u32::try_from(DIGITS.iter().position(|it| *it == digit)?).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    Some(bytes.split_off(colon + 1))
}

/// base64, for credentials.
pub fn base64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            out.push(if place <= chunk.len() {
                DIGITS[((word >> (18 - 6 * place)) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    out
}
