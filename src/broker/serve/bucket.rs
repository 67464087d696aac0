//! A token bucket: so many at once, and then so many a minute.

use std::time::Duration;

use super::moment::Moment;

/// What is left of it.
pub(super) struct Bucket {
    size: u32,
    left: f64,
    filled: Moment,
}

impl Bucket {
    /// `a_minute` of them, all of which may come at once.
    pub(super) fn new(a_minute: u32, now: Moment) -> Self {
        Self {
            size: a_minute,
            left: f64::from(a_minute),
            filled: now,
        }
    }

    /// Takes one, if one is left.
    pub(super) fn take(&mut self, now: Moment) -> bool {
        let size = f64::from(self.size);
        let minutes = now.since(self.filled).as_secs_f64() / 60.0;
        self.left = (self.left + minutes * size).min(size);
        self.filled = now;
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }

    /// How long until there is another one.
    pub(super) fn wait(&self) -> Duration {
        let missing = (1.0 - self.left).max(0.0);
        Duration::from_secs_f64(missing * 60.0 / f64::from(self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_as_it_is_filled() {
        let at = |milliseconds| Moment {
            since_boot: Duration::from_millis(milliseconds),
            asleep: Duration::ZERO,
        };
        let mut bucket = Bucket::new(60, at(0));
        assert_eq!((0..100).filter(|_| bucket.take(at(0))).count(), 60);
        assert_eq!(bucket.wait(), Duration::from_secs(1));
        assert!(!bucket.take(at(900)));
        assert!(bucket.take(at(1100)) && !bucket.take(at(1100)));
        assert_eq!((0..100).filter(|_| bucket.take(at(600_000))).count(), 60);
    }
}
