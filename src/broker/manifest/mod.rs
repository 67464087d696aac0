//! (1) The manifest: which secrets there are, and where each is kept.
//!
//! `find` looks for the file, `file` reads it if it can be trusted, `allowed` knows which found
//! ones the user has allowed, `parse` parses it, `entry` its single entries, with positions from
//! `table`; `summary` shows what it passes on, `pin` rewrites it. Nothing here runs `op` or reads our environment by
//! itself.

pub(crate) mod file;
mod table;
mod entry;
mod client;
mod parse;
pub(crate) mod allowed;
pub(crate) mod summary;
mod find;
pub(crate) mod pin;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::env_name::EnvName;
use crate::broker::id::EnvironmentId;
use crate::broker::reference::{Reference, ReferencePattern};
use crate::broker::registry::{HostPort, HostQuery};

pub(crate) use find::{FILE, Opened, Start, absolute, builtin, builtin_text, inspect, load, open};
pub(crate) use parse::parse;
pub(crate) use table::quoted;

/// Where a manifest came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The one that is compiled in.
    BuiltIn,
    /// A named file, or the user's or the system's, by its absolute path.
    File(PathBuf),
    /// A file that was found by the working directory, by its real path.
    Found(PathBuf),
    /// None: the broker of this socket says which names there are.
    Broker(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) | Self::Found(path) => write!(f, "{}", path.display()),
            Self::Broker(path) => write!(f, "the broker {}", path.display()),
        }
    }
}

/// A manifest, parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Where it came from.
    pub origin: Origin,
    /// The default vault.
    pub vault: Option<String>,
    /// The account, handed to `op` as `--account`.
    pub account: Option<String>,
    /// 1Password Environments, all of whose variables come along.
    pub environments: Vec<EnvironmentId>,
    /// The secrets, in the order of the file.
    pub secrets: Vec<SecretSpec>,
    /// Plain values, passed on with the secrets.
    pub vars: Vec<(EnvName, String)>,
    /// What the Docker credential helper answers.
    pub registries: Vec<HostSpec>,
    /// What the git credential helper answers.
    pub git: Vec<HostSpec>,
    /// Named subsets of the secrets.
    pub profiles: BTreeMap<String, Vec<EnvName>>,
    /// `[cache]`; `None` where the manifest has no such table.
    pub cache: Option<CacheSettings>,
    /// `[op]`.
    pub op: OpSettings,
    /// Who may ask the broker.
    pub clients: Vec<ClientSpec>,
    /// References that OpenClaw may ask for besides names.
    pub references: Vec<ReferencePattern>,
}

impl Manifest {
    /// An empty manifest.
    pub(crate) fn empty(origin: Origin) -> Self {
        Self {
            origin,
            vault: None,
            account: None,
            environments: vec![],
            secrets: vec![],
            vars: vec![],
            registries: vec![],
            git: vec![],
            profiles: BTreeMap::new(),
            cache: None,
            op: OpSettings::default(),
            clients: vec![],
            references: vec![],
        }
    }

    /// Where `spec` is kept, for people: not encoded, and with the default vault where that is known.
    pub(crate) fn shown_source(&self, spec: &SecretSpec) -> String {
        match &spec.location {
            Location::Reference(reference) => reference.to_string(),
            Location::Item {
                vault,
                item,
                section,
                field,
            } => {
                let vault = vault.as_deref().or(self.vault.as_deref());
                let parts = [
                    vault.or(Some("(default vault)")),
                    Some(item),
                    section.as_deref(),
                ];
                let parts: Vec<&str> = parts.into_iter().flatten().collect();
                format!("op://{}/{field}", parts.join("/"))
            }
        }
    }

    /// The same, told apart from any other place: what holds a `/` reads like two parts.
    pub(crate) fn place(&self, spec: &SecretSpec) -> String {
        let shown = self.shown_source(spec);
        match &spec.location {
            Location::Item { item, field, .. }
                if [item, field].iter().any(|it| it.contains('/')) =>
            {
                format!("{shown} {:?}", spec.location)
            }
            _ => shown,
        }
    }

    /// The settings that decide whose secrets are meant and where they go, each with a key of its own.
    pub(crate) fn shown_settings(&self) -> Vec<(String, String)> {
        let needs_vault =
            |spec: &SecretSpec| matches!(spec.location, Location::Item { vault: None, .. });
        let vault = self.vault.as_ref();
        let vault = vault.filter(|_| !self.secrets.iter().any(needs_vault));
        let kept =
            |cache: &CacheSettings| format!("kept by the kernel for {} s", cache.ttl.as_secs());
        let one = |key: &str, what: Option<String>| Some((key.to_owned(), what?));
        let host = |table: &'static str| {
            move |spec: &HostSpec| {
                let what = format!("{} asks for {}", spec.host, spec.secret);
                (format!("{table} {}", spec.host), what)
            }
        };
        [
            one("account", self.account.clone()),
            one("vault", vault.cloned()),
            one("cache", self.cache.as_ref().map(kept)),
        ]
        .into_iter()
        .flatten()
        .chain(self.registries.iter().map(host("registry")))
        .chain(self.git.iter().map(host("git")))
        .collect()
    }

    /// The vault of `spec`, where the manifest names it.
    pub(crate) fn vault_of<'a>(&'a self, spec: &'a SecretSpec) -> Option<&'a str> {
        match &spec.location {
            Location::Reference(reference) => Some(&reference.vault),
            Location::Item { vault, .. } => vault.as_deref().or(self.vault.as_deref()),
        }
    }

    /// All values in the manifest itself: those of `[vars]`, and defaults of secrets.
    pub(crate) fn plain_values(&self) -> impl Iterator<Item = (String, &str)> {
        let vars = self.vars.iter();
        let vars = vars.map(|(name, value)| (name.to_string(), value.as_str()));
        let defaults = self.secrets.iter().filter_map(|spec| {
            let default = spec.default.as_deref()?;
            Some((format!("{} (where it is missing)", spec.name), default))
        });
        vars.chain(defaults)
    }
}

/// One entry of `[secrets]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretSpec {
    /// The variable that receives it.
    pub name: EnvName,
    /// Where it is kept.
    pub location: Location,
    /// Whether a run fails without it.
    pub required: bool,
    /// What to use where it is missing.
    pub default: Option<String>,
    /// Whether it must be fetched by a way that preserves every byte.
    pub exact: bool,
}

/// Where a secret is kept, before the default vault is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// `op://…`, which names its vault.
    Reference(Reference),
    /// By parts; without a vault of its own it takes the default vault.
    Item {
        /// The vault's name or id.
        vault: Option<String>,
        /// The item's title or id.
        item: String,
        /// The section's label or id.
        section: Option<String>,
        /// The field's label or id; `credential` unless stated.
        field: String,
    },
}

/// One entry of `[registries]` or `[git]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostSpec {
    /// The host, such as `ghcr.io`.
    pub host: HostPort,
    /// The user name that goes with the secret, if the manifest gives one; never empty, never
    /// `<token>`.
    pub username: Option<String>,
    /// The secret that is the password.
    pub secret: EnvName,
    /// Whether it is answered for `http://` too.
    pub insecure: bool,
}

impl HostSpec {
    /// The user name that GitHub and most registries accept beside a token.
    pub(crate) const USERNAME: &str = "x-access-token";

    /// The user name to answer with.
    pub(crate) fn username(&self) -> &str {
        self.username.as_deref().unwrap_or(Self::USERNAME)
    }

    /// Whether `asked` is this host, and not over `http://` unless that is allowed.
    pub(crate) fn serves(&self, asked: &HostQuery) -> bool {
        self.host == asked.host && (self.insecure || !asked.plain)
    }
}

/// `[cache]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheSettings {
    /// How long a value is kept; zero is off, at most 12 hours.
    pub ttl: Duration,
    /// Whether anything is cached for uid 0.
    pub allow_root: bool,
}

/// `[op]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpSettings {
    /// The absolute path of `op`.
    pub path: Option<PathBuf>,
    /// The deadline for one `op` process.
    pub timeout: Option<Duration>,
}

/// One entry of `[clients]`: who may ask the broker, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientSpec {
    /// Its name, which is that of its folder.
    pub name: String,
    /// What it may ask for.
    pub secrets: Vec<EnvName>,
    /// The user who connects, as the host sees it; the broker's own unless stated.
    pub uid: Option<u32>,
    /// How long a value is answered without asking `op` again.
    pub ttl: Duration,
    /// How old a value may be that is answered where `op` cannot be asked.
    pub stale: Duration,
}
