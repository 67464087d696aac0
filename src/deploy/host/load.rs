//! How busy this machine is during a piece of work: CPU and memory, from `/proc`, twice a second.
//!
//! All of the machine counts, for the engine does the work and not we.

use std::fs;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

const EVERY: Duration = Duration::from_millis(500);

/// A measurement under way.
pub(crate) struct Load {
    over: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<Option<Used>>>,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    /// Percent of all cores, on average.
    cpu: f64,
    /// The busiest half second.
    cpu_peak: f64,
    /// The most memory in use, in bytes beyond what was in use at the beginning.
    memory: u64,
}

impl Load {
    /// Begins to measure.
    pub(crate) fn begin() -> Self {
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let until = Arc::clone(&over);
        let thread = std::thread::Builder::new().spawn(move || measure(&until));
        Self {
            over,
            thread: thread.ok(),
        }
    }

    /// Ends it, and adds `cpu`, `cpu_peak` and `memory` to a line of the journal. Where there is no
    /// `/proc` nothing is added.
    pub(crate) fn end(mut self, line: &mut Value) {
        self.stop();
        let used = self.thread.take().and_then(|it| it.join().ok().flatten());
        if let Some(used) = used {
            line["cpu"] = json!(used.cpu.round());
            line["cpu_peak"] = json!(used.cpu_peak.round());
            line["memory"] = json!(used.memory);
        }
    }

    fn stop(&self) {
        *self.over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.1.notify_all();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

fn measure(until: &(Mutex<bool>, Condvar)) -> Option<Used> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let cpu = || ticks(&read("/proc/stat")?);
    let memory = || in_use(&read("/proc/meminfo")?);
    let (first, base) = (cpu()?, memory()?);
    let (mut last, mut used) = (first, Used::default());
    let mut over = until.0.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let waited = until.1.wait_timeout_while(over, EVERY, |over| !*over);
        over = waited.unwrap_or_else(PoisonError::into_inner).0;
        let now = cpu()?;
        used.cpu_peak = used.cpu_peak.max(share(last, now));
        used.memory = used.memory.max(memory()?.saturating_sub(base));
        last = now;
        if *over {
            used.cpu = share(first, now);
            return Some(used);
        }
    }
}

/// Busy and all ticks of all cores together.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut words = stat.lines().next()?.split_whitespace();
    let numbers: Vec<u64> = match words.next()? {
        // Those of guests are in those of users already.
        "cpu" => words.take(8).map_while(|word| word.parse().ok()).collect(),
        _ => return None,
    };
    let idle = numbers.get(3)? + numbers.get(4).unwrap_or(&0);
    let all: u64 = numbers.iter().sum();
    Some((all - idle, all))
}

#[allow(clippy::cast_precision_loss)] // ticks of a few hours
fn share(from: (u64, u64), to: (u64, u64)) -> f64 {
    match to.1.saturating_sub(from.1) {
        0 => 0.0,
        all => 100.0 * to.0.saturating_sub(from.0) as f64 / all as f64,
    }
}

/// Bytes in use, without what is only cached.
fn in_use(meminfo: &str) -> Option<u64> {
    let field = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(field("MemTotal:")?.saturating_sub(field("MemAvailable:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_waiting_for_a_disk() {
        let before = ticks("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1").expect("ticks");
        let after = ticks("cpu  110 0 60 870 60 0 0 0 7 7\n").expect("ticks");
        assert_eq!((before, after), ((150, 1000), (170, 1100)));
        assert!((share(before, after) - 20.0).abs() < 0.01);
        assert!((share(after, after)).abs() < 0.01);
        assert_eq!(ticks("intr 1 2 3"), None);
    }

    #[test]
    fn what_is_cached_is_not_in_use() {
        let text = "MemTotal: 4000 kB\nMemFree: 100 kB\nMemAvailable: 3000 kB\n";
        assert_eq!(in_use(text), Some(1000 * 1024));
        assert_eq!(in_use(""), None);
    }

    #[test]
    fn a_measurement_that_is_over_has_figures() {
        let mut line = json!({});
        Load::begin().end(&mut line);
        assert!(
            line["cpu"].is_number() && line["memory"].is_number(),
            "{line}"
        );
    }
}
