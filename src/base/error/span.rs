//! How a message tells a span of time.

use std::time::Duration;

use crate::base::units::counted;

/// `60 s`, `2.5 s`.
pub(super) fn seconds(duration: Duration) -> String {
    let steps = if duration < Duration::from_secs(1) {
        100.0
    } else {
        10.0
    };
    format!("{} s", (duration.as_secs_f64() * steps).round() / steps)
}

/// `58 minutes`, `1 hour`: of what is longer than two minutes the minutes, rounded up.
pub(super) fn wait(left: Duration) -> String {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let seconds = match seconds {
        0..=120 => seconds,
        more => more.next_multiple_of(60),
    };
    let (size, unit) = [(86_400, "day"), (3600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size))
        .unwrap_or((1, "second"));
    counted(seconds / size, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_is_told_in_few_digits() {
        for (micros, text) in [
            (1_999_995, "2 s"),
            (1_500_000, "1.5 s"),
            (60_000_000, "60 s"),
        ] {
            assert_eq!(seconds(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_wait_is_told_in_the_unit_that_op_would_take() {
        for (milliseconds, text) in [
            (1000, "1 second"),
            (90_000, "90 seconds"),
            (60_000, "1 minute"),
            (3_480_000, "58 minutes"),
            (3_478_200, "58 minutes"),
            (3_600_000, "1 hour"),
            (86_399_500, "1 day"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(wait(Duration::from_millis(milliseconds)), text);
        }
    }
}
