//! `oc-secrets check`: which secrets are found, for people and for programs, and never a value.

use super::arguments;
use super::rows::{Cell, lay_out};
use super::stdout;
use crate::base::error::{Exit, Result, Trouble};
use crate::base::token_kind;
use crate::base::ui::{self, Tone, clean};
use crate::broker::resolve::Finding;
use crate::broker::session::Session;

/// Prints the table or the JSON.
pub(super) fn run(session: &Session, arguments: &arguments::Check) -> Result<Exit> {
    show(session, arguments.json, ui::width())
}

/// The same on a screen of this width.
pub(super) fn show(session: &Session, as_json: bool, width: Option<usize>) -> Result<Exit> {
    let plan = session.plan()?;
    let findings = session.survey(&plan)?;
    let text = match as_json {
        true => json(session, &findings),
        false => table(session, &findings, width),
    };
    session.warn_if_swappable();
    stdout::print(text.as_bytes())?;
    let bad = |finding: &Finding<'_>| finding.wanted.required && finding.outcome.is_err();
    let none = plan.at_least_one && findings.iter().all(|finding| finding.outcome.is_err());
    Ok(if none || findings.iter().any(bad) {
        Exit::Unresolved
    } else {
        Exit::Done
    })
}

fn state(finding: &Finding<'_>) -> &'static str {
    match &finding.outcome {
        Ok(_) => "found",
        Err(trouble) => trouble.state(),
    }
}

fn table(session: &Session, findings: &[Finding<'_>], width: Option<usize>) -> String {
    let row = |finding: &Finding<'_>| {
        let tone = match &finding.outcome {
            Ok(_) => Tone::Good,
            Err(_) if finding.wanted.required => Tone::Bad,
            Err(_) => Tone::Notice,
        };
        vec![
            Cell::from(finding.wanted.name.as_str()),
            Cell::toned(tone, state(finding)),
            Cell::from(remark(finding)),
            Cell::toned(Tone::Dim, finding.wanted.reference.to_string()),
        ]
    };
    let rows: Vec<Vec<Cell>> = findings.iter().map(row).collect();
    let mut text = lay_out(session.ui, &rows, 0, width);
    text.push_str(&summary(findings, &clean(&session.source())));
    text
}

/// More about one secret than its state.
fn remark(finding: &Finding<'_>) -> String {
    use crate::broker::resolve::ValueOrigin;
    match &finding.outcome {
        Ok(value) => match finding.origin {
            ValueOrigin::Vault => token_kind::of(value).to_owned(),
            other => format!("{} ({})", token_kind::of(value), other.word()),
        },
        Err(trouble) => {
            let optional = if finding.wanted.required {
                ""
            } else {
                " (optional)"
            };
            format!("{}{optional}", clean(&trouble.reason()))
        }
    }
}

fn summary(findings: &[Finding<'_>], manifest: &str) -> String {
    let found = findings
        .iter()
        .filter(|finding| finding.outcome.is_ok())
        .count();
    format!("{found} of {} found · {manifest}\n", findings.len())
}

fn json(session: &Session, findings: &[Finding<'_>]) -> String {
    let secrets: Vec<_> = findings
        .iter()
        .map(|finding| {
            serde_json::json!({
                "name": finding.wanted.name.as_str(),
                "reference": finding.wanted.reference.to_string(),
                "required": finding.wanted.required,
                "state": state(finding),
                "kind": finding.outcome.as_ref().ok().map(token_kind::of),
                "from": finding.outcome.as_ref().ok().map(|_| finding.origin.word()),
                "why": finding.outcome.as_ref().err().map(Trouble::to_string),
            })
        })
        .collect();
    let report =
        serde_json::json!({ "manifest": session.manifest.origin.to_string(), "secrets": secrets });
    format!("{report:#}\n")
}
