//! Times as `op` prints them, and as the call log wants them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970.
pub fn nanos() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_nanos())
}

/// Local time as in `[ERROR] 2026/08/14 04:07:09 `.
pub fn stamp() -> String {
    // `time_t` has no name of its own here: on musl that name is deprecated, its width changes.
    let seconds = (nanos() / 1_000_000_000).try_into().unwrap_or(0);
    // SAFETY: `tm` is plain data for which all zeroes is a value.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    format!(
        "{:04}/{:02}/{:02} {:02}:{:02}:{:02}",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec,
    )
}
