//! The last fallback: a local build. Refused, with the numbers, where there is too little memory.

use std::path::Path;
use std::time::Duration;

use crate::deploy::context::Context;
use crate::deploy::docker::client::docker;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::good;

/// What the build needs at least, RAM and swap together, in kB: 6 GB.
pub(crate) const NEEDED_KB: u64 = 6_000_000;
/// The tag of what was built here.
pub(crate) const TAG: &str = "openclaw:local-build";

/// Whether and why not a build may be tried, as a pure decision.
///
/// # Errors
/// With the reason and the numbers.
pub(crate) fn allowed(context: Option<&Path>, memory_kb: u64, forced: bool) -> Result<&Path> {
    let Some(context) = context else {
        // No hint: that of the cause which led here says more.
        return Err(Failure::new(
            "no build_context is configured, so nothing can be built here",
        ));
    };
    if !context.is_absolute() {
        return Err(Failure::usage("build_context must be an absolute path"));
    }
    if memory_kb < NEEDED_KB && !forced {
        return Err(Failure::new(format!(
            "a local build needs 6.0 GB of RAM and swap, this machine has {:.1} GB",
            memory_kb as f64 / 1e6
        ))
        .hint("add swap, or force it with --allow-local-build"));
    }
    Ok(context)
}

/// Builds, and returns what `docker` names the image by.
pub(crate) async fn build(cx: &Context) -> Result<&'static str> {
    let memory = memory(&cx.host.read("/proc/meminfo")?.unwrap_or_default());
    let settings = &cx.settings;
    let context = allowed(
        settings.build_context.as_deref(),
        memory,
        settings.allow_local_build,
    )?;
    if !context.join("Dockerfile").is_file() {
        return Err(
            Failure::expected(format!("a Dockerfile in {}", context.display()), "none")
                .hint("put OpenClaw's source tree there, or name another build_context"),
        );
    }
    let program = docker(&cx.settings.engine)
        .deadline(Duration::from_secs(3600))
        .args([
            "build",
            "--tag",
            TAG,
            "--label",
            "openclaw-deploy.source=local-build",
        ])
        .arg("--build-arg")
        .arg(format!("GIT_COMMIT={}", commit(context)))
        .arg(context);
    // BuildKit, which OpenClaw's Dockerfile needs, is in old clients themselves and in a plugin
    // of new ones; where the plugin is missing, only the engine's own builder is left.
    let modern = program.clone().env("DOCKER_BUILDKIT", "1");
    let answer = cx.host.run_async(&modern).await?;
    if answer.ok() || !answer.stderr.contains("buildx") {
        good(&modern, answer)?;
    } else {
        let plain = program.env("DOCKER_BUILDKIT", "0");
        good(&plain, cx.host.run_async(&plain).await?)?;
    }
    Ok(TAG)
}

/// The commit of a checkout, or `unknown`.
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
        assert!(allowed(None, 9_000_000, true).is_err());
    }

    #[test]
    fn swap_counts_as_memory() {
        assert_eq!(
            memory("MemTotal:  4000 kB\nMemFree: 1 kB\nSwapTotal: 2000 kB\n"),
            6000
        );
    }
}
