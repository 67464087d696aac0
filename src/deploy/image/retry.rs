//! Asking a registry again: how often, after which pause, and until when.

use std::time::{Duration, Instant};

use crate::deploy::context::Context;
use crate::deploy::docker::pull_error::PullError;
use crate::deploy::error::Result;
use crate::deploy::image::{Attempt, PullFailure};

/// Tries as often as the failure's [`PullError`] allows and the deadline lets. `attempt` is given the
/// time that is left. Returns also how often it was tried.
pub(super) async fn retry<T>(
    cx: &Context,
    deadline: Instant,
    mut attempt: impl AsyncFnMut(Duration) -> Result<Attempt<T>>,
) -> Result<Attempt<(T, u32)>> {
    let mut tries = 0;
    loop {
        tries += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let failure = match attempt(left).await? {
            Ok(value) => return Ok(Ok((value, tries))),
            Err(failure) => failure,
        };
        let pause = pause(tries);
        if tries >= failure.error.tries() || Instant::now() + pause >= deadline {
            return Ok(Err(failure));
        }
        cx.reporter.note(format!(
            "{failure}; trying again in {:.1} s",
            pause.as_secs_f64()
        ));
        tokio::time::sleep(pause).await;
    }
}

/// The deadline passed.
pub(super) fn too_slow(cx: &Context) -> PullFailure {
    PullFailure {
        error: PullError::Network,
        text: format!(
            "no end within {} s (--pull-timeout)",
            cx.settings.pull_timeout.as_secs()
        ),
    }
}

/// About 1 s, then 2 s, then 4 s, each half of it by chance.
fn pause(tries: u32) -> Duration {
    let mut byte = [128];
    // Without randomness the pause is merely not jittered.
    let _ = getrandom::fill(&mut byte);
    let base = 500_u64 << tries.min(4);
    Duration::from_millis(base + base * u64::from(byte[0]) / 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_no_two_hosts_pause_alike() {
        for tries in 1..=3 {
            let least = Duration::from_millis(500 << tries);
            let drawn: Vec<_> = (0..64).map(|_| pause(tries)).collect();
            assert!(drawn.iter().all(|it| (least..2 * least).contains(it)));
            assert!(drawn.iter().any(|it| *it != drawn[0]), "not jittered");
        }
    }
}
