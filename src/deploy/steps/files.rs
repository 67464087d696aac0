//! Step 3: the directories that outlive a container, and `.env`.
//!
//! The state belongs to uid 1000 by number, as inside the container, also where Docker had
//! made it as root. Owners are corrected only within our own directories and on the same file
//! system. `compose.yaml` follows from the image and is written by step 4.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::{config, env};
use crate::deploy::host::Access;
use crate::deploy::settings::STATE_OWNER;
use crate::deploy::step::{State, Step};

/// Directories, `.env`, `openclaw.json`.
pub(crate) struct Files;

/// A directory that has to be there.
struct Dir {
    path: PathBuf,
    access: Access,
}

impl Step for Files {
    fn check(&self, cx: &Context) -> Result<State> {
        let mut what = Vec::new();
        if cx.settings.engine.is_remote() {
            let text = env::read(cx, None)?;
            if env::complete(cx, &text)? != text {
                what.push(format!("complete {}", env::path(cx).display()));
            }
            return Ok(State::of(what));
        }
        if let Err(missing) = env::owner(cx) {
            // Step 2 creates the user, which a dry run has not done.
            return match cx.reporter.is_dry_run() {
                true => Ok(State::of(vec![
                    "create the directories and .env".to_owned(),
                ])),
                false => Err(missing),
            };
        }
        for dir in directories(cx)? {
            what.extend(dir.to_do(cx));
        }
        for top in [cx.settings.state(), cx.settings.auth()] {
            let count = cx.host.owned_by_others(&top, STATE_OWNER.0).len();
            if count > 0 {
                what.push(format!(
                    "change the owner of {count} files below {} to 1000:1000",
                    top.display()
                ));
            }
        }
        let owner = env::owner(cx)?;
        let text = env::read(cx, owner)?;
        let access = Access { mode: 0o600, owner };
        if env::complete(cx, &text)? != text {
            what.push(format!("complete {}", env::path(cx).display()));
        } else if !cx.host.holds(env::path(cx), text.as_bytes(), access) {
            what.push(format!("make {} private (0600)", env::path(cx).display()));
        }
        if !cx.host.exists(config_path(cx)) {
            what.push(format!("write {}", config_path(cx).display()));
        }
        Ok(State::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        if cx.settings.engine.is_remote() {
            let text = env::complete(cx, &env::read(cx, None)?)?;
            cx.host.directory(
                cx.settings.project(),
                Access {
                    mode: 0o700,
                    owner: None,
                },
            )?;
            env::write(cx, &text, None)?;
            return Ok(None);
        }
        for dir in directories(cx)? {
            cx.host.directory(&dir.path, dir.access)?;
        }
        for top in [cx.settings.state(), cx.settings.auth()] {
            for path in cx.host.owned_by_others(&top, STATE_OWNER.0) {
                let top = cx.host.path(&top);
                let given = cx.host.change_owner_below(&top, &path, STATE_OWNER);
                given.map_err(|why| Failure::file("change the owner of", &path, why))?;
            }
        }
        let owner = env::owner(cx)?;
        let text = env::read(cx, owner)?;
        env::write(cx, &env::complete(cx, &text)?, owner)?;
        if !cx.host.exists(config_path(cx)) {
            let access = Access {
                mode: 0o600,
                owner: Some(STATE_OWNER),
            };
            let text = config::text(cx.settings.port);
            cx.host.write(config_path(cx), text.as_bytes(), access)?;
        }
        Ok(None)
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        match self.check(cx)? {
            State::Needed { what } => Err(Failure::expected(
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

fn config_path(cx: &Context) -> PathBuf {
    cx.settings.state().join("openclaw.json")
}

fn directories(cx: &Context) -> Result<Vec<Dir>> {
    let settings = &cx.settings;
    let dir = |path: PathBuf, mode, owner| Dir {
        path,
        access: Access { mode, owner },
    };
    Ok(vec![
        dir(settings.project(), 0o750, env::owner(cx)?),
        dir(settings.state(), 0o700, Some(STATE_OWNER)),
        dir(settings.workspace(), 0o700, Some(STATE_OWNER)),
        dir(settings.auth(), 0o700, Some(STATE_OWNER)),
        dir(settings.records(), 0o700, None),
    ])
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
