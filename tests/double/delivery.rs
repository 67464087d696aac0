//! Hands an answer over, or spoils it as the modes say.

use crate::call::Call;
use crate::json::Json;
use crate::mode::Mode;
use crate::{stdio, trouble};
use nix::sys::signal::{Signal, raise};
use std::io::stdout;

const MIB: usize = 1 << 20;

/// What a command has to say.
#[derive(Debug, Default)]
pub struct Reply {
    bytes: Vec<u8>,
    json: bool,
    exit: i32,
}

impl Reply {
    /// Bytes as they are.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }

    /// JSON and a newline.
    pub fn json(json: &Json) -> Self {
        Self::stream(std::slice::from_ref(json))
    }

    /// JSON values back to back, each with a newline.
    pub fn stream(values: &[Json]) -> Self {
        let text: String = values.iter().map(|value| value.pretty() + "\n").collect();
        Self {
            json: true,
            ..Self::bytes(text)
        }
    }

    /// Nothing but an exit code.
    pub fn exit(exit: i32) -> Self {
        Self {
            exit,
            ..Self::default()
        }
    }
}

/// Writes the answer and gives the exit code.
pub fn hand_over(call: &Call, reply: &Reply) -> i32 {
    let has = |mode| call.modes.has(mode);
    let half = &reply.bytes[..reply.bytes.len() / 2];
    if has(Mode::StderrFlood) {
        let line = format!("{}\n", "flood ".repeat(170));
        let chunk = line.repeat(MIB / line.len());
        (0..100).for_each(|_| stdio::err(&chunk));
    }
    if has(Mode::EndlessStdout) {
        let chunk = vec![b'x'; MIB];
        (0..1024).for_each(|_| stdio::out(&chunk));
        return 0;
    }
    if has(Mode::EmptyAnswer) {
        return 0;
    }
    if has(Mode::InvalidJson) && reply.json {
        stdio::out(b"{\n  \"id\": \"aaaaaaaaaaaaaaaaaaaaaaaaaa\",\n  \"fields\": [ nil ]\n");
        return 0;
    }
    if has(Mode::Partial) {
        stdio::out(half);
        return 0;
    }
    if has(Mode::HangAfterPartial) {
        stdio::out(half);
        trouble::hang();
    }
    if has(Mode::KillSelf) {
        stdio::out(half);
        let _ = raise(Signal::SIGKILL);
    }
    stdio::out(&reply.bytes);
    if has(Mode::CloseStdoutAndRunOn) {
        close_stdout();
        trouble::hang();
    }
    reply.exit
}

/// Puts `/dev/null` in stdout's place, so that the reader sees its end.
fn close_stdout() {
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null);
    }
    drop(stdout());
}
