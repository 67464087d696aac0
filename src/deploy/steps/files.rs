//! Step 3: the directories that outlive a container, and `.env`.
//!
//! The state belongs to uid 1000 by number, as inside the container, also where Docker had
//! made it as root. Owners are corrected only within our own directories and on the same file
//! system. `compose.yaml` follows from the image and is written by step 4.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::{config, env, state};
use crate::deploy::host::Access;
use crate::deploy::settings::STATE_OWNER;
use crate::deploy::step::{Step, StepState};

/// Directories, `.env`, `openclaw.json`.
pub(crate) struct Files;

/// A directory that has to be there.
struct Dir {
    path: PathBuf,
    access: Access,
}

impl Step for Files {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let owner = match env::owner(cx) {
            Ok(owner) => owner,
            // Step 2 creates the user, which a dry run has not done.
            Err(_) if cx.reporter.is_dry_run() => {
                let what = "create the directories and .env";
                return Ok(StepState::of(vec![what.to_owned()]));
            }
            Err(missing) => return Err(missing),
        };
        let mut what = Vec::new();
        for dir in directories(cx)? {
            what.extend(dir.to_do(cx));
        }
        for top in state::of(&cx.settings).directories(&cx.settings) {
            let count = cx.host.owned_by_others(&top, STATE_OWNER.0).len();
            if count > 0 {
                what.push(format!(
                    "change the owner of {count} files below {} to 1000:1000",
                    top.display()
                ));
            }
        }
        let text = env::read(cx, owner)?;
        let access = Access { mode: 0o600, owner };
        if env::complete(&text)? != text {
            what.push(format!("complete {}", env::path(cx).display()));
        } else if !cx.host.holds(env::path(cx), text.as_bytes(), access) {
            what.push(format!("make {} private (0600)", env::path(cx).display()));
        }
        let config = missing_config(cx);
        what.extend(config.map(|path| format!("write {}", path.display())));
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        for dir in directories(cx)? {
            cx.host.directory(&dir.path, dir.access)?;
        }
        for top in state::of(&cx.settings).directories(&cx.settings) {
            for path in cx.host.owned_by_others(&top, STATE_OWNER.0) {
                let top = cx.host.path(&top);
                let given = cx.host.change_owner_below(&top, &path, STATE_OWNER);
                given.map_err(|why| Failure::file("change the owner of", &path, why))?;
            }
        }
        let owner = env::owner(cx)?;
        let text = env::read(cx, owner)?;
        env::write(cx, &env::complete(&text)?, owner)?;
        if let Some(path) = missing_config(cx) {
            let access = Access {
                mode: 0o600,
                owner: Some(STATE_OWNER),
            };
            let text = config::text(cx.settings.port);
            cx.host.write(path, text.as_bytes(), access)?;
        }
        Ok(None)
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        match self.check(cx)? {
            StepState::Needed { what } => Err(Failure::expected(
                "all files in place",
                format!("this to do: {}", what.join(", ")),
            )
            .hint(
                "another program is changing them; run the same command again when it has finished",
            )),
            _ => Ok(()),
        }
    }
}

/// Where the gateway's configuration is to be written. In volumes it is written when they are prepared.
fn missing_config(cx: &Context) -> Option<PathBuf> {
    let directories = state::of(&cx.settings).directories(&cx.settings);
    let path = directories.first()?.join("openclaw.json");
    (!cx.host.exists(&path)).then_some(path)
}

/// The directories that have to be there. Those for a remote engine belong to whoever runs this.
fn directories(cx: &Context) -> Result<Vec<Dir>> {
    let settings = &cx.settings;
    let dir = |path: PathBuf, mode, owner| Dir {
        path,
        access: Access { mode, owner },
    };
    let owner = env::owner(cx)?;
    let project = owner.map_or(0o700, |_| 0o750);
    let mut all = vec![
        dir(settings.project(), project, owner),
        dir(settings.records(), 0o700, None),
    ];
    let state = state::of(settings).directories(settings);
    let workspace = state.first().map(|_| settings.workspace());
    let state = state.into_iter().chain(workspace);
    all.extend(state.map(|path| dir(path, 0o700, Some(STATE_OWNER))));
    Ok(all)
}

impl Dir {
    fn to_do(&self, cx: &Context) -> Option<String> {
        let shown = self.path.display();
        let Some(meta) = cx.host.metadata(&self.path) else {
            return Some(format!("create {shown}"));
        };
        let owner = self
            .access
            .owner
            .is_none_or(|owner| owner == (meta.uid(), meta.gid()));
        let right = meta.is_dir() && owner && meta.mode() & 0o7777 == self.access.mode;
        (!right).then(|| format!("correct mode and owner of {shown}"))
    }
}
