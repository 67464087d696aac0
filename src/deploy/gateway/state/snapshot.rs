//! A snapshot of the state's directories, on this machine.
//!
//! It is a directory `/var/lib/openclaw-deploy/snapshots/ID`, 0700, that appears under its name only
//! when it is complete. It holds the state (with the workspace) and the auth-secret directory. Copies
//! keep owners, modes, times and links. Of a state that another snapshot is about to replace the files
//! are not copied: they get a second name, and lose the first when that state goes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::interface::Copies;
use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{Access, Files, Program, good, system};

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
    let copied = |(path, name)| (path, name, Files::Copied);
    make(cx, id, parts(cx).map(copied)).await
}

/// [`take`] of a state that snapshot `other` replaces next: what goes then is not copied.
pub(super) async fn take_before(cx: &Context, id: &str, other: &str) -> Result<()> {
    let replaced = |name| cx.host.exists(all(cx).join(other).join(name));
    let part = |(path, name)| match replaced(name) {
        true => (path, name, Files::Linked),
        false => (path, name, Files::Copied),
    };
    make(cx, id, parts(cx).map(part)).await
}

/// Makes snapshot `id` of the contents of `other`, which may share its files with a state that is to stay.
pub(super) async fn copy_of(cx: &Context, id: &str, other: &str) -> Result<()> {
    let part = |(_, name)| (all(cx).join(other).join(name), name, Files::Copied);
    make(cx, id, parts(cx).map(part)).await
}

/// Makes a snapshot of these directories, as far as they are there.
async fn make(cx: &Context, id: &str, parts: [(PathBuf, &str, Files); 2]) -> Result<()> {
    let directory = directory(cx)?;
    let fresh = directory.join(format!(".{id}.new"));
    cx.host.remove_tree(&fresh)?;
    let private = cx.host.private_directory(&fresh)?;
    for (path, name, files) in parts {
        if cx.host.exists(&path) {
            let copied = cx.host.copy_tree(&path, &private, name, files).await;
            copied.map_err(of_snapshot)?;
        }
    }
    flush(&fresh, &private).await?;
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
async fn flush(path: &Path, directory: &File) -> Result<()> {
    let written = async {
        let directory = directory.try_clone()?;
        // It takes a minute where much was written: what is under way beside it goes on.
        tokio::task::spawn_blocking(move || system::sync_file_system(&directory)).await?
    };
    let written = written.await;
    written.map_err(|why: io::Error| Failure::file("write to its disk", path, why))
}

/// Copies the state of snapshot `id` beside what is there.
pub(super) async fn copy_back(cx: &Context, id: &str) -> Result<Copies> {
    let snapshot = all(cx).join(id);
    if !cx.host.exists(&snapshot) {
        return Err(Failure::new(format!("snapshot {id} not found"))
            .hint("see which releases have one: openclaw-deploy status"));
    }
    let mut copies = Copies::default();
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
        flush(&fresh, &private).await?;
        copies.0.push((path, name, private));
    }
    Ok(copies)
}

/// Puts the copies in the place of what is there.
pub(crate) async fn put_back(cx: &Context, copies: Copies) -> Result<()> {
    for (path, name, private) in copies.0 {
        let (fresh, old) = (beside(&path, "restoring"), beside(&path, "replaced"));
        if cx.host.exists(&path) {
            cx.host.rename(&path, &old)?;
        }
        cx.host.move_out(&private, name, &path)?;
        flush(&path, &private).await?;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::deploy::gateway::state::restore;

    /// A host whose state and auth directory say `now`, with snapshot `other` of a state that said `then`.
    fn host() -> (tempfile::TempDir, Context) {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let other = directory(&cx).expect("made").join("other/state");
        let state = parts(&cx).map(|(path, _)| (path, "now"));
        for (place, text) in state.into_iter().chain([(other, "then")]) {
            fs::create_dir_all(cx.host.path(&place)).expect("made");
            write(&cx, &place, text);
        }
        (root, cx)
    }

    /// Writes into the file that is there, as a database does.
    fn write(cx: &Context, place: &Path, text: &str) {
        fs::write(cx.host.path(place.join("notes")), text).expect("written");
    }

    fn inode(cx: &Context, place: &Path) -> u64 {
        let notes = cx.host.metadata(place.join("notes"));
        notes.expect("there").ino()
    }

    fn notes(cx: &Context, place: &Path) -> String {
        let text = cx.host.read(place.join("notes")).expect("read");
        text.unwrap_or_default()
    }

    fn state_says(cx: &Context) -> [String; 2] {
        parts(cx).map(|(path, _)| notes(cx, &path))
    }

    #[test]
    fn of_a_state_that_is_replaced_next_no_file_is_copied_and_of_what_stays_each() {
        let (_root, cx) = host();
        let was = parts(&cx).map(|(path, _)| inode(&cx, &path));
        cx.host
            .wait(take_before(&cx, "1-2", "other"))
            .expect("taken");
        let taken = parts(&cx).map(|(_, name)| all(&cx).join("1-2").join(name));
        assert_eq!(inode(&cx, &taken[0]), was[0]);
        assert_ne!(inode(&cx, &taken[1]), was[1]);
        assert_eq!(state_says(&cx), ["now", "now"], "until it is replaced");

        cx.host.wait(restore(&cx, "other")).expect("restored");
        assert_eq!(state_says(&cx), ["then", "now"]);
        let (state, auth) = (cx.settings.state(), cx.settings.auth());
        for place in [&state, &auth] {
            write(&cx, place, "later");
        }
        assert_eq!(taken.map(|place| notes(&cx, &place)), ["now", "now"]);
        // What comes back shares nothing with its snapshot either.
        cx.host.wait(restore(&cx, "1-2")).expect("restored");
        assert_eq!(state_says(&cx), ["now", "now"]);
        write(&cx, &state, "later");
        assert_eq!(notes(&cx, &all(&cx).join("1-2/state")), "now");
        assert_eq!(notes(&cx, &all(&cx).join("other/state")), "then");
    }

    #[test]
    fn a_copy_of_a_snapshot_shares_nothing_with_the_state() {
        let (_root, cx) = host();
        cx.host
            .wait(take_before(&cx, "1-2", "other"))
            .expect("taken");
        cx.host.wait(copy_of(&cx, "1-3", "1-2")).expect("copied");
        write(&cx, &cx.settings.state(), "later");
        let says = |id: &str| notes(&cx, &all(&cx).join(id).join("state"));
        assert_eq!((says("1-3"), says("1-2")), ("now".into(), "later".into()));
    }
}
