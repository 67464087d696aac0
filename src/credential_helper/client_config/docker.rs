//! Adds our helper to a `config.json` or `auth.json`, and removes it. Pure.
//!
//! Each host gets its own entry in `credHelpers`, rather than one `credsStore` for all: other
//! registries keep their helper. One trap is handled: Docker detects its default store only if the
//! file names no helper at all, so `install` writes it down.

use std::collections::{HashMap, HashSet};

use super::before::Before;
use super::json::{Object, indentation};
use crate::broker::registry::{HostPort, HostQuery};

/// The part of our helper's name that these files hold.
pub(crate) const SUFFIX: &str = "oc";

/// The keys of an `auths` entry that hold a secret.
const SECRET_KEYS: &[&str] = &["auth", "identitytoken", "registrytoken", "password"];

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Docker and all that read its file.
    Docker,
    /// Podman, skopeo, buildah.
    Podman,
}

/// A file's content.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    client: Client,
    object: Object,
    indent: String,
    /// What stands behind the object: a newline, or nothing.
    end: String,
}

/// What to install.
#[derive(Clone, Debug, Default)]
pub(crate) struct Install<'a> {
    /// For these hosts.
    pub hosts: &'a [HostPort],
    /// Remove plaintext credentials for them.
    pub remove_plaintext: bool,
    /// The store that Docker would detect.
    pub default_store: Option<&'a str>,
}

/// The note for a file without a `credsStore`.
const PLAINTEXT: &str = "`docker login` to any other registry stores its password unencrypted in \
    this file: set `credsStore` to a helper of your system, such as pass or secretservice";

impl Config {
    /// Parses the text of a file; an absent or empty one is an empty object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(client: Client, text: &str) -> Result<Self, String> {
        // What JSON takes for blanks, and nothing else that looks like one.
        let trimmed = text.trim_end_matches([' ', '\t', '\r', '\n']);
        let object = if trimmed.is_empty() {
            Object::default()
        } else {
            Object::parse(text)?
        };
        object.object("auths")?;
        let helpers = object.object("credHelpers")?;
        if let Some(key) = helpers.keys().find(|key| helpers.text(key).is_none()) {
            return Err(format!("`credHelpers` names no helper for `{key}`"));
        }
        Ok(Self {
            client,
            object,
            indent: indentation(text).to_owned(),
            end: text[trimmed.len()..].to_owned(),
        })
    }

    /// The file's text.
    pub(crate) fn render(&self) -> String {
        self.object.render(&self.indent, 1) + &self.end
    }

    /// Adds our helper; returns notes for the user.
    pub(crate) fn install(&mut self, install: &Install<'_>) -> Vec<String> {
        let mut notes = vec![];
        let alone = ["credsStore", "credHelpers", "auths"]
            .iter()
            .all(|key| self.is_empty(key));
        let mut helpers = self.table("credHelpers");
        for host in install.hosts {
            if let Some(other) = helpers.text(self.key(host)).filter(|other| other != SUFFIX) {
                notes.push(format!("{host} used docker-credential-{other} before"));
            }
            helpers.set_text(self.key(host), SUFFIX);
        }
        self.set_table("credHelpers", &helpers);
        if self.client == Client::Docker && self.is_empty("credsStore") {
            match install.default_store.filter(|_| alone) {
                Some(store) => self.object.set_text("credsStore", store),
                None => notes.push(PLAINTEXT.to_owned()),
            }
        }
        let plaintext = self.plaintext();
        let stored = install
            .hosts
            .iter()
            .filter_map(|host| Some((host, plaintext.get(host)?)));
        match install.remove_plaintext {
            true => self.remove_plaintext(stored.flat_map(|(_, keys)| keys)),
            false => notes.extend(stored.map(|(host, _)| format!(
                "a plaintext credential for {host} stays in this file; --remove-plaintext removes it"
            ))),
        }
        notes
    }

    /// What `uninstall` needs to put back, where `install` has made `after` of this. What is known
    /// from an `earlier` one stays, as long as entries of ours do.
    pub(crate) fn before(&self, after: &Self, absent: bool, earlier: Option<Before>) -> Before {
        let ours = self.ours();
        let mut before = match earlier.filter(|_| !ours.is_empty()) {
            Some(earlier) => earlier,
            None => Before {
                absent,
                helpers: self.object.get("credHelpers").map(str::to_owned),
                store: self.object.get("credsStore").map(str::to_owned),
                named: None,
            },
        };
        if self.object.text("credsStore") != after.object.text("credsStore") {
            before.named = after.object.text("credsStore");
        }
        if !ours.is_empty() {
            let known: HashSet<&String> = ours.iter().collect();
            let now = self.table("credHelpers");
            let mut helpers = parsed(before.helpers.as_deref());
            let mut more = false;
            for key in after.ours().iter().filter(|key| !known.contains(key)) {
                if let Some(value) = now.get(key).filter(|_| helpers.get(key).is_none()) {
                    helpers.set(key, value);
                    more = true;
                }
            }
            if more {
                before.helpers = Some(helpers.render(&self.indent, 2));
            }
        }
        before
    }

    /// Removes our helper: for `hosts`, or for all if that is empty. What stood there before comes back.
    /// Returns whether nothing of ours is left.
    pub(crate) fn uninstall(&mut self, hosts: &[HostPort], before: &Before) -> bool {
        let mut helpers = self.table("credHelpers");
        let earlier = parsed(before.helpers.as_deref());
        let these: HashSet<&HostPort> = hosts.iter().collect();
        for key in self.ours() {
            let named = HostQuery::parse(&key).is_some_and(|asked| these.contains(&asked.host));
            if hosts.is_empty() || named {
                match earlier.get(&key) {
                    Some(value) if earlier.text(&key).as_deref() != Some(SUFFIX) => {
                        helpers.set(&key, value);
                    }
                    _ => helpers.remove(&key),
                }
            }
        }
        match &before.helpers {
            Some(text) if same(&earlier, &helpers) => self.object.set("credHelpers", text.as_str()),
            _ => self.set_table("credHelpers", &helpers),
        }
        if hosts.is_empty() && self.object.text("credsStore").as_deref() == Some(SUFFIX) {
            self.object.remove("credsStore");
        }
        let left = !self.ours().is_empty();
        if !left {
            self.restore_store(before);
        }
        !left
    }

    /// Takes out the store that `install` named. Where somebody has logged in since, Docker would not
    /// find that store by itself any more, so it stays.
    fn restore_store(&mut self, before: &Before) {
        let ours = before.named.is_some() && self.object.text("credsStore") == before.named;
        if ours && self.is_empty("auths") && self.is_empty("credHelpers") {
            match &before.store {
                Some(text) => self.object.set("credsStore", text.as_str()),
                None => self.object.remove("credsStore"),
            }
        }
    }

    /// Who is asked for which host.
    pub(crate) fn overview(&self) -> Overview<'_> {
        let store = self.object.text("credsStore");
        // Podman and its relatives know no store.
        let store = store.filter(|store| self.client == Client::Docker && !store.is_empty());
        Overview {
            config: self,
            helpers: self.table("credHelpers"),
            store,
            plaintext: self.plaintext(),
        }
    }

    /// Whether `credHelpers` names `key`.
    pub(crate) fn names(&self, key: &str) -> bool {
        self.table("credHelpers").get(key).is_some()
    }

    /// The keys of `auths` under which a secret is stored unencrypted, by the hosts that they name.
    fn plaintext(&self) -> HashMap<HostPort, Vec<String>> {
        let auths = self.table("auths");
        let mut found: HashMap<HostPort, Vec<String>> = HashMap::new();
        for key in auths.keys().filter(|key| holds_secret(&auths, key)) {
            for host in hosts(key) {
                found.entry(host).or_default().push(key.to_owned());
            }
        }
        found
    }

    /// All keys of `auths` under which a secret is stored unencrypted.
    pub(crate) fn plaintext_keys(&self) -> Vec<String> {
        let auths = self.table("auths");
        let keys = auths.keys().filter(|key| holds_secret(&auths, key));
        keys.map(str::to_owned).collect()
    }

    /// The keys of `credHelpers` that are ours.
    fn ours(&self) -> Vec<String> {
        let helpers = self.table("credHelpers");
        let ours = helpers
            .keys()
            .filter(|key| helpers.text(key).as_deref() == Some(SUFFIX));
        ours.map(str::to_owned).collect()
    }

    fn remove_plaintext<'a>(&mut self, keys: impl Iterator<Item = &'a String>) {
        let mut auths = self.table("auths");
        for key in keys {
            let mut entry = Object::parse(auths.get(key).unwrap_or_default()).unwrap_or_default();
            SECRET_KEYS.iter().for_each(|secret| entry.remove(secret));
            auths.set(key, entry.render(&self.indent, 3));
        }
        self.set_table("auths", &auths);
    }

    /// The key under which this file names `host`.
    fn key<'a>(&self, host: &'a HostPort) -> &'a str {
        match self.client {
            Client::Docker => host.docker_key(),
            Client::Podman => host.as_str(),
        }
    }

    fn table(&self, key: &str) -> Object {
        self.object.object(key).unwrap_or_default()
    }

    fn is_empty(&self, key: &str) -> bool {
        match self.object.get(key) {
            None | Some("null" | "\"\"") => true,
            Some(_) => self.object.text(key).is_none() && self.table(key).is_empty(),
        }
    }

    fn set_table(&mut self, key: &str, table: &Object) {
        if table.is_empty() {
            self.object.remove(key);
        } else {
            self.object.set(key, table.render(&self.indent, 2));
        }
    }
}

/// An object of a record; one that is not there, or no object, is empty.
fn parsed(text: Option<&str>) -> Object {
    Object::parse(text.unwrap_or_default()).unwrap_or_default()
}

/// Whether both name the same helpers.
fn same(one: &Object, other: &Object) -> bool {
    let pairs = |object: &Object| {
        let pairs = object.keys().map(|key| (key.to_owned(), object.text(key)));
        pairs.collect::<HashMap<_, _>>()
    };
    pairs(one) == pairs(other)
}

/// Whether the entry `key` of `auths` holds a secret.
fn holds_secret(auths: &Object, key: &str) -> bool {
    let entry = Object::parse(auths.get(key).unwrap_or_default()).unwrap_or_default();
    let secret = |name: &&str| entry.text(name).is_some_and(|text| !text.is_empty());
    SECRET_KEYS.iter().any(secret)
}

/// What a file says of each host.
pub(crate) struct Overview<'a> {
    config: &'a Config,
    helpers: Object,
    store: Option<String>,
    plaintext: HashMap<HostPort, Vec<String>>,
}

impl Overview<'_> {
    /// The helper that is asked for `host`, or `None` if only the file itself is read.
    pub(crate) fn asks(&self, host: &HostPort) -> Option<String> {
        let own = self.helpers.text(self.config.key(host));
        own.or_else(|| self.store.clone())
    }

    /// Whether a secret for `host` is stored in the file unencrypted.
    pub(crate) fn has_plaintext(&self, host: &HostPort) -> bool {
        self.plaintext.contains_key(host)
    }
}

/// The hosts that a key of `auths` is for: it can name something below one, as Podman writes them.
fn hosts(key: &str) -> Vec<HostPort> {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let first = bare.split('/').next().unwrap_or_default();
    let mut hosts: Vec<HostPort> = [key, bare, first]
        .into_iter()
        .filter_map(|text| Some(HostQuery::parse(text)?.host))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostPort {
        HostPort::parse(text).expect("a host")
    }

    /// The file after `install` for ghcr.io, and what was noted.
    fn installed(client: Client, text: &str, install: Install<'_>) -> (String, Vec<String>) {
        let mut config = Config::parse(client, text).expect("parses");
        let hosts = [host("ghcr.io")];
        let notes = config.install(&Install {
            hosts: &hosts,
            ..install
        });
        (config.render(), notes)
    }

    #[test]
    fn each_host_gets_an_entry_of_its_own() {
        let text = "{\n\t\"psFormat\": \"x\",\n\t\"credsStore\": \"desktop\",\n\t\"zeta\": {}\n}";
        let (file, notes) = installed(Client::Docker, text, Install::default());
        let wired = text.replace(
            "{}\n}",
            "{},\n\t\"credHelpers\": {\n\t\t\"ghcr.io\": \"oc\"\n\t}\n}",
        );
        assert_eq!((file.as_str(), notes), (wired.as_str(), vec![]));
        let mut config = Config::parse(Client::Docker, &file).expect("parses");
        assert_eq!(
            config.overview().asks(&host("ghcr.io")).as_deref(),
            Some("oc")
        );
        assert_eq!(
            config.overview().asks(&host("quay.io")).as_deref(),
            Some("desktop")
        );
        config.uninstall(&[], &Before::default());
        assert_eq!(config.render(), text);
    }

    #[test]
    fn the_store_that_docker_would_find_by_itself_is_named_now() {
        let store = || Install {
            default_store: Some("pass"),
            ..Install::default()
        };
        for alone in [
            "",
            "{}",
            "{\"auths\":{}}",
            "{\"credsStore\":\"\",\"auths\":null}",
        ] {
            let (file, notes) = installed(Client::Docker, alone, store());
            let has = Object::parse(&file).expect("parses").text("credsStore");
            assert_eq!(
                (has.as_deref(), notes.is_empty()),
                (Some("pass"), true),
                "{alone}"
            );
        }
        for (text, install) in [
            ("{\"auths\":{\"quay.io\":{}}}", store()),
            ("{}", Install::default()),
        ] {
            let (file, notes) = installed(Client::Docker, text, install);
            assert_eq!(notes, [PLAINTEXT]);
            assert!(!file.contains("credsStore"));
        }
        assert_eq!(
            installed(Client::Podman, "{}", store()).1,
            Vec::<String>::new()
        );
    }

    #[test]
    fn docker_hub_has_another_key_for_podman() {
        let hosts = [host("docker.io")];
        let install = Install {
            hosts: &hosts,
            ..Install::default()
        };
        for (client, key) in [
            (Client::Docker, "https://index.docker.io/v1/"),
            (Client::Podman, "docker.io"),
        ] {
            let mut config = Config::parse(client, "{\"credsStore\": \"x\"}").expect("parses");
            let _ = config.install(&install);
            assert_eq!(config.ours(), [key]);
            config.uninstall(&hosts, &Before::default());
            assert_eq!(config.ours(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_plaintext_credential_is_named_and_only_taken_out_on_request() {
        let text = r#"{"auths":{"https://ghcr.io/v2/":{"auth":"c2VjcmV0","email":"a@b"},"quay.io":{"auth":"eA=="}},"credsStore":"x"}"#;
        let (file, notes) = installed(Client::Docker, text, Install::default());
        assert!(
            notes.len() == 1
                && notes[0].contains("--remove-plaintext")
                && !notes[0].contains("c2VjcmV0")
        );
        assert!(file.contains("c2VjcmV0"));
        let (file, notes) = installed(
            Client::Docker,
            text,
            Install {
                remove_plaintext: true,
                ..Install::default()
            },
        );
        assert_eq!(notes, Vec::<String>::new());
        assert!(
            !file.contains("c2VjcmV0") && file.contains("a@b") && file.contains("eA=="),
            "{file}"
        );
        let config = Config::parse(Client::Docker, &file).expect("parses");
        assert!(!config.overview().has_plaintext(&host("ghcr.io")));
        assert!(config.overview().has_plaintext(&host("quay.io")));
    }

    #[test]
    fn another_host_s_key_is_never_ours() {
        for key in [
            "ghcr.io.evil.example",
            "evil/ghcr.io",
            "https://evil.example/ghcr.io",
            "ghcr.io:8443",
        ] {
            assert!(!hosts(key).contains(&host("ghcr.io")), "{key}");
        }
        for key in [
            "ghcr.io",
            "https://ghcr.io",
            "http://ghcr.io",
            "ghcr.io/owner",
            "https://ghcr.io/v2/",
        ] {
            assert!(hosts(key).contains(&host("ghcr.io")), "{key}");
        }
        assert_eq!(hosts("https://index.docker.io/v1/"), [host("docker.io")]);
    }

    #[test]
    fn another_helper_is_replaced_and_named() {
        let text = r#"{"credHelpers":{"ghcr.io":"gh","quay.io":"q"},"credsStore":"x"}"#;
        let (file, notes) = installed(Client::Docker, text, Install::default());
        assert_eq!(notes, ["ghcr.io used docker-credential-gh before"]);
        let mut config = Config::parse(Client::Docker, &file).expect("parses");
        config.uninstall(&[], &Before::default());
        assert_eq!(
            config.overview().asks(&host("quay.io")).as_deref(),
            Some("q")
        );
        assert_eq!(
            config.overview().asks(&host("ghcr.io")).as_deref(),
            Some("x")
        );
    }

    #[test]
    fn a_file_of_the_wrong_shape_is_refused() {
        for text in [
            "[]",
            "{",
            "{\"auths\":[]}",
            "{\"credHelpers\":\"oc\"}",
            "{\"credHelpers\":{\"ghcr.io\":1}}",
            "nonsense",
        ] {
            assert!(Config::parse(Client::Docker, text).is_err(), "{text}");
        }
    }

    #[test]
    fn uninstall_puts_back_what_install_replaced() {
        let hosts = [host("ghcr.io"), host("docker.io")];
        let install = Install {
            hosts: &hosts,
            default_store: Some("pass"),
            ..Install::default()
        };
        for text in [
            "{\n\t\"credHelpers\": {\n\t\t\"quay.io\": \"q\",\n\t\t\"ghcr.io\": \"gh\"\n\t},\n\t\"credsStore\": \"desktop\"\n}\n",
            "{\n  \"credHelpers\": {},\n  \"credsStore\": \"\",\n  \"psFormat\": \"x\"\n}",
            "{}",
            "{\n\t\"auths\": {}\n}",
        ] {
            let old = Config::parse(Client::Docker, text).expect("parses");
            let mut new = old.clone();
            let _ = new.install(&install);
            let before = old.before(&new, false, None);
            // Once more, as a user does: that it is ours already is not what was there before.
            let again = new.before(&new, false, Some(before.clone()));
            assert_eq!(again, before);
            assert!(new.uninstall(&[], &before));
            assert_eq!(new.render(), text);
        }
    }

    #[test]
    fn what_one_host_s_install_replaced_comes_back_with_it_alone() {
        let (ghcr, quay) = ([host("ghcr.io")], [host("quay.io")]);
        let text = r#"{"credHelpers":{"ghcr.io":"gh"},"credsStore":"x"}"#;
        let first = Config::parse(Client::Docker, text).expect("parses");
        let mut second = first.clone();
        let _ = second.install(&Install {
            hosts: &ghcr,
            ..Install::default()
        });
        let before = first.before(&second, false, None);
        let theirs = second.render().replace(
            "\"ghcr.io\": \"oc\"",
            "\"ghcr.io\": \"oc\", \"quay.io\": \"q\"",
        );
        let theirs = Config::parse(Client::Docker, &theirs).expect("parses");
        let mut both = theirs.clone();
        let _ = both.install(&Install {
            hosts: &quay,
            ..Install::default()
        });
        let before = theirs.before(&both, false, Some(before));
        assert!(!both.uninstall(&quay, &before));
        let asks = |config: &Config, host: &HostPort| config.overview().asks(host);
        assert_eq!(asks(&both, &quay[0]).as_deref(), Some("q"));
        assert_eq!(asks(&both, &ghcr[0]).as_deref(), Some("oc"));
        assert!(both.uninstall(&[], &before));
        assert_eq!(asks(&both, &ghcr[0]).as_deref(), Some("gh"));
    }

    #[test]
    fn a_store_that_was_logged_in_to_stays() {
        let install = Install {
            default_store: Some("pass"),
            ..Install::default()
        };
        let old = Config::parse(Client::Docker, "{}").expect("parses");
        let mut new = old.clone();
        let hosts = [host("ghcr.io")];
        let _ = new.install(&Install {
            hosts: &hosts,
            ..install
        });
        let before = old.before(&new, false, None);
        let text = new
            .render()
            .replacen('{', "{\"auths\": {\"quay.io\": {}},", 1);
        let mut new = Config::parse(Client::Docker, &text).expect("parses");
        assert!(new.uninstall(&[], &before));
        assert_eq!(new.object.text("credsStore").as_deref(), Some("pass"));
    }
}
