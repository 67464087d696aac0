//! Where the files are, and which programs stand on PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How our environment is read.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The name under which clients look for our helper.
pub(crate) const HELPER: &str = "docker-credential-oc";

/// Docker's file: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
pub(crate) fn docker(environment: Lookup<'_>) -> Option<PathBuf> {
    let directory = environment("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| home(environment).map(|home| home.join(".docker")));
    directory.map(|directory| directory.join("config.json"))
}

/// Podman's files: the one to which it writes its logins, which does not outlive a reboot, and
/// the one that does. `$REGISTRY_AUTH_FILE` stands for both.
pub(crate) fn podman(environment: Lookup<'_>) -> Vec<PathBuf> {
    if let Some(file) = environment("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let us = nix::unistd::geteuid();
    let runtime = environment("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|directory| directory.is_absolute());
    let runtime = runtime.map(|directory| directory.join("containers"));
    let runtime = runtime.or_else(|| us.is_root().then(|| PathBuf::from("/run/containers/0")));
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let lasting =
        absolute("XDG_CONFIG_HOME").or_else(|| home(environment).map(|home| home.join(".config")));
    let lasting = lasting.map(|directory| directory.join("containers"));
    runtime
        .into_iter()
        .chain(lasting)
        .map(|directory| directory.join("auth.json"))
        .collect()
}

/// The store that Docker would use where its file names none: `pass`, else `secretservice`, if
/// its helper is there and works. One that fails, as without a desktop session, would keep
/// Docker's classic builder from sending any credential at all.
pub(crate) fn default_store(environment: Lookup<'_>) -> Option<&'static str> {
    let store = match () {
        () if cfg!(target_os = "macos") => "osxkeychain",
        () if on_path(environment, "pass").is_some() => "pass",
        () => "secretservice",
    };
    let helper = on_path(environment, &format!("docker-credential-{store}"))?;
    works(&helper).then_some(store)
}

/// Whether a credential helper answers `list` in time. What it lists goes nowhere.
fn works(helper: &Path) -> bool {
    let started = Command::new(helper)
        .arg("list")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => return false,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// How long another helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where PATH has `program`.
pub(crate) fn on_path(environment: Lookup<'_>, program: &str) -> Option<PathBuf> {
    let path = environment("PATH")?;
    which::which_in_global(program, Some(path)).ok()?.next()
}

/// How to bring our helper onto PATH.
pub(crate) fn how_to_find_helper(own: Option<&Path>) -> String {
    let beside = own
        .and_then(Path::parent)
        .map(|directory| directory.join(HELPER));
    match beside.filter(|file| file.is_file()) {
        Some(file) => format!("sudo ln -s {} /usr/local/bin/{HELPER}", file.display()),
        None => format!("install {HELPER}, which comes with oc-secrets, into a directory of PATH"),
    }
}

/// What is wrong with `HOME` where no place could be made of it.
pub(crate) fn homeless(environment: Lookup<'_>) -> &'static str {
    match environment("HOME").is_some_and(|home| !home.is_empty()) {
        true => "HOME is not an absolute path",
        false => "HOME is not set",
    }
}

fn home(environment: Lookup<'_>) -> Option<PathBuf> {
    environment("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        |name| {
            pairs
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, value)| value.into())
        }
    }

    #[test]
    fn docker_s_file_is_where_docker_looks() {
        assert_eq!(
            docker(&with(&[("HOME", "/h")])),
            Some("/h/.docker/config.json".into())
        );
        assert_eq!(
            docker(&with(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")])),
            Some("/d/config.json".into())
        );
        assert_eq!(docker(&with(&[])), None);
    }

    #[test]
    fn podman_s_files_are_the_one_it_writes_and_the_one_that_lasts() {
        let found = podman(&with(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")]));
        assert_eq!(
            found,
            [
                Path::new("/r/containers/auth.json"),
                Path::new("/h/.config/containers/auth.json")
            ]
        );
        let one = podman(&with(&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/a.json")]));
        assert_eq!(one, [Path::new("/a.json")]);
    }
}
