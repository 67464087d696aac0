//! Time that goes on while the machine sleeps, and whether it has slept.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment since the machine was started, its sleep included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Time since the start.
    pub since_boot: Duration,
    /// How much of it was slept.
    pub asleep: Duration,
}

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        let awake = read(ClockId::CLOCK_MONOTONIC);
        let since_boot = read(TOTAL).max(awake);
        Self {
            since_boot,
            asleep: since_boot - awake,
        }
    }

    /// How long ago `earlier` was.
    pub(super) fn since(self, earlier: Self) -> Duration {
        self.since_boot.saturating_sub(earlier.since_boot)
    }

    /// Whether the machine has slept since `earlier`; the two clocks are read one after the other.
    pub(super) fn slept_since(self, earlier: Self) -> bool {
        self.asleep.saturating_sub(earlier.asleep) > Duration::from_millis(500)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const TOTAL: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const TOTAL: ClockId = ClockId::CLOCK_MONOTONIC;

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}
