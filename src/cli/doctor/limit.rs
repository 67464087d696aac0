//! What a service account may still ask `op` for today and this hour.

use super::row::Row;
use crate::broker::op::{Mode, Op};

/// What is left of the day, which costs nothing to ask.
pub(super) fn limit(op: &Op) -> Option<Row> {
    if op.mode() != Mode::ServiceAccount {
        return None;
    }
    let answer = op
        .ask(&["service-account", "ratelimit", "--format=json"])
        .ok()?;
    let limits: Vec<serde_json::Value> = serde_json::from_slice(&answer).ok()?;
    let (mut told, mut short) = (vec![], false);
    // That of the account is the day's, those of the token are the hour's.
    for (kind, words) in [("account", "are left today"), ("token", "this hour")] {
        let of_kind = limits.iter().filter(|limit| limit["type"] == kind);
        let Some(quota) = of_kind.filter_map(Quota::of).min_by_key(Quota::share) else {
            continue;
        };
        short |= quota.share() < 10;
        told.push(format!("{quota} {words}"));
    }
    let text = told.join(", ");
    Some(match short {
        _ if told.is_empty() => return None,
        true => Row::warn("limit", text).fix("op service-account ratelimit".to_owned()),
        false => Row::ok("limit", text),
    })
}

/// What is left of one limit.
struct Quota {
    left: u64,
    all: u64,
    action: String,
}

impl Quota {
    fn of(limit: &serde_json::Value) -> Option<Self> {
        Some(Self {
            left: limit["remaining"].as_u64()?,
            all: limit["limit"].as_u64()?,
            action: limit["action"].as_str()?.replace('_', " and "),
        })
    }

    /// In percent.
    fn share(&self) -> u64 {
        self.left.saturating_mul(100) / self.all.max(1)
    }
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { left, all, action } = self;
        write!(f, "{left} of {all} requests to {action}")
    }
}
