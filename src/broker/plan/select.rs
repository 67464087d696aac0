//! Which secrets of the manifest take part: profiles, `--env-file`, `--only`, `--require`, `--strict`.

use std::collections::HashSet;
use std::time::Duration;

use crate::base::env_name::EnvName;
use crate::base::error::{Error, Result};
use crate::base::suggest;
use crate::broker::dotenv::{Definition, Value};
use crate::broker::id::EnvironmentId;
use crate::broker::manifest::{Location, Manifest, Origin, SecretSpec};

/// What the command line and the environment choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// `--profile`, `OC_SECRETS_PROFILE`.
    pub profile: Option<String>,
    /// `--environment`: besides those of the manifest.
    pub environments: Vec<EnvironmentId>,
    /// `--vault`, `OP_VAULT`: overrides the manifest's default vault.
    pub vault: Option<String>,
    /// `--account`: overrides the manifest's account.
    pub account: Option<String>,
    /// `--only`: nothing but these.
    pub only: Vec<String>,
    /// `--require`: these must be there.
    pub require: Vec<String>,
    /// `--strict`: all must be there.
    pub strict: bool,
    /// `--prefer-env`: what our environment holds is not fetched.
    pub prefer_env: bool,
    /// `--timeout`, `OC_SECRETS_TIMEOUT`.
    pub timeout: Option<Duration>,
}

/// An empty variable or flag chooses nothing.
pub(super) fn chosen(selection: &Option<String>) -> Option<&str> {
    selection.as_deref().filter(|text| !text.is_empty())
}

/// The manifest's secrets, or those of the chosen profile.
pub(super) fn profile(
    manifest: &Manifest,
    selection: &Selection,
    env_file: bool,
) -> Result<Vec<SecretSpec>> {
    let Some(profile) = chosen(&selection.profile) else {
        return Ok(manifest.secrets.clone());
    };
    let Some(names) = manifest.profiles.get(profile) else {
        let known: Vec<&str> = manifest.profiles.keys().map(String::as_str).collect();
        let hint = if env_file && manifest.origin == Origin::BuiltIn {
            "--env-file replaces the built-in manifest; name one with --manifest".to_owned()
        } else {
            suggest::hint(profile, &known, "the profiles are")
        };
        return Err(Error::usage(format!("no profile `{profile}`"), hint));
    };
    let names: HashSet<&EnvName> = names.iter().collect();
    let taken = |spec: &&SecretSpec| names.contains(&spec.name);
    Ok(manifest.secrets.iter().filter(taken).cloned().collect())
}

/// Overrides the manifest with the definitions of `--env-file`.
pub(super) fn overlay(
    specs: &mut Vec<SecretSpec>,
    vars: &mut Vec<(EnvName, String)>,
    file: &[Definition],
) {
    let replaced: HashSet<&EnvName> = file.iter().map(|definition| &definition.name).collect();
    specs.retain(|spec| !replaced.contains(&spec.name));
    vars.retain(|(var, _)| !replaced.contains(var));
    for Definition { name, value } in file {
        match value {
            Value::Plain(text) => vars.push((name.clone(), text.clone())),
            Value::Secret(reference) => specs.push(SecretSpec {
                name: name.clone(),
                location: Location::Reference(reference.clone()),
                required: true,
                default: None,
                exact: false,
            }),
        }
    }
}

/// `--only`.
pub(super) fn only(
    specs: Vec<SecretSpec>,
    vars: &[(EnvName, String)],
    manifest: &Manifest,
    selection: &Selection,
) -> Result<Vec<SecretSpec>> {
    for name in &selection.only {
        if specs.iter().any(|spec| spec.name.as_str() == name) {
            continue;
        }
        if vars.iter().any(|(var, _)| var.as_str() == name) {
            let what = format!("--only: `{name}` is a plain value, not a secret");
            return Err(Error::usage(
                what,
                "leave it out: plain values are always passed on",
            ));
        }
        if let Some(profile) = chosen(&selection.profile)
            && manifest
                .secrets
                .iter()
                .any(|spec| spec.name.as_str() == name)
        {
            let what = format!("--only: `{name}` is not in profile `{profile}`");
            return Err(Error::usage(
                what,
                "add it to the profile, or leave out --profile",
            ));
        }
        // An Environment may have it.
        if has_environments(manifest, selection) {
            continue;
        }
        return Err(unknown_secret("--only", name, &specs));
    }
    let asked = |spec: &SecretSpec| {
        selection.only.is_empty() || selection.only.iter().any(|name| name == spec.name.as_str())
    };
    Ok(specs.into_iter().filter(asked).collect())
}

/// `--require` and `--strict`. A default still satisfies them: it is a value.
pub(super) fn require(
    mut specs: Vec<SecretSpec>,
    manifest: &Manifest,
    selection: &Selection,
) -> Result<Vec<SecretSpec>> {
    for name in &selection.require {
        if has_environments(manifest, selection) {
            break;
        }
        if !specs.iter().any(|spec| spec.name.as_str() == name) {
            return Err(unknown_secret("--require", name, &specs));
        }
    }
    for spec in &mut specs {
        let named = selection
            .require
            .iter()
            .any(|name| name == spec.name.as_str());
        spec.required |= selection.strict || named;
    }
    Ok(specs)
}

/// Whether names may come that no file of the user's holds; they are checked when they arrive.
fn has_environments(manifest: &Manifest, selection: &Selection) -> bool {
    !manifest.environments.is_empty() || !selection.environments.is_empty()
}

/// The secrets that `manifest` alone requires.
pub(super) fn waivable<'a>(
    manifest: &'a Manifest,
    file: &[Definition],
    selection: &Selection,
) -> HashSet<&'a EnvName> {
    if selection.strict {
        return HashSet::new();
    }
    let defined = file.iter().map(|definition| definition.name.as_str());
    let named = selection.require.iter().map(String::as_str);
    let elsewhere: HashSet<&str> = defined.chain(named).collect();
    let required = manifest.secrets.iter().filter(|spec| spec.required);
    required
        .map(|spec| &spec.name)
        .filter(|name| !elsewhere.contains(name.as_str()))
        .collect()
}

fn unknown_secret(flag: &str, name: &str, specs: &[SecretSpec]) -> Error {
    let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let hint = suggest::hint(name, &known, "the secrets are");
    Error::usage(format!("{flag}: no secret `{name}`"), hint)
}
