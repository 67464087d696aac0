//! (2) What is asked for: a manifest and a selection become a plan. Pure.
//!
//! Every rule about which secrets are wanted is here: profiles, `--only`, `--require`, `--strict`,
//! `--env-file` over the manifest, the default vault. Later stages decide nothing about it again.

mod select;
mod environments;

use std::path::PathBuf;
use std::time::Duration;

use crate::base::env_name::EnvName;
use crate::base::error::{Error, Result};
use crate::broker::dotenv::Definition;
use crate::broker::manifest::{Location, Manifest, Origin, SecretSpec};
use crate::broker::reference::Reference;
use select::{chosen, only, overlay, profile, require, waivable};

pub(crate) use environments::Environments;
pub(crate) use select::Selection;

/// The default deadline for one `op` process.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A decided run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The secrets to resolve, in the order of the manifest.
    pub wanted: Vec<Wanted>,
    /// The 1Password Environments that come along.
    pub environments: Environments,
    /// The plain values that are passed on.
    pub vars: Vec<(EnvName, String)>,
    /// Whether a run fails if no secret is found, although none is required.
    pub at_least_one: bool,
    /// `--account` for `op`.
    pub account: Option<String>,
    /// The manifest's path of `op`.
    pub op_path: Option<PathBuf>,
    /// The deadline for one `op` process.
    pub timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            wanted: vec![],
            environments: Environments::default(),
            vars: vec![],
            at_least_one: false,
            account: None,
            op_path: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// A secret that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The variable that receives it.
    pub name: EnvName,
    /// Where it is kept.
    pub reference: Reference,
    /// Whether the run fails without it.
    pub required: bool,
    /// What to use where it is missing.
    pub default: Option<String>,
    /// Whether it must be fetched by a way that preserves every byte.
    pub exact: bool,
    /// Our own environment holds it already and `--prefer-env` was given: not fetched.
    pub inherited: bool,
    /// Only the manifest requires it, so that `required = false` there would help.
    pub waivable: bool,
    /// It was asked for by its reference, and `name` only stands for one.
    pub unnamed: bool,
}

/// Decides what is asked for. `env_file` is what `--env-file` defines, if it was given;
/// `present` tells which variables our environment holds, for `--prefer-env`.
///
/// An `--env-file` or an `--environment` replaces the built-in manifest; any other is read together
/// with it, and the file wins where both define a name, and both win over an Environment. A profile selects among the manifest's secrets.
///
/// # Errors
/// [`Error::Usage`] for a selection that the manifest cannot meet.
pub(crate) fn plan(
    manifest: &Manifest,
    env_file: Option<&[Definition]>,
    selection: &Selection,
    present: impl Fn(&str) -> bool,
) -> Result<Plan> {
    let aside = Manifest::empty(Origin::BuiltIn);
    let replaced = stands_aside(manifest, env_file, selection);
    let built_in = manifest.origin == Origin::BuiltIn && !replaced;
    let manifest = match replaced {
        true => &aside,
        false => manifest,
    };
    let environments = Environments::of(manifest, env_file, selection);
    let Manifest {
        secrets: specs,
        vars,
        ..
    } = contents(manifest, env_file, selection)?;
    if specs.is_empty() && vars.is_empty() && environments.is_empty() {
        return Err(nothing(manifest, env_file.is_some()));
    }
    let vault = chosen(&selection.vault).or(manifest.vault.as_deref());
    let inherited = |name: &EnvName| selection.prefer_env && present(name.as_str());
    let mut wanted = wanted(specs, vault, &manifest.origin, inherited)?;
    let waivable = waivable(manifest, env_file.unwrap_or_default(), selection);
    for one in &mut wanted {
        one.waivable = waivable.contains(&one.name);
    }
    Ok(Plan {
        wanted,
        environments,
        vars,
        at_least_one: built_in,
        ..nothing_wanted(manifest, selection)
    })
}

/// The manifest as `selection` leaves it: the secrets that take part, the plain values that go
/// along, the vault and the account that count. A vault may still be wanting.
///
/// # Errors
/// [`Error::Usage`] for a selection that the manifest cannot meet.
pub(crate) fn contents(
    manifest: &Manifest,
    env_file: Option<&[Definition]>,
    selection: &Selection,
) -> Result<Manifest> {
    let mut manifest = match stands_aside(manifest, env_file, selection) {
        true => Manifest::empty(Origin::BuiltIn),
        false => manifest.clone(),
    };
    let mut specs = profile(&manifest, selection, env_file.is_some())?;
    let mut vars = std::mem::take(&mut manifest.vars);
    overlay(&mut specs, &mut vars, env_file.unwrap_or_default());
    let specs = only(specs, &vars, &manifest, selection)?;
    let overriding =
        |choice: &Option<String>, own: Option<String>| chosen(choice).map(str::to_owned).or(own);
    Ok(Manifest {
        secrets: require(specs, &manifest, selection)?,
        environments: Environments::of(&manifest, env_file, selection).ids,
        vars,
        vault: overriding(&selection.vault, manifest.vault.take()),
        account: overriding(&selection.account, manifest.account.take()),
        ..manifest
    })
}

/// Whether the built-in manifest is replaced by what the user names.
fn stands_aside(
    manifest: &Manifest,
    env_file: Option<&[Definition]>,
    selection: &Selection,
) -> bool {
    let instead = env_file.is_some() || !selection.environments.is_empty();
    manifest.origin == Origin::BuiltIn && instead
}

/// A plan for one reference outside any manifest, as `read op://…` needs.
pub(crate) fn single(manifest: &Manifest, reference: Reference, selection: &Selection) -> Plan {
    Plan {
        wanted: vec![unnamed(reference)],
        ..nothing_wanted(manifest, selection)
    }
}

/// A reference that no manifest names.
pub(crate) fn unnamed(reference: Reference) -> Wanted {
    Wanted {
        name: EnvName::parse("secret").expect("a name"),
        reference,
        required: true,
        default: None,
        exact: false,
        inherited: false,
        waivable: false,
        unnamed: true,
    }
}

/// A plan without secrets, which says how `op` is run.
pub(crate) fn nothing_wanted(manifest: &Manifest, selection: &Selection) -> Plan {
    Plan {
        account: chosen(&selection.account)
            .or(manifest.account.as_deref())
            .map(str::to_owned),
        op_path: manifest.op.path.clone(),
        timeout: selection
            .timeout
            .or(manifest.op.timeout)
            .unwrap_or(DEFAULT_TIMEOUT),
        ..Plan::default()
    }
}

fn wanted(
    specs: Vec<SecretSpec>,
    vault: Option<&str>,
    origin: &Origin,
    inherited: impl Fn(&EnvName) -> bool,
) -> Result<Vec<Wanted>> {
    let without_vault: Vec<String> = specs
        .iter()
        .filter(|spec| {
            vault.is_none() && matches!(spec.location, Location::Item { vault: None, .. })
        })
        .map(|spec| spec.name.to_string())
        .collect();
    if !without_vault.is_empty() {
        return Err(Error::NoVault {
            names: without_vault,
            manifest: describe(origin),
        });
    }
    let decide = |spec: SecretSpec| {
        Ok(Wanted {
            inherited: inherited(&spec.name),
            reference: reference(spec.location, vault.unwrap_or_default())?,
            name: spec.name,
            required: spec.required,
            default: spec.default,
            exact: spec.exact,
            waivable: false,
            unnamed: false,
        })
    };
    specs.into_iter().map(decide).collect()
}

fn reference(location: Location, default_vault: &str) -> Result<Reference> {
    let (vault, item, section, field) = match location {
        Location::Reference(reference) => return Ok(reference),
        Location::Item {
            vault,
            item,
            section,
            field,
        } => (vault, item, section, field),
    };
    let reference = Reference {
        vault: vault.unwrap_or_else(|| default_vault.to_owned()),
        item,
        section,
        field,
        query: None,
    };
    let hint = "check --vault, OP_VAULT and the manifest's parts for blanks and control characters";
    reference
        .checked()
        .map_err(|error| Error::usage(error.to_string(), hint))
}

fn nothing(manifest: &Manifest, env_file: bool) -> Error {
    let hint = if env_file && manifest.origin == Origin::BuiltIn {
        "put NAME=op://vault/item/field into the file after --env-file".to_owned()
    } else if let Origin::Broker(_) = manifest.origin {
        "name what it may have in `secrets` of this client in the broker's manifest".to_owned()
    } else {
        format!(
            "add NAME = \"op://vault/item/field\" under [secrets] in {}",
            describe(&manifest.origin)
        )
    };
    Error::usage("nothing to pass on: no secret and no plain value", hint)
}

fn describe(origin: &Origin) -> String {
    match origin {
        Origin::BuiltIn => "a manifest of your own".to_owned(),
        Origin::File(path) | Origin::Found(path) => path.display().to_string(),
        Origin::Broker(_) => "the broker's manifest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::manifest::{self, parse};

    const TEXT: &str = r#"
vault = "Home"
account = "a"
[secrets]
A = { item = "a", required = false }
B = "op://Own/b/f"
C = { item = "c", vault = "Own", default = "d", exact = true }
[vars]
V = "1"
[profiles.p]
secrets = ["C", "A"]
[op]
path = "/opt/op"
timeout = "5s"
"#;

    fn manifest(text: &str) -> Manifest {
        parse(text, "f", Origin::File("/m.toml".into())).expect("parses")
    }

    fn env_file(text: &str) -> Vec<Definition> {
        let mut definitions = vec![];
        crate::broker::dotenv::parse(text, "e", &mut definitions, &|_| None).expect("parses");
        definitions
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn decide(text: &str, selection: &Selection) -> Result<Plan> {
        plan(&manifest(text), None, selection, |name| name == "B")
    }

    /// `NAME=reference`, with `!` where required and `^` where inherited; then the vars.
    fn shown(plan: Result<Plan>) -> String {
        match plan {
            Ok(plan) => {
                let secrets = plan.wanted.iter().map(|wanted| {
                    let required = if wanted.required { "!" } else { "" };
                    let inherited = if wanted.inherited { "^" } else { "" };
                    format!("{}{required}{inherited}={}", wanted.name, wanted.reference)
                });
                let vars = plan
                    .vars
                    .iter()
                    .map(|(name, value)| format!("{name}:{value}"));
                secrets.chain(vars).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{error} | {}", error.hint().unwrap_or_default()),
        }
    }

    #[test]
    fn a_manifest_alone_is_taken_as_it_is() {
        let plan = decide(TEXT, &Selection::default()).expect("planned");
        let expected = Plan {
            account: Some("a".to_owned()),
            op_path: Some("/opt/op".into()),
            timeout: Duration::from_secs(5),
            ..plan.clone()
        };
        assert_eq!(plan, expected);
        assert!(!plan.at_least_one);
        assert_eq!(
            (plan.wanted[2].default.as_deref(), plan.wanted[2].exact),
            (Some("d"), true)
        );
        assert_eq!(
            shown(Ok(plan)),
            "A=op://Home/a/credential B!=op://Own/b/f C!=op://Own/c/credential V:1"
        );
    }

    #[test]
    fn choices_go_before_the_manifest() {
        let selection = Selection {
            vault: Some("Work".to_owned()),
            account: Some("b".to_owned()),
            timeout: Some(Duration::from_secs(1)),
            strict: true,
            prefer_env: true,
            ..Selection::default()
        };
        let plan = decide(TEXT, &selection).expect("planned");
        assert_eq!(plan.account.as_deref(), Some("b"));
        assert_eq!(plan.timeout, Duration::from_secs(1));
        assert_eq!(
            shown(Ok(plan)),
            "A!=op://Work/a/credential B!^=op://Own/b/f C!=op://Own/c/credential V:1"
        );
        let plan = decide("[vars]\nV = \"1\"", &Selection::default()).expect("planned");
        assert_eq!(plan.timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn profiles_and_only_select_and_require_insists() {
        let selection = |profile: &str, only: &[&str], require: &[&str]| Selection {
            profile: Some(profile.to_owned()),
            only: names(only),
            require: names(require),
            ..Selection::default()
        };
        for (selection, expected) in [
            (
                selection("p", &[], &[]),
                "A=op://Home/a/credential C!=op://Own/c/credential V:1",
            ),
            (
                selection("p", &["A"], &["A"]),
                "A!=op://Home/a/credential V:1",
            ),
            (
                selection("", &["C", "A"], &[]),
                "A=op://Home/a/credential C!=op://Own/c/credential V:1",
            ),
            (
                selection("P", &[], &[]),
                "no profile `P` | did you mean `p`?",
            ),
            (
                selection("nothing", &[], &[]),
                "no profile `nothing` | the profiles are: p",
            ),
            (
                selection("p", &["B"], &[]),
                "--only: `B` is not in profile `p` | add it to the profile, or leave out --profile",
            ),
            (
                selection("", &["x"], &[]),
                "--only: no secret `x` | did you mean `A`?",
            ),
            (
                selection("", &["NOPE"], &[]),
                "--only: no secret `NOPE` | the secrets are: A, B, C",
            ),
            (
                selection("", &["V"], &[]),
                "--only: `V` is a plain value, not a secret | leave it out: plain values are always passed on",
            ),
            (
                selection("", &["A"], &["B"]),
                "--require: no secret `B` | did you mean `A`?",
            ),
            (
                selection("", &[], &["NOPE"]),
                "--require: no secret `NOPE` | the secrets are: A, B, C",
            ),
        ] {
            assert_eq!(shown(decide(TEXT, &selection)), expected, "{selection:?}");
        }
    }

    #[test]
    fn an_env_file_goes_over_the_manifest_and_past_the_profile() {
        let file = env_file("B=plain\nV=op://v/i/f\nNEW=2\nN=op://v/i/n");
        let selection = Selection {
            profile: Some("p".to_owned()),
            ..Selection::default()
        };
        let plan = plan(&manifest(TEXT), Some(&file), &selection, |_| false);
        assert_eq!(
            shown(plan),
            "A=op://Home/a/credential C!=op://Own/c/credential V!=op://v/i/f N!=op://v/i/n B:plain NEW:2"
        );
    }

    #[test]
    fn the_built_in_manifest_stands_aside_for_an_env_file() {
        let built_in = manifest::builtin();
        let decide = |file: Option<&[Definition]>, selection: &Selection| {
            plan(&built_in, file, selection, |_| false)
        };
        let alone = decide(None, &Selection::default()).expect("planned");
        assert_eq!((alone.wanted.len(), alone.at_least_one), (8, true));
        let file = env_file("A=op://v/i/f");
        let with = decide(Some(&file), &Selection::default());
        assert!(with.as_ref().is_ok_and(|plan| !plan.at_least_one));
        assert_eq!(shown(with), "A!=op://v/i/f");
        assert_eq!(
            shown(decide(Some(&[]), &Selection::default())),
            "nothing to pass on: no secret and no plain value | put NAME=op://vault/item/field into the file after --env-file"
        );
        let profile = Selection {
            profile: Some("bootstrap".to_owned()),
            ..Selection::default()
        };
        assert_eq!(
            shown(decide(Some(&file), &profile)),
            "no profile `bootstrap` | --env-file replaces the built-in manifest; name one with --manifest"
        );
    }

    #[test]
    fn every_secret_without_a_vault_is_named() {
        let text = "[secrets]\nA = { item = \"a\" }\nB = \"op://v/i/f\"\nC = { item = \"c\" }";
        assert_eq!(
            shown(decide(text, &Selection::default())),
            "no vault is given for A, C | write vault = \"…\" at the top of /m.toml, or use --vault or OP_VAULT"
        );
        let vault = |vault: &str| Selection {
            vault: Some(vault.to_owned()),
            ..Selection::default()
        };
        assert_eq!(
            shown(decide(text, &vault("W"))),
            "A!=op://W/a/credential B!=op://v/i/f C!=op://W/c/credential"
        );
        assert_eq!(
            shown(decide(text, &vault("a\nb"))),
            "a reference cannot hold control characters | check --vault, OP_VAULT and the manifest's parts for blanks and control characters"
        );
    }

    #[test]
    fn nothing_to_hand_on_is_an_error() {
        assert_eq!(
            shown(decide("vault = \"v\"", &Selection::default())),
            "nothing to pass on: no secret and no plain value | add NAME = \"op://vault/item/field\" under [secrets] in /m.toml"
        );
        assert_eq!(
            shown(decide("[vars]\nV = \"1\"", &Selection::default())),
            "V:1"
        );
    }

    #[test]
    fn a_single_reference_keeps_the_manifest_s_account_and_op() {
        let reference = Reference::parse("op://v/i/f").expect("parses");
        let plan = single(&manifest(TEXT), reference, &Selection::default());
        assert_eq!(plan.account.as_deref(), Some("a"));
        assert_eq!(plan.timeout, Duration::from_secs(5));
        assert_eq!(shown(Ok(plan)), "secret!=op://v/i/f");
    }
}
