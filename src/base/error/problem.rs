//! A secret that cannot be handed over, and its message.

use std::fmt;

/// A secret that cannot be handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The variable that was to hold it.
    pub name: String,
    /// Where it should have come from.
    pub reference: String,
    /// Why it did not.
    pub trouble: Trouble,
    /// The command that shows what is kept there, where that is known.
    pub look: Option<String>,
    /// Whether `required = false` in the manifest would help.
    pub waivable: bool,
}

/// Why a secret cannot be handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No such vault, item or field.
    Missing {
        /// What is not there: `vault`, `item`, `field`, or `secret` where `op` did not say.
        part: &'static str,
        /// What exists instead, in words: the nearest name, or a few.
        near: Option<String>,
    },
    /// More than one item or field answers to the name.
    Ambiguous {
        /// What there is more than one of.
        part: &'static str,
        /// Their ids, in words, where `op` told them.
        which: Option<String>,
    },
    /// It exists, but its value cannot be what was asked for.
    Unusable {
        /// Which property of the value is in the way.
        why: &'static str,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.state(), self.reason())
    }
}

impl Trouble {
    /// The word for it in tables and JSON.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Unusable { .. } => "unusable",
        }
    }

    /// What it is exactly.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Missing { part, near: None } => format!("no such {part}"),
            Self::Missing {
                part,
                near: Some(near),
            } => format!("no such {part}, {near}"),
            Self::Ambiguous { part, which: None } => format!("more than one {part} has this name"),
            Self::Ambiguous {
                part,
                which: Some(which),
            } => format!("more than one {part} has this name, name one by its id: {which}"),
            Self::Unusable { why } => (*why).to_owned(),
        }
    }
}

/// All problems, a line each.
pub(super) fn summary(problems: &[Problem]) -> String {
    let count = match problems {
        [_] => "1 secret".to_owned(),
        many => format!("{} secrets", many.len()),
    };
    let missing = |problem: &Problem| matches!(problem.trouble, Trouble::Missing { .. });
    let what = match problems.iter().all(missing) {
        true => "not found",
        false => "not resolved",
    };
    let mut text = format!("{count} {what}");
    let width = problems.iter().map(|p| p.name.chars().count()).max();
    for problem in problems {
        text.push_str(&format!(
            "\n  {:width$}  {}  {}",
            problem.name,
            problem.reference,
            problem.trouble,
            width = width.unwrap_or(0)
        ));
    }
    text
}

/// The password for `host`, which `secret` was to be, in one line: clients show no more.
pub(super) fn password(host: &str, secret: Option<&str>, trouble: &Trouble) -> String {
    let what = match trouble {
        Trouble::Missing { .. } => "was not found",
        Trouble::Ambiguous { .. } | Trouble::Unusable { .. } => "cannot be used",
    };
    let secret = secret
        .map(|secret| format!("{secret}: "))
        .unwrap_or_default();
    format!(
        "the password for {host} {what}: {secret}{}",
        trouble.reason()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_at_fault_is_named_at_once() {
        let problem = |name: &str, trouble| Problem {
            name: name.to_owned(),
            reference: format!("op://v/i/{name}"),
            trouble,
            look: None,
            waivable: false,
        };
        let error = summary(&[
            problem(
                "A",
                Trouble::Missing {
                    part: "item",
                    near: None,
                },
            ),
            problem(
                "LONGER",
                Trouble::Ambiguous {
                    part: "item",
                    which: None,
                },
            ),
        ]);
        assert_eq!(
            error,
            "2 secrets not resolved\
             \n  A       op://v/i/A  missing: no such item\
             \n  LONGER  op://v/i/LONGER  ambiguous: more than one item has this name"
        );
    }

    #[test]
    fn a_password_is_told_with_its_host_and_in_one_line() {
        let missing = Trouble::Missing {
            part: "item",
            near: None,
        };
        assert_eq!(
            password("ghcr.io", Some("T (op://v/i/f)"), &missing),
            "the password for ghcr.io was not found: T (op://v/i/f): no such item"
        );
        let odd = Trouble::Unusable { why: "it is empty" };
        assert_eq!(
            password("ghcr.io", None, &odd),
            "the password for ghcr.io cannot be used: it is empty"
        );
    }
}
