//! Masking of a child's output: secrets become `<concealed by 1Password>`.
//!
//! Literal bytes only; the longest match at a place wins; matches that touch print one mask.
//! What might be the beginning of a secret is held back for 50 ms.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

const MASK: &[u8] = b"<concealed by 1Password>";
const HELD: Duration = Duration::from_millis(50);

/// Copies one stream, masked, until it ends.
pub fn copy(mut from: impl Read + Send + 'static, mut to: impl Write, secrets: &[Vec<u8>]) {
    let (sender, receiver) = channel();
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 8192];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    drain(&receiver, &mut to, &mut Masker::new(secrets));
    let _ = reader.join();
}

fn drain(receiver: &Receiver<Vec<u8>>, to: &mut impl Write, masker: &mut Masker) {
    loop {
        let (ready, ended) = match receiver.recv_timeout(HELD) {
            Ok(bytes) => (masker.feed(&bytes), false),
            Err(RecvTimeoutError::Timeout) => (masker.flush(), false),
            Err(RecvTimeoutError::Disconnected) => (masker.flush(), true),
        };
        let _ = to.write_all(&ready).and_then(|()| to.flush());
        if ended {
            return;
        }
    }
}

/// Finds secrets in a stream that comes in pieces.
struct Masker<'s> {
    secrets: Vec<&'s [u8]>,
    held: Vec<u8>,
    /// Whether the last thing printed was a mask.
    masked: bool,
}

impl<'s> Masker<'s> {
    fn new(secrets: &'s [Vec<u8>]) -> Self {
        let mut secrets: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self {
            secrets,
            held: Vec::new(),
            masked: false,
        }
    }

    /// Takes bytes in and gives those that are decided.
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.decide(false)
    }

    /// Gives all that was held back.
    fn flush(&mut self) -> Vec<u8> {
        self.decide(true)
    }

    fn decide(&mut self, all: bool) -> Vec<u8> {
        let mut ready = Vec::new();
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            let begins = |secret: &&&[u8]| secret.len() > rest.len() && secret.starts_with(rest);
            if !all && self.secrets.iter().any(|secret| begins(&secret)) {
                break;
            }
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                if !self.masked {
                    ready.extend_from_slice(MASK);
                }
                self.masked = true;
                at += secret.len();
            } else {
                ready.push(rest[0]);
                self.masked = false;
                at += 1;
            }
        }
        self.held.drain(..at);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str], pieces: &[&str]) -> String {
        let secrets: Vec<Vec<u8>> = secrets.iter().map(|s| s.as_bytes().to_vec()).collect();
        let mut masker = Masker::new(&secrets);
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(masker.feed(piece.as_bytes()));
        }
        out.extend(masker.flush());
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn masks_literal_bytes_anywhere() {
        let m = "<concealed by 1Password>";
        assert_eq!(mask(&["abc"], &["xabcx"]), format!("x{m}x"));
        assert_eq!(mask(&["abc"], &["xa", "b", "cx ab"]), format!("x{m}x ab"));
        assert_eq!(mask(&["ab", "abc"], &["abcd"]), format!("{m}d"));
        assert_eq!(mask(&["abc"], &["abcabc"]), m);
        assert_eq!(
            mask(&["", "1"], &["{\"id\": 12}"]),
            format!("{{\"id\": {m}2}}")
        );
    }
}
