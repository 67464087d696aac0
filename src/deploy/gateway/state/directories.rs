//! State in directories of this machine.
//!
//! A snapshot is a directory `/var/lib/openclaw-deploy/snapshots/ID`, 0700, that appears under
//! its name only when it is complete. It holds the state (with the workspace) and the
//! auth-secret directory. Copies keep owners, modes, times and links.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::{State, Wait};
use crate::base::units::{now, size};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::spec::Mount;
use crate::deploy::host::disk::{free, weigh};
use crate::deploy::host::{Access, Program, good};
use crate::deploy::settings::Settings;

/// Root only: it holds what the gateway holds.
const PRIVATE: Access = Access {
    mode: 0o700,
    owner: None,
};
/// State in directories.
pub(super) struct Directories;

impl State for Directories {
    fn place(&self, _: u64) -> String {
        String::new()
    }

    fn mounts(&self, settings: &Settings) -> Vec<Mount> {
        mounts(settings)
    }

    fn preflight(&self, cx: &Context) -> Result<()> {
        preflight(cx)
    }

    fn is_there<'a>(&self, cx: &'a Context, _: &'a Engine, id: &'a str) -> Wait<'a, bool> {
        Box::pin(async move { Ok(is_there(cx, id)) })
    }

    /// The snapshot of the last version that answered: one of now, unless the change before failed,
    /// and its way back too. Then that is what it had.
    fn take<'a>(
        &self,
        cx: &'a Context,
        _: &'a Engine,
        records: &'a Records,
        release: &'a Release,
        _: Option<&'a str>,
    ) -> Wait<'a, Option<String>> {
        Box::pin(async move {
            let before = records.pending.as_ref().and_then(|it| it.snapshot.clone());
            if let Some(id) = before.filter(|id| is_there(cx, id)) {
                return Ok(Some(id));
            }
            let id = name(cx, now(), release.id);
            take(cx, &id).await?;
            Ok(Some(id))
        })
    }

    fn restore<'a>(&self, cx: &'a Context, id: &'a str) -> Wait<'a, ()> {
        Box::pin(restore(cx, id))
    }

    fn is_put_back(&self) -> bool {
        true
    }

    fn can_be_adopted(&self) -> bool {
        true
    }

    fn settle<'a>(&self, _: &'a Context, _: &'a Engine, _: &'a str) -> Wait<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn settle_service<'a>(&self, _: &'a Context, _: &'a Engine, _: &'a Release) -> Wait<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn mend(&self, cx: &Context) -> Result<()> {
        mend(cx)
    }

    fn prune<'a>(
        &self,
        cx: &'a Context,
        _: &'a Engine,
        _: &'a Records,
        keep: Vec<String>,
    ) -> Wait<'a, ()> {
        prune(cx, &keep);
        Box::pin(async { Ok(()) })
    }
}

const SLOW: Duration = Duration::from_secs(1800);

fn home(cx: &Context) -> PathBuf {
    cx.settings.records().join("snapshots")
}

/// The host's directories, as the engine sees them, and where the gateway does.
fn mounts(settings: &Settings) -> Vec<Mount> {
    let mounts = [
        (settings.state(), "/home/node/.openclaw"),
        (settings.workspace(), "/home/node/.openclaw/workspace"),
        (settings.auth(), "/home/node/.config/openclaw"),
    ];
    let mount = |(path, target): (PathBuf, &str)| {
        let inside = path.strip_prefix("/").unwrap_or(&path);
        Mount {
            source: settings.root.join(inside).to_string_lossy().into_owned(),
            target: target.to_owned(),
        }
    };
    mounts.into_iter().map(mount).collect()
}

/// What is copied, and its name in the snapshot.
fn parts(cx: &Context) -> [(PathBuf, &'static str); 2] {
    [(cx.settings.state(), "state"), (cx.settings.auth(), "auth")]
}

/// Refuses when the snapshot would not fit, or could not be put back: that takes a second copy,
/// beside the state, and a directory that can be renamed.
///
/// # Errors
/// With what is needed and what is free, or with the mount that is in the way.
fn preflight(cx: &Context) -> Result<()> {
    cx.host.directory(home(cx), PRIVATE)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for (path, _) in parts(cx) {
        if let Some(mount) = mount_within(&mounts, &cx.host.path(&path)) {
            return Err(Failure::new(format!(
                "{mount} is a mount of its own, and could not be put back with the state; the gateway was not touched"
            ))
            .hint(format!("mount that disk at {} instead, or above it", cx.settings.home().display()))
            .cause(Cause::Mount));
        }
    }
    let weights = parts(cx).map(|(path, _)| weigh(&cx.host.path(path)));
    // A reserve, so that the records and the journal can still be written.
    let need = |bytes: u64| bytes + bytes / 20 + (4 << 20);
    let copy = need(weights.iter().sum());
    let (snapshots, state) = (home(cx), cx.settings.home());
    if device(cx, &snapshots) == device(cx, &state) {
        return fits(cx, &snapshots, 2 * copy);
    }
    fits(cx, &snapshots, copy)?;
    // Put back one after the other, each beside what is there.
    fits(cx, &state, need(weights.into_iter().max().unwrap_or(0)))
}

fn fits(cx: &Context, place: &Path, need: u64) -> Result<()> {
    let free = free(&cx.host.path(place))?;
    if free >= need {
        return Ok(());
    }
    Err(Failure::new(format!(
        "no space for a snapshot of the state and the way back: {} needed, {} free; the gateway was not touched",
        size(need),
        size(free)
    ))
    .hint(format!("free some space on the disk of {}", place.display()))
    .cause(Cause::Disk))
}

fn device(cx: &Context, path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(cx.host.path(path)).ok().map(|meta| meta.dev())
}

/// The first mount at `path` or below it.
fn mount_within(mountinfo: &str, path: &Path) -> Option<String> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let plain = points.map(|point| point.replace("\\040", " "));
    plain
        .into_iter()
        .find(|point| Path::new(point).starts_with(path))
}

/// Whether snapshot `id` is there.
fn is_there(cx: &Context, id: &str) -> bool {
    cx.host.exists(home(cx).join(id))
}

/// Takes the snapshot `id`. The gateway is stopped.
async fn take(cx: &Context, id: &str) -> Result<()> {
    cx.host.directory(home(cx), PRIVATE)?;
    let fresh = home(cx).join(format!(".{id}.new"));
    wipe(cx, &fresh)?;
    let room = cx.host.private_directory(&fresh)?;
    for (path, name) in parts(cx) {
        if cx.host.exists(&path) {
            copy(cx, &path, &room, name).await?;
        }
    }
    settle(&fresh, &room)?;
    rename(cx, &fresh, &home(cx).join(id))
}

/// A name for the snapshot that release `id` begins with, which no other has: a change that failed
/// within this second, or before the clock was set back, may still need its own.
fn name(cx: &Context, now: u64, id: u64) -> String {
    let names = (0..).map(|nth: u32| match nth {
        0 => format!("{now}-{id}"),
        nth => format!("{now}.{nth}-{id}"),
    });
    let mut free = names.filter(|name| !is_there(cx, name));
    free.next().unwrap_or_default()
}

/// Waits until all of the file system of `directory` is on its disk: a name that survives a power
/// loss must not stand for files that do not.
fn settle(path: &Path, directory: &File) -> Result<()> {
    let fail = |why: Errno| Failure::file("write to its disk", path, why.into());
    nix::unistd::syncfs(directory).map_err(fail)
}

/// Puts the state of snapshot `id` in the place of what is there. It lies in the deploy user's
/// home, so the copy is made in a room that nobody else can enter, wherever they may move it.
async fn restore(cx: &Context, id: &str) -> Result<()> {
    let snapshot = home(cx).join(id);
    if !cx.host.exists(&snapshot) {
        return Err(Failure::new(format!("snapshot {id} is not there"))
            .hint("see which releases have one: openclaw-deploy status"));
    }
    for (path, name) in parts(cx) {
        let from = snapshot.join(name);
        if !cx.host.exists(&from) {
            continue;
        }
        let (fresh, old) = (beside(&path, "restoring"), beside(&path, "replaced"));
        wipe(cx, &fresh)?;
        wipe(cx, &old)?;
        let room = cx.host.private_directory(&fresh)?;
        copy(cx, &from, &room, name).await?;
        settle(&fresh, &room)?;
        if cx.host.exists(&path) {
            rename(cx, &path, &old)?;
        }
        cx.host.move_out(&room, name, &path)?;
        settle(&path, &room)?;
        // It is back; what is left over the next run clears.
        let _ = wipe(cx, &fresh).and_then(|()| wipe(cx, &old));
    }
    Ok(())
}

/// Mends a restore that was cut between its two renames, and clears what was left over.
fn mend(cx: &Context) -> Result<()> {
    for (path, _) in parts(cx) {
        let (fresh, old) = (beside(&path, "restoring"), beside(&path, "replaced"));
        if !cx.host.exists(&path) && cx.host.exists(&old) {
            rename(cx, &old, &path)?;
        }
        wipe(cx, &fresh)?;
        wipe(cx, &old)?;
    }
    let Ok(entries) = fs::read_dir(cx.host.path(home(cx))) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            wipe(cx, &home(cx).join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Removes all snapshots but those in `keep`.
fn prune(cx: &Context, keep: &[String]) {
    let Ok(entries) = fs::read_dir(cx.host.path(home(cx))) else {
        return;
    };
    for entry in entries.flatten() {
        if !keep.iter().any(|id| entry.file_name() == id.as_str()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{word}"));
    PathBuf::from(name)
}

async fn copy(cx: &Context, from: &Path, room: &File, name: &str) -> Result<()> {
    let program = Program::new("cp")
        .outside()
        .within(room)
        .args([
            "--archive",
            "--one-file-system",
            "--reflink=auto",
            "--no-target-directory",
            "--",
        ])
        .arg(cx.host.path(from))
        .arg(name)
        .deadline(SLOW);
    let answer = cx.host.run_async(&program).await?;
    good(&program, answer).map(drop).map_err(|why| {
        let disk = why.what.contains("No space left");
        why.hint("look at the disk: df -h; dmesg | tail")
            .cause(if disk { Cause::Disk } else { Cause::Snapshot })
    })
}

fn rename(cx: &Context, from: &Path, to: &Path) -> Result<()> {
    fs::rename(cx.host.path(from), cx.host.path(to))
        .map_err(|why| Failure::file("rename", from, why))
}

fn wipe(cx: &Context, path: &Path) -> Result<()> {
    let there = cx.host.path(path);
    let gone = match there.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(there),
        _ => fs::remove_file(there),
    };
    match gone {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::file("remove", path, why))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_at_the_state_or_below_is_found_and_no_other() {
        let info = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    23 22 8:2 / /home rw - ext4 /dev/sda2 rw\n\
                    24 23 8:3 / /home/deploy/.openclaw/work\\040space rw - ext4 /dev/sdb rw\n";
        let within = |path: &str| mount_within(info, Path::new(path));
        assert_eq!(
            within("/home/deploy/.openclaw").as_deref(),
            Some("/home/deploy/.openclaw/work space")
        );
        assert_eq!(within("/home/deploy/.openclaw-auth"), None);
        assert_eq!(within("/home").as_deref(), Some("/home"));
    }
}
