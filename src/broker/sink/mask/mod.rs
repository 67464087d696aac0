//! `exec --mask`: a command runs beside us, and every secret in its output becomes
//! `<concealed by oc-secrets>`.
//!
//! Where standard output is a terminal, the command gets one of its own, so that colours, prompts,
//! line editors, window size and job control stay as they are; anything else is a pipe. `forms` says
//! what is looked for, `matcher` finds it in a stream, `child` is the command, `terminal` and
//! `signals` what they are called, `stream` is one of its outputs, `relay` carries bytes until it ends.

mod matcher;
mod forms;
mod terminal;
mod signals;
mod child;
mod stream;
mod relay;

use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::rc::Rc;

use crate::base::environment_block::EnvironmentBlock;
use crate::base::error::{Error, Result};
use crate::base::harden::Hardened;
use crate::broker::sink::exec::Invocation;
use child::{Command, Streams};
use matcher::Matcher;
use relay::Relay;
use signals::Signals;
use stream::Stream;
use terminal::{Keyboard, Pty};

pub(crate) use child::Ended;
pub(crate) use matcher::SHORTEST;

/// Runs `command` to its end, with `secrets` concealed in what it writes. `ready` is called when all
/// memory is there that holds secrets until then, before the command is started.
///
/// # Errors
/// Where it cannot be started, or what it writes cannot be passed on.
pub(crate) fn run<'a>(
    command: &Invocation,
    environment: EnvironmentBlock,
    hardened: Hardened,
    secrets: impl Iterator<Item = &'a [u8]>,
    ready: impl FnOnce(),
) -> Result<Ended> {
    let patterns = Rc::new(forms::patterns(secrets));
    let matcher = || Matcher::new(Rc::clone(&patterns));
    let failed = |why: std::io::Error| Error::system("start the command", why);
    let pty = std::io::stdout().is_terminal().then(Pty::like_ours);
    let pty = pty.transpose()?;
    let keyboard = pty.as_ref().and_then(|_| Keyboard::ours());
    let theirs = pty.as_ref().map(|pty| pty.theirs.as_fd());
    let on_pty = |is_terminal: bool| theirs.filter(|_| is_terminal);
    let (out, err) = (
        std::io::pipe().map_err(failed)?,
        std::io::pipe().map_err(failed)?,
    );
    let stderr = on_pty(std::io::stderr().is_terminal());
    let streams = Streams {
        replaced: [
            on_pty(std::io::stdin().is_terminal()),
            Some(theirs.unwrap_or(out.1.as_fd())),
            Some(stderr.unwrap_or(err.1.as_fd())),
        ],
        terminal: theirs,
        in_background: keyboard.as_ref().is_some_and(|it| !it.is_wanted()),
    };
    let mut sources = vec![];
    match &pty {
        Some(pty) => {
            let ours = pty.ours.try_clone().map_err(failed)?;
            sources.push(Stream::new(ours, libc::STDOUT_FILENO, matcher())?);
        }
        None => sources.push(Stream::new(out.0.into(), libc::STDOUT_FILENO, matcher())?),
    }
    if stderr.is_none() {
        sources.push(Stream::new(err.0.into(), libc::STDERR_FILENO, matcher())?);
    }
    ready();
    let signals = Signals::listen(relay::signals(pty.is_some()))?;
    let child = Command::start(command, &environment, hardened, &streams)?;
    // Wiped as soon as the command has its own.
    drop(environment);
    drop((out.1, err.1));
    let pty = pty.map(|pty| pty.ours);
    Relay::new(child, signals, sources, pty, keyboard).run()
}
