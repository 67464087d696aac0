//! `stats`: what the journal says about many runs. Pure but for reading the file.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::units::size;

/// The kinds of runs that end with a gateway that answers.
const KINDS: [&str; 4] = ["provisioning", "update", "restart", "recovery"];
/// Causes of a pull that tell of the registry or the network, and not of a wrong name or a missing token.
const FAULTS: [&str; 5] = ["network", "integrity", "daemon", "disk", "clock"];

/// The figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stats {
    /// From start to a gateway that answers, in seconds, by kind of run: the first on a host is its
    /// provisioning.
    pub seconds: BTreeMap<String, Vec<f64>>,
    /// First runs with an image that was built on the host.
    pub built_here: Vec<f64>,
    /// Pulls that worked.
    pub pulled: u64,
    /// Pulls that did not, with their causes.
    pub failed: Vec<(String, u64)>,
    /// Bytes pulled.
    pub bytes: u64,
    /// Percent of the machine's CPU during each pull.
    pub cpu: Vec<f64>,
    /// The busiest half second of all pulls.
    pub cpu_peak: f64,
    /// The most memory that a pull took, in bytes.
    pub memory: u64,
    /// Automatic rollbacks that ended with an answer, and those that did not.
    pub rollbacks: (u64, u64),
    /// Those that somebody asked for, or caused by ending an update.
    pub asked: u64,
}

impl Stats {
    /// Reads the text of a journal. A line that is cut off is passed over.
    pub(crate) fn of(journal: &str) -> Self {
        let mut stats = Self::default();
        for line in journal.lines() {
            if let Ok(line) = serde_json::from_str(line) {
                stats.add(&line);
            }
        }
        stats
    }

    fn add(&mut self, line: &Value) {
        let word = |key: &str| line[key].as_str().unwrap_or_default();
        match (word("event"), word("outcome")) {
            ("provisioned", _) => self.add_run(line),
            ("pull", "pulled") => {
                self.pulled += 1;
                self.bytes += line["bytes"].as_u64().unwrap_or(0);
                self.cpu.extend(line["cpu"].as_f64());
                self.cpu_peak = self.cpu_peak.max(line["cpu_peak"].as_f64().unwrap_or(0.0));
                self.memory = self.memory.max(line["memory"].as_u64().unwrap_or(0));
            }
            ("pull", _) => {
                let cause = word("cause");
                match self.failed.iter_mut().find(|(there, _)| there == cause) {
                    Some((_, count)) => *count += 1,
                    None => self.failed.push((cause.to_owned(), 1)),
                }
            }
            // Whoever ends an update by a signal wants the old version back: that is no failure of the new.
            ("rollback", "answered") if ["asked", "interrupted"].contains(&word("cause")) => {
                self.asked += 1;
            }
            ("rollback", "answered") => self.rollbacks.0 += 1,
            ("rollback", _) => self.rollbacks.1 += 1,
            _ => {}
        }
    }

    fn add_run(&mut self, line: &Value) {
        // Earlier versions did not tell the kinds apart.
        let kind = line["kind"].as_str().unwrap_or("provisioning");
        let Some(seconds) = line["seconds"].as_f64() else {
            return;
        };
        if kind == "provisioning" && line["source"] == "local-build" {
            self.built_here.push(seconds);
        } else {
            let times = self.seconds.entry(kind.to_owned()).or_default();
            times.push(seconds);
        }
    }

    /// The median time of this kind of run.
    pub(crate) fn median(&self, kind: &str) -> Option<f64> {
        median(self.seconds.get(kind).map_or(&[], Vec::as_slice))
    }

    /// The share of pulls that worked, in percent; a mistyped tag or a missing token is no failed pull.
    pub(crate) fn success(&self) -> Option<f64> {
        let faults = self.failed.iter();
        let faults = faults.filter(|(cause, _)| FAULTS.contains(&cause.as_str()));
        let failed: u64 = faults.map(|(_, count)| count).sum();
        let all = self.pulled + failed;
        #[allow(clippy::cast_precision_loss)] // counts of runs
        (all > 0).then(|| 100.0 * self.pulled as f64 / all as f64)
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let failed = self.failed.iter();
        let causes: serde_json::Map<_, _> = failed
            .map(|(cause, count)| (cause.clone(), (*count).into()))
            .collect();
        let run = |kind: &str| {
            let count = self.seconds.get(kind).map_or(0, Vec::len);
            json!({"runs": count, "median_seconds": self.median(kind)})
        };
        let mut all = json!({
            "local_build": {"runs": self.built_here.len(), "median_seconds": median(&self.built_here)},
            "pulls": {
                "pulled": self.pulled, "failed": causes, "success_percent": self.success(), "bytes": self.bytes,
                "cpu_percent": median(&self.cpu), "cpu_peak_percent": self.cpu_peak, "memory_bytes": self.memory,
            },
            "rollbacks": {"answered": self.rollbacks.0, "failed": self.rollbacks.1, "asked": self.asked},
        });
        for kind in KINDS {
            all[kind] = run(kind);
        }
        all
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut row = |name: &str, value: String| lines.push(format!("{name:12}  {value}"));
        for kind in KINDS {
            let runs = self.seconds.get(kind).map_or(0, Vec::len);
            row(kind, times(self.median(kind), runs));
        }
        row(
            "local build",
            times(median(&self.built_here), self.built_here.len()),
        );
        let causes = self.failed.iter();
        let causes: Vec<_> = causes
            .map(|(cause, count)| format!("{cause} {count}"))
            .collect();
        let causes = match causes.is_empty() {
            true => "none".to_owned(),
            false => causes.join(", "),
        };
        row("pull success", percent(self.success()));
        row(
            "pulled",
            format!(
                "{} images, {}; failed: {causes}",
                self.pulled,
                size(self.bytes)
            ),
        );
        row(
            "pull load",
            match median(&self.cpu) {
                None => "-".to_owned(),
                cpu => format!(
                    "{} CPU (peak {:.0} %), {} memory",
                    percent(cpu),
                    self.cpu_peak,
                    size(self.memory)
                ),
            },
        );
        row(
            "rollbacks",
            format!(
                "{} by itself, {} failed, {} asked for",
                self.rollbacks.0, self.rollbacks.1, self.asked
            ),
        );
        lines.join("\n")
    }

    /// The five figures of the plan, with target and verdict.
    pub(crate) fn plan(&self) -> String {
        let time = self.median("provisioning");
        let build = median(&self.built_here);
        let half = match (time, build) {
            (Some(time), Some(build)) => Some(time <= build / 2.0),
            _ => None,
        };
        let cpu = median(&self.cpu);
        let success = self.success();
        let seconds = |it: Option<f64>| it.map_or("-".to_owned(), |it| format!("{it:.1} s"));
        let rows = [
            (
                "provisioning",
                "at most 10 min",
                seconds(time),
                verdict(time.map(|it| it <= 600.0)),
            ),
            ("", "half of a local build", seconds(build), verdict(half)),
            (
                "builds",
                "over 95 %",
                "-".to_owned(),
                "GitHub's page of the workflow tells",
            ),
            (
                "pulls",
                "over 99 %",
                percent(success),
                verdict(success.map(|it| it > 99.0)),
            ),
            (
                "CPU of a pull",
                "under 10 %",
                percent(cpu),
                verdict(cpu.map(|it| it < 10.0)),
            ),
            ("cost", "0", "-".to_owned(), "GitHub's billing page tells"),
        ];
        let lines = rows.map(|(name, target, figure, verdict)| {
            format!("{name:13}  {target:21}  {figure:9}  {verdict}")
        });
        lines.join("\n")
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        None => "not measured yet",
        Some(true) => "met",
        Some(false) => "missed",
    }
}

fn percent(it: Option<f64>) -> String {
    it.map_or_else(|| "-".to_owned(), |it| format!("{it:.1} %"))
}

fn times(median: Option<f64>, runs: usize) -> String {
    match median {
        None => "-".to_owned(),
        Some(median) if runs == 1 => format!("{median:.1} s"),
        Some(median) => format!("{median:.1} s (median of {runs})"),
    }
}

fn median(times: &[f64]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    match times.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(times[middle]),
        _ => Some(f64::midpoint(times[middle - 1], times[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::error::Cause;

    #[test]
    fn the_median_and_the_success_rate() {
        let journal = "{\"event\":\"provisioned\",\"seconds\":10.0}\n{\"event\":\"provisioned\",\"seconds\":2.0}\n{\"event\":\"provisioned\",\"seconds\":4.0}\n{\"event\":\"pull\",\"outcome\":\"pulled\",\"bytes\":5}\n{\"event\":\"pull\",\"outcome\":\"failed\",\"cause\":\"network\"}\n{\"event\":\"pu";
        let stats = Stats::of(journal);
        assert_eq!(stats.median("provisioning"), Some(4.0));
        assert_eq!(stats.success(), Some(50.0));
        assert_eq!(stats.json()["pulls"]["failed"]["network"], 1);
        assert_eq!(Stats::of("").median("provisioning"), None);
    }

    #[test]
    fn a_journal_of_an_earlier_version_is_read() {
        let stats = Stats::of(include_str!("earlier.jsonl"));
        let failed = [("auth-missing", 1), ("network", 2)];
        assert_eq!(stats.seconds["provisioning"], [34.5]);
        assert_eq!(stats.failed, failed.map(|(cause, n)| (cause.to_owned(), n)));
        assert_eq!((stats.pulled, stats.bytes), (1, 734_003_200));
        assert_eq!((stats.rollbacks, stats.asked), ((1, 1), 1));
        // The words by which failures are counted have not changed since.
        let causes = [Cause::AuthMissing, Cause::Network].map(Cause::word);
        assert_eq!(causes, failed.map(|(cause, _)| cause));
    }

    #[test]
    fn kinds_of_runs_are_apart_and_a_wrong_name_is_no_failed_pull() {
        let line = |kind: &str, source: &str, seconds: f64| json!({"event": "provisioned", "kind": kind, "source": source, "seconds": seconds});
        let pull = |outcome: &str, cause: &str| json!({"event": "pull", "outcome": outcome, "cause": cause, "cpu": 30.0, "cpu_peak": 90.0, "memory": 5});
        let lines = [
            line("provisioning", "pulled", 100.0),
            line("provisioning", "local-build", 700.0),
            line("update", "pulled", 20.0),
            line("restart", "local", 3.0),
            pull("pulled", ""),
            pull("failed", "not-found"),
            pull("failed", "auth-missing"),
            json!({"event": "rollback", "outcome": "answered", "cause": "asked"}),
            json!({"event": "rollback", "outcome": "answered", "cause": "unhealthy"}),
            json!({"event": "rollback", "outcome": "answered", "cause": Cause::Interrupted}),
        ];
        let text = lines.map(|line| line.to_string()).join("\n");
        let stats = Stats::of(&text);
        assert_eq!(stats.median("provisioning"), Some(100.0));
        assert_eq!(stats.median("update"), Some(20.0));
        assert_eq!((stats.success(), stats.asked), (Some(100.0), 2));
        assert_eq!(stats.rollbacks, (1, 0));
        let plan = stats.plan();
        let verdicts: Vec<_> = plan.lines().map(|line| line[47..].trim()).collect();
        assert_eq!(verdicts[..2], ["met", "met"], "{plan}");
        assert_eq!(verdicts[3..5], ["met", "missed"], "{plan}");
        assert!(Stats::default().plan().contains("not measured yet"));
    }
}
