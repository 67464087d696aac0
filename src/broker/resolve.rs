//! (4) A plan and a provider become secrets: what counts as an answer, and all or nothing.
//!
//! Success of `op` alone is not trusted: a value that cannot be a secret is refused here, before
//! any sink sees it. Every problem is found before the first is reported.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use memchr::memmem;

use crate::base::env_name::EnvName;
use crate::base::error::{Error, Problem, Result, Trouble};
use crate::base::locked_memory;
use crate::base::secret::Secret;
use crate::base::shell_quote;
use crate::broker::plan::{Environments, Plan, Wanted};
use crate::broker::provider::{ArrivedVariable, Outcome, Provider, Request};
use crate::broker::reference::Reference;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueOrigin {
    /// 1Password.
    Vault,
    /// Our own environment, with `--prefer-env`.
    Environment,
    /// The manifest's `default`.
    Default,
    /// A 1Password Environment.
    Environments,
}

impl ValueOrigin {
    /// The word for it in tables and JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Vault => "1password",
            Self::Environment => "environment",
            Self::Default => "default",
            Self::Environments => "1password environment",
        }
    }
}

/// A wanted secret and its outcome.
#[derive(Debug)]
pub(crate) struct Finding<'a> {
    /// What was wanted.
    pub wanted: &'a Wanted,
    /// Where the value came from.
    pub origin: ValueOrigin,
    /// The value, or why there is none.
    pub outcome: Outcome,
}

/// A variable of a 1Password Environment that is taken.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Its name.
    pub name: EnvName,
    /// Where the value came from: our own environment may be preferred.
    pub origin: ValueOrigin,
    /// Whether the run fails without it.
    pub required: bool,
    /// The value, or why it cannot be handed on.
    pub outcome: Outcome,
}

/// All that a plan came to.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    /// What was wanted by name.
    pub findings: Vec<Finding<'a>>,
    /// What came along.
    pub arrived: Vec<Arrived>,
}

/// A secret to hand over.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    /// The variable.
    pub name: Cow<'a, EnvName>,
    /// Its value.
    pub value: Secret,
    /// Whether it came from our own environment.
    pub inherited: bool,
}

/// Fetches everything that `plan` wants; `environment` reads our own for `--prefer-env`.
///
/// # Errors
/// When the whole request fails; the failure of a single secret is in its [`Finding`].
pub(crate) fn survey<'a, 'p>(
    plan: &'a Plan,
    provider: impl FnOnce() -> Result<Box<dyn Provider + 'p>>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Survey<'a>> {
    let asked: Vec<&Wanted> = plan
        .wanted
        .iter()
        .filter(|wanted| !wanted.inherited)
        .collect();
    let ids = &plan.environments.ids;
    let (outcomes, variables) = match (asked.is_empty(), ids.is_empty()) {
        (true, true) => (vec![], vec![]),
        (false, true) => (provider()?.fetch(&requests(&asked))?, vec![]),
        (_, false) => provider()?.fetch_with(&requests(&asked), ids)?,
    };
    let mut outcomes = outcomes.into_iter();
    let mut find = |wanted: &'a Wanted| {
        if wanted.inherited {
            let value = environment(wanted.name.as_str()).unwrap_or_default();
            let value = Secret::copy_of(&value.into_vec());
            return Ok(finding(wanted, ValueOrigin::Environment, Ok(value)));
        }
        let outcome = outcomes.next().ok_or(Error::OpNonsense {
            what: "it holds too few values",
        })?;
        Ok(with_default(wanted, outcome))
    };
    let findings: Result<Vec<Finding<'a>>> = plan.wanted.iter().map(&mut find).collect();
    locked_memory::burn_stack();
    Ok(Survey {
        findings: findings?,
        arrived: arrived(&plan.environments, variables, environment)?,
    })
}

/// The variables of the Environments that are taken, in the order of their names.
fn arrived(
    environments: &Environments,
    variables: Vec<ArrivedVariable>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<Arrived>> {
    if environments.is_empty() {
        return Ok(vec![]);
    }
    let names: Vec<&str> = variables.iter().map(|one| one.name.as_str()).collect();
    let one = |(at, name): (usize, EnvName)| {
        let own = environment(name.as_str()).filter(|_| environments.prefer_env());
        let (origin, value) = match own {
            Some(own) => (ValueOrigin::Environment, Secret::copy_of(&own.into_vec())),
            None => (ValueOrigin::Environments, variables[at].value.clone()),
        };
        Arrived {
            required: environments.requires(&name),
            name,
            origin,
            outcome: usable(value).and_then(fetched),
        }
    };
    let taken = environments.take(&names)?;
    let mut arrived: Vec<Arrived> = taken.into_iter().map(one).collect();
    arrived.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(arrived)
}

/// Whether `op` resolves a reference that an Environment holds is not known.
fn fetched(value: Secret) -> Outcome {
    match value.expose().starts_with(b"op://") {
        true => Err(Trouble::Unusable {
            why: "it is a reference, which `op` has not resolved",
        }),
        false => Ok(value),
    }
}

/// The secrets of `survey` if everything required is among them, and what is absent otherwise.
///
/// # Errors
/// [`Error::Unresolved`] lists every required secret without a value; or all of them, if at least
/// one was expected and none was found.
pub(crate) fn all_or_nothing<'a>(
    plan: &Plan,
    survey: Survey<'a>,
) -> Result<(Vec<Resolved<'a>>, Vec<Problem>)> {
    let mut resolved = Vec::with_capacity(survey.findings.len() + survey.arrived.len());
    let mut required = vec![];
    let mut absent = vec![];
    for finding in survey.findings {
        match finding.outcome {
            Ok(value) => resolved.push(Resolved {
                name: Cow::Borrowed(&finding.wanted.name),
                value,
                inherited: finding.origin == ValueOrigin::Environment,
            }),
            Err(trouble) if finding.wanted.required => {
                required.push(problem(finding.wanted, trouble))
            }
            Err(trouble) => absent.push(problem(finding.wanted, trouble)),
        }
    }
    for one in survey.arrived {
        match one.outcome {
            Ok(value) => resolved.push(Resolved {
                name: Cow::Owned(one.name),
                value,
                inherited: one.origin == ValueOrigin::Environment,
            }),
            Err(trouble) => {
                let problem = of_environment(plan, &one.name, trouble);
                let list = if one.required {
                    &mut required
                } else {
                    &mut absent
                };
                list.push(problem);
            }
        }
    }
    if !required.is_empty() {
        return Err(Error::Unresolved { problems: required });
    }
    if plan.at_least_one && resolved.is_empty() && !absent.is_empty() {
        return Err(Error::Unresolved { problems: absent });
    }
    Ok((resolved, absent))
}

fn requests<'a>(wanted: &[&'a Wanted]) -> Vec<Request<'a>> {
    let request = |wanted: &&'a Wanted| Request {
        reference: &wanted.reference,
        exact: wanted.exact,
    };
    wanted.iter().map(request).collect()
}

fn with_default(wanted: &Wanted, outcome: Outcome) -> Finding<'_> {
    match (outcome.and_then(usable), &wanted.default) {
        (Err(Trouble::Missing { .. } | EMPTY), Some(default)) => finding(
            wanted,
            ValueOrigin::Default,
            Ok(Secret::copy_of(default.as_bytes())),
        ),
        (outcome, _) => finding(wanted, ValueOrigin::Vault, outcome),
    }
}

fn finding(wanted: &Wanted, origin: ValueOrigin, outcome: Outcome) -> Finding<'_> {
    Finding {
        wanted,
        origin,
        outcome,
    }
}

fn of_environment(plan: &Plan, name: &EnvName, trouble: Trouble) -> Problem {
    Problem {
        name: name.to_string(),
        reference: format!("Environment {}", plan.environments.shown()),
        look: None,
        trouble,
        waivable: false,
    }
}

fn problem(wanted: &Wanted, trouble: Trouble) -> Problem {
    Problem {
        name: wanted.name.to_string(),
        reference: wanted.reference.to_string(),
        look: Some(look(&wanted.reference, &trouble)),
        trouble,
        waivable: wanted.waivable,
    }
}

/// The command that shows what is there instead; secrets in it are concealed.
fn look(reference: &Reference, trouble: &Trouble) -> String {
    let Reference { vault, item, .. } = reference;
    match trouble {
        Trouble::Missing { part: "vault", .. } | Trouble::Ambiguous { part: "vault", .. } => {
            "op vault list".to_owned()
        }
        Trouble::Missing { part: "item", .. } | Trouble::Ambiguous { part: "item", .. } => {
            shell_quote::command(["op", "item", "list", "--vault", vault])
        }
        _ => shell_quote::command(["op", "item", "get", item, "--vault", vault]),
    }
}

const EMPTY: Trouble = Trouble::Unusable { why: "it is empty" };

/// Refuses a value that cannot be a secret.
fn usable(value: Secret) -> Outcome {
    match flaw(&value) {
        Some(trouble) => Err(trouble),
        None => Ok(value),
    }
}

/// Why `value` cannot be a secret, if it cannot.
pub(crate) fn flaw(value: &Secret) -> Option<Trouble> {
    let bytes = value.expose();
    if bytes.is_empty() {
        return Some(EMPTY);
    }
    let why = if is_placeholder(bytes) {
        "`op` answered with its placeholder for a concealed value"
    } else if bytes.contains(&0) {
        "it holds a NUL byte, which no environment can carry"
    } else {
        return None;
    };
    Some(Trouble::Unusable { why })
}

/// `[use 'op item get ID --reveal' to reveal]`, which `op` prints with exit 0 in place of a value.
fn is_placeholder(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"[use 'op item get ")
        .is_some_and(|at| memmem::find(&bytes[at..], b" --reveal' to reveal]").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::reference::Reference;

    struct Vault(Vec<(&'static str, &'static [u8])>);

    impl Provider for Vault {
        fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
            let missing = || Trouble::Missing {
                part: "field",
                near: None,
            };
            let answer = |request: &Request<'_>| {
                let found = self
                    .0
                    .iter()
                    .find(|(field, _)| *field == request.reference.field);
                found
                    .map(|(_, value)| Secret::copy_of(value))
                    .ok_or_else(missing)
            };
            Ok(requests.iter().map(answer).collect())
        }
    }

    fn wanted(name: &str) -> Wanted {
        Wanted {
            name: EnvName::parse(name).expect("a name"),
            reference: Reference::parse(&format!("op://v/i/{name}")).expect("parses"),
            required: true,
            default: None,
            exact: false,
            inherited: false,
            waivable: false,
            unnamed: false,
        }
    }

    fn optional(name: &str) -> Wanted {
        Wanted {
            required: false,
            ..wanted(name)
        }
    }

    fn run(
        all: Vec<Wanted>,
        at_least_one: bool,
        vault: &[(&'static str, &'static [u8])],
    ) -> Result<String> {
        let plan = Plan {
            wanted: all,
            at_least_one,
            ..Plan::default()
        };
        let vault = vault.to_vec();
        let findings = survey(
            &plan,
            || Ok(Box::new(Vault(vault))),
            |_| Some("ours".into()),
        )?;
        let (resolved, absent) = all_or_nothing(&plan, findings)?;
        let show =
            |r: &Resolved<'_>| format!("{}={}", r.name, String::from_utf8_lossy(r.value.expose()));
        let absent = absent.iter().map(|problem| format!("-{}", problem.name));
        Ok(resolved
            .iter()
            .map(show)
            .chain(absent)
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn hands_on_all_or_nothing() {
        let vault: &[(&str, &[u8])] = &[("A", b"1"), ("C", b"3")];
        let done = run(vec![wanted("A"), optional("B"), wanted("C")], false, vault);
        assert_eq!(done.expect("resolved"), "A=1 C=3 -B");
        let error =
            run(vec![wanted("A"), wanted("B"), wanted("D")], false, vault).expect_err("missing");
        let Error::Unresolved { problems } = error else {
            panic!("{error}")
        };
        assert_eq!(
            problems.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["B", "D"]
        );
    }

    #[test]
    fn refuses_what_cannot_be_a_value() {
        for value in [
            &b""[..],
            b"a\0b",
            b"[use 'op item get aaaaaaaaaaaaaaaaaaaaaaaaaa --reveal' to reveal]",
            b"admin,[use 'op item get aaaaaaaaaaaaaaaaaaaaaaaaaa --reveal' to reveal]",
        ] {
            assert!(
                run(vec![wanted("A")], false, &[("A", value)]).is_err(),
                "{value:?}"
            );
        }
        assert!(
            run(
                vec![wanted("A")],
                false,
                &[("A", b"use op --reveal' to reveal]")]
            )
            .is_ok()
        );
    }

    #[test]
    fn a_default_stands_in_for_what_is_missing_or_empty() {
        let with = || Wanted {
            default: Some("d".to_owned()),
            ..wanted("A")
        };
        assert_eq!(run(vec![with()], false, &[]).expect("default"), "A=d");
        assert_eq!(
            run(vec![with()], false, &[("A", b"")]).expect("default"),
            "A=d"
        );
        assert_eq!(
            run(vec![with()], false, &[("A", b"x")]).expect("value"),
            "A=x"
        );
        assert!(run(vec![with()], false, &[("A", b"a\0b")]).is_err());
    }

    #[test]
    fn what_is_inherited_is_not_asked_for() {
        let plan = Plan {
            wanted: vec![Wanted {
                inherited: true,
                ..wanted("A")
            }],
            ..Plan::default()
        };
        let findings = survey(&plan, || panic!("asked"), |_| Some("ours".into())).expect("found");
        let (resolved, _) = all_or_nothing(&plan, findings).expect("resolved");
        assert_eq!(
            (resolved[0].value.expose(), resolved[0].inherited),
            (&b"ours"[..], true)
        );
    }

    #[test]
    fn nothing_at_all_fails_where_something_was_expected() {
        assert!(run(vec![optional("A"), optional("B")], true, &[]).is_err());
        assert_eq!(
            run(vec![optional("A"), optional("B")], false, &[]).expect("nothing"),
            "-A -B"
        );
        assert_eq!(
            run(vec![optional("A"), optional("B")], true, &[("B", b"2")]).expect("one"),
            "B=2 -A"
        );
    }
}
