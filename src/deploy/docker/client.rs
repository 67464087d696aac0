//! The Docker client as a program, pointed at our engine, and its Compose plugin.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::base::environment;
use crate::deploy::docker::client_env;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{Host, Program, is_executable};
use crate::deploy::settings::EngineAddress;

/// Where a system's packages and its administrator put the plugins of the Docker client, in its order.
const PLUGINS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The Docker client, pointed at our engine.
pub(crate) fn docker(engine: &EngineAddress) -> Program {
    let program = in_client_env(Program::new("docker"));
    match engine {
        EngineAddress::Socket(path) => at(program, path),
        EngineAddress::Client(args) => program.args(args),
    }
}

/// Compose, pointed at our engine: on this machine's it is the plugin by itself. The client would only start it twice,
/// the first time to ask what it is.
pub(crate) fn compose(host: &Host, engine: &EngineAddress) -> Program {
    let home = environment::ours("HOME").unwrap_or_else(|| "/root".into());
    let own = Path::new(&home).join(".docker");
    // The plugins are this machine's, and not below `--root`.
    let plugin = host.is_real_root().then(|| plugin(host, &own)).flatten();
    match (engine, plugin) {
        (EngineAddress::Socket(path), Some(plugin)) => {
            at(in_client_env(Program::new(plugin)), path)
        }
        _ => docker(engine).arg("compose"),
    }
}

/// The Compose plugin, unless only the client knows which it is: the operator can have another one, by their
/// directory `own`.
fn plugin(host: &Host, own: &Path) -> Option<PathBuf> {
    let config = host.read(own.join("config.json")).ok()?.unwrap_or_default();
    let config: Value = serde_json::from_str(&config).unwrap_or_default();
    if host.exists(own.join("cli-plugins")) || !config["cliPluginsExtraDirs"].is_null() {
        return None;
    }
    PLUGINS
        .iter()
        .map(|place| Path::new(place).join("docker-compose"))
        .find(|path| host.exists(path))
        .filter(|path| is_executable(&host.path(path)))
}

fn at(program: Program, socket: &Path) -> Program {
    program.env("DOCKER_HOST", format!("unix://{}", socket.display()))
}

fn in_client_env(program: Program) -> Program {
    let program = program.outside();
    client_env()
        .into_iter()
        .fold(program, |program, (name, value)| program.env(name, value))
}

/// The version of Compose, if it is v2 or newer.
pub(crate) async fn compose_version(host: &Host, engine: &EngineAddress) -> Result<String> {
    let answer = host
        .run_async(&docker(engine).args(["compose", "version", "--short"]))
        .await;
    let refuse = |what: String| {
        Failure::new(what)
            .hint("install Compose v2: apt-get install docker-compose-v2 (Ubuntu) or docker-compose-plugin (Docker's repository)")
            .exit(Exit::Docker)
            .cause(Cause::Compose)
    };
    let answer = answer.map_err(|why| refuse(why.what))?;
    let version = answer.stdout.trim().trim_start_matches('v');
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(2..) if answer.ok() => Ok(version.to_owned()),
        Some(old) if answer.ok() => Err(refuse(format!(
            "Compose v2 is needed, `docker compose` is v{old}"
        ))),
        _ => Err(refuse(why_no_compose(host).await)),
    }
}

/// The three ways in which Compose v2 is missing.
async fn why_no_compose(host: &Host) -> String {
    // Plugins of the Docker client, which is the operator's, and so not below `--root`.
    let there = PLUGINS
        .iter()
        .map(|place| format!("{place}/docker-compose"))
        .find(|path| Path::new(path).exists());
    if let Some(path) = there {
        return format!("the Compose plugin {path} cannot be run (is it executable?)");
    }
    let old = Program::new("docker-compose")
        .outside()
        .args(["version", "--short"]);
    match host.run_async(&old).await {
        Ok(answer) if answer.ok() && answer.stdout.starts_with("1.") => format!(
            "only Compose v1 ({}) is installed, v2 is needed as a plugin of docker",
            answer.stdout.trim()
        ),
        _ => "the Compose v2 plugin of docker is not installed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn compose_is_started_by_itself_only_where_the_client_would_start_the_same() {
        let root = tempfile::tempdir().expect("a directory");
        let host = Host::new(root.path()).expect("a host");
        let own = Path::new("/root/.docker");
        let found = || plugin(&host, own);
        let put = |place: &str, mode| {
            let path = Path::new(place).join("docker-compose");
            let there = host.path(&path);
            fs::create_dir_all(host.path(place)).expect("made");
            fs::write(&there, "").expect("written");
            fs::set_permissions(there, fs::Permissions::from_mode(mode)).expect("set");
            path
        };
        assert_eq!(found(), None, "there is none");
        let packaged = put("/usr/libexec/docker/cli-plugins", 0o755);
        assert_eq!(found(), Some(packaged));
        let local = put("/usr/local/lib/docker/cli-plugins", 0o755);
        assert_eq!(found(), Some(local), "it comes first");
        put("/usr/local/lib/docker/cli-plugins", 0o644);
        assert_eq!(found(), None, "the client says what is wrong with it");
        put("/usr/local/lib/docker/cli-plugins", 0o755);

        fs::create_dir_all(host.path(own)).expect("made");
        let place = host.path(own.join("config.json"));
        let config = |text: &str| fs::write(&place, text).expect("written");
        config(r#"{"auths": {}}"#);
        assert!(found().is_some());
        config(r#"{"cliPluginsExtraDirs": ["/opt/plugins"]}"#);
        assert_eq!(found(), None, "theirs come before the system's");
        fs::remove_file(&place).expect("removed");
        nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(found(), None, "a pipe, for which nobody waits");
        fs::remove_file(&place).expect("removed");
        put("/root/.docker/cli-plugins", 0o755);
        assert_eq!(found(), None, "their own comes first");
    }
}
