//! Durations as people write them: `500ms`, `60s`, `5m`, `1h`, and a bare `0`.

use std::time::Duration;

/// The longest time that `op` may be given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A deadline for `op`: longer than nothing, at most a day.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub(crate) fn timeout(text: &str) -> Result<Duration, (&'static str, String)> {
    match parse(text) {
        None => Err((NO_DURATION, how_to_write(text))),
        Some(Duration::ZERO) => Err((
            "a timeout of 0 would let `op` answer nothing",
            "leave it out for the default of 60s".to_owned(),
        )),
        Some(long) if long > LONGEST_TIMEOUT => {
            Err(("a timeout is at most 24h", "write 24h or less".to_owned()))
        }
        Some(timeout) => Ok(timeout),
    }
}

/// What is wrong with a text that [`parse`] does not take.
pub(crate) const NO_DURATION: &str = "this is not a duration";

/// What to write instead of it.
pub(crate) fn how_to_write(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(number) => format!("write it with its unit: {number}s"),
        Err(_) => "write a whole number with its unit, such as 500ms, 60s, 5m or 1h".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_understood() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                parse(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            " 1s",
            "1s ",
            "1d",
            "1M",
            "1h30m",
            "٣s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_timeout_has_both_ends() {
        assert_eq!(timeout("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(timeout("24h"), Ok(LONGEST_TIMEOUT));
        assert!(timeout("0").is_err() && timeout("0ms").is_err());
        assert!(timeout("25h").is_err() && timeout("soon").is_err());
    }
}
