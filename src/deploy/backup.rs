//! A backup of everything that makes a gateway this one: state, keys of its sidecars, `.env`, records.
//!
//! The state holds live SQLite databases, so the gateway is stopped, the state copied, the gateway
//! started again, and the copy compressed only then. The names of the stopped containers are
//! written to a file first: if this run is killed, the next one (or the unit's `ExecStopPost`, or another
//! unit at boot) starts them. An archive gets its final name after it was read back completely; only then are
//! older ones removed, and never one of the last N.

mod preflight;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::base::units::{moment, now, size};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::labels::{self, GRACE};
use crate::deploy::gateway::records::Records;
use crate::deploy::gateway::{runtime, state};
use crate::deploy::host::{Access, Host, Program, disk};
use crate::deploy::settings::RuntimeKind;

/// Where archives lie, for root alone.
pub(crate) const PLACE: &str = "/var/backups/openclaw";
/// What a backup that is being made has stopped.
pub(crate) const STOPPED: &str = "/var/lib/openclaw-deploy/backup-stopped";
const DIRECTORY: Access = Access::root(0o700);
const FILE: Access = Access::root(0o600);
const LONG: Duration = Duration::from_secs(3600);
/// By how much a clock may have been set back since, in seconds: a small correction is nothing odd.
const GRACE_OF_CLOCK: u64 = 600;

/// Makes a backup and returns its path. If that fails, older archives are untouched, and the
/// gateway runs again if it ran before.
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

/// Whether there is anything to back up.
pub(crate) fn has_source(cx: &Context) -> bool {
    cx.host.exists(cx.settings.state())
}

/// The newest archive, for people: its name, when it was made, and its bytes.
pub(crate) fn newest(host: &Host) -> Option<(String, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let name = latest(host)?;
    let about = host.metadata(Path::new(PLACE).join(&name))?;
    let made = u64::try_from(about.mtime()).unwrap_or(0);
    Some((name, made, about.len()))
}

/// The name of the newest archive. One that is dated after now was made while the clock was ahead, so
/// nobody knows how old it is: it counts only where there is no other.
pub(crate) fn latest(host: &Host) -> Option<String> {
    let (mut ahead, mut others) = by_clock(archives(host), now());
    others.pop().or_else(|| ahead.pop())
}

/// The archives that are dated after now.
pub(crate) fn dated_ahead(host: &Host) -> Vec<String> {
    by_clock(archives(host), now()).0
}

/// Those that are dated after `now`, and the others, both in their order.
fn by_clock(names: Vec<String>, now: u64) -> (Vec<String>, Vec<String>) {
    let is_ahead = |name: &String| dated(name).is_some_and(|made| made > now + GRACE_OF_CLOCK);
    names.into_iter().partition(is_ahead)
}

/// When an archive was made, by its name; `None` for a file that is not called as ours are.
fn dated(name: &str) -> Option<u64> {
    let stamp = name.strip_prefix("openclaw-")?.strip_suffix(".tar.gz")?;
    let (date, time) = stamp.split_once('T')?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    moment(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}"))
}

/// The good archives, oldest first. What somebody has put there under another name is theirs.
pub(crate) fn archives(host: &Host) -> Vec<String> {
    let mut names = host.names(PLACE);
    names.retain(|name| dated(name).is_some());
    names.sort();
    names
}

fn make(cx: &Context) -> Result<PathBuf> {
    let host = &cx.host;
    if state::of(&cx.settings).directories(&cx.settings).is_empty() {
        return Err(Failure::new(
            "a backup copies directories, and a remote engine has volumes instead",
        )
        .hint(
            "each release there keeps the volumes of the one before it: openclaw-deploy status",
        ));
    }
    resume(cx)?;
    let members = members(cx);
    if !has_source(cx) {
        return Err(Failure::new("there is no state to back up").hint("openclaw-deploy bootstrap"));
    }
    preflight::check(cx)?;
    host.directory(PLACE, DIRECTORY)?;
    remove_unfinished(host)?;
    check_free_space(host, &members)?;
    let stamp = host.must(&Program::new("date").args(["-u", "+%Y%m%dT%H%M%SZ"]))?;
    let name = format!("openclaw-{}.tar.gz", stamp.trim());
    let raw = format!("{PLACE}/.partial.tar");
    stopped(cx, || copy(cx, &raw, &members))?;
    let packed = pack(host, &raw)?;
    read_back(host, &packed, &members)?;
    // Content and name have to be on the disk before an older archive is removed.
    host.must(&Program::new("sync").arg(&packed))?;
    let path = PathBuf::from(format!("{PLACE}/{name}"));
    host.rename(&packed, &path)?;
    host.must(&Program::new("sync").arg(PLACE))?;
    for old in surplus(&archives(host), &name, cx.settings.host.backup_keep) {
        host.remove(format!("{PLACE}/{old}"))?;
    }
    Ok(path)
}

/// The paths to back up that exist, without their leading slash, as `tar --directory /` wants them.
fn members(cx: &Context) -> Vec<String> {
    let project = cx.settings.project();
    let mut paths = state::of(&cx.settings).directories(&cx.settings);
    paths.extend([project.join(".env"), project.join("compose.yaml")]);
    paths.push(cx.settings.records().join("records.json"));
    let paths = paths.iter().filter(|path| cx.host.exists(path));
    paths
        .map(|path| path.to_string_lossy().trim_start_matches('/').to_owned())
        .collect()
}

/// Removes the unfinished archive of an interrupted run.
fn remove_unfinished(host: &Host) -> Result<()> {
    host.remove(format!("{PLACE}/.partial.tar"))?;
    host.remove(format!("{PLACE}/.partial.tar.gz")).map(drop)
}

/// Fails before anything is stopped unless twice the size is free: for the copy and for its
/// compressed form.
fn check_free_space(host: &Host, members: &[String]) -> Result<()> {
    let used: u64 = members
        .iter()
        .map(|member| disk::weigh(&host.path(member)))
        .sum();
    let free = disk::free(&host.path(PLACE))?;
    if free / 2 > used {
        return Ok(());
    }
    Err(Failure::expected(
        format!("{} free in {PLACE}", size(used.saturating_mul(2))),
        size(free),
    )
    .cause(Cause::Disk)
    .hint("free some space, or keep fewer: backup_keep in /etc/openclaw-deploy.toml"))
}

/// Runs `work` while the gateway is stopped, and starts it again even if `work` fails.
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

/// The files of the project's folder are read within it as it was opened: who exchanges the folder for a
/// link has none packed that are not theirs. Below a directory `tar` itself follows no link.
fn copy(cx: &Context, raw: &str, members: &[String]) -> Result<()> {
    let host = &cx.host;
    host.write(raw, b"", FILE)?;
    let project = cx.settings.project();
    let prefix = format!("{}/", project.to_string_lossy().trim_start_matches('/'));
    let (inside, others): (Vec<_>, Vec<_>) = members.iter().partition(|it| it.starts_with(&prefix));
    let folder = (!inside.is_empty()).then(|| host.held_directory(&project));
    let folder = folder.transpose()?;
    let mut tar = Program::new("tar")
        .outside()
        .args([
            "--create",
            "--one-file-system",
            "--numeric-owner",
            "--acls",
            "--xattrs",
            "--file",
        ])
        .arg(host.path(raw))
        .deadline(LONG);
    if let Some(folder) = &folder {
        let names = inside.iter().map(|it| (*it, &it[prefix.len()..]));
        let rename = |(member, name): (_, &str)| {
            format!("--transform=s,^{}$,{member},SH", name.replace('.', "\\."))
        };
        tar = tar.within(folder).args(names.clone().map(rename));
        tar = tar.args(names.map(|(_, name)| name));
    }
    let tar = tar.arg("--directory").arg(host.path("/")).args(others);
    let done = host.must(&tar).map(drop).map_err(disk);
    if done.is_err() {
        host.remove(raw)?;
    }
    done
}

/// Compresses the copy in place and returns the new name.
fn pack(host: &Host, raw: &str) -> Result<String> {
    let gzip = Program::new("gzip").args(["--fast", raw]).deadline(LONG);
    host.must(&gzip).map_err(disk).inspect_err(|_| {
        let _ = remove_unfinished(host);
    })?;
    Ok(format!("{raw}.gz"))
}

/// Reads the whole archive again and checks that every member is in it.
fn read_back(host: &Host, packed: &str, members: &[String]) -> Result<()> {
    let list = Program::new("tar")
        .args(["--list", "--gzip", "--file", packed, "--"])
        .args(members)
        .deadline(LONG);
    host.must(&list).map(drop).map_err(disk).inspect_err(|_| {
        let _ = host.remove(packed);
    })
}

/// Replaces the hint: the failed archive is removed, so only the disk can be looked at.
fn disk(failure: Failure) -> Failure {
    failure.hint(format!("look at the disk: df -h {PLACE}; dmesg | tail"))
}

/// The names to remove so that `keep` remain; `names` are sorted by age. `new` always remains, even
/// if it does not sort last: the clock may have been ahead when another one was made.
fn surplus<'a>(names: &'a [String], new: &str, keep: usize) -> Vec<&'a String> {
    let others: Vec<&String> = names.iter().filter(|name| *name != new).collect();
    let gone = (others.len() + 1).saturating_sub(keep.max(1));
    others.into_iter().take(gone).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of_days(days: &[u32]) -> Vec<String> {
        let name = |day: &u32| format!("openclaw-202611{day:02}T030509Z.tar.gz");
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
    fn an_archive_of_a_clock_that_was_ahead_is_newest_only_where_it_is_alone() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let place = cx.host.path(PLACE);
        fs::create_dir_all(&place).expect("made");
        let make = |name: &str| fs::write(place.join(name), name).expect("written");
        let ahead = "openclaw-99991231T235959Z.tar.gz";
        assert_eq!(latest(&cx.host), None);
        make(ahead);
        assert_eq!(latest(&cx.host).as_deref(), Some(ahead));
        make("openclaw-20261124T030509Z.tar.gz");
        make("openclaw-20261123T030509Z.tar.gz");
        let newest = latest(&cx.host);
        assert_eq!(newest.as_deref(), Some("openclaw-20261124T030509Z.tar.gz"));
        assert_eq!(super::newest(&cx.host).map(|it| it.0), newest);
        assert_eq!(dated_ahead(&cx.host), [ahead]);
    }

    #[test]
    fn an_archive_is_ahead_of_the_clock_by_more_than_a_correction() {
        let name = "openclaw-20261124T030509Z.tar.gz";
        let made = 1_795_489_509;
        assert_eq!(dated(name), Some(made));
        let ahead = |now| by_clock(vec![name.to_owned()], now).0.len();
        assert_eq!((ahead(made - 601), ahead(made - 600)), (1, 0));
        for other in ["openclaw-mine.tar.gz", "openclaw-20261124.tar.gz"] {
            assert_eq!(dated(other), None, "{other}");
        }
    }

    #[test]
    fn a_copy_that_somebody_has_named_is_neither_the_newest_nor_rotated_away() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let place = cx.host.path(PLACE);
        fs::create_dir_all(&place).expect("made");
        let ours = "openclaw-20261124T030509Z.tar.gz";
        for name in [
            ours,
            "openclaw-2026-mine.tar.gz",
            "openclaw-before-upgrade.tar.gz",
        ] {
            fs::write(place.join(name), name).expect("written");
        }
        assert_eq!(archives(&cx.host), [ours]);
        assert_eq!(latest(&cx.host).as_deref(), Some(ours));
    }

    #[test]
    fn the_one_just_made_stays_where_another_is_dated_later() {
        let names = of_days(&[1, 2, 30]);
        assert_eq!(surplus(&names, &names[1], 1), [&names[0], &names[2]]);
        assert_eq!(surplus(&names, &names[1], 2), [&names[0]]);
        assert_eq!(surplus(&names, &names[1], 3), [&names[0]; 0]);
    }
}
