//! A snapshot of the state's directories, on this machine.
//!
//! It is a directory `/var/lib/openclaw-deploy/snapshots/ID`, 0700, that appears under its name only
//! when it is complete. It holds the state (with the workspace) and the auth-secret directory. Copies
//! keep owners, modes, times and links.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{Access, Program, good, system};

/// Root only: it holds what the gateway holds.
const PRIVATE: Access = Access {
    mode: 0o700,
    owner: None,
};
const SLOW: Duration = Duration::from_secs(1800);

/// Makes sure that there is a directory for snapshots, and returns it.
pub(crate) fn directory(cx: &Context) -> Result<PathBuf> {
    let directory = all(cx);
    cx.host.directory(&directory, PRIVATE)?;
    Ok(directory)
}

fn all(cx: &Context) -> PathBuf {
    cx.settings.records().join("snapshots")
}

/// What is copied, and its name in the snapshot.
pub(super) fn parts(cx: &Context) -> [(PathBuf, &'static str); 2] {
    [(cx.settings.state(), "state"), (cx.settings.auth(), "auth")]
}

/// Whether snapshot `id` is there.
pub(super) fn exists(cx: &Context, id: &str) -> bool {
    cx.host.exists(all(cx).join(id))
}

/// Takes the snapshot `id`. The gateway is stopped; the deploy user, in whose home the state lies, is not.
pub(crate) async fn take(cx: &Context, id: &str) -> Result<()> {
    let directory = directory(cx)?;
    let fresh = directory.join(format!(".{id}.new"));
    cx.host.remove_tree(&fresh)?;
    let private = cx.host.private_directory(&fresh)?;
    for (path, name) in parts(cx) {
        if cx.host.exists(&path) {
            let copied = cx.host.copy_tree(&path, &private, name).await;
            copied.map_err(of_snapshot)?;
        }
    }
    flush(&fresh, &private)?;
    cx.host.rename(&fresh, directory.join(id))
}

/// An id that no other snapshot has, for the one that release `id` begins with: a change that failed
/// within this second, or before the clock was set back, may still need its own.
pub(crate) fn new_id(cx: &Context, now: u64, id: u64) -> String {
    let names = (0..).map(|nth: u32| match nth {
        0 => format!("{now}-{id}"),
        nth => format!("{now}.{nth}-{id}"),
    });
    let mut free = names.filter(|name| !exists(cx, name));
    free.next().unwrap_or_default()
}

/// Waits until all of the file system of `directory` is on its disk: after a power loss a name must
/// not stand for files that are not there.
fn flush(path: &Path, directory: &File) -> Result<()> {
    system::sync_file_system(directory).map_err(|why| Failure::file("write to its disk", path, why))
}

/// Puts the state of snapshot `id` in the place of what is there. It lies in the deploy user's
/// home, so the copy is made in a directory that nobody else can enter, wherever they may move it.
pub(super) async fn restore(cx: &Context, id: &str) -> Result<()> {
    let snapshot = all(cx).join(id);
    if !cx.host.exists(&snapshot) {
        return Err(Failure::new(format!("snapshot {id} not found"))
            .hint("see which releases have one: openclaw-deploy status"));
    }
    for (path, name) in parts(cx) {
        let from = snapshot.join(name);
        if !cx.host.exists(&from) {
            continue;
        }
        let (fresh, old) = (beside(&path, "restoring"), beside(&path, "replaced"));
        cx.host.remove_tree(&fresh)?;
        cx.host.remove_tree(&old)?;
        let private = cx.host.private_directory(&fresh)?;
        copy(cx, &from, &private, name).await?;
        flush(&fresh, &private)?;
        if cx.host.exists(&path) {
            cx.host.rename(&path, &old)?;
        }
        cx.host.move_out(&private, name, &path)?;
        flush(&path, &private)?;
        // It is back; what is left over the next run clears.
        let _ = cx
            .host
            .remove_tree(&fresh)
            .and_then(|()| cx.host.remove_tree(&old));
    }
    Ok(())
}

/// Finishes a restore that was killed between its two renames, and removes what was left over.
pub(super) fn repair(cx: &Context) -> Result<()> {
    for (path, _) in parts(cx) {
        let (fresh, old) = (beside(&path, "restoring"), beside(&path, "replaced"));
        if !cx.host.exists(&path) && cx.host.exists(&old) {
            cx.host.rename(&old, &path)?;
        }
        cx.host.remove_tree(&fresh)?;
        cx.host.remove_tree(&old)?;
    }
    let names = cx.host.names(all(cx)).into_iter();
    for name in names.filter(|name| name.starts_with('.')) {
        cx.host.remove_tree(&all(cx).join(name))?;
    }
    Ok(())
}

/// Removes all snapshots but those in `keep`.
pub(crate) fn prune(cx: &Context, keep: &[String]) {
    let names = cx.host.names(all(cx)).into_iter();
    for name in names.filter(|name| !keep.contains(name)) {
        let _ = cx.host.remove_tree(&all(cx).join(name));
    }
}

fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{word}"));
    PathBuf::from(name)
}

async fn copy(cx: &Context, from: &Path, into: &File, name: &str) -> Result<()> {
    let program = Program::new("cp")
        .outside()
        .within(into)
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
    good(&program, answer).map(drop).map_err(of_snapshot)
}

fn of_snapshot(why: Failure) -> Failure {
    if why.exit == Exit::Interrupted {
        return why;
    }
    let disk = why.what.contains("No space left");
    why.hint("look at the disk: df -h; dmesg | tail")
        .cause(if disk { Cause::Disk } else { Cause::Snapshot })
}
