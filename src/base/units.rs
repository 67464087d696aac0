//! Moments, spans and sizes, as people and the journal read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Milliseconds are enough.
pub(crate) fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Seconds since 1970 as `2026-11-24 03:05:09 UTC`.
pub(crate) fn clock(seconds: u64) -> String {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Howard Hinnant's civil-from-days, for dates after 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Seconds since 1970 of `2026-11-24T03:05:09.5Z`; `None` for what is before that, of another time
/// zone, or no time.
pub(crate) fn moment(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let numbers = |text: &str, mark| -> Option<[u64; 3]> {
        let numbers: Option<Vec<u64>> = text.split(mark).map(|it| it.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let is_date =
        (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Howard Hinnant's days-from-civil: the year begins in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_era =
        year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + (153 * month + 2) / 5 + day - 1;
    let days = year / 400 * 146_097 + of_era - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `12.3 MB`.
pub(crate) fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // for people
    let bytes = bytes as f64;
    if bytes >= 1e9 {
        format!("{:.2} GB", bytes / 1e9)
    } else if bytes >= 1e6 {
        format!("{:.1} MB", bytes / 1e6)
    } else {
        format!("{:.0} kB", bytes / 1e3)
    }
}

/// How long ago a moment was (seconds since 1970): `3 days ago`.
pub(crate) fn age(moment: u64) -> String {
    let seconds = now().saturating_sub(moment);
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{} ago", counted(count, unit))
}

/// `1 client`, `2 clients`.
pub(crate) fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_for_people() {
        assert_eq!(clock(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(clock(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(clock(1_795_489_509), "2026-11-24 03:05:09 UTC");
    }

    #[test]
    fn a_time_is_read_as_the_engine_writes_it() {
        assert_eq!(moment("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(moment("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(
            moment("2026-11-24T03:05:09.123456789Z"),
            Some(1_795_489_509)
        );
        for other in [
            "",
            "0001-01-01T00:00:00Z",
            "2026-11-24 03:05:09",
            "2026-11-24T03:05:09+01:00",
            "2026-13-24T03:05:09Z",
            "2026-11T03:05:09Z",
            "2026-11-24T9999999999999999999:05:09Z",
            "99999999999999999999-01-01T00:00:00Z",
        ] {
            assert_eq!(moment(other), None, "{other}");
        }
    }

    #[test]
    fn a_size_has_the_unit_that_makes_it_short() {
        assert_eq!(size(999), "1 kB");
        assert_eq!(size(12_300_000), "12.3 MB");
        assert_eq!(size(2_340_000_000), "2.34 GB");
    }

    #[test]
    fn an_age_has_one_unit() {
        let ago = |seconds| age(now() - seconds);
        assert_eq!(ago(5), "just now");
        assert_eq!(ago(90), "1 minute ago");
        assert_eq!(ago(7300), "2 hours ago");
        assert_eq!(ago(3 * 86_400 + 5), "3 days ago");
    }
}
