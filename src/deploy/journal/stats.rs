//! `stats`: what the journal says about many runs. Pure but for reading the file.

use serde_json::{Value, json};

/// The figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stats {
    /// From start to a gateway that answers, in seconds; one for each run that changed it.
    pub provisioning: Vec<f64>,
    /// Pulls that worked.
    pub pulled: u64,
    /// Pulls that did not, with their causes.
    pub failed: Vec<(String, u64)>,
    /// Bytes pulled.
    pub bytes: u64,
    /// Rollbacks that ended with an answer, and those that did not.
    pub rollbacks: (u64, u64),
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
        stats.provisioning.sort_by(f64::total_cmp);
        stats
    }

    fn add(&mut self, line: &Value) {
        let word = |key: &str| line[key].as_str().unwrap_or_default();
        match (word("event"), word("outcome")) {
            ("provisioned", _) => self.provisioning.extend(line["seconds"].as_f64()),
            ("pull", "pulled") => {
                self.pulled += 1;
                self.bytes += line["bytes"].as_u64().unwrap_or(0);
            }
            ("pull", _) => {
                let cause = word("cause");
                match self.failed.iter_mut().find(|(there, _)| there == cause) {
                    Some((_, count)) => *count += 1,
                    None => self.failed.push((cause.to_owned(), 1)),
                }
            }
            ("rollback", "answered") => self.rollbacks.0 += 1,
            ("rollback", _) => self.rollbacks.1 += 1,
            _ => {}
        }
    }

    /// The median of the provisioning times.
    pub(crate) fn median(&self) -> Option<f64> {
        let times = &self.provisioning;
        let middle = times.len() / 2;
        match times.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(times[middle]),
            _ => Some(f64::midpoint(times[middle - 1], times[middle])),
        }
    }

    /// The share of pulls that worked, in percent.
    pub(crate) fn success(&self) -> Option<f64> {
        let failed: u64 = self.failed.iter().map(|(_, count)| count).sum();
        let all = self.pulled + failed;
        #[allow(clippy::cast_precision_loss)] // counts of runs
        (all > 0).then(|| 100.0 * self.pulled as f64 / all as f64)
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let causes: serde_json::Map<_, _> = self
            .failed
            .iter()
            .map(|(cause, count)| (cause.clone(), (*count).into()))
            .collect();
        json!({
            "provisioning": {"runs": self.provisioning.len(), "median_seconds": self.median()},
            "pulls": {"pulled": self.pulled, "failed": causes, "success_percent": self.success(), "bytes": self.bytes},
            "rollbacks": {"answered": self.rollbacks.0, "failed": self.rollbacks.1},
        })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let seconds =
            |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| format!("{it:.1} s"));
        let percent =
            |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| format!("{it:.1} %"));
        let causes: Vec<_> = self
            .failed
            .iter()
            .map(|(cause, count)| format!("{cause} {count}"))
            .collect();
        let causes = if causes.is_empty() {
            "none".to_owned()
        } else {
            causes.join(", ")
        };
        format!(
            "provisioning  {} (median of {} runs)\npull success  {} ({} pulled, failed: {causes})\npulled        {}\nrollbacks     {} answered, {} failed",
            seconds(self.median()),
            self.provisioning.len(),
            percent(self.success()),
            self.pulled,
            crate::base::units::size(self.bytes),
            self.rollbacks.0,
            self.rollbacks.1,
        )
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
        assert_eq!(stats.median(), Some(4.0));
        assert_eq!(stats.success(), Some(50.0));
        assert_eq!(stats.json()["pulls"]["failed"]["network"], 1);
        assert_eq!(Stats::of("").median(), None);
    }

    #[test]
    fn a_journal_of_an_earlier_version_is_read() {
        let stats = Stats::of(include_str!("earlier.jsonl"));
        let failed = [("auth-missing", 1), ("network", 2)];
        assert_eq!(stats.provisioning, [34.5]);
        assert_eq!(stats.failed, failed.map(|(cause, n)| (cause.to_owned(), n)));
        assert_eq!((stats.pulled, stats.bytes), (1, 734_003_200));
        assert_eq!(stats.rollbacks, (2, 1));
        // The words by which failures are counted have not changed since.
        let causes = [Cause::AuthMissing, Cause::Network].map(Cause::word);
        assert_eq!(causes, failed.map(|(cause, _)| cause));
    }
}
