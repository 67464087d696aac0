//! The body of a helper's `main`.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::reply::{Message, Reply};
use super::stdin::{self, Need};
use crate::base::error::Error;
use crate::base::harden;
use crate::base::ui::{self, Color, Level, Ui};
use crate::broker::sink;

/// Runs a helper, hardened, and unwound before it exits. `handle` replies to the arguments and
/// stdin; `unreadable` replies if stdin could not be read.
pub(super) fn run(
    program: &'static str,
    handle: impl FnOnce(&[&str], &[u8], Ui) -> Reply,
    unreadable: impl FnOnce(Error) -> Reply,
) -> ExitCode {
    // Never restored: inherited descriptors stay closed to `op`.
    let _hardened = harden::harden();
    let ui = Ui::new(program, Level::Normal, Color::Auto);
    ui::hide_panics(program);
    let done = catch_unwind(AssertUnwindSafe(|| {
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let need = match words[..] {
            ["get" | "store" | "erase"] => Need::Question,
            _ => Need::Nothing,
        };
        let reply = match stdin::read(need) {
            Ok(input) => handle(&words, &input, ui),
            Err(error) => unreadable(error),
        };
        print(ui, &reply)
    }));
    ExitCode::from(u8::from(!matches!(done, Ok(true))))
}

/// Prints a reply; returns whether it is a success and was printed.
fn print(ui: Ui, reply: &Reply) -> bool {
    for message in &reply.messages {
        match message {
            Message::Error(error) => ui.error(error),
            Message::Warning(text) => ui.warn(text),
        }
    }
    match sink::emit(std::io::stdout().as_fd(), &reply.stdout) {
        Ok(()) => reply.success,
        Err(error) => {
            ui.error(&error);
            false
        }
    }
}
