//! Carries what is typed to the command and what it writes to us, masked, until it ends.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, read, write};

use super::child::{Command, Ended, News};
use super::signals::Signals;
use super::stream::Stream;
use super::terminal::{Keyboard, copy_size, has_keyboard};
use crate::base::error::{Error, Result};
use crate::base::harden::ENDING;

/// The signals that are passed on, and behind them those that matter only to a command with a
/// terminal of its own: the others get what ours sends by themselves.
const SIGNALS: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// The signals to listen for.
pub(super) fn signals(own_terminal: bool) -> &'static [Signal] {
    if own_terminal {
        &SIGNALS
    } else {
        &SIGNALS[..6]
    }
}

/// How long what might be the beginning of a secret waits for its next byte, in milliseconds.
const PATIENCE: u16 = 15;

/// How often we look whether our job is in the foreground by now, in milliseconds: no signal tells it.
const GLANCE: u16 = 200;

/// How long we still write what is left once we were told to end.
const GRACE: Duration = Duration::from_secs(1);

/// All that goes on while the command runs.
pub(super) struct Relay {
    command: Command,
    signals: Signals,
    streams: Vec<Stream>,
    pty: Option<OwnedFd>,
    keyboard: Option<Keyboard>,
    /// What was typed and not taken yet.
    typed: Vec<u8>,
    /// The last signal that came and by itself ends a command.
    told: Option<Signal>,
    /// Up to when the rest of a command that has ended is written.
    deadline: Option<Instant>,
}

/// What can happen.
#[derive(Default)]
struct Ready {
    signals: bool,
    news: bool,
    streams: Vec<usize>,
    keyboard: bool,
    command: bool,
    nothing: bool,
}

impl Relay {
    pub(super) fn new(
        command: Command,
        signals: Signals,
        streams: Vec<Stream>,
        pty: Option<OwnedFd>,
        keyboard: Option<Keyboard>,
    ) -> Self {
        let mut relay = Self {
            command,
            signals,
            streams,
            pty,
            keyboard,
            typed: vec![],
            told: None,
            deadline: None,
        };
        relay.take_keys();
        relay
    }

    /// Until the command ends.
    pub(super) fn run(mut self) -> Result<Ended> {
        loop {
            let ready = self.wait()?;
            for &index in &ready.streams {
                self.streams[index].carry();
            }
            if ready.nothing {
                let delayed = self.streams.iter_mut().filter(|stream| stream.delays());
                delayed.for_each(Stream::hurry);
                self.take_keys();
            }
            if ready.signals {
                self.pass_signals();
            }
            if ready.keyboard {
                self.type_on();
            }
            if ready.command {
                self.deliver();
            }
            if !ready.news {
                continue;
            }
            match self.command.news() {
                Some(News::Stopped(signal)) => self.stop(signal),
                Some(News::Ended(ended)) => return Ok(self.end(ended)),
                Some(News::Runs(_) | News::Refused(_)) => {}
                None => return Err(Error::system("watch the command", "it has vanished")),
            }
        }
    }

    /// What the command has written before its end is passed on; what its own children write later
    /// is not waited for. Who was told to end does not wait for a reader that takes nothing.
    fn end(&mut self, ended: Ended) -> Ended {
        // A command that did not end by what it was told may have said something worth waiting for.
        if self
            .told
            .is_some_and(|told| ended == Ended::Killed(told as i32))
        {
            self.deadline = Some(Instant::now() + GRACE);
        }
        for index in 0..self.streams.len() {
            while self.streams[index].carry() || self.waits_for_room(index) {}
            self.streams[index].finish();
            while self.waits_for_room(index) {
                self.streams[index].carry();
            }
            // Only the first goes to a terminal: while the second is waited for, Ctrl-C is a signal.
            self.give_keys_back();
        }
        ended
    }

    /// Once the command has ended: waits for room for what is decided, and says whether there may be.
    fn waits_for_room(&mut self, index: usize) -> bool {
        if !self.streams[index].is_stuck() {
            return false;
        }
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        let left = self.deadline.map(|at| left(at).as_millis());
        let patience = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)
        });
        let mut asked = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        asked.extend(self.streams[index].waits_for());
        let happened = poll(&mut asked, patience);
        // Not passed on: its number may be another's by now.
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGTSTP => stop_ourselves(),
                signal if ENDING.contains(&signal) => {
                    self.deadline.get_or_insert(Instant::now() + GRACE);
                }
                _ => {}
            }
        }
        happened != Ok(0)
    }

    fn wait(&mut self) -> Result<Ready> {
        let mut asked = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.command.as_fd(), PollFlags::POLLIN),
        ];
        let waits = |(index, stream): (usize, &Stream)| stream.waits_for().map(|_| index);
        let waiting: Vec<usize> = self.streams.iter().enumerate().filter_map(waits).collect();
        asked.extend(self.streams.iter().filter_map(Stream::waits_for));
        let first_behind = asked.len();
        if let Some(pty) = &self.pty {
            let taken = self.keyboard.as_ref().filter(|it| it.is_taken());
            match taken.filter(|_| self.typed.is_empty()) {
                Some(keyboard) => asked.push(PollFd::new(keyboard.as_fd(), PollFlags::POLLIN)),
                None if self.typed.is_empty() => {}
                None => asked.push(PollFd::new(pty.as_fd(), PollFlags::POLLOUT)),
            }
        }
        let patience = self.patience();
        let happened = match poll(&mut asked, patience) {
            Ok(happened) => happened,
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(why) => return Err(Error::system("watch the command", why.desc())),
        };
        let is_ready = |at: usize| asked.get(at).and_then(PollFd::any).unwrap_or_default();
        let last = is_ready(first_behind);
        Ok(Ready {
            signals: is_ready(0),
            news: is_ready(1),
            streams: (2..)
                .zip(waiting)
                .filter(|&(at, _)| is_ready(at))
                .map(|(_, index)| index)
                .collect(),
            keyboard: last && self.typed.is_empty(),
            command: last && !self.typed.is_empty(),
            nothing: happened == 0,
        })
    }

    /// How long nothing may happen.
    fn patience(&self) -> PollTimeout {
        if self.streams.iter().any(Stream::delays) {
            PATIENCE.into()
        } else if self.keys_are_wanted() && !self.keys_are_taken() {
            GLANCE.into()
        } else {
            PollTimeout::NONE
        }
    }

    fn pass_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            if ENDING.contains(&signal) {
                self.told = Some(signal);
            }
            match signal {
                Signal::SIGWINCH | Signal::SIGCONT => self.resume(),
                // What our terminal sends, the command gets by itself.
                Signal::SIGINT | Signal::SIGQUIT if self.pty.is_none() && has_keyboard() => {}
                signal => self.command.signal(signal),
            }
        }
    }

    /// After a stop, or a change of the window.
    fn resume(&mut self) {
        if let Some(pty) = &self.pty {
            copy_size(pty.as_fd());
        }
        self.take_keys();
    }

    /// Has what is typed be for the command, if it is for our job.
    fn take_keys(&mut self) {
        let Some(keyboard) = self.keyboard.as_mut().filter(|it| !it.is_taken()) else {
            return;
        };
        // In the background a change of the window was not told.
        if keyboard.take()
            && let Some(pty) = &self.pty
        {
            copy_size(pty.as_fd());
        }
    }

    fn keys_are_wanted(&self) -> bool {
        self.keyboard.as_ref().is_some_and(Keyboard::is_wanted)
    }

    fn keys_are_taken(&self) -> bool {
        self.keyboard.as_ref().is_some_and(Keyboard::is_taken)
    }

    fn give_keys_back(&mut self) {
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.give_back();
        }
    }

    /// The command was stopped, so we are too, with our terminal as it was.
    fn stop(&mut self, signal: Signal) {
        if self.only_asks(signal) {
            return self.command.go_on(true);
        }
        for stream in &mut self.streams {
            while stream.carry() {}
            stream.hurry();
        }
        self.give_keys_back();
        stop_ourselves();
        self.resume();
        let in_foreground = self.keyboard.is_none() || self.keys_are_wanted();
        self.command.go_on(in_foreground);
    }

    /// Whether the command was stopped because it asks its terminal for the first time, and may.
    fn only_asks(&mut self, signal: Signal) -> bool {
        let asks = matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU);
        let Some(keyboard) = self.keyboard.as_mut().filter(|_| asks) else {
            return false;
        };
        if !keyboard.is_asked() {
            return false;
        }
        self.take_keys();
        self.keys_are_taken()
    }

    fn type_on(&mut self) {
        let Some(keyboard) = &self.keyboard else {
            return;
        };
        let mut keys = [0; 1024];
        match read(keyboard, &mut keys) {
            Ok(count @ 1..) => {
                self.typed.extend_from_slice(&keys[..count]);
                self.deliver();
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // Our terminal has gone.
            Ok(0) | Err(_) => self.keyboard = None,
        }
    }

    fn deliver(&mut self) {
        if let Some(pty) = &self.pty {
            match write(pty, &self.typed) {
                Ok(taken) => drop(self.typed.drain(..taken)),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => self.typed.clear(),
            }
        }
    }
}

/// Stops us and the rest of our job, as Ctrl-Z would; goes on when we are continued. Where nobody
/// could continue us the system does not stop us either.
fn stop_ourselves() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours, and the handler was there before.
    let Ok(ours) = (unsafe { sigaction(Signal::SIGTSTP, &default) }) else {
        return;
    };
    let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
    // SAFETY: as above.
    let _ = unsafe { sigaction(Signal::SIGTSTP, &ours) };
}
