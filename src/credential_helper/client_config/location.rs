//! Where Docker's and Podman's files are, and which helpers are on PATH.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::environment::{self, Lookup};
use crate::base::program;
use crate::base::shell_quote;

/// The name under which clients look for our helper.
pub(crate) const HELPER: &str = "docker-credential-oc";

/// Docker's file: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
pub(crate) fn docker(lookup: Lookup<'_>) -> Option<PathBuf> {
    let directory = lookup("DOCKER_CONFIG").map(PathBuf::from);
    let directory =
        directory.or_else(|| Some(environment::absolute(lookup, "HOME")?.join(".docker")));
    directory.map(|directory| directory.join("config.json"))
}

/// Podman's files: the one for logins, which does not survive a reboot, and the persistent one.
/// `$REGISTRY_AUTH_FILE` replaces both.
pub(crate) fn podman(lookup: Lookup<'_>) -> Vec<PathBuf> {
    if let Some(file) = lookup("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let us = nix::unistd::geteuid();
    let runtime = environment::absolute(lookup, "XDG_RUNTIME_DIR");
    let runtime = runtime.map(|directory| directory.join("containers"));
    let runtime = runtime.or_else(|| us.is_root().then(|| PathBuf::from("/run/containers/0")));
    let lasting = environment::config_home(lookup);
    let lasting = lasting.map(|directory| directory.join("containers"));
    runtime
        .into_iter()
        .chain(lasting)
        .map(|directory| directory.join("auth.json"))
        .collect()
}

/// The store that Docker uses if its file names none: `pass`, else `secretservice`, if its helper
/// is there and works. One that fails, as without a desktop session, would keep Docker's classic
/// builder from sending any credential at all.
pub(crate) fn default_store(lookup: Lookup<'_>) -> Option<&'static str> {
    let store = match () {
        () if cfg!(target_os = "macos") => "osxkeychain",
        () if on_path(lookup, "pass").is_some() => "pass",
        () => "secretservice",
    };
    let helper = on_path(lookup, &format!("docker-credential-{store}"))?;
    let given = FOR_HELPERS.iter();
    let given = given.filter_map(|name| Some((*name, lookup(name)?)));
    program::succeeds(&helper, &["list"], given, PATIENCE).then_some(store)
}

/// What another helper may see of our environment: where its user is and how it reaches the
/// session's keyring. Never the credentials of `op`.
const FOR_HELPERS: [&str; 14] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "LC_ALL",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
];

/// How long another helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The absolute path of `program`, from PATH.
pub(crate) fn on_path(lookup: Lookup<'_>, program: &str) -> Option<PathBuf> {
    program::find(program, &lookup("PATH")?)
}

/// How to bring `helper` of ours onto PATH: a command, where it lies beside us.
pub(crate) fn how_to_find(helper: &str, own: Option<&Path>, lookup: Lookup<'_>) -> String {
    let beside = own
        .and_then(Path::parent)
        .map(|directory| directory.join(helper));
    let Some(file) = beside.filter(|file| file.is_file()) else {
        return format!("install {helper}, which comes with oc-secrets, into a directory of PATH");
    };
    let file = file.display().to_string();
    match writable(lookup) {
        Some(directory) => {
            let link = directory.join(helper).display().to_string();
            shell_quote::command(["ln", "-s", &file, &link])
        }
        None => {
            let link = format!("/usr/local/bin/{helper}");
            shell_quote::command(["sudo", "ln", "-s", &file, &link])
        }
    }
}

/// A directory of PATH in our home that we can write.
fn writable(lookup: Lookup<'_>) -> Option<PathBuf> {
    let home = environment::absolute(lookup, "HOME")?;
    let path = lookup("PATH")?;
    let mut entries = std::env::split_paths(&path);
    entries.find(|entry| {
        let access = nix::unistd::access(entry, nix::unistd::AccessFlags::W_OK);
        entry.starts_with(&home) && entry.is_dir() && access.is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

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
