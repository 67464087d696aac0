//! The line that shows that a step is still at work, and for how long.
//!
//! A thread redraws it every second on a terminal, and prints it anew every ten seconds elsewhere, so
//! that no step has to think of it. What is printed in between is printed over it.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::ui::clean;

/// Redrawn as often at the most.
const SOONEST: Duration = Duration::from_millis(100);

/// The line, and the thread behind it.
pub(super) struct LiveLine {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether this is a terminal on which a line can be drawn again.
    redraws: bool,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    is_drawn: bool,
    last: Option<Instant>,
    has_ended: bool,
}

/// What is going on.
struct Current {
    step: String,
    what: String,
    limit: Option<Duration>,
    since: Instant,
}

impl Current {
    /// `4/9 gateway  waiting for /startupz: starting (12 of 120 s)`.
    fn line(&self, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let limit = self.limit.map(|limit| format!(" of {}", limit.as_secs()));
        let limit = limit.unwrap_or_default();
        let what = match self.what.is_empty() {
            true => String::new(),
            false => format!("  {}", clean(&self.what)),
        };
        format!("{}{what} ({seconds}{limit} s)", self.step)
    }
}

impl LiveLine {
    /// `shown`: not with `--quiet`.
    pub(super) fn new(shown: bool, redraws: bool) -> Self {
        let shared = shown.then(|| {
            Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
                redraws,
            })
        });
        Self { shared }
    }

    /// A step begins.
    pub(super) fn begin(&self, step: String) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.lock();
        let is_first = state.current.is_none() && state.last.is_none();
        state.last = Some(Instant::now());
        state.current = Some(Current {
            step,
            what: String::new(),
            limit: None,
            since: Instant::now(),
        });
        shared.redraw(&mut state);
        drop(state);
        if is_first {
            let shared = Arc::clone(shared);
            // Without the thread the line just does not count.
            let thread = std::thread::Builder::new();
            let _ = thread.spawn(move || shared.keep_drawing());
        }
    }

    /// What the step is at. With a limit the seconds count from the first time that it is given.
    pub(super) fn show(&self, what: impl FnOnce() -> String, limit: Option<Duration>) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.lock();
        let State { current, last, .. } = &mut *state;
        let Some(current) = current else { return };
        if current.limit == limit && shared.redraws && last.is_some_and(|it| it.elapsed() < SOONEST)
        {
            return;
        }
        if current.limit != limit {
            current.limit = limit;
            current.since = Instant::now();
        }
        current.what = what();
        shared.redraw(&mut state);
    }

    /// The step is over.
    pub(super) fn end(&self) {
        if let Some(shared) = &self.shared {
            let mut state = shared.lock();
            erase(&mut state);
            state.current = None;
        }
    }

    /// Prints something else over the line, which then comes back.
    pub(super) fn over(&self, print: impl FnOnce()) {
        let Some(shared) = &self.shared else {
            return print();
        };
        let mut state = shared.lock();
        erase(&mut state);
        print();
        shared.redraw(&mut state);
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lock().has_ended = true;
            shared.changed.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_drawing(&self) {
        let every = Duration::from_secs(if self.redraws { 1 } else { 10 });
        let mut state = self.lock();
        while !state.has_ended {
            // Counted from what was last printed, or else from the beginning of the step.
            let left = match (&state.current, state.last) {
                (Some(_), Some(last)) => every.saturating_sub(last.elapsed()),
                _ => every,
            };
            if left.is_zero() {
                self.draw(&mut state);
                continue;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn redraw(&self, state: &mut State) {
        if self.redraws {
            self.draw(state);
        }
    }

    fn draw(&self, state: &mut State) {
        let now = Instant::now();
        let Some(current) = &state.current else {
            return;
        };
        let line = current.line(now);
        match self.redraws {
            true => stderr(&format!("\r\x1b[K{line}")),
            false => stderr(&format!("    {line}\n")),
        }
        state.is_drawn = self.redraws;
        state.last = Some(now);
    }
}

fn erase(state: &mut State) {
    if std::mem::take(&mut state.is_drawn) {
        stderr("\r\x1b[K");
    }
}

/// Writes to stderr, whose end we do not mourn.
pub(super) fn stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_the_step_what_it_is_at_and_for_how_long() {
        let now = Instant::now();
        let mut current = Current {
            step: "4/9 gateway".to_owned(),
            what: String::new(),
            limit: None,
            since: now,
        };
        let later = now + Duration::from_secs(12);
        assert_eq!(current.line(later), "4/9 gateway (12 s)");
        current.what = "waiting: \x1b[2J".to_owned();
        current.limit = Some(Duration::from_secs(120));
        let line = current.line(later);
        assert!(line.starts_with("4/9 gateway  waiting: "), "{line}");
        assert!(
            line.ends_with(" (12 of 120 s)") && !line.contains('\x1b'),
            "{line}"
        );
    }
}
