//! `oc-secrets check`: which secrets are found, for people and for programs, and never a value.

use super::arguments;
use super::rows::{Cell, lay_out};
use super::stdout;
use crate::base::error::{Exit, Result, Trouble};
use crate::base::token_kind;
use crate::base::ui::{self, Tone, clean};
use crate::broker::plan::Plan;
use crate::broker::provider::Outcome;
use crate::broker::resolve::{Survey, ValueOrigin};
use crate::broker::session::Session;

/// Prints the table or the JSON.
pub(super) fn run(session: &Session, arguments: &arguments::Check) -> Result<Exit> {
    show(session, arguments.json, ui::width())
}

/// The same on a screen of this width.
pub(super) fn show(session: &Session, as_json: bool, width: Option<usize>) -> Result<Exit> {
    let plan = session.plan()?;
    let survey = session.survey(&plan)?;
    let lines = lines(session, &plan, &survey);
    let text = match as_json {
        true => json(session, &lines),
        false => table(session, &lines, width),
    };
    session.warn_if_swappable();
    stdout::print(text.as_bytes())?;
    let bad = |line: &Line<'_>| line.required && line.outcome.is_err();
    let none = plan.at_least_one && lines.iter().all(|line| line.outcome.is_err());
    Ok(if none || lines.iter().any(bad) {
        Exit::Unresolved
    } else {
        Exit::Done
    })
}

/// A secret that was wanted, or a variable of an Environment.
struct Line<'a> {
    name: &'a str,
    /// Where it is kept, as far as that is known here.
    source: Option<String>,
    required: bool,
    origin: ValueOrigin,
    outcome: &'a Outcome,
}

fn lines<'a>(session: &Session, plan: &Plan, survey: &'a Survey<'_>) -> Vec<Line<'a>> {
    let known = session.broker().is_none();
    let wanted = survey.findings.iter().map(|finding| Line {
        name: finding.wanted.name.as_str(),
        source: known.then(|| finding.wanted.reference.to_string()),
        required: finding.wanted.required,
        origin: finding.origin,
        outcome: &finding.outcome,
    });
    let source = format!("Environment {}", plan.environments.shown());
    let arrived = survey.arrived.iter().map(|one| Line {
        name: one.name.as_str(),
        source: Some(source.clone()),
        required: one.required,
        origin: one.origin,
        outcome: &one.outcome,
    });
    wanted.chain(arrived).collect()
}

fn state(line: &Line<'_>) -> &'static str {
    match line.outcome {
        Ok(_) => "found",
        Err(trouble) => trouble.state(),
    }
}

fn table(session: &Session, lines: &[Line<'_>], width: Option<usize>) -> String {
    let row = |line: &Line<'_>| {
        let tone = match line.outcome {
            Ok(_) => Tone::Good,
            Err(_) if line.required => Tone::Bad,
            Err(_) => Tone::Notice,
        };
        let mut cells = vec![
            Cell::from(line.name),
            Cell::toned(tone, state(line)),
            Cell::from(remark(line)),
        ];
        cells.extend(line.source.as_ref().map(|it| Cell::toned(Tone::Dim, it)));
        cells
    };
    let rows: Vec<Vec<Cell>> = lines.iter().map(row).collect();
    let mut text = lay_out(session.ui, &rows, 0, width);
    text.push_str(&summary(lines, &clean(&session.source())));
    text
}

/// More about one secret than its state.
fn remark(line: &Line<'_>) -> String {
    match line.outcome {
        Ok(value) => match line.origin {
            ValueOrigin::Vault | ValueOrigin::Environments => token_kind::of(value).to_owned(),
            other => format!("{} ({})", token_kind::of(value), other.word()),
        },
        Err(trouble) => {
            let optional = if line.required { "" } else { " (optional)" };
            format!("{}{optional}", clean(&trouble.reason()))
        }
    }
}

/// Who has the value, as a word.
fn from(session: &Session, line: &Line<'_>) -> &'static str {
    match (line.origin, session.broker()) {
        (ValueOrigin::Vault, Some(_)) => "broker",
        (origin, _) => origin.word(),
    }
}

fn summary(lines: &[Line<'_>], manifest: &str) -> String {
    let found = lines.iter().filter(|line| line.outcome.is_ok()).count();
    format!("{found} of {} found · {manifest}\n", lines.len())
}

fn json(session: &Session, lines: &[Line<'_>]) -> String {
    let secrets: Vec<_> = lines
        .iter()
        .map(|line| {
            serde_json::json!({
                "name": line.name,
                "reference": line.source,
                "required": line.required,
                "state": state(line),
                "kind": line.outcome.as_ref().ok().map(token_kind::of),
                "from": line.outcome.as_ref().ok().map(|_| from(session, line)),
                "why": line.outcome.as_ref().err().map(Trouble::to_string),
            })
        })
        .collect();
    let report =
        serde_json::json!({ "manifest": session.manifest.origin.to_string(), "secrets": secrets });
    format!("{report:#}\n")
}
