//! State in directories of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::interface::{Copies, INSIDE, Storage};
use super::{preflight, snapshot};
use crate::base::shell_quote;
use crate::base::units::now;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::Result;
use crate::deploy::gateway::boxed::Boxed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::spec::Mount;
use crate::deploy::settings::Settings;

/// State in directories.
pub(super) struct Directories;

impl Storage for Directories {
    fn name_for(&self, _: u64) -> Option<String> {
        None
    }

    fn directories(&self, settings: &Settings) -> Vec<PathBuf> {
        vec![settings.state(), settings.auth()]
    }

    fn mounts(&self, settings: &Settings) -> Vec<Mount> {
        let mounts = [
            (settings.state(), INSIDE),
            (settings.workspace(), "/home/node/.openclaw/workspace"),
            (settings.auth(), "/home/node/.config/openclaw"),
        ];
        let mount = |(path, target): (PathBuf, &str)| Mount {
            source: settings
                .root
                .join(relative(&path))
                .to_string_lossy()
                .into_owned(),
            target: target.to_owned(),
        };
        mounts.into_iter().map(mount).collect()
    }

    fn preflight(&self, cx: &Context) -> Result<()> {
        preflight::check(cx)
    }

    fn has_snapshot<'a>(&self, cx: &'a Context, _: &'a Engine, id: &'a str) -> Boxed<'a, bool> {
        Box::pin(async move { Ok(snapshot::exists(cx, id)) })
    }

    /// The state of the last version that answered: as it is now, unless the change before failed and
    /// its restore too. Then it is what that change has kept.
    fn snapshot<'a>(
        &self,
        cx: &'a Context,
        _: &'a Engine,
        records: &'a Records,
        release: &'a Release,
        state: Option<&'a str>,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(async move {
            let before = records.pending.as_ref().and_then(|it| it.snapshot.clone());
            let before = before.filter(|id| snapshot::exists(cx, id));
            let id = snapshot::new_id(cx, now(), release.id);
            match (before, state) {
                (Some(before), Some(_)) => return Ok(Some(before)),
                (Some(before), None) => snapshot::copy_of(cx, &id, &before).await?,
                (None, Some(state)) => snapshot::take_before(cx, &id, state).await?,
                (None, None) => snapshot::take(cx, &id).await?,
            }
            Ok(Some(id))
        })
    }

    fn keep_before<'a>(
        &self,
        cx: &'a Context,
        _: &'a Release,
        other: &'a str,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(async move {
            let id = snapshot::new_id(cx, now(), 0);
            snapshot::take_before(cx, &id, other).await?;
            Ok(Some(id))
        })
    }

    fn copy_back<'a>(&self, cx: &'a Context, id: &'a str) -> Boxed<'a, Copies> {
        Box::pin(snapshot::copy_back(cx, id))
    }

    fn restores_in_place(&self) -> bool {
        true
    }

    fn is_ours(&self, settings: &Settings, source: &str) -> bool {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let ours = self.mounts(settings).into_iter();
        let mut ours = ours.filter(|it| it.target == INSIDE);
        ours.any(|it| real(Path::new(&it.source)) == real(Path::new(source)))
    }

    fn to_take_over(&self, settings: &Settings, id: &str) -> String {
        let (inside, state) = (INSIDE, settings.root.join(relative(&settings.state())));
        let state = shell_quote::word(&state.display().to_string());
        format!(
            "take it over, and run this again: docker stop {id} && docker cp -a {id}:{inside}/. {state} && docker rm {id}"
        )
    }

    fn can_be_adopted(&self) -> bool {
        true
    }

    fn prepare<'a>(&self, _: &'a Context, _: &'a Engine, _: &'a str) -> Boxed<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn prepare_for_service<'a>(
        &self,
        _: &'a Context,
        _: &'a Engine,
        _: &'a Release,
    ) -> Boxed<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn repair(&self, cx: &Context) -> Result<()> {
        snapshot::repair(cx)
    }

    fn prune<'a>(
        &self,
        cx: &'a Context,
        _: &'a Engine,
        _: &'a Records,
        keep: Vec<String>,
    ) -> Boxed<'a, ()> {
        Box::pin(async move {
            snapshot::prune(cx, &keep);
            Ok(())
        })
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
