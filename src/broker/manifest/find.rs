//! Which manifest is used: the first of `--manifest`, `$OC_SECRETS_MANIFEST`, the nearest
//! `oc-secrets.toml` from the working directory up to the repository's root, the user's, the
//! system's, and the one that is compiled in.
//!
//! The repository's root is the first directory with a `.git` in it. Outside of any repository
//! only the working directory itself is looked at: what lies above it could be anybody's. A file
//! that exists but cannot be used is an error; the search never goes on to the next silently.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::{self, Kind};
use crate::base::error::{Error, Result};
use crate::broker::manifest::{Manifest, Origin, parse};

const FILE: &str = "oc-secrets.toml";
const SYSTEM: &str = "/etc/oc-secrets/oc-secrets.toml";

/// How our environment is read.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where the search starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the repository around this absolute path.
    WorkingDirectory(PathBuf),
    /// With the environment, for programs that others call from directories they did not choose.
    Environment,
}

/// The manifest to use; `asked` is `--manifest`.
///
/// # Errors
/// [`Error::Manifest`] or [`Error::Usage`] when the first one found cannot be used.
pub(crate) fn load(
    asked: Option<&Path>,
    start: &Start,
    environment: Lookup<'_>,
) -> Result<Manifest> {
    load_from(asked, start, environment, Path::new(SYSTEM))
}

/// The manifest that is compiled in.
pub(crate) fn builtin() -> Manifest {
    let text = include_str!("builtin.toml");
    parse(text, "builtin.toml", Origin::BuiltIn).expect("a test parses it")
}

fn load_from(
    asked: Option<&Path>,
    start: &Start,
    environment: Lookup<'_>,
    system: &Path,
) -> Result<Manifest> {
    if let Some(path) = asked {
        return load_asked(path, start, "check the path after --manifest");
    }
    if let Some(path) = value(environment, "OC_SECRETS_MANIFEST") {
        return load_asked(
            &path,
            start,
            "check the path in OC_SECRETS_MANIFEST, or unset it",
        );
    }
    if let Start::WorkingDirectory(directory) = start {
        for path in around(directory) {
            if let Some(text) = file::read(&path, Kind::Regular)? {
                return nearby(&text, path);
            }
        }
    }
    let of_system = std::iter::once(system.to_owned());
    for path in of_user(environment).into_iter().chain(of_system) {
        if let Some(text) = file::read(&path, Kind::Regular)? {
            return parse(
                &text,
                &path.display().to_string(),
                Origin::File(path.clone()),
            );
        }
    }
    Ok(builtin())
}

/// A manifest that nobody named. It may have come with a cloned repository, so it must not decide
/// which program gets the key to the vault.
fn nearby(text: &str, path: PathBuf) -> Result<Manifest> {
    let manifest = parse(
        text,
        &path.display().to_string(),
        Origin::File(path.clone()),
    )?;
    match manifest.op.path {
        None => Ok(manifest),
        Some(_) => Err(file::refuse(
            &path,
            "`path` in [op] is not taken from a manifest that was found by the working directory",
            "set OC_SECRETS_OP, name the manifest with --manifest, or keep the path in ~/.config/oc-secrets",
        )),
    }
}

/// A file that somebody named: it must be there.
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

/// From `directory` up to the repository's root, nearest first.
fn around(directory: &Path) -> Vec<PathBuf> {
    let root = directory
        .ancestors()
        .position(|above| above.join(".git").exists());
    let depth = root.unwrap_or(0);
    directory
        .ancestors()
        .take(depth + 1)
        .map(|above| above.join(FILE))
        .collect()
}

/// `$XDG_CONFIG_HOME`, else `~/.config`. Relative paths are ignored, as XDG demands.
fn of_user(environment: Lookup<'_>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let home = || value(environment, "HOME").map(|home| home.join(".config"));
    value(environment, "XDG_CONFIG_HOME")
        .filter(absolute)
        .or_else(|| home().filter(absolute))
        .map(|configuration| configuration.join("oc-secrets").join(FILE))
}

/// A variable that is set and not empty.
fn value(environment: Lookup<'_>, name: &str) -> Option<PathBuf> {
    environment(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Sandbox {
        root: tempfile::TempDir,
        variables: Vec<(&'static str, OsString)>,
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
            self.variables.push((name, value));
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
                        Origin::File(path) => assert_eq!(*path, self.at(&vault)),
                        Origin::BuiltIn => assert_eq!(manifest, builtin()),
                    }
                    vault
                }
                Err(error) => {
                    let root = format!("{}/", self.root.path().display());
                    format!("{error} | {}", error.hint().unwrap_or_default()).replace(&root, "@")
                }
            }
        }

        fn load(&self, asked: Option<&str>, from: Option<&str>) -> Result<Manifest> {
            let start = from.map_or(Start::Environment, |from| {
                fs::create_dir_all(self.at(from)).expect("made");
                Start::WorkingDirectory(self.at(from))
            });
            let environment = |name: &str| {
                let found = self
                    .variables
                    .iter()
                    .find(|(variable, _)| *variable == name);
                found.map(|(_, value)| value.clone())
            };
            let system = self.at("etc/oc-secrets.toml");
            load_from(asked.map(Path::new), &start, &environment, &system)
        }
    }

    #[test]
    fn the_built_in_manifest_is_that_of_the_contract() {
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
        assert_eq!(unset.found(None, Some("")), "oc-secrets.toml");
    }

    #[test]
    fn outside_of_a_repository_only_the_working_directory_counts() {
        let sandbox = Sandbox::with(&["oc-secrets.toml"]);
        assert_eq!(sandbox.found(None, Some("")), "oc-secrets.toml");
        assert_eq!(sandbox.found(None, Some("below")), "OpenClaw");
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
            "@oc-secrets.toml: can be written by others (mode 666) | whoever writes it decides what is fetched; make it yours alone: chown \"$(id -u)\" @oc-secrets.toml; chmod go-w @oc-secrets.toml"
        );
    }
}
