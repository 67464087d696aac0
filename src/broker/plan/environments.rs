//! Which 1Password Environments come along, and which of their variables are taken. Their names are
//! known only when they arrive, so what the selection asks of a name is decided then.

use std::collections::HashSet;

use super::select::Selection;
use crate::base::env_name::{Carries, EnvName};
use crate::base::error::{Error, Result};
use crate::base::ui::in_a_line;
use crate::broker::dotenv::Definition;
use crate::broker::id::EnvironmentId;
use crate::broker::manifest::{Manifest, Origin};

/// The Environments of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environments {
    /// Their ids, each once.
    pub ids: Vec<EnvironmentId>,
    /// One is named by a manifest that was found, so that all names are held to its rules.
    found: bool,
    /// Names that the manifest or `--env-file` defines, whoever has selected them.
    defined: HashSet<EnvName>,
    /// `--only`, `--require` and `--strict`.
    only: HashSet<String>,
    require: HashSet<String>,
    strict: bool,
    prefer_env: bool,
}

impl Environments {
    /// Those of the manifest and of the selection. What a file of the user's defines is not
    /// replaced by what somebody writes into an Environment.
    pub(super) fn of(
        manifest: &Manifest,
        env_file: Option<&[Definition]>,
        selection: &Selection,
    ) -> Self {
        let mut ids: Vec<EnvironmentId> = vec![];
        for id in manifest.environments.iter().chain(&selection.environments) {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        if ids.is_empty() {
            return Self::default();
        }
        let secrets = manifest.secrets.iter().map(|spec| &spec.name);
        let vars = manifest.vars.iter().map(|(name, _)| name);
        let file = env_file.unwrap_or_default().iter();
        let defined = secrets.chain(vars).chain(file.map(|one| &one.name));
        let of_found = matches!(manifest.origin, Origin::Found(_));
        Self {
            ids,
            found: of_found && !manifest.environments.is_empty(),
            defined: defined.cloned().collect(),
            only: selection.only.iter().cloned().collect(),
            require: selection.require.iter().cloned().collect(),
            strict: selection.strict,
            prefer_env: selection.prefer_env,
        }
    }

    /// The same for one variable that must be there.
    pub(crate) fn for_one(self, name: &str) -> Self {
        let one = HashSet::from([name.to_owned()]);
        Self {
            only: one.clone(),
            require: one,
            ..self
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Their ids, for people.
    pub(crate) fn shown(&self) -> String {
        let ids: Vec<&str> = self.ids.iter().map(EnvironmentId::as_str).collect();
        ids.join(", ")
    }

    /// The variables that are taken of those that arrived, and where each stands among them.
    ///
    /// # Errors
    /// When any has a name that the manifest could not have, or one that was asked for is not there.
    pub(crate) fn take(&self, arrived: &[&str]) -> Result<Vec<(usize, EnvName)>> {
        let mut taken = vec![];
        let mut refused = vec![];
        for (at, text) in arrived.iter().enumerate() {
            let parsed = match self.found {
                true => EnvName::parse_found(text, Carries::Secret),
                false => EnvName::parse(text),
            };
            match parsed {
                Ok(name) => taken.push((at, name)),
                Err(why) => refused.push(format!("`{}`: {why}", in_a_line(text))),
            }
        }
        if !refused.is_empty() {
            let what = format!(
                "the 1Password Environment {} cannot be taken: {}",
                self.shown(),
                refused.join("; ")
            );
            return Err(Error::usage(
                what,
                "rename the variable in 1Password, or leave the Environment out",
            ));
        }
        taken.retain(|(_, name)| !self.defined.contains(name) && self.selects(name));
        self.all_there(&taken)?;
        Ok(taken)
    }

    /// Whether a run fails without a value for `name`.
    pub(crate) fn requires(&self, name: &EnvName) -> bool {
        self.strict || self.require.contains(name.as_str())
    }

    /// Whether the value of our own environment is preferred.
    pub(crate) fn prefer_env(&self) -> bool {
        self.prefer_env
    }

    fn selects(&self, name: &EnvName) -> bool {
        self.only.is_empty() || self.only.contains(name.as_str())
    }

    /// What the manifest does not define must have come.
    fn all_there(&self, taken: &[(usize, EnvName)]) -> Result<()> {
        let there = |asked: &str| {
            let mut names = taken.iter().map(|(_, name)| name).chain(&self.defined);
            names.any(|name| name.as_str() == asked)
        };
        let mut missing: Vec<&str> = self
            .only
            .iter()
            .chain(&self.require)
            .map(String::as_str)
            .collect();
        missing.retain(|asked| !there(asked));
        missing.sort_unstable();
        match missing.first() {
            None => Ok(()),
            Some(name) => Err(Error::usage(
                format!(
                    "no secret `{name}` in the manifest, nor in the 1Password Environment {}",
                    self.shown()
                ),
                "`oc-secrets check` shows the names of both",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments(found: bool) -> Environments {
        Environments {
            ids: vec![EnvironmentId::parse(&"e".repeat(26)).expect("an id")],
            found,
            defined: HashSet::from([EnvName::parse("MINE").expect("a name")]),
            ..Environments::default()
        }
    }

    fn taken(environments: &Environments, arrived: &[&str]) -> std::result::Result<String, String> {
        let taken = environments
            .take(arrived)
            .map_err(|error| error.to_string())?;
        let names = taken.iter().map(|(at, name)| format!("{at}={name}"));
        Ok(names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_the_manifest_defines_is_not_taken_from_an_environment() {
        let all = environments(false);
        assert_eq!(taken(&all, &["A", "MINE", "B"]), Ok("0=A 2=B".to_owned()));
        let one = all.clone().for_one("B");
        assert_eq!(taken(&one, &["A", "B"]), Ok("1=B".to_owned()));
        let missing = taken(&one, &["A"]).expect_err("not there");
        assert!(missing.starts_with("no secret `B`"), "{missing}");
    }

    #[test]
    fn a_name_that_steers_programs_refuses_the_whole() {
        for name in ["PATH", "LD_PRELOAD", "op_x", "a-b", "", "ä"] {
            assert!(taken(&environments(false), &["A", name]).is_err(), "{name}");
        }
        let family = ["GIT_SSH_VARIANT"];
        assert!(taken(&environments(false), &family).is_ok());
        assert!(taken(&environments(true), &family).is_err());
        assert!(taken(&environments(true), &["GIT_TOKEN"]).is_ok());
    }
}
