//! The Docker client as a program, pointed at our engine, and its Compose plugin.

use std::path::Path;

use crate::deploy::docker::client_env;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{Host, Program};
use crate::deploy::settings::EngineAddress;

/// The Docker client, pointed at our engine.
pub(crate) fn docker(engine: &EngineAddress) -> Program {
    let mut program = Program::new("docker").outside();
    for (name, value) in client_env() {
        program = program.env(name, value);
    }
    match engine {
        EngineAddress::Socket(path) => {
            program.env("DOCKER_HOST", format!("unix://{}", path.display()))
        }
        EngineAddress::Client(args) => program.args(args),
    }
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
    let places = [
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    ];
    // Plugins of the Docker client, which is the operator's, and so not below `--root`.
    let there = places
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
