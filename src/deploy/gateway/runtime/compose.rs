//! The gateway as the container of a Compose project.
//!
//! Compose is given our text by stdin, and what it says of `.env` is not repeated.

use std::time::Duration;

use super::compose_file::{self, ENV_FILE};
use super::interface::{RunPlan, Runtime};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client;
use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::boxed::Boxed;
use crate::deploy::gateway::labels::{self, PROJECT};
use crate::deploy::gateway::records::Release;
use crate::deploy::gateway::state;
use crate::deploy::gateway::{container, env, secrets};
use crate::deploy::host::{Access, Host, ProgramOutput};
use crate::deploy::settings::{Deliver, RuntimeKind};

/// Compose.
pub(super) struct Compose;

impl Runtime for Compose {
    fn fingerprint(&self, release: &Release) -> String {
        compose_file::fingerprint(release)
    }

    fn plan<'a>(&self, _: &'a Context, _: &'a Engine) -> Boxed<'a, RunPlan> {
        Box::pin(async { Ok(RunPlan::default()) })
    }

    fn preflight<'a>(&self, cx: &'a Context, release: &'a Release) -> Boxed<'a, ()> {
        Box::pin(preflight(cx, release))
    }

    fn stop<'a>(&self, engine: &'a Engine, seconds: u32) -> Boxed<'a, ()> {
        Box::pin(async move {
            for id in container::all_of(engine, RuntimeKind::Compose).await? {
                // One that restarts by itself would write into the snapshot.
                engine.restart_policy(&id, "no").await?;
                engine.stop(&id, seconds).await?;
            }
            Ok(())
        })
    }

    fn create<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        release: &'a Release,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(async move {
            if release.delivers() == Deliver::Broker {
                secrets::before_start(cx).await?;
            }
            let id = create(cx, engine, release).await?;
            state::of(&cx.settings).prepare(cx, engine, &id).await?;
            engine.restart_policy(&id, "no").await?;
            Ok(Some(id))
        })
    }

    fn start<'a>(
        &self,
        _: &'a Context,
        engine: &'a Engine,
        _: &'a Release,
        created: Option<String>,
    ) -> Boxed<'a, String> {
        Box::pin(async move {
            let id = created.ok_or_else(none_created)?;
            engine.start(&id).await.map(|()| id)
        })
    }

    fn resume<'a>(
        &self,
        cx: &'a Context,
        engine: &'a Engine,
        container: &'a Container,
        release: &'a Release,
    ) -> Boxed<'a, String> {
        Box::pin(async move {
            if release.delivers() == Deliver::Broker {
                secrets::before_start(cx).await?;
            }
            if !container.running {
                engine.start(&container.id).await?;
            }
            Ok(container.id.clone())
        })
    }

    fn keep_running<'a>(&self, engine: &'a Engine, _: &'a Release) -> Boxed<'a, ()> {
        Box::pin(async move {
            for id in container::all_of(engine, RuntimeKind::Compose).await? {
                engine.restart_policy(&id, "unless-stopped").await?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&self, cx: &'a Context, engine: &'a Engine) -> Boxed<'a, ()> {
        Box::pin(async move {
            for id in container::all_of(engine, RuntimeKind::Compose).await? {
                engine.remove(&format!("/containers/{id}")).await?;
                engine.remove(labels::COMPOSE_NETWORK).await?;
            }
            // Whoever runs it by hand would start a second gateway on the same state.
            cx.host
                .remove(cx.settings.project().join("compose.yaml"))
                .map(drop)
        })
    }

    fn has_its_file(&self, cx: &Context, release: &Release) -> Result<bool> {
        let text = compose_file::render(release, ENV_FILE);
        let path = cx.settings.project().join("compose.yaml");
        Ok(cx.host.holds(path, text.as_bytes(), access(cx)?))
    }

    fn write_its_file(&self, cx: &Context, release: &Release) -> Result<()> {
        let text = compose_file::render(release, ENV_FILE);
        let path = cx.settings.project().join("compose.yaml");
        cx.host.write(path, text.as_bytes(), access(cx)?).map(drop)
    }

    fn can_be_adopted(&self) -> bool {
        true
    }

    fn left_behind(&self) -> &'static str {
        "its container is left stopped for inspection"
    }
}

/// The gateway, which does not run, is told whom to ask for its keys. OpenClaw writes that itself where
/// its configuration is no JSON, in a container of `release`.
pub(crate) async fn set_provider(cx: &Context, release: &Release) -> Result<()> {
    if secrets::edit(cx)? == secrets::Edit::Done {
        return Ok(());
    }
    let by_hand = || {
        Failure::new(
            "openclaw.json is not JSON, and OpenClaw could not add the secret provider to it",
        )
        .hint("see the lines to add: oc-secrets openclaw config")
    };
    let openclaw = release.spec.openclaw().ok_or_else(by_hand)?;
    let mut words = vec![
        "run",
        "--rm",
        "--no-deps",
        "--no-TTY",
        "--interactive=false",
    ];
    words.push(labels::COMPOSE_SERVICE);
    let set = secrets::provider_words();
    words.extend(openclaw.iter().chain(&set).map(String::as_str));
    secrets::before_start(cx).await?;
    match compose(cx, release, &words).await?.ok() {
        true => Ok(()),
        false => Err(by_hand()),
    }
}

/// Of `compose.yaml`.
fn access(cx: &Context) -> Result<Access> {
    Ok(Access {
        mode: 0o644,
        owner: env::owner(cx)?,
    })
}

/// Writes `compose.yaml` and has Compose create the container, not started. Returns its id.
async fn create(cx: &Context, engine: &Engine, release: &Release) -> Result<String> {
    Compose.write_its_file(cx, release)?;
    let up = ["up", "--no-start", "--remove-orphans"];
    let answer = compose(cx, release, &up).await?;
    if !answer.ok() {
        return Err(refused(cx, release, &answer));
    }
    let made = container::all_of(engine, RuntimeKind::Compose).await?;
    made.into_iter().next().ok_or_else(none_created)
}

fn none_created() -> Failure {
    let what = Failure::expected("a container of the gateway", "none after docker compose up");
    what.hint(format!(
        "see what Compose created: docker compose --project-name {PROJECT} ps --all"
    ))
}

/// Has Compose read `release` and `.env`, and create nothing. It can always read a plain `.env`.
async fn preflight(cx: &Context, release: &Release) -> Result<()> {
    if is_plain(&env::read(cx, env::owner(cx)?)?) {
        return Ok(());
    }
    let answer = compose(cx, release, &["config", "--quiet"]).await?;
    match answer.ok() {
        true => Ok(()),
        false => {
            let why = refused(cx, release, &answer);
            Err(Failure {
                what: format!("{}; the gateway was not touched", why.what),
                ..why
            })
        }
    }
}

/// Whether every line is blank, a comment, or a name and a value in which nothing is special, and none
/// is for Compose itself.
fn is_plain(env: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let value = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\$#`".contains(&byte);
    env.lines().all(|line| {
        let pair = line.split_once('=');
        line.trim().is_empty()
            || line.starts_with('#')
            || pair.is_some_and(|(key, text)| {
                let ours = !key.is_empty() && !key.starts_with("COMPOSE_");
                ours && key.bytes().all(name) && text.bytes().all(value)
            })
    })
}

/// What Compose says of `.env` repeats the line, and so a secret: only its number is told.
fn refused(cx: &Context, release: &Release, answer: &ProgramOutput) -> Failure {
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
        // Compose has read it without some of its lines.
        _ if !release.left_out.is_empty() => String::new(),
        "" => String::new(),
        number => format!(":{number}"),
    };
    Failure::new(format!("Compose cannot read {file}{line}"))
        .hint("each line is NAME=value; a value with quotes or blanks stands in single quotes")
        .cause(Cause::Compose)
}

/// Runs `docker compose` on our project: on `release` and the `.env` that we have checked, not on the
/// files, which the deploy user can change at any time.
async fn compose(cx: &Context, release: &Release, args: &[&str]) -> Result<ProgramOutput> {
    let held = Held::env(cx, &release.left_out)?;
    let env_file = match held {
        Some(_) => cx.host.path(HELD).display().to_string(),
        None => ENV_FILE.to_owned(),
    };
    // Else it would take values for `$NAME` from the project's own `.env`, link or not.
    let values = held.is_some().then_some(env_file.as_str());
    run(cx, &compose_file::render(release, &env_file), values, args).await
}

/// Where the `.env` that we have checked is, in memory, while Compose reads it.
const HELD: &str = "/run/openclaw-deploy.env";

/// The file is there until this is dropped.
struct Held<'a>(&'a Host);

impl<'a> Held<'a> {
    /// Without the keys `left_out`. `None` where the engine, and so our project, is an operator's own affair.
    fn env(cx: &'a Context, left_out: &[String]) -> Result<Option<Self>> {
        let Some(owner) = env::owner(cx)?.filter(|_| cx.host.exists(env::path(cx))) else {
            return Ok(None);
        };
        let text = env::without(&env::read(cx, Some(owner))?, left_out);
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

/// `values` is the file by which it expands `$NAME`, if not the project's own.
async fn run(
    cx: &Context,
    text: &str,
    values: Option<&str>,
    args: &[&str],
) -> Result<ProgramOutput> {
    let values = values.into_iter().flat_map(|file| ["--env-file", file]);
    let project = cx.host.path(cx.settings.project());
    let program = client::compose(&cx.host, &cx.settings.engine)
        .args([
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
        .args(values)
        .args(args)
        .input(text)
        .deadline(Duration::from_secs(120));
    cx.host.run_async(&program).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_env_without_anything_special_is_plain() {
        assert!(is_plain("# a comment\n\nA_1=b+c/d==\nEMPTY=\n"));
        for special in [
            "A=\"b\"",
            "A='b'",
            "A=$B",
            "A b=c",
            "A=b c",
            "A",
            " A=b",
            "=b",
            "A=b#c",
            "COMPOSE_PARALLEL_LIMIT=1",
        ] {
            assert!(!is_plain(special), "{special}");
        }
    }
}
