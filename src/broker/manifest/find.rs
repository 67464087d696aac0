//! Which manifest is used: the first of `--manifest`, `$OC_SECRETS_MANIFEST`, the nearest
//! `oc-secrets.toml` from the working directory upwards, the user's, the system's, and the one that
//! is compiled in.
//!
//! Upwards means to the repository's root, the first directory with a `.git` of ours or root's in
//! it; outside of any repository, to the home directory; outside of both only the working directory
//! itself, since what is above it could belong to any user. A file that exists but cannot be used
//! is an error, not skipped. A manifest that was found by the directory must have been allowed, and
//! may set less than one that was named.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::allowed::{Allowed, Verdict};
use super::file::{self, Kind};
use crate::base::environment::{self, Lookup};
use crate::base::error::{Error, Result};
use crate::base::file_ownership;
use crate::broker::manifest::{Manifest, Origin, parse};

/// The name of a manifest that is found.
pub(crate) const FILE: &str = "oc-secrets.toml";
const SYSTEM: &str = "/etc/oc-secrets/oc-secrets.toml";
/// The name of the built-in manifest for `--manifest`.
const BUILT_IN: &str = "builtin";

/// The longest `ttl` of a found manifest, if the user's own manifest has none.
const TTL: Duration = Duration::from_secs(5 * 60);

/// Where the search starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// In this working directory, an absolute path.
    WorkingDirectory(PathBuf),
    /// Not in the working directory: clients start helpers in directories that the user did not
    /// choose.
    Environment,
}

/// The manifest to use; `asked` is `--manifest`.
///
/// # Errors
/// [`Error::Manifest`] or [`Error::Usage`] when the first one found cannot be used,
/// [`Error::NotAllowed`] when it has not been allowed.
pub(crate) fn load(asked: Option<&Path>, start: &Start, lookup: Lookup<'_>) -> Result<Manifest> {
    load_from(asked, start, lookup, Path::new(SYSTEM), permitted)
}

/// The same for a look at it: nothing is fetched, so nobody needs to have allowed it.
pub(crate) fn inspect(asked: Option<&Path>, start: &Start, lookup: Lookup<'_>) -> Result<Manifest> {
    let seen = |opened: Opened, _: Lookup<'_>| Ok(opened.manifest);
    load_from(asked, start, lookup, Path::new(SYSTEM), seen)
}

/// What `--manifest` is to be told in another directory.
pub(crate) fn absolute(asked: &Path) -> std::io::Result<PathBuf> {
    if asked == Path::new(BUILT_IN) {
        return Ok(asked.to_owned());
    }
    std::path::absolute(asked)
}

/// The manifest that is compiled in.
pub(crate) fn builtin() -> Manifest {
    parse(builtin_text(), "builtin.toml", Origin::BuiltIn).expect("a test parses it")
}

/// The text of the manifest that is compiled in.
pub(crate) fn builtin_text() -> &'static str {
    include_str!("builtin.toml")
}

/// A found manifest with its text and real path.
pub(crate) struct Opened {
    /// The file, with all links resolved.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// The parsed manifest, checked against what a found one may set.
    pub manifest: Manifest,
}

/// The manifest to allow: `asked`, or the one that is found from `directory`.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) fn open(asked: Option<&Path>, directory: &Path, lookup: Lookup<'_>) -> Result<Opened> {
    if let Some(asked) = asked {
        let found = found(&directory.join(asked))?;
        return found.ok_or_else(|| file::refuse(asked, "no such file", "check the path"));
    }
    match search(directory, lookup)? {
        Some(opened) => Ok(opened),
        None => Err(Error::usage(
            format!(
                "no {FILE} here, nor above it up to the repository's root or the home directory"
            ),
            "name the file: oc-secrets allow FILE",
        )),
    }
}

fn load_from(
    asked: Option<&Path>,
    start: &Start,
    lookup: Lookup<'_>,
    system: &Path,
    found: fn(Opened, Lookup<'_>) -> Result<Manifest>,
) -> Result<Manifest> {
    if asked == Some(Path::new(BUILT_IN)) {
        return Ok(builtin());
    }
    if let Some(path) = asked {
        return load_asked(path, start, "check the path after --manifest");
    }
    if let Some(path) = environment::path(lookup, "OC_SECRETS_MANIFEST") {
        // A relative path would depend on the working directory.
        return load_asked(
            &path,
            &Start::Environment,
            "check the path in OC_SECRETS_MANIFEST, or unset it",
        );
    }
    if let Start::WorkingDirectory(directory) = start
        && let Some(opened) = search(directory, lookup)?
    {
        return found(opened, lookup);
    }
    let of_system = std::iter::once(system.to_owned());
    for path in of_user(lookup).into_iter().chain(of_system) {
        if let Some(manifest) = read(&path)? {
            return Ok(manifest);
        }
    }
    Ok(builtin())
}

/// A manifest of the user or the system, which needs no `allow`.
fn read(path: &Path) -> Result<Option<Manifest>> {
    let text = file::read(path, Kind::Regular)?;
    let parsed = text.map(|text| {
        let label = path.display().to_string();
        parse(&text, &label, Origin::File(path.to_owned()))
    });
    parsed.transpose()
}

/// The nearest manifest from `directory` upwards.
fn search(directory: &Path, lookup: Lookup<'_>) -> Result<Option<Opened>> {
    for path in around(directory, lookup) {
        if let Some(opened) = found(&path)? {
            return Ok(Some(opened));
        }
    }
    Ok(None)
}

/// A manifest that was not named. It may have come with a cloned repository, so it may decide
/// neither which program gets the credentials of `op` nor what root caches.
fn found(path: &Path) -> Result<Option<Opened>> {
    // Resolved once, so that the same file is read, hashed and parsed. A link of somebody else's
    // would bring a manifest that was allowed elsewhere into a directory of theirs.
    let path = match file_ownership::through_links(path) {
        Ok(path) => path,
        // Nothing, or a link to nothing, which fails when it is read.
        Err(_) if !path.exists() => path.to_owned(),
        Err(why) => {
            let hint = "look at it, then name it: --manifest FILE";
            return Err(file::refuse(path, why, hint));
        }
    };
    let Some(text) = file::read(&path, Kind::Regular)? else {
        return Ok(None);
    };
    let label = path.display().to_string();
    let manifest = parse(&text, &label, Origin::Found(path.clone()))?;
    let excess = match (&manifest.op.path, manifest.cache) {
        (Some(_), _) => Some((
            "`path` in [op]",
            "set OC_SECRETS_OP, or keep the path in ~/.config/oc-secrets/oc-secrets.toml",
        )),
        (_, Some(cache)) if cache.allow_root => Some((
            "`allow_root` in [cache]",
            "keep it in /etc/oc-secrets/oc-secrets.toml, or name the manifest: --manifest FILE",
        )),
        _ if !manifest.clients.is_empty() => Some((
            "[clients]",
            "keep it in /etc/oc-secrets/oc-secrets.toml, or name the manifest: --manifest FILE",
        )),
        _ if !manifest.references.is_empty() => Some((
            "[openclaw]",
            "keep it in ~/.config/oc-secrets/oc-secrets.toml, or name the manifest: --manifest FILE",
        )),
        _ => None,
    };
    match excess {
        Some((what, hint)) => {
            let what = format!("{what} is not allowed in a manifest that was found and not named");
            Err(file::refuse(&path, what, hint))
        }
        None => Ok(Some(Opened {
            path,
            text,
            manifest,
        })),
    }
}

/// Checks that it was allowed, and limits its `ttl` to the user's own.
fn permitted(opened: Opened, lookup: Lookup<'_>) -> Result<Manifest> {
    let verdict = Allowed::of_user(lookup).verdict(&opened.path, &opened.text);
    let mut manifest = opened.manifest;
    match verdict {
        Verdict::Allowed => {}
        Verdict::Changed | Verdict::Unknown => {
            return Err(Error::NotAllowed {
                path: opened.path,
                changed: verdict == Verdict::Changed,
            });
        }
    }
    if let Some(cache) = &mut manifest.cache {
        let own = of_user(lookup)
            .map(|path| read(&path))
            .transpose()?
            .flatten();
        let own = own.and_then(|own| own.cache).map_or(TTL, |own| own.ttl);
        cache.ttl = cache.ttl.min(own);
    }
    Ok(manifest)
}

/// A named manifest: it must exist.
fn load_asked(path: &Path, start: &Start, hint: &str) -> Result<Manifest> {
    let absolute = match start {
        Start::WorkingDirectory(directory) => directory.join(path),
        Start::Environment if path.is_absolute() => path.to_owned(),
        Start::Environment => {
            return Err(Error::usage(
                format!(
                    "the manifest's path must be absolute here, not `{}`",
                    path.display()
                ),
                hint,
            ));
        }
    };
    match file::read(&absolute, Kind::Regular)? {
        Some(text) => parse(&text, &path.display().to_string(), Origin::File(absolute)),
        None => Err(file::refuse(path, "no such file", hint)),
    }
}

/// From `directory` up to the repository's root, or else to the home directory, nearest first.
fn around(directory: &Path, lookup: Lookup<'_>) -> Vec<PathBuf> {
    let depth = directory
        .ancestors()
        .position(is_our_repository)
        .or_else(|| {
            let home = environment::path(lookup, "HOME")?.canonicalize().ok()?;
            directory.ancestors().position(|above| above == home)
        });
    directory
        .ancestors()
        .take(depth.unwrap_or(0) + 1)
        .map(|above| above.join(FILE))
        .collect()
}

/// A `.git` of another user in a directory above us, such as `/tmp`, is ignored.
fn is_our_repository(directory: &Path) -> bool {
    let us = nix::unistd::geteuid().as_raw();
    let git = directory.join(".git").symlink_metadata();
    git.is_ok_and(|git| git.uid() == 0 || git.uid() == us)
}

/// `$XDG_CONFIG_HOME`, else `~/.config`.
fn of_user(lookup: Lookup<'_>) -> Option<PathBuf> {
    let configuration = environment::config_home(lookup)?;
    Some(configuration.join("oc-secrets").join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::fs;

    struct Sandbox {
        root: tempfile::TempDir,
        variables: Vec<(OsString, OsString)>,
    }

    impl Sandbox {
        /// Writes each of `files` with its own path as the vault.
        fn with(files: &[&str]) -> Self {
            let root = tempfile::tempdir().expect("a directory");
            for file in files {
                let path = root.path().join(file);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, format!("vault = \"{file}\"")).expect("written");
            }
            Self {
                root,
                variables: vec![],
            }
        }

        fn set(mut self, name: &'static str, value: &str) -> Self {
            let value = match value.strip_prefix("@") {
                Some(below) => self.at(below).into(),
                None => value.into(),
            };
            self.variables.push((name.into(), value));
            self
        }

        fn repository(self, path: &str) -> Self {
            fs::create_dir_all(self.at(path).join(".git")).expect("made");
            self
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        /// The vault of the manifest that is found from the directory `from`.
        fn found(&self, asked: Option<&str>, from: Option<&str>) -> String {
            match self.load(asked, from) {
                Ok(manifest) => {
                    let vault = manifest.vault.clone().expect("a vault");
                    match &manifest.origin {
                        Origin::File(path) | Origin::Found(path) => {
                            assert_eq!(*path, self.at(&vault));
                        }
                        Origin::BuiltIn => assert_eq!(manifest, builtin()),
                        Origin::Broker(_) => panic!("no broker was asked"),
                    }
                    vault
                }
                Err(error) => {
                    let root = format!("{}/", self.root.path().display());
                    format!("{error} | {}", error.hint().unwrap_or_default()).replace(&root, "@")
                }
            }
        }

        /// Allows the manifest that would be found from `from`, whatever it says.
        fn allow(&self, from: &str) {
            let lookup = |name: &str| self.variable(name);
            let opened = search(&self.at(from), &lookup).expect("usable");
            let Opened {
                path,
                text,
                manifest,
            } = opened.expect("found");
            let allowed = Allowed::of_user(&lookup);
            allowed.allow(&path, &text, &manifest).expect("remembered");
        }

        fn variable(&self, name: &str) -> Option<OsString> {
            if name == "XDG_STATE_HOME" {
                return Some(self.at("state").into());
            }
            environment::among(&self.variables, name).map(ToOwned::to_owned)
        }

        fn load(&self, asked: Option<&str>, from: Option<&str>) -> Result<Manifest> {
            let start = from.map_or(Start::Environment, |from| {
                fs::create_dir_all(self.at(from)).expect("made");
                Start::WorkingDirectory(self.at(from))
            });
            let environment = |name: &str| self.variable(name);
            let system = self.at("etc/oc-secrets.toml");
            load_from(
                asked.map(Path::new),
                &start,
                &environment,
                &system,
                permitted,
            )
        }
    }

    #[test]
    fn the_built_in_manifest_asks_for_what_openclaw_needs() {
        let manifest = builtin();
        assert_eq!(manifest.vault.as_deref(), Some("OpenClaw"));
        let names: Vec<&str> = manifest.secrets.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "GHCR_TOKEN",
                "OPENCODE_API_KEY",
                "TELEGRAM_BOT_TOKEN",
                "OP_SERVICE_ACCOUNT_TOKEN",
                "TAILSCALE_AUTH_KEY",
                "NOTION_API_KEY",
                "TODOIST_API_KEY",
                "EMAIL_APP_PASSWORD",
            ]
        );
        assert!(manifest.secrets.iter().all(|secret| !secret.required));
        let profile = &manifest.profiles["bootstrap"];
        assert_eq!(
            profile.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
            ["GHCR_TOKEN", "TAILSCALE_AUTH_KEY"]
        );
        assert_eq!(manifest.registries[0].host.as_str(), "ghcr.io");
    }

    #[test]
    fn the_first_that_exists_wins_in_the_documented_order() {
        let order = [
            "repo/sub/oc-secrets.toml",
            "repo/oc-secrets.toml",
            "xdg/oc-secrets/oc-secrets.toml",
            "etc/oc-secrets.toml",
        ];
        for skipped in 0..=order.len() {
            let mut files = order[skipped..].to_vec();
            files.push("oc-secrets.toml");
            files.push("home/.config/oc-secrets/oc-secrets.toml");
            let sandbox = Sandbox::with(&files)
                .set("XDG_CONFIG_HOME", "@xdg")
                .set("HOME", "@home")
                .repository("repo");
            let first = order.get(skipped).unwrap_or(&"OpenClaw");
            fs::create_dir_all(sandbox.at("repo/sub/deep")).expect("made");
            if skipped < 2 {
                sandbox.allow("repo/sub/deep");
            }
            assert_eq!(sandbox.found(None, Some("repo/sub/deep")), *first);
        }
    }

    #[test]
    fn what_was_asked_for_goes_before_everything() {
        let files = ["asked.toml", "named.toml", "oc-secrets.toml"];
        let sandbox = Sandbox::with(&files).set("OC_SECRETS_MANIFEST", "@named.toml");
        assert_eq!(sandbox.found(Some("asked.toml"), Some("")), "asked.toml");
        assert_eq!(sandbox.found(None, Some("")), "named.toml");
        let unset = Sandbox::with(&files).set("OC_SECRETS_MANIFEST", "");
        unset.allow("");
        assert_eq!(unset.found(None, Some("")), "oc-secrets.toml");
    }

    #[test]
    fn outside_of_a_repository_and_of_the_home_only_the_working_directory_counts() {
        let sandbox = Sandbox::with(&["oc-secrets.toml"]);
        sandbox.allow("");
        assert_eq!(sandbox.found(None, Some("")), "oc-secrets.toml");
        assert_eq!(sandbox.found(None, Some("below")), "OpenClaw");
    }

    #[test]
    fn below_the_home_directory_all_directories_up_to_it_count() {
        let sandbox = Sandbox::with(&["home/oc-secrets.toml", "oc-secrets.toml"]);
        let sandbox = sandbox.set("HOME", "@home");
        sandbox.allow("home");
        assert_eq!(
            sandbox.found(None, Some("home/a/b")),
            "home/oc-secrets.toml"
        );
        assert_eq!(sandbox.found(None, Some("elsewhere")), "OpenClaw");
    }

    #[test]
    fn what_was_found_is_used_only_as_it_was_allowed() {
        let sandbox = Sandbox::with(&["oc-secrets.toml"]);
        let not_allowed = "@oc-secrets.toml has not been allowed yet";
        assert!(sandbox.found(None, Some("")).starts_with(not_allowed));
        sandbox.allow("");
        assert_eq!(sandbox.found(None, Some("")), "oc-secrets.toml");
        fs::write(sandbox.at("oc-secrets.toml"), "vault = \"other\"").expect("written");
        let changed = "@oc-secrets.toml has changed since it was allowed";
        assert!(sandbox.found(None, Some("")).starts_with(changed));
        // Named, it needs nobody's leave.
        assert_eq!(
            sandbox
                .load(Some("oc-secrets.toml"), Some(""))
                .expect("named")
                .vault
                .as_deref(),
            Some("other")
        );
    }

    #[test]
    fn a_record_that_others_could_have_written_allows_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let sandbox = Sandbox::with(&["oc-secrets.toml"]);
        sandbox.allow("");
        let records = sandbox.at("state/oc-secrets/allowed");
        fs::set_permissions(&records, fs::Permissions::from_mode(0o750)).expect("chmod");
        let not_allowed = "@oc-secrets.toml has not been allowed yet";
        assert!(sandbox.found(None, Some("")).starts_with(not_allowed));
    }

    #[test]
    fn a_found_manifest_keeps_values_no_longer_than_the_users_own_says() {
        let ttl = |own: Option<&str>| {
            let sandbox = Sandbox::with(&[]).set("HOME", "@home");
            fs::write(sandbox.at("oc-secrets.toml"), "[cache]\nttl = \"12h\"").expect("written");
            if let Some(own) = own {
                let directory = sandbox.at("home/.config/oc-secrets");
                fs::create_dir_all(&directory).expect("made");
                fs::write(directory.join(FILE), format!("[cache]\nttl = \"{own}\""))
                    .expect("written");
            }
            sandbox.allow("");
            let manifest = sandbox.load(None, Some("")).expect("allowed");
            manifest.cache.expect("a cache").ttl.as_secs()
        };
        assert_eq!(ttl(None), 300);
        assert_eq!(ttl(Some("1h")), 3600);
        assert_eq!(ttl(Some("1m")), 60);
    }

    #[test]
    fn a_found_manifest_neither_names_op_nor_turns_roots_cache_on() {
        let sandbox = Sandbox::with(&[]);
        for (text, what) in [
            ("[op]\npath = \"/usr/bin/op\"", "`path` in [op]"),
            ("[cache]\nallow_root = true", "`allow_root` in [cache]"),
            ("[clients.g]\nsecrets = []", "[clients]"),
            ("[openclaw]\nreferences = [\"op://v/*\"]", "[openclaw]"),
        ] {
            fs::write(sandbox.at("oc-secrets.toml"), text).expect("written");
            let expected = format!(
                "@oc-secrets.toml: {what} is not allowed in a manifest that was found and not named"
            );
            assert!(
                sandbox.found(None, Some("")).starts_with(&expected),
                "{text}"
            );
            assert!(
                sandbox.load(Some("oc-secrets.toml"), Some("")).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_built_in_one_can_be_named() {
        let sandbox = Sandbox::with(&["oc-secrets.toml"]);
        assert_eq!(sandbox.found(Some("builtin"), Some("")), "OpenClaw");
    }

    #[test]
    fn the_user_s_directory_is_absolute_or_ignored() {
        let files = [
            "home/.config/oc-secrets/oc-secrets.toml",
            "etc/oc-secrets.toml",
        ];
        for (xdg, home, found) in [
            ("@absent", "@home", files[1]),
            ("relative", "@home", files[0]),
            ("", "@home", files[0]),
            ("", "relative", files[1]),
            ("", "", files[1]),
        ] {
            let sandbox = Sandbox::with(&files)
                .set("XDG_CONFIG_HOME", xdg)
                .set("HOME", home);
            assert_eq!(sandbox.found(None, None), found, "{xdg:?} {home:?}");
        }
    }

    #[test]
    fn without_a_working_directory_only_absolute_paths_are_taken() {
        let files = ["oc-secrets.toml", "named.toml"];
        let named = Sandbox::with(&files).set("OC_SECRETS_MANIFEST", "@named.toml");
        assert_eq!(named.found(None, None), "named.toml");
        let relative = Sandbox::with(&files).set("OC_SECRETS_MANIFEST", "named.toml");
        assert_eq!(relative.found(None, None), relative.found(None, Some("")));
        assert_eq!(
            relative.found(None, None),
            "the manifest's path must be absolute here, not `named.toml` | check the path in OC_SECRETS_MANIFEST, or unset it"
        );
    }

    #[test]
    fn what_was_asked_for_must_be_there() {
        let sandbox = Sandbox::with(&["oc-secrets.toml"]);
        assert_eq!(
            sandbox.found(Some("absent.toml"), Some("")),
            "absent.toml: no such file | check the path after --manifest"
        );
        let named = Sandbox::with(&[]).set("OC_SECRETS_MANIFEST", "@absent.toml");
        assert_eq!(
            named.found(None, Some("")),
            "@absent.toml: no such file | check the path in OC_SECRETS_MANIFEST, or unset it"
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_ends_the_search() {
        use std::os::unix::fs::PermissionsExt;
        let sandbox = Sandbox::with(&["oc-secrets.toml", "etc/oc-secrets.toml"]);
        let file = sandbox.at("oc-secrets.toml");
        fs::write(&file, "vault = 1").expect("written");
        assert_eq!(
            sandbox.found(None, Some("")),
            "@oc-secrets.toml:1:9: `vault` must be text, not a number | put it in quotes"
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("chmod");
        assert_eq!(
            sandbox.found(None, Some("")),
            "@oc-secrets.toml: can be written by others (mode 666) | whoever writes it decides what is fetched; look at it, then: chmod go-w @oc-secrets.toml"
        );
    }
}
