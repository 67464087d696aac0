//! A backup of everything that makes a gateway this one: state, keys of its sidecars, `.env`.
//!
//! Its databases are live SQLite files, so the gateway is stopped, copied and started again; it is
//! compressed only then. What was stopped is written down first, and started by the next run (or
//! by the unit's `ExecStopPost`) if this one is killed. An archive gets its name when it has been
//! read back whole; only then do old ones go, and never one of the last N.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::labels::{self, GRACE};
use crate::deploy::gateway::records::Records;
use crate::deploy::gateway::runtime;
use crate::deploy::host::{Access, Host, Program};
use crate::deploy::settings::RuntimeKind;

/// Where archives lie, for root alone.
pub(crate) const PLACE: &str = "/var/backups/openclaw";
const STOPPED: &str = "/var/lib/openclaw-deploy/backup-stopped";
const DIRECTORY: Access = Access::root(0o700);
const FILE: Access = Access::root(0o600);
const LONG: Duration = Duration::from_secs(3600);

/// Makes one, and returns its path.
///
/// # Errors
/// When it could not be made or read back. Older archives are untouched then, and what ran before
/// runs again.
pub(crate) fn run(cx: &Context) -> Result<PathBuf> {
    let start = Instant::now();
    let outcome = make(cx);
    cx.journal.add(json!({
        "event": "backup",
        "outcome": if outcome.is_ok() { "done" } else { "failed" },
        "seconds": start.elapsed().as_secs_f64(),
        "bytes": outcome.as_ref().ok().and_then(|path| cx.host.metadata(path)).map(|it| it.len()),
    }));
    outcome
}

/// Starts what an interrupted backup left stopped.
pub(crate) fn resume(cx: &Context) -> Result<()> {
    let Some(text) = cx.host.read(STOPPED)? else {
        return Ok(());
    };
    let ids: Vec<&str> = text.split_ascii_whitespace().collect();
    // A container that is gone was replaced by a newer one, which runs on its own.
    let there = docker(cx, &["ps", "--all", "--quiet", "--no-trunc"])?;
    let left: Vec<&str> = ids
        .into_iter()
        .filter(|id| there.lines().any(|line| line == *id))
        .collect();
    if !left.is_empty() {
        docker(cx, &[&["start"], left.as_slice()].concat())?;
    }
    if text
        .split_ascii_whitespace()
        .any(|id| id == labels::SWARM_SERVICE)
    {
        ask_engine(cx, async |engine| runtime::start_service(engine).await)?;
    }
    cx.host.remove(STOPPED).map(drop)
}

/// Whether a gateway has ever left anything to back up.
pub(crate) fn has_source(cx: &Context) -> bool {
    !members(cx).is_empty()
}

/// The good archives, oldest first.
pub(crate) fn archives(host: &Host) -> Vec<String> {
    let mut names = host.names(PLACE);
    names.retain(|name| name.starts_with("openclaw-") && name.ends_with(".tar.gz"));
    names.sort();
    names
}

fn make(cx: &Context) -> Result<PathBuf> {
    let host = &cx.host;
    if cx.settings.engine.is_remote() {
        return Err(Failure::new(
            "a backup copies directories, and a remote engine has volumes instead",
        )
        .hint(
            "each release there keeps the volumes of the one before it: openclaw-deploy status",
        ));
    }
    resume(cx)?;
    let members = members(cx);
    if members.is_empty() {
        return Err(Failure::new("there is no state to back up").hint("openclaw-deploy bootstrap"));
    }
    host.directory(PLACE, DIRECTORY)?;
    sweep(host)?;
    check_free_space(host, &members)?;
    let stamp = host.must(&Program::new("date").args(["-u", "+%Y%m%dT%H%M%SZ"]))?;
    let name = format!("openclaw-{}.tar.gz", stamp.trim());
    let raw = format!("{PLACE}/.partial.tar");
    stopped(cx, || copy(host, &raw, &members))?;
    let packed = pack(host, &raw)?;
    read_back(host, &packed, &members)?;
    // On the disk, name and content, before an older one goes.
    host.must(&Program::new("sync").arg(&packed))?;
    let path = PathBuf::from(format!("{PLACE}/{name}"));
    host.rename(&packed, &path)?;
    host.must(&Program::new("sync").arg(PLACE))?;
    for old in surplus(&archives(host), &name, cx.settings.host.backup_keep) {
        host.remove(format!("{PLACE}/{old}"))?;
    }
    Ok(path)
}

/// What there is of the things to keep, without the leading slash.
fn members(cx: &Context) -> Vec<String> {
    let settings = &cx.settings;
    let project = settings.project();
    [
        settings.state(),
        settings.auth(),
        project.join(".env"),
        project.join("compose.yaml"),
    ]
    .iter()
    .filter(|path| cx.host.exists(path))
    .map(|path| path.to_string_lossy().trim_start_matches('/').to_owned())
    .collect()
}

/// Removes what an interrupted run left half-written.
fn sweep(host: &Host) -> Result<()> {
    host.remove(format!("{PLACE}/.partial.tar"))?;
    host.remove(format!("{PLACE}/.partial.tar.gz")).map(drop)
}

/// Twice the size must fit (the copy, and its compressed form), before anything is stopped.
fn check_free_space(host: &Host, members: &[String]) -> Result<()> {
    let paths = members.iter().map(|member| format!("/{member}"));
    let used = Program::new("du").args(["--summarize", "--total", "--block-size=1"]);
    let used = host.must(&used.args(paths).deadline(LONG))?;
    let free = host.must(&Program::new("df").args(["--output=avail", "--block-size=1", PLACE]))?;
    let number = |text: &str| {
        text.lines()
            .last()
            .and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
    };
    let (used, free): (u64, u64) = (
        number(&used).unwrap_or(0),
        number(&free).unwrap_or(u64::MAX),
    );
    if free / 2 > used {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(Failure::expected(
        format!("{} MiB free in {PLACE}", mib(used.saturating_mul(2))),
        format!("{} MiB", mib(free)),
    )
    .cause(Cause::Disk)
    .hint("free some space, or keep fewer: backup_keep in /etc/openclaw-deploy.toml"))
}

/// Does something while the gateway is stopped, and starts it again whatever came of it.
fn stopped<T>(cx: &Context, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let running = running(cx)?;
    if running.is_empty() {
        return work();
    }
    cx.host
        .write(STOPPED, running.join("\n").as_bytes(), FILE)?;
    let outcome = stop(cx, &running).and_then(|()| work());
    cx.host.shield(true);
    let started = resume(cx);
    cx.host.shield(false);
    let value = outcome?;
    started.map(|()| value)
}

/// Stops containers, and the service, by these names.
fn stop(cx: &Context, running: &[String]) -> Result<()> {
    let ids = running.iter().map(String::as_str);
    let ids: Vec<&str> = ids.filter(|id| *id != labels::SWARM_SERVICE).collect();
    if !ids.is_empty() {
        docker(cx, &[&["stop", "--time", "30"], ids.as_slice()].concat())?;
    }
    if ids.len() == running.len() {
        return Ok(());
    }
    ask_engine(cx, async |engine| {
        runtime::of(RuntimeKind::Swarm).stop(engine, GRACE).await
    })
}

fn ask_engine<T>(cx: &Context, what: impl AsyncFnOnce(&Engine) -> Result<T>) -> Result<T> {
    cx.host.wait(async {
        let engine = Engine::open(&cx.settings.engine).await?;
        what(&engine).await
    })
}

/// The running containers of our project, and its service where it is one of Swarm's.
fn running(cx: &Context) -> Result<Vec<String>> {
    if cx.host.find("docker").is_none() {
        return Ok(Vec::new());
    }
    let label = format!("label=com.docker.compose.project={}", labels::PROJECT);
    let ids = docker(cx, &["ps", "--quiet", "--no-trunc", "--filter", &label])?;
    let mut names: Vec<String> = ids.lines().map(str::to_owned).collect();
    let records = Records::load(&cx.host, &cx.settings)?;
    let swarm = records
        .current()
        .is_some_and(|it| it.runtime == RuntimeKind::Swarm);
    if swarm && ask_engine(cx, async |engine| runtime::service_is_up(engine).await)? {
        names.push(labels::SWARM_SERVICE.to_owned());
    }
    Ok(names)
}

fn docker(cx: &Context, words: &[&str]) -> Result<String> {
    let program = client::docker(&cx.settings.engine).args(words);
    cx.host.must(&program.deadline(Duration::from_secs(120)))
}

fn copy(host: &Host, raw: &str, members: &[String]) -> Result<()> {
    host.write(raw, b"", FILE)?;
    let tar = Program::new("tar")
        .args([
            "--create",
            "--file",
            raw,
            "--directory",
            "/",
            "--one-file-system",
        ])
        .args(["--numeric-owner", "--acls", "--xattrs", "--"])
        .args(members)
        .deadline(LONG);
    let done = host.must(&tar).map(drop).map_err(disk);
    if done.is_err() {
        host.remove(raw)?;
    }
    done
}

/// Compresses the copy, which goes; returns the name of what came of it.
fn pack(host: &Host, raw: &str) -> Result<String> {
    let gzip = Program::new("gzip").args(["--fast", raw]).deadline(LONG);
    host.must(&gzip).map_err(disk).inspect_err(|_| {
        let _ = sweep(host);
    })?;
    Ok(format!("{raw}.gz"))
}

/// Reads the whole archive again; every member must be in it.
fn read_back(host: &Host, packed: &str, members: &[String]) -> Result<()> {
    let list = Program::new("tar")
        .args(["--list", "--gzip", "--file", packed, "--"])
        .args(members)
        .deadline(LONG);
    host.must(&list).map(drop).map_err(disk).inspect_err(|_| {
        let _ = host.remove(packed);
    })
}

/// What failed is removed, so it cannot be looked at by hand; the disk can.
fn disk(failure: Failure) -> Failure {
    failure.hint(format!("look at the disk: df -h {PLACE}; dmesg | tail"))
}

/// The names that go, of names that sort by age, when `keep` of them stay. `new` does whatever its
/// place: the clock may have been ahead when another was made.
fn surplus<'a>(names: &'a [String], new: &str, keep: usize) -> Vec<&'a String> {
    let others: Vec<&String> = names.iter().filter(|name| *name != new).collect();
    let gone = (others.len() + 1).saturating_sub(keep.max(1));
    others.into_iter().take(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_days(days: &[u32]) -> Vec<String> {
        let name = |day: &u32| format!("openclaw-202611{day:02}.tar.gz");
        days.iter().map(name).collect()
    }

    #[test]
    fn the_newest_stay_and_at_least_one() {
        let names = of_days(&[1, 2, 3, 4, 5]);
        let gone = |keep| surplus(&names, &names[4], keep).len();
        assert_eq!(surplus(&names, &names[4], 3), [&names[0], &names[1]]);
        assert_eq!((gone(0), gone(1), gone(5), gone(9)), (4, 4, 0, 0));
    }

    #[test]
    fn the_one_just_made_stays_where_another_is_dated_later() {
        let names = of_days(&[1, 2, 30]);
        assert_eq!(surplus(&names, &names[1], 1), [&names[0], &names[2]]);
        assert_eq!(surplus(&names, &names[1], 2), [&names[0]]);
        assert_eq!(surplus(&names, &names[1], 3), [&names[0]; 0]);
    }
}
