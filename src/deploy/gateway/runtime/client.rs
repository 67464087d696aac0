//! The one door to the Docker client and to Compose v2.
//!
//! Compose is given our text by stdin, and what it says of `.env` is not repeated.

use std::path::Path;
use std::time::Duration;

use super::compose::{ENV_FILE, PROJECT};
use crate::deploy::context::Context;
use crate::deploy::docker::{self, client_env};
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::gateway::env;
use crate::deploy::gateway::records::Release;
use crate::deploy::host::{Access, Answer, Host, Program};
use crate::deploy::settings::{Engine, Shape};

/// The Docker client, pointed at our engine.
pub(crate) fn docker(cx: &Context) -> Program {
    let mut program = Program::new("docker").outside();
    for (name, value) in client_env() {
        program = program.env(name, value);
    }
    match &cx.settings.engine {
        Engine::Socket(path) => program.env("DOCKER_HOST", format!("unix://{}", path.display())),
        Engine::Client(args) => program.args(args),
    }
}

/// Writes `compose.yaml` and has Compose make the container, not started. Returns its id.
///
/// # Errors
/// When Compose cannot.
pub(crate) async fn create(
    cx: &Context,
    engine: &docker::Engine,
    release: &Release,
) -> Result<String> {
    let access = Access {
        mode: 0o644,
        owner: env::owner(cx)?,
    };
    let path = cx.settings.project().join("compose.yaml");
    cx.host.write(path, release.compose.as_bytes(), access)?;
    let up = ["up", "--no-start", "--remove-orphans"];
    let answer = compose(cx, &release.compose, &up).await?;
    if !answer.ok() {
        return Err(refused(cx, &answer));
    }
    let mut made = engine.gateways().await?.into_iter();
    match made.find(|(_, shape)| *shape == Shape::Compose) {
        Some((id, _)) => Ok(id),
        None => Err(
            Failure::wanted("a container of the gateway", "none after docker compose up").hint(
                format!("see what Compose made: docker compose --project-name {PROJECT} ps --all"),
            ),
        ),
    }
}

/// Has Compose read `release` and `.env`, and make nothing. A plain `.env` it can always read.
pub(crate) async fn foresee(cx: &Context, release: &Release) -> Result<()> {
    if is_plain(&env::read(cx, env::owner(cx)?)?) {
        return Ok(());
    }
    let answer = compose(cx, &release.compose, &["config", "--quiet"]).await?;
    match answer.ok() {
        true => Ok(()),
        false => {
            let why = refused(cx, &answer);
            Err(Failure {
                what: format!("{}; the gateway was not touched", why.what),
                ..why
            })
        }
    }
}

/// Whether every line is blank, a comment, or a name and a value in which nothing is special.
fn is_plain(env: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let value = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\$#`".contains(&byte);
    env.lines().all(|line| {
        let pair = line.split_once('=');
        line.trim().is_empty()
            || line.starts_with('#')
            || pair.is_some_and(|(key, text)| {
                !key.is_empty() && key.bytes().all(name) && text.bytes().all(value)
            })
    })
}

/// What Compose says of `.env` repeats the line, and so a secret: only its number is told.
fn refused(cx: &Context, answer: &Answer) -> Failure {
    let said = answer.last_line();
    let file = env::path(cx).display().to_string();
    if !answer.stderr.contains(".env") && !answer.stderr.contains("quoted value") {
        let said = cx.redact().text(said);
        return Failure::new(format!("docker compose refuses the gateway: {said}"))
            .hint(format!(
                "see all of it: docker compose --project-directory {0} --file {0}/compose.yaml config --quiet",
                cx.settings.project().display()
            ))
            .cause(Cause::Compose);
    }
    let number = answer.stderr.split("line ").nth(1).unwrap_or_default();
    let number: String = number.chars().take_while(char::is_ascii_digit).collect();
    let line = match number.as_str() {
        "" => String::new(),
        number => format!(":{number}"),
    };
    Failure::new(format!("Compose cannot read {file}{line}"))
        .hint("each line is NAME=value; a value with quotes or blanks stands in single quotes")
        .cause(Cause::Compose)
}

/// Runs `docker compose` on our project, which is `text` and the `.env` that was looked at: not
/// the files, which the deploy user can change under us.
async fn compose(cx: &Context, text: &str, args: &[&str]) -> Result<Answer> {
    let held = Held::env(cx)?;
    let text = match held {
        Some(_) => text.replace(ENV_FILE, &format!("env_file: [{:?}]", cx.host.path(HELD))),
        None => text.to_owned(),
    };
    run(cx, &text, args).await
}

/// Where the `.env` that was looked at is, in memory, while Compose reads it.
const HELD: &str = "/run/openclaw-deploy.env";

/// It is there, until this goes.
struct Held<'a>(&'a Host);

impl<'a> Held<'a> {
    /// `None` where the engine, and so our project, is an operator's own affair.
    fn env(cx: &'a Context) -> Result<Option<Self>> {
        if cx.settings.engine.is_remote() || !cx.host.exists(env::path(cx)) {
            return Ok(None);
        }
        let text = env::read(cx, env::owner(cx)?)?;
        let access = Access {
            mode: 0o600,
            owner: None,
        };
        cx.host.write(HELD, text.as_bytes(), access)?;
        Ok(Some(Self(&cx.host)))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // What stays in memory until the next run is root's alone.
        let _ = self.0.remove(HELD);
    }
}

async fn run(cx: &Context, text: &str, args: &[&str]) -> Result<Answer> {
    let project = cx.host.path(cx.settings.project());
    let program = docker(cx)
        .args([
            "compose",
            "--ansi",
            "never",
            "--progress",
            "quiet",
            "--project-name",
            PROJECT,
        ])
        .arg("--project-directory")
        .arg(&project)
        .args(["--file", "-"])
        .args(args)
        .input(text)
        .deadline(Duration::from_secs(120));
    cx.host.run_async(&program).await
}

/// The version of Compose, if it is v2 or newer.
pub(crate) async fn version(cx: &Context) -> Result<String> {
    let answer = cx
        .host
        .run_async(&docker(cx).args(["compose", "version", "--short"]))
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
        _ => Err(refuse(why_no_compose(cx).await)),
    }
}

/// The three ways in which Compose v2 is missing.
async fn why_no_compose(cx: &Context) -> String {
    let places = [
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    ];
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
    match cx.host.run_async(&old).await {
        Ok(answer) if answer.ok() && answer.stdout.starts_with("1.") => format!(
            "only Compose v1 ({}) is installed, v2 is needed as a plugin of docker",
            answer.stdout.trim()
        ),
        _ => "the Compose v2 plugin of docker is not installed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_env_without_anything_special_is_plain() {
        assert!(is_plain("# a comment\n\nA_1=b+c/d==\nEMPTY=\n"));
        for special in [
            "A=\"b\"", "A='b'", "A=$B", "A b=c", "A=b c", "A", " A=b", "=b", "A=b#c",
        ] {
            assert!(!is_plain(special), "{special}");
        }
    }
}
