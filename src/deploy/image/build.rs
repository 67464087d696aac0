//! The last fallback: a local build. Refused, with the numbers, where there is too little memory.
//!
//! It builds the folder `build_context`, or else OpenClaw's own repository at the release that is
//! wanted or pinned, which BuildKit fetches itself.

use std::path::Path;
use std::time::Duration;

use crate::deploy::context::Context;
use crate::deploy::docker::client::docker;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Program, ProgramOutput, good};
use crate::deploy::image_reference::{ImageRef, is_version};

/// What the build needs at least, RAM and swap together, in kB: 6 GB.
pub(crate) const NEEDED_KB: u64 = 6_000_000;
/// The tag of what was built here in the place of an image from elsewhere.
pub(crate) const TAG: &str = "openclaw:local-build";
/// The release that the pipeline builds as `latest`.
const PINNED: &str = include_str!("../../../.github/openclaw.ref");

/// Whether a build may be tried, as a pure decision.
///
/// # Errors
/// With the reason and the numbers.
pub(crate) fn allowed(context: Option<&Path>, memory_kb: u64, forced: bool) -> Result<()> {
    if context.is_some_and(|context| !context.is_absolute()) {
        return Err(Failure::usage("build_context must be an absolute path"));
    }
    if memory_kb < NEEDED_KB && !forced {
        return Err(Failure::new(format!(
            "a local build needs 6.0 GB of RAM and swap, this machine has {:.1} GB",
            memory_kb as f64 / 1e6
        ))
        .hint("add swap, or force it with --allow-local-build"));
    }
    Ok(())
}

/// What is built, for people.
pub(crate) fn source(cx: &Context, wanted: &ImageRef) -> String {
    match &cx.settings.build_context {
        Some(folder) => folder.display().to_string(),
        None => format!("{}#{}", cx.settings.build_source, git_ref(wanted)),
    }
}

/// The ref in OpenClaw's repository: the tag of the release that `wanted` names, or the pinned one.
fn git_ref(wanted: &ImageRef) -> String {
    let lines = PINNED.lines().map(str::trim);
    let mut pinned = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    match wanted.tag() {
        Some(tag) if is_version(tag) => format!("v{tag}"),
        Some(tag) if wanted.is_built_here() && tag != "latest" => tag.to_owned(),
        _ => pinned.next().unwrap_or("main").to_owned(),
    }
}

/// Builds, and returns the name by which the engine has the image.
pub(crate) async fn build(cx: &Context, wanted: &ImageRef) -> Result<String> {
    let memory = memory(&cx.host.read("/proc/meminfo")?.unwrap_or_default());
    let settings = &cx.settings;
    let folder = settings.build_context.as_deref();
    allowed(folder, memory, settings.allow_local_build)?;
    let commit = match folder {
        Some(folder) if !folder.join("Dockerfile").is_file() => {
            return Err(
                Failure::expected(format!("a Dockerfile in {}", folder.display()), "none")
                    .hint("put OpenClaw's source tree there, or name another build_context"),
            );
        }
        Some(folder) => commit(folder),
        None => commit_upstream(cx, &git_ref(wanted)).await?,
    };
    let tag = match wanted.is_built_here() {
        true => wanted.to_string(),
        false => TAG.to_owned(),
    };
    cx.reporter
        .note(format!("building {tag} from {}", source(cx, wanted)));
    let program = docker(&settings.engine)
        .deadline(Duration::from_secs(3600))
        .args(["build", "--tag", &tag])
        .args([
            "--label",
            "openclaw-deploy.source=local-build",
            "--build-arg",
        ])
        .arg(format!("GIT_COMMIT={commit}"))
        .arg(source(cx, wanted));
    run(cx, program).await.map(|()| tag)
}

/// BuildKit, which OpenClaw's Dockerfile needs, is in old clients themselves and in a plugin of new
/// ones; where the plugin is missing, only the engine's own builder is left.
async fn run(cx: &Context, program: Program) -> Result<()> {
    let modern = program.clone().env("DOCKER_BUILDKIT", "1");
    let answer = cx.host.run_async(&modern).await?;
    if answer.ok() || !answer.stderr.contains("buildx") {
        return built(&modern, answer);
    }
    let plain = program.env("DOCKER_BUILDKIT", "0");
    let answer = cx.host.run_async(&plain).await?;
    built(&plain, answer)
        .map_err(|why| why.or_hint(|| "install BuildKit: apt-get install docker-buildx".to_owned()))
}

fn built(program: &Program, answer: ProgramOutput) -> Result<()> {
    good(program, answer).map(drop)
}

/// The commit of a ref in OpenClaw's repository: it tells, within seconds, that the ref is there.
async fn commit_upstream(cx: &Context, git_ref: &str) -> Result<String> {
    let source = &cx.settings.build_source;
    let program = Program::new("git")
        .outside()
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["ls-remote", "--", source])
        .args([git_ref.to_owned(), format!("{git_ref}^{{}}")]);
    let answer = cx
        .host
        .run_async(&program)
        .await
        .map_err(|why| why.hint("BuildKit fetches the source with git: apt-get install git"))?;
    let listed = good(&program, answer)?;
    // The commit behind an annotated tag comes last.
    let mut commit = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    commit.next_back().map(str::to_owned).ok_or_else(|| {
        Failure::new(format!("{source} has no {git_ref}"))
            .hint("name a release of OpenClaw, or a folder: --build-context DIR")
    })
}

/// The commit of a checkout, or `unknown`. The folder is the operator's, not one of the host below `--root`.
fn commit(context: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(context.join(".git").join(name)).ok();
    let head = read("HEAD").unwrap_or_default();
    let head = head.trim();
    match head.strip_prefix("ref: ") {
        Some(name) => read(name).map_or_else(|| "unknown".into(), |text| text.trim().to_owned()),
        None if head.is_empty() => "unknown".to_owned(),
        None => head.to_owned(),
    }
}

/// RAM and swap of `/proc/meminfo` in kB.
fn memory(text: &str) -> u64 {
    let field = |name: &str| -> u64 {
        text.lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    };
    field("MemTotal:") + field("SwapTotal:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_refused_with_the_numbers() {
        let context = Path::new("/src");
        let failure = allowed(Some(context), 4_010_000, false).expect_err("too little");
        assert!(
            failure.what.contains("6.0 GB") && failure.what.contains("4.0 GB"),
            "{failure}"
        );
        assert!(allowed(Some(context), 4_010_000, true).is_ok());
        assert!(allowed(Some(context), 6_010_000, false).is_ok());
        assert!(allowed(Some(Path::new(".")), 9_000_000, true).is_err());
        assert!(allowed(None, 9_000_000, false).is_ok());
    }

    #[test]
    fn the_release_that_is_named_is_built_or_else_the_pinned_one() {
        let of = |text: &str| git_ref(&ImageRef::parse(text).expect(text));
        assert_eq!(of("ghcr.io/me/openclaw:2026.7.1-2"), "v2026.7.1-2");
        assert_eq!(of("openclaw:v2026.2.6"), "v2026.2.6");
        assert_eq!(of("openclaw:main"), "main");
        let pinned = of("openclaw:latest");
        assert!(pinned.starts_with("v2"), "{pinned}");
        assert_eq!(of("ghcr.io/me/openclaw:mine"), pinned);
    }

    #[test]
    fn swap_counts_as_memory() {
        assert_eq!(
            memory("MemTotal:  4000 kB\nMemFree: 1 kB\nSwapTotal: 2000 kB\n"),
            6000
        );
    }
}
