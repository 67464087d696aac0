//! State in directories of this machine.
//!
//! A snapshot is a directory `/var/lib/openclaw-deploy/snapshots/ID`, 0700, that appears under
//! its name only when it is complete. It holds the state (with the workspace) and the
//! auth-secret directory. Copies keep owners, modes, times and links.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::deploy::exit::{Failure, Result};
use crate::deploy::host::{Access, Program, good};
use crate::deploy::image::pull::size;
use crate::deploy::run::Context;

/// Root only: it holds what the gateway holds.
const PRIVATE: Access = Access {
    mode: 0o700,
    owner: None,
};
const SLOW: Duration = Duration::from_secs(1800);

fn home(cx: &Context) -> PathBuf {
    cx.settings.records().join("snapshots")
}

/// What is copied, and its name in the snapshot.
fn parts(cx: &Context) -> [(PathBuf, &'static str); 2] {
    [(cx.settings.state(), "state"), (cx.settings.auth(), "auth")]
}

/// Refuses when the snapshot would not fit.
///
/// # Errors
/// With what is needed and what is free.
pub fn preflight(cx: &Context) -> Result<()> {
    cx.host.directory(home(cx), PRIVATE)?;
    let need: u64 = parts(cx)
        .iter()
        .map(|(path, _)| weigh(&cx.host.path(path)))
        .sum();
    let free = free(&cx.host.path(home(cx)))?;
    // A reserve, so that the records and the journal can still be written.
    let need = need + need / 20 + (4 << 20);
    if free >= need {
        return Ok(());
    }
    Err(Failure::new(format!(
        "no space for a snapshot of the state: {} needed, {} free; the gateway was not touched",
        size(need),
        size(free)
    ))
    .hint(format!(
        "free some space on the disk of {}",
        home(cx).display()
    ))
    .cause("disk"))
}

/// Whether snapshot `id` is there.
#[must_use]
pub fn is_there(cx: &Context, id: &str) -> bool {
    cx.host.exists(home(cx).join(id))
}

/// Takes the snapshot `id`. The gateway is stopped.
///
/// # Errors
/// When it cannot be taken whole.
pub async fn take(cx: &Context, id: &str) -> Result<()> {
    cx.host.directory(home(cx), PRIVATE)?;
    let fresh = home(cx).join(format!(".{id}.new"));
    wipe(cx, &fresh)?;
    cx.host.directory(&fresh, PRIVATE)?;
    for (path, name) in parts(cx) {
        if cx.host.exists(&path) {
            copy(cx, &path, &fresh.join(name)).await?;
        }
    }
    // A run that was interrupted within this second may have left one of that name; its release is none.
    wipe(cx, &home(cx).join(id))?;
    rename(cx, &fresh, &home(cx).join(id))
}

/// Puts the state of snapshot `id` in the place of what is there.
///
/// # Errors
/// When it is not there or cannot be put back; what was there then still is.
pub async fn restore(cx: &Context, id: &str) -> Result<()> {
    let snapshot = home(cx).join(id);
    if !cx.host.exists(&snapshot) {
        return Err(Failure::new(format!("snapshot {id} is not there")));
    }
    for (path, name) in parts(cx) {
        let from = snapshot.join(name);
        if !cx.host.exists(&from) {
            continue;
        }
        let (fresh, old) = (beside(&path, "restoring"), beside(&path, "replaced"));
        wipe(cx, &fresh)?;
        wipe(cx, &old)?;
        copy(cx, &from, &fresh).await?;
        if cx.host.exists(&path) {
            rename(cx, &path, &old)?;
        }
        rename(cx, &fresh, &path)?;
        wipe(cx, &old)?;
    }
    Ok(())
}

/// Mends a restore that was cut between its two renames, and clears what was left over.
///
/// # Errors
/// When that does not work.
pub fn mend(cx: &Context) -> Result<()> {
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
pub fn prune(cx: &Context, keep: &[String]) {
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

async fn copy(cx: &Context, from: &Path, to: &Path) -> Result<()> {
    let program = Program::new("cp")
        .outside()
        .args([
            "--archive",
            "--one-file-system",
            "--reflink=auto",
            "--no-target-directory",
            "--",
        ])
        .arg(cx.host.path(from))
        .arg(cx.host.path(to))
        .deadline(SLOW);
    let answer = cx.host.run_async(&program).await?;
    good(&program, answer).map(drop).map_err(|why| {
        let disk = why.what.contains("No space left");
        why.cause(if disk { "disk" } else { "snapshot" })
    })
}

fn rename(cx: &Context, from: &Path, to: &Path) -> Result<()> {
    fs::rename(cx.host.path(from), cx.host.path(to))
        .map_err(|why| Failure::system(format!("rename {}", from.display()), why))
}

fn wipe(cx: &Context, path: &Path) -> Result<()> {
    match fs::remove_dir_all(cx.host.path(path)) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::system(format!("remove {}", path.display()), why))
        }
        _ => Ok(()),
    }
}

/// Bytes below `path`, as the disk counts them. Links are not followed.
fn weigh(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = path.symlink_metadata() else {
        return 0;
    };
    let below: u64 = if meta.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| weigh(&entry.path())).sum()
    } else {
        0
    };
    meta.blocks() * 512 + below
}

/// Bytes that are free for us where `path` lies.
///
/// # Errors
/// When the system does not say.
pub fn free(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(|why| {
        Failure::system(format!("ask how much is free at {}", path.display()), why)
    })?;
    Ok(stat.blocks_available() * stat.fragment_size())
}
