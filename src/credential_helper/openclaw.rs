//! OpenClaw's exec provider: a gateway asks for a batch of ids, one JSON object on stdin, and gets
//! one JSON object back.
//!
//! It stops the whole gateway where an answer is not what it expects, and takes an exit code other
//! than 0 for the failure of all. So whatever can be told of each id is told there, with exit 0;
//! one line on stderr says it to people. An id is a name of the manifest, or that name in small
//! letters and hyphens. References are answered only where the manifest has a pattern for them: an
//! agent must not choose what it reads.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::reply::in_one_line;
use super::stdin;
use crate::base::error::{Error, Exit, Result, Trouble};
use crate::base::ui::Ui;
use crate::broker::plan::{self, Environments, Plan, Wanted};
use crate::broker::reference::Reference;
use crate::broker::session::Session;
use crate::broker::sink;
use crate::broker::sink::openclaw::{Answer, Refusal, carried, fit, render};

/// How long the gateway may take to ask; it kills us after 5 s.
const ASKING: Duration = Duration::from_secs(4);

/// The only version that there is.
const VERSION: u64 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub protocol_version: u64,
    pub ids: Vec<String>,
}

/// Answers the request on standard input; `open` reads the manifest.
///
/// # Errors
/// When there is no request of a gateway on standard input.
pub(crate) fn run(open: impl FnOnce() -> Result<Session>, ui: Ui) -> Result<Exit> {
    let begun = Instant::now();
    // The whole error is one line; nobody sees a hint.
    let refuse = |what: &str| {
        let config = "`oc-secrets openclaw config` tells how to set it up";
        Err(Error::usage(format!("{what}: {config}"), ""))
    };
    if std::io::stdin().is_terminal() {
        return refuse("this is for OpenClaw, which asks on standard input");
    }
    let input = stdin::read_within(ASKING)?;
    let Ok(request) = serde_json::from_slice::<Request>(&input) else {
        // Not serde's words: they quote what is there.
        return refuse("standard input is no request of OpenClaw's");
    };
    let (mut answers, mut remarks) = match request.protocol_version {
        VERSION => answer(&request.ids, open, begun),
        other => {
            let what = format!("the gateway speaks version {other} of the protocol, and this is 1");
            refuse_all(&request.ids, &what)
        }
    };
    fit(&mut answers);
    remarks.extend(answers.iter().filter_map(|(id, outcome)| {
        let long = matches!(outcome, Err(Refusal::TooLong));
        long.then(|| format!("{id}: too long beside the others, the gateway reads 1 MiB"))
    }));
    if !remarks.is_empty() {
        let refused = answers.iter().filter(|(_, outcome)| outcome.is_err());
        let (refused, all) = (refused.count(), answers.len());
        let remarks = in_one_line(&remarks.join("; "));
        ui.failure(
            &format!("{refused} of {all} ids not answered: {remarks}"),
            None,
        );
    }
    sink::emit(std::io::stdout().as_fd(), &render(&answers))?;
    Ok(Exit::Done)
}

/// Every id is told the same, and people why.
pub(super) fn refuse_all(ids: &[String], why: &str) -> (Vec<Answer>, Vec<String>) {
    let refused = |id: &String| (id.clone(), Err(Refusal::Unavailable));
    (distinct(ids).map(refused).collect(), vec![why.to_owned()])
}

/// The ids, each once.
fn distinct(ids: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = std::collections::HashSet::new();
    ids.iter().filter(move |id| seen.insert(id.as_str()))
}

/// The outcome of each id, and what is to be said about those without a value.
fn answer(
    ids: &[String],
    open: impl FnOnce() -> Result<Session>,
    begun: Instant,
) -> (Vec<Answer>, Vec<String>) {
    match ask(ids, open, begun) {
        Ok(told) => told,
        Err(error) => refuse_all(ids, &why(&error)),
    }
}

/// One line has room for a hint where the words of the system alone would say nothing.
fn why(error: &Error) -> String {
    match (error, error.hint()) {
        (Error::BrokerRefuses { .. }, Some(hint)) => format!("{error}; {hint}"),
        _ => error.to_string(),
    }
}

fn ask(
    ids: &[String],
    open: impl FnOnce() -> Result<Session>,
    begun: Instant,
) -> Result<(Vec<Answer>, Vec<String>)> {
    let session = open()?;
    let plan = session.plan()?;
    let found: Vec<(&String, Found)> = distinct(ids)
        .map(|id| (id, find(id, &session, &plan.wanted)))
        .collect();
    let wanted: Vec<Wanted> = found
        .iter()
        .filter_map(|(_, found)| found.wanted())
        .collect();
    let plan = Plan {
        wanted,
        // Only what the manifest names is answered.
        environments: Environments::default(),
        timeout: plan.timeout.saturating_sub(begun.elapsed()),
        ..plan
    };
    let mut findings = match plan.wanted.is_empty() {
        true => vec![],
        false => session.ask(&plan)?.findings,
    }
    .into_iter();
    let (mut answers, mut remarks) = (vec![], vec![]);
    for (id, found) in found {
        let outcome = match found {
            Found::Secret(_) => match findings.next().map(|finding| finding.outcome) {
                Some(outcome) => outcome
                    .and_then(carried)
                    .map_err(|trouble| (refusal(&trouble), trouble.to_string())),
                None => Err((Refusal::Unavailable, "no answer".to_owned())),
            },
            Found::None(refusal, why) => Err((refusal, why.to_owned())),
        };
        let outcome = outcome.map_err(|(refusal, why)| {
            remarks.push(format!("{id}: {why}"));
            refusal
        });
        answers.push((id.clone(), outcome));
    }
    Ok((answers, remarks))
}

/// What an id stands for.
enum Found {
    Secret(Box<Wanted>),
    None(Refusal, &'static str),
}

impl Found {
    fn wanted(&self) -> Option<Wanted> {
        match self {
            Self::Secret(wanted) => Some((**wanted).clone()),
            Self::None(..) => None,
        }
    }
}

fn find(id: &str, session: &Session, wanted: &[Wanted]) -> Found {
    let by_broker = session.broker().is_some();
    if id.starts_with("op://") && by_broker {
        return Found::None(Refusal::NotFound, "a broker is asked by names");
    }
    if id.starts_with("op://") {
        let allowed = &session.manifest.references;
        return match Reference::parse(id) {
            Ok(reference) if allowed.iter().any(|pattern| pattern.matches(&reference)) => {
                Found::Secret(Box::new(plan::unnamed(reference)))
            }
            _ => Found::None(
                Refusal::NotFound,
                "`references` under [openclaw] in the manifest does not allow it",
            ),
        };
    }
    let exact = wanted.iter().find(|wanted| wanted.name.as_str() == id);
    let alike = |wanted: &&Wanted| wanted.name.is_like(id);
    let mut others = wanted.iter().filter(alike);
    match (exact, others.next(), others.next()) {
        (Some(one), ..) | (None, Some(one), None) => Found::Secret(Box::new(one.clone())),
        (None, Some(_), Some(_)) => Found::None(
            Refusal::Ambiguous,
            "more than one name in the manifest is like this",
        ),
        (None, None, _) if by_broker => {
            Found::None(Refusal::NotFound, "the broker has no such name for us")
        }
        (None, None, _) => Found::None(Refusal::NotFound, "no such name in the manifest"),
    }
}

fn refusal(trouble: &Trouble) -> Refusal {
    match trouble {
        Trouble::Missing { .. } => Refusal::NotFound,
        Trouble::Ambiguous { .. } => Refusal::Ambiguous,
        Trouble::Unusable { .. } => Refusal::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_twice_is_answered_once() {
        let ids = ["A", "B", "A"].map(str::to_owned);
        assert_eq!(distinct(&ids).collect::<Vec<_>>(), ["A", "B"]);
    }
}
