//! The text of an `oc-secrets.toml` becomes a [`Manifest`], or an error that points at
//! `file:line:column`, says what is wrong and suggests the nearest valid key or name.
//!
//! Errors quote keys, never values: a secret that was pasted into the file by mistake stays there.

use std::collections::{BTreeMap, HashSet};

use toml::de::DeTable;

use super::file::Document;
use super::table::{KeyValue, entries, shown};
use super::{client, entry};
use crate::base::env_name::{Carries, EnvName};
use crate::base::error::Result;
use crate::base::suggest;
use crate::broker::manifest::{HostSpec, Manifest, Origin};

const TOP: &[&str] = &[
    "vault",
    "account",
    "environments",
    "secrets",
    "vars",
    "registries",
    "git",
    "profiles",
    "cache",
    "op",
    "clients",
    "openclaw",
];
const PROFILE: &[&str] = &["secrets"];

/// Parses `text`, called `label` in errors.
///
/// # Errors
/// [`Error::Manifest`](crate::base::error::Error::Manifest) for the first thing that is wrong.
pub(crate) fn parse(text: &str, label: &str, origin: Origin) -> Result<Manifest> {
    let document = Document::new(label, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |error: &&toml::de::Error| error.span().map(|span| span.start);
    if let Some(first) = errors.iter().min_by_key(place) {
        return Err(document.syntax(first));
    }
    Parser {
        document,
        manifest: Manifest::empty(origin),
        mentions: vec![],
    }
    .run(table.get_ref())
}

struct Parser<'a> {
    document: Document<'a>,
    manifest: Manifest,
    /// Mentions of secrets are checked at the end, since `[secrets]` may come last.
    mentions: Vec<Mention>,
}

/// A text that must be the name of a secret.
struct Mention {
    name: String,
    at: usize,
    /// The key under which it stands, for people; the text itself may be a secret.
    key: String,
}

impl Parser<'_> {
    fn run(mut self, table: &DeTable<'_>) -> Result<Manifest> {
        let mut vars = None;
        for entry in entries(table) {
            match entry.key {
                "vault" => self.manifest.vault = Some(self.document.text_of(entry)?.to_owned()),
                "account" => self.manifest.account = Some(self.document.text_of(entry)?.to_owned()),
                "environments" => {
                    self.manifest.environments = entry::environments(&self.document, entry)?;
                }
                "secrets" => self.secrets(entry)?,
                "vars" => vars = Some(entry),
                "registries" => self.manifest.registries = self.hosts(entry, "registry")?,
                "git" => self.manifest.git = self.hosts(entry, "git host")?,
                "profiles" => self.profiles(entry)?,
                "cache" => self.manifest.cache = Some(entry::cache(&self.document, entry)?),
                "op" => self.manifest.op = entry::op(&self.document, entry)?,
                "clients" => self.clients(entry)?,
                "openclaw" => self.manifest.references = client::openclaw(&self.document, entry)?,
                _ => return Err(self.document.unknown(entry, "at the top level", TOP)),
            }
        }
        if let Some(entry) = vars {
            self.vars(entry)?;
        }
        self.check_mentions()?;
        Ok(self.manifest)
    }

    /// Whether this manifest was found and not named.
    fn found(&self) -> bool {
        matches!(self.manifest.origin, Origin::Found(_))
    }

    fn secrets(&mut self, table: KeyValue<'_>) -> Result<()> {
        for entry in self.document.table(table)? {
            let secret = entry::secret(&self.document, entry, self.found())?;
            self.manifest.secrets.push(secret);
        }
        Ok(())
    }

    fn vars(&mut self, table: KeyValue<'_>) -> Result<()> {
        let mut vars = vec![];
        let secrets = self.manifest.secrets.iter();
        let secrets: HashSet<&EnvName> = secrets.map(|secret| &secret.name).collect();
        for entry in self.document.table(table)? {
            let name = entry::name(&self.document, entry, Carries::Plain, self.found())?;
            if secrets.contains(&name) {
                let what = format!("`{name}` is in [secrets] too");
                return Err(self
                    .document
                    .error(entry.key_at, what, "keep one of the two"));
            }
            let value = self.document.any_text(entry)?;
            if value.trim_start().starts_with("op://") {
                let what = format!("`{name}` is a reference, and [vars] holds plain values");
                return Err(self.document.error(entry.at, what, "move it to [secrets]"));
            }
            vars.push((name, value.to_owned()));
        }
        self.manifest.vars = vars;
        Ok(())
    }

    fn hosts(&mut self, table: KeyValue<'_>, place: &str) -> Result<Vec<HostSpec>> {
        let mut hosts: Vec<HostSpec> = vec![];
        let mut seen = HashSet::new();
        for entry in self.document.table(table)? {
            let (unchecked, at) = entry::host(&self.document, entry, place)?;
            if !seen.insert(unchecked.host.clone()) {
                let what = format!("{place} `{}` is there twice", unchecked.host);
                let hint = "keep one of the two";
                return Err(self.document.error(entry.key_at, what, hint));
            }
            self.mentions.push(Mention {
                name: unchecked.secret.clone(),
                at,
                key: format!("`secret` of {place} `{}`", unchecked.host),
            });
            // A name that does not parse is no secret's name either, and reported below.
            if let Ok(secret) = EnvName::parse(&unchecked.secret) {
                hosts.push(HostSpec {
                    host: unchecked.host,
                    username: unchecked.username,
                    secret,
                    insecure: unchecked.insecure,
                });
            }
        }
        Ok(hosts)
    }

    fn profiles(&mut self, table: KeyValue<'_>) -> Result<()> {
        let mut profiles = BTreeMap::new();
        for entry in self.document.table(table)? {
            let mut names = None;
            for key in self.document.table(entry)? {
                match key.key {
                    "secrets" => names = Some(self.document.list(key)?),
                    _ => {
                        let place = format!("in profile `{}`", shown(entry.key));
                        return Err(self.document.unknown(key, &place, PROFILE));
                    }
                }
            }
            let Some(names) = names else {
                let what = format!("profile `{}` has no `secrets`", shown(entry.key));
                let hint = "list the secrets it takes: secrets = [\"NAME\"]";
                return Err(self.document.error(entry.key_at, what, hint));
            };
            let parsed = names
                .iter()
                .filter_map(|(name, _)| EnvName::parse(name).ok());
            profiles.insert(entry.key.to_owned(), parsed.collect());
            self.mentions.extend(names.iter().map(|(name, at)| Mention {
                name: (*name).to_owned(),
                at: *at,
                key: format!("`secrets` of profile `{}`", shown(entry.key)),
            }));
        }
        self.manifest.profiles = profiles;
        Ok(())
    }

    fn clients(&mut self, table: KeyValue<'_>) -> Result<()> {
        for entry in self.document.table(table)? {
            let (spec, names) = client::client(&self.document, entry)?;
            self.mentions.extend(names.iter().map(|(name, at)| Mention {
                name: (*name).to_owned(),
                at: *at,
                key: format!("`secrets` of client `{}`", spec.name),
            }));
            self.manifest.clients.push(spec);
        }
        Ok(())
    }

    /// Every mention must be the name of a secret.
    fn check_mentions(&self) -> Result<()> {
        let secrets = &self.manifest.secrets;
        let known: Vec<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
        let names: HashSet<&str> = known.iter().copied().collect();
        let stranger = |mention: &&Mention| !names.contains(mention.name.as_str());
        let first = self
            .mentions
            .iter()
            .filter(stranger)
            .min_by_key(|mention| mention.at);
        first.map_or(Ok(()), |Mention { name, at, key }| {
            let hint = suggest::hint(name, &known, "the secrets are");
            let what = format!("{key}: no such name in [secrets]");
            Err(self.document.error(*at, what, hint))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::broker::manifest::{CacheSettings, ClientSpec, Location, OpSettings, SecretSpec};
    use crate::broker::reference::{Reference, ReferencePattern};
    use crate::broker::registry::HostPort;
    use std::path::PathBuf;
    use std::time::Duration;

    const FULL: &str = r#"
vault   = "OpenClaw"
account = "my.1password.com"

[registries."ghcr.io"]
username = "x-access-token"
secret   = "GHCR_TOKEN"

[registries."index.docker.io"]
username = "me"
secret   = "DB_PASSWORD"

[registries.quay]
secret = "API_KEY"
insecure = true

[git."github.com"]
secret = "GHCR_TOKEN"

[profiles.bootstrap]
secrets = ["GHCR_TOKEN", "API_KEY"]

[secrets]
GHCR_TOKEN  = { item = "GitHub GHCR Pull Token", required = false }
DB_PASSWORD = "op://Production/Postgres/admin/password"
API_KEY     = { ref = "op://Production/API/credential", default = "none" }
A_LAST      = { item = "Signing (prod)", section = "keys", field = "private key", exact = true, vault = "V" }

[vars]
GITHUB_USER = "aleccool213"
EMPTY = ""

[cache]
ttl = "1h"
allow_root = true

[op]
path    = "/usr/bin/op"
timeout = "30s"

[clients.gateway]
secrets = ["GHCR_TOKEN"]
uid     = 1000
ttl     = "1m"
stale   = "1h"

[clients.own-1]
secrets = []

[openclaw]
references = ["op://Automation/*"]
"#;

    fn read(text: &str) -> Result<Manifest> {
        parse(text, "f", Origin::BuiltIn)
    }

    fn name(text: &str) -> EnvName {
        EnvName::parse(text).expect("a name")
    }

    /// `line:column: what | hint`
    fn error(text: &str) -> String {
        match read(text) {
            Err(Error::Manifest { at, what, hint }) => {
                format!("{}: {what} | {hint}", at.trim_start_matches("f:"))
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    fn check(table: &[(&str, &str)]) {
        for (text, expected) in table {
            assert_eq!(error(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn every_key_of_a_manifest_is_understood() {
        let manifest = read(FULL).expect("parses");
        assert_eq!(manifest.vault.as_deref(), Some("OpenClaw"));
        assert_eq!(manifest.account.as_deref(), Some("my.1password.com"));
        assert_eq!(
            manifest.vars,
            [
                (name("GITHUB_USER"), "aleccool213".to_owned()),
                (name("EMPTY"), String::new())
            ]
        );
        assert_eq!(
            manifest.profiles["bootstrap"],
            [name("GHCR_TOKEN"), name("API_KEY")]
        );
        let host = |host: &str, username: Option<&str>, secret: &str, insecure| HostSpec {
            host: HostPort::parse(host).expect("a host"),
            username: username.map(str::to_owned),
            secret: name(secret),
            insecure,
        };
        assert_eq!(
            manifest.registries,
            [
                host("ghcr.io", Some("x-access-token"), "GHCR_TOKEN", false),
                host("docker.io", Some("me"), "DB_PASSWORD", false),
                host("quay", None, "API_KEY", true),
            ]
        );
        assert_eq!(
            manifest.git,
            [host("github.com", None, "GHCR_TOKEN", false)]
        );
        let cache = CacheSettings {
            ttl: Duration::from_secs(3600),
            allow_root: true,
        };
        assert_eq!(manifest.cache, Some(cache));
        let op = OpSettings {
            path: Some(PathBuf::from("/usr/bin/op")),
            timeout: Some(Duration::from_secs(30)),
        };
        assert_eq!(manifest.op, op);
        let client = |name: &str, secrets, uid, ttl, stale| ClientSpec {
            name: name.to_owned(),
            secrets,
            uid,
            ttl: Duration::from_secs(ttl),
            stale: Duration::from_secs(stale),
        };
        let gateway = client("gateway", vec![name("GHCR_TOKEN")], Some(1000), 60, 3600);
        let own = client("own-1", vec![], None, 300, 0);
        assert_eq!(manifest.clients, [gateway, own]);
        let pattern = ReferencePattern::parse("op://Automation/*").expect("a pattern");
        assert_eq!(manifest.references, [pattern]);
    }

    #[test]
    fn clients_and_patterns_that_cannot_be_are_refused() {
        check(&[
            (
                "[clients.Gate]\nsecrets = []",
                "1:10: `Gate` cannot name a client | write small letters, digits, `-` and `_`, at most 32, the first no sign",
            ),
            (
                "[clients.g]\nuid = 1",
                "1:10: client `g` has no `secrets` | list what it may ask for: secrets = [\"NAME\"]",
            ),
            (
                "[clients.g]\nsecrets = [\"NOPE\"]\n[secrets]\nA = \"op://v/i/f\"",
                "2:12: `secrets` of client `g`: no such name in [secrets] | the secrets are: A",
            ),
            (
                "[clients.g]\nsecrets = []\nuid = -1",
                "3:7: `uid` is out of range | write a whole number from 0 to 4294967295",
            ),
            (
                "[clients.g]\nsecrets = []\nuid = \"0\"",
                "3:7: `uid` must be a number, not text | write it without quotes",
            ),
            (
                "[clients.g]\nsecrets = []\nstale = \"13h\"",
                "3:9: `stale` is more than 12h | write 12h or less; \"0\" turns it off",
            ),
            (
                "[clients.g]\nsecrets = []\nsecret = 1",
                "3:1: unknown key `secret` in client `g` | did you mean `secrets`?",
            ),
            (
                "[openclaw]\nreferences = [\"op://*\"]",
                "2:15: `references` holds what is no pattern | name the vault, and end with * where anything may follow: \"op://Automation/*\"",
            ),
            (
                "[openclaw]\nreference = []",
                "2:1: unknown key `reference` in [openclaw] | did you mean `references`?",
            ),
        ]);
    }

    #[test]
    fn secrets_keep_the_order_and_every_detail_of_the_file() {
        let spec = |text: &str, location| SecretSpec {
            name: name(text),
            location,
            required: true,
            default: None,
            exact: false,
        };
        let item =
            |item: &str, field: &str, section: Option<&str>, vault: Option<&str>| Location::Item {
                vault: vault.map(str::to_owned),
                item: item.to_owned(),
                section: section.map(str::to_owned),
                field: field.to_owned(),
            };
        let reference = |text| Location::Reference(Reference::parse(text).expect("parses"));
        let ghcr = item("GitHub GHCR Pull Token", "credential", None, None);
        let signing = item("Signing (prod)", "private key", Some("keys"), Some("V"));
        let expected = [
            SecretSpec {
                required: false,
                ..spec("GHCR_TOKEN", ghcr)
            },
            spec(
                "DB_PASSWORD",
                reference("op://Production/Postgres/admin/password"),
            ),
            SecretSpec {
                default: Some("none".to_owned()),
                ..spec("API_KEY", reference("op://Production/API/credential"))
            },
            SecretSpec {
                exact: true,
                ..spec("A_LAST", signing)
            },
        ];
        assert_eq!(read(FULL).expect("parses").secrets, expected);
    }

    #[test]
    fn an_empty_file_and_other_ways_to_write_tables_are_fine() {
        assert_eq!(read("").expect("parses"), Manifest::empty(Origin::BuiltIn));
        let long = read("[secrets.A]\r\nitem = \"i\"\r\n[secrets]\r\nB.item = \"j\"\r\n");
        assert_eq!(long.expect("parses").secrets.len(), 2);
        let cache = read("[cache]\nallow_root = false").expect("parses").cache;
        assert_eq!(cache.map(|cache| cache.ttl), Some(Duration::from_secs(300)));
        let off = read("cache.ttl = \"0\"").expect("parses").cache;
        assert_eq!(off.map(|cache| cache.ttl), Some(Duration::ZERO));
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest_known_one() {
        check(&[
            (
                "vualt = \"x\"",
                "1:1: unknown key `vualt` at the top level | did you mean `vault`?",
            ),
            (
                "\n\n  [wrong]",
                "3:4: unknown key `wrong` at the top level | known keys: vault, account, environments, secrets, vars, registries, git, profiles, cache, op, clients, openclaw",
            ),
            (
                "[secrets]\nA = { item = \"é\", feild = \"f\" }",
                "2:19: unknown key `feild` in `A` | did you mean `field`?",
            ),
            (
                "[secrets]\nA = { item = \"i\", zzzzzzz = 1 }",
                "2:19: unknown key `zzzzzzz` in `A` | known keys: item, field, section, vault, ref, required, default, exact",
            ),
            (
                "[registries.\"ghcr.io\"]\nuser = \"x\"",
                "2:1: unknown key `user` in registry `ghcr.io` | known keys: username, secret, insecure",
            ),
            (
                "[profiles.p]\nsecret = []",
                "2:1: unknown key `secret` in profile `p` | did you mean `secrets`?",
            ),
            (
                "[cache]\ntl = \"5m\"",
                "2:1: unknown key `tl` in [cache] | did you mean `ttl`?",
            ),
            (
                "[op]\npaht = \"/op\"",
                "2:1: unknown key `paht` in [op] | did you mean `path`?",
            ),
            (
                "\"a\\nb\\u001b\" = 1",
                "1:1: unknown key `a\\nb\\u{1b}` at the top level | known keys: vault, account, environments, secrets, vars, registries, git, profiles, cache, op, clients, openclaw",
            ),
        ]);
    }

    #[test]
    fn the_right_spelling_is_shown() {
        for (text, expected) in [
            (
                "[registries.ghcr.io]\nsecret = \"T\"",
                "1:13: a host with a dot must be in quotes | write [registries.\"ghcr.io\"]",
            ),
            (
                "[git.github.com]\nsecret = \"T\"",
                "1:6: a host with a dot must be in quotes | write [git.\"github.com\"]",
            ),
            (
                "[cache]\nttl = 300",
                "2:7: `ttl`: this is not a duration | write it with its unit, in quotes: ttl = \"300s\"",
            ),
            (
                "[op]\ntimeout = 5",
                "2:11: `timeout`: this is not a duration | write it with its unit, in quotes: timeout = \"5s\"",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn wrong_types_are_named() {
        check(&[
            (
                "vault = 1",
                "1:9: `vault` must be text, not a number | put it in quotes",
            ),
            (
                "account = true",
                "1:11: `account` must be text, not true or false | put it in quotes",
            ),
            (
                "secrets = []",
                "1:11: `secrets` must be a table, not a list | write [secrets] and its keys on lines of their own",
            ),
            (
                "[[secrets]]\nA = \"op://v/i/f\"",
                "1:1: `secrets` must be a table, not a list | write [secrets] and its keys on lines of their own",
            ),
            (
                "[secrets]\nA = 5",
                "2:5: `A` must be text, not a number | put it in quotes",
            ),
            (
                "[secrets]\nA = { item = \"i\", required = \"no\" }",
                "2:30: `required` must be true or false, not text | write it without quotes",
            ),
            (
                "[secrets]\nA = { item = [\"i\"] }",
                "2:14: `item` must be text, not a list | put it in quotes",
            ),
            (
                "[vars]\nPORT = 8080",
                "2:8: `PORT` must be text, not a number | put it in quotes",
            ),
            (
                "[vars]\nD = 2020-01-01",
                "2:5: `D` must be text, not a date or time | put it in quotes",
            ),
            (
                "[registries]\n\"ghcr.io\" = \"A\"",
                "2:13: `ghcr.io` must be a table, not text | write [ghcr.io] and its keys on lines of their own",
            ),
            (
                "[profiles.p]\nsecrets = \"A\"",
                "2:11: `secrets` must be a list of names, not text | write it as [\"ONE\", \"TWO\"]",
            ),
            (
                "[profiles.p]\nsecrets = [\n  1]",
                "3:3: `secrets` must be a list of names | write it as [\"ONE\", \"TWO\"]",
            ),
            (
                "[cache]\nttl = 0",
                "2:7: `ttl`: this is not a duration | write it with its unit, in quotes: ttl = \"0s\"",
            ),
            (
                "[op]\ntimeout = 1.5",
                "2:11: `timeout` must be text, not a number | put it in quotes",
            ),
            (
                "[op]\npath = {}",
                "2:8: `path` must be text, not a table | put it in quotes",
            ),
        ]);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let long = format!("[vars]\n{} = \"\"", "x".repeat(256));
        let long_error = format!(
            "2:1: `{}…`: a name is a letter or `_`, then letters, digits and `_`, at most 255 of them | choose a name such as API_KEY",
            "x".repeat(60)
        );
        check(&[
            (
                "[secrets]\n\"A B\" = \"op://v/i/f\"",
                "2:1: `A B`: a name is a letter or `_`, then letters, digits and `_`, at most 255 of them | choose a name such as API_KEY",
            ),
            (
                "[secrets]\nLD_PRELOAD = \"op://v/i/f\"",
                "2:1: `LD_PRELOAD`: this name steers the loader, so no manifest may set it | choose another name",
            ),
            (
                "[vars]\nPATH = \"/tmp\"",
                "2:1: `PATH`: this name steers shells, so no manifest may set it | choose another name",
            ),
            (long.as_str(), long_error.as_str()),
            (
                "[vars]\nA = \"\"\n[secrets]\nA = \"op://v/i/f\"",
                "2:1: `A` is in [secrets] too | keep one of the two",
            ),
            (
                "[secrets]\nA = \"op://v/i/f\"\nA = \"op://v/i/g\"",
                "3:1: duplicate key `A` | keep one of the two",
            ),
            (
                "[vars]\n[secrets]\n[vars]",
                "3:2: duplicate key `vars` | keep one of the two",
            ),
        ]);
    }

    #[test]
    fn sources_that_cannot_be_are_refused() {
        const HOW: &str =
            "write \"op://vault/item/field\", or { item = \"…\" } for names with slashes";
        let scheme = format!("2:5: `A`: a reference begins with `op://` | {HOW}");
        let few = format!(
            "2:13: `ref`: a reference needs at least vault, item and field: op://vault/item/field | {HOW}"
        );
        let control = format!("2:5: `A`: a reference cannot hold control characters | {HOW}");
        check(&[
            ("[secrets]\nA = \"ghp_pasted\"", &scheme),
            ("[secrets]\nA = { ref = \"op://v/i\" }", &few),
            ("[secrets]\nA = \"op://v/i/f\\n\"", &control),
            (
                "[secrets]\nA = { ref = \"op://v/i/f\", item = \"i\" }",
                "2:27: `item` beside `ref`, which already says where it is | write either `ref`, or `item` with `field`, `section` and `vault`",
            ),
            (
                "[secrets]\nA = { field = \"f\", ref = \"op://v/i/f\" }",
                "2:7: `field` beside `ref`, which already says where it is | write either `ref`, or `item` with `field`, `section` and `vault`",
            ),
            (
                "[secrets]\nA = { field = \"f\" }",
                "2:1: `A` has neither `item` nor `ref` | write item = \"its title in 1Password\" or ref = \"op://vault/item/field\"",
            ),
            (
                "[secrets]\nA = {}",
                "2:1: `A` has neither `item` nor `ref` | write item = \"its title in 1Password\" or ref = \"op://vault/item/field\"",
            ),
            (
                "[secrets]\nA = { item = \" \" }",
                "2:14: `item` is empty | write something in the quotes, or leave the key out",
            ),
            (
                "[secrets]\nA = { item = \"a\\nb\" }",
                "2:14: `item` holds a control character | look for line breaks, tabs and escapes in it",
            ),
            (
                "[secrets]\nA = { item = \"i\", default = \"a\\u0000\" }",
                "2:29: `default` holds a NUL character | no environment can carry it",
            ),
            (
                "[vars]\nA = \"op://v/i/f\"",
                "2:5: `A` is a reference, and [vars] holds plain values | move it to [secrets]",
            ),
            (
                "vault = \"\"",
                "1:9: `vault` is empty | write something in the quotes, or leave the key out",
            ),
        ]);
    }

    #[test]
    fn mentions_of_secrets_must_be_of_known_ones() {
        const SECRETS: &str = "\n[secrets]\nGHCR_TOKEN = \"op://v/i/f\"\nOTHER = \"op://v/i/g\"";
        for (text, expected) in [
            (
                "[registries.\"ghcr.io\"]\nsecret = \"GHCR_TOKN\"",
                "2:10: `secret` of registry `ghcr.io`: no such name in [secrets] | did you mean `GHCR_TOKEN`?",
            ),
            (
                "[registries.\"ghcr.io\"]\nsecret = \"ghp_pasted by mistake\"",
                "2:10: `secret` of registry `ghcr.io`: no such name in [secrets] | the secrets are: GHCR_TOKEN, OTHER",
            ),
            (
                "[profiles.p]\nsecrets = [\"OTHER\", \"oter\"]",
                "2:21: `secrets` of profile `p`: no such name in [secrets] | did you mean `OTHER`?",
            ),
            (
                "[registries.\"ghcr.io\"]\nsecret = \"GHCR_TOKEN\"\n[profiles.p]\nsecrets = [\"X Y\"]",
                "4:12: `secrets` of profile `p`: no such name in [secrets] | the secrets are: GHCR_TOKEN, OTHER",
            ),
        ] {
            assert_eq!(error(&format!("{text}{SECRETS}")), expected);
        }
        check(&[(
            "[profiles.p]\nsecrets = [\"A\"]",
            "2:12: `secrets` of profile `p`: no such name in [secrets] | the secrets are: none",
        )]);
    }

    #[test]
    fn registries_and_profiles_must_be_whole() {
        check(&[
            (
                "[registries.\"ghcr.io\"]\nusername = \"x\"",
                "1:13: registry `ghcr.io` has no `secret` | name the one that is its password: secret = \"NAME\"",
            ),
            (
                "[registries.\"ghcr.io\"]\nusername = \"\"",
                "2:12: `username` is empty | write something in the quotes, or leave the key out",
            ),
            (
                "[registries.\"ghcr.io\"]\nusername = \"<token>\"",
                "2:12: `username` cannot be `<token>`, which Docker takes for an identity token | leave it out for the default, x-access-token",
            ),
            (
                "[registries.\"\"]",
                "1:13: `` is not a host | write it as clients do: a name with its port, such as ghcr.io or localhost:5000",
            ),
            (
                "[registries.\"http://ghcr.io\"]",
                "1:13: `http://ghcr.io` is not a host | write it as clients do: a name with its port, such as ghcr.io or localhost:5000",
            ),
            (
                "[secrets]\nA = \"op://v/i/f\"\n[registries.\"ghcr.io\"]\nsecret = \"A\"\n[registries.\"GHCR.io:443\"]\nsecret = \"A\"",
                "5:13: registry `ghcr.io` is there twice | keep one of the two",
            ),
            (
                "[git.\"github.com\"]\nusername = \"a:b\"",
                "2:12: `username` holds a blank, a colon or a control character | leave it out for the default, x-access-token",
            ),
            (
                "[git.\"github.com\"]\nusername = \"a\"",
                "1:6: git host `github.com` has no `secret` | name the one that is its password: secret = \"NAME\"",
            ),
            (
                "[registries.\"a b\"]",
                "1:13: `a b` is not a host | write it as clients do: a name with its port, such as ghcr.io or localhost:5000",
            ),
            (
                "[profiles.p]",
                "1:11: profile `p` has no `secrets` | list the secrets it takes: secrets = [\"NAME\"]",
            ),
        ]);
    }

    #[test]
    fn paths_and_spans_of_time_are_checked() {
        const SPAN: &str = "2:7: `ttl`: this is not a duration | \
                            write a whole number with its unit, such as 500ms, 60s, 5m or 1h";
        const BARE: &str = "2:11: `timeout`: this is not a duration | write it with its unit: 60s";
        check(&[
            (
                "[op]\npath = \"bin/op\"",
                "2:8: `path` must be absolute | write it from the root, such as /usr/bin/op",
            ),
            ("[cache]\nttl = \"soon\"", SPAN),
            (
                "[cache]\nttl = \"13h\"",
                "2:7: `ttl` is more than 12h | write 12h or less; \"0\" turns it off",
            ),
            ("[op]\ntimeout = \"60\"", BARE),
            (
                "[op]\ntimeout = \"0s\"",
                "2:11: `timeout`: a timeout of 0 would let `op` answer nothing | leave it out for the default of 60s",
            ),
            (
                "[op]\ntimeout = \"25h\"",
                "2:11: `timeout`: a timeout is at most 24h | write 24h or less",
            ),
        ]);
    }

    #[test]
    fn syntax_errors_have_a_place_and_no_content() {
        const QUOTES: &str = "no value, or a text without quotes | write key = \"text\"";
        const SEE: &str = "see https://toml.io for the syntax";
        for (text, expected) in [
            (
                "[secrets",
                format!("1:9: unclosed table, expected `]` | {SEE}"),
            ),
            ("vault = \nop = 1", format!("1:9: {QUOTES}")),
            ("vault = hunter2", format!("1:9: {QUOTES}")),
            (
                "vault = \"hunter2",
                format!("1:17: invalid basic string, expected `\"` | {SEE}"),
            ),
            (
                "é = 1",
                format!("1:1: invalid unquoted key, expected letters, numbers, `-`, `_` | {SEE}"),
            ),
            (
                "hunter2",
                format!("1:8: key with no value, expected `=` | {SEE}"),
            ),
            (
                "a = { b = \"x\" c = 1 }",
                format!("1:15: missing comma between key-value pairs, expected `,` | {SEE}"),
            ),
            (
                "op = 1\nop.path = \"\"",
                format!("2:1: cannot extend value of type integer with a dotted key | {SEE}"),
            ),
            (
                "ttl = 1979-13-99",
                format!("1:7: invalid date, expected month between 01 and 12 | {SEE}"),
            ),
            (
                "a = 'x\ny'",
                format!("1:7: invalid literal string, expected `'` | {SEE}"),
            ),
            ("a = 1 2", format!("1:5: {QUOTES}")),
        ] {
            assert_eq!(error(text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_part_of_a_file_and_no_depth_makes_it_panic() {
        for end in 0..FULL.len() {
            let _ = read(&FULL[..end]);
            let _ = read(&FULL[end..]);
        }
        for opening in ["a.", "[", "{a=", "a=[", "a={b="] {
            let _ = read(&opening.repeat(20_000));
        }
    }

    #[test]
    fn values_are_never_quoted_in_errors() {
        for text in [
            "vault = hunter2",
            "[secrets]\nA = \"hunter2\"",
            "[secrets]\nA = { item = \"hunter2\\n\" }",
            "[vars]\nA = \"hunter2\\u0000\"",
            "[registries.r]\nsecret = \"hunter2\"",
            "[registries.r]\nusername = \"hunter2\\t\"",
            "[profiles.p]\nsecrets = [\"hunter2\"]",
            "[cache]\nttl = \"hunter2\"",
            "[op]\npath = \"hunter2\"",
            "[op]\ntimeout = \"hunter2\"",
            "account = 'hunter2",
            "account = \"hunter2\\q\"",
            "account = \"\"\"hunter2",
            "A = 1979-99-99hunter2",
        ] {
            let error = read(text).expect_err("refused");
            let all = format!("{error} {error:?} {:?}", error.hint());
            assert!(!all.contains("hunter2"), "{all}");
        }
    }
}
