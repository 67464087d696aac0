//! The only way to stdout and stderr, and the diagnostic's shape.
//!
//! A closed pipe kills the process by SIGPIPE, as it does a Go program: Rust would ignore it.

use nix::sys::signal::{SigHandler, Signal, signal};
use std::io::Write;

/// Gives SIGPIPE its default effect back.
pub fn die_of_a_closed_pipe() {
    // SAFETY: SIG_DFL installs no handler, so nothing of ours runs in signal context.
    let restored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    if restored.is_err() {
        std::process::exit(70);
    }
}

/// Writes to stdout; an error other than SIGPIPE is of no interest to a stand-in.
pub fn out(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(bytes);
    let _ = stdout.flush();
}

/// Writes to stderr.
pub fn err(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
