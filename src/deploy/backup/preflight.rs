//! Whether an archive would hold all of the state and could be restored, before the gateway is stopped for it.

use std::path::Path;

use crate::base::shell_quote;
use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::{env, state};
use crate::deploy::host::disk;

/// Refuses what would be found out only by a restore.
pub(super) fn check(cx: &Context) -> Result<()> {
    refuse_odd_env(cx)?;
    refuse_links(cx)?;
    refuse_other_disks(cx)
}

/// An archive with a `.env` that is a link or a pipe could not be restored.
fn refuse_odd_env(cx: &Context) -> Result<()> {
    let (project, path) = (cx.settings.project(), env::path(cx));
    if cx.host.exists(&project) {
        cx.host.held_directory(&project)?;
    }
    let read = cx.host.read_plain(&path).map(drop);
    read.map_err(|why| {
        Failure {
            what: format!("{}; such a backup could not be restored", why.what),
            ..why
        }
        .hint(format!(
            "put a plain file in its place, or none, then: openclaw-deploy backup; see: ls -l {}",
            path.display()
        ))
    })
}

/// Docker follows a link at a directory of the state, and `tar` packs the link alone.
fn refuse_links(cx: &Context) -> Result<()> {
    let settings = &cx.settings;
    let mut directories = state::of(settings).directories(settings);
    directories.push(settings.workspace());
    for directory in directories.iter().filter(|it| cx.host.exists(it)) {
        let held = cx.host.held_directory(directory).map(drop);
        held.map_err(|why| incomplete(cx, why, "ls -ld", directory))?;
    }
    Ok(())
}

/// Docker enters a disk that is mounted within the state, and `tar` does not. Of a directory that is one itself
/// `tar` packs the content.
fn refuse_other_disks(cx: &Context) -> Result<()> {
    for directory in state::of(&cx.settings).directories(&cx.settings) {
        if let Some(other) = disk::other_disk_within(&cx.host.path(directory)) {
            let why = Failure::new(format!("{} is a disk of its own", other.display()));
            let why = why.cause(Cause::Mount);
            return Err(incomplete(cx, why, "findmnt --target", &other));
        }
    }
    Ok(())
}

/// `why` an archive would be one without what is at `path`, which the command `look` shows.
fn incomplete(cx: &Context, why: Failure, look: &str, path: &Path) -> Failure {
    Failure {
        what: format!("{}; a backup would not hold what is there", why.what),
        ..why
    }
    .hint(format!(
        "move its content into a plain directory of that name, or mount its disk at {} instead, then: openclaw-deploy backup; see: {look} {}",
        cx.settings.home().display(),
        shell_quote::word(&path.to_string_lossy())
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_env_that_could_not_be_restored_is_refused() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let env = cx.host.path(env::path(&cx));
        assert_eq!(refuse_odd_env(&cx), Ok(()), "there is none");
        fs::create_dir_all(env.parent().expect("a parent")).expect("made");
        symlink("/etc/passwd", &env).expect("linked");
        let why = refuse_odd_env(&cx).expect_err("a link");
        assert_eq!(
            why.what,
            "/home/deploy/openclaw/.env is not a file but a symbolic link, or behind one; such a backup could not be restored"
        );
        fs::remove_file(&env).expect("removed");
        fs::create_dir(&env).expect("made");
        refuse_odd_env(&cx).expect_err("a directory");
        fs::remove_dir(&env).expect("removed");
        fs::write(&env, "A=1\n").expect("written");
        assert_eq!(refuse_odd_env(&cx), Ok(()));
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_of_the_state_is_refused_wherever_it_leads() {
        for link in [".openclaw", ".openclaw-auth", ".openclaw/workspace"] {
            let root = tempfile::tempdir().expect("a directory");
            let cx = Context::below(root.path());
            let home = cx.host.path(cx.settings.home());
            for directory in [".openclaw/workspace", ".openclaw-auth"] {
                fs::create_dir_all(home.join(directory)).expect("made");
            }
            assert_eq!(check(&cx), Ok(()), "the control");
            fs::rename(home.join(link), root.path().join("big")).expect("moved");
            symlink(root.path().join("big"), home.join(link)).expect("linked");
            let why = check(&cx).expect_err("a link");
            assert_eq!(
                why.what,
                format!(
                    "/home/deploy/{link} is not a directory but a file or a symbolic link; a backup would not hold what is there"
                )
            );
            let look = format!("ls -ld /home/deploy/{link}");
            assert!(why.hint.unwrap_or_default().ends_with(&look));
        }
    }
}
