//! `restore`: which archive, and what it takes away.

use serde_json::json;

use super::{question, run_lock};
use crate::base::units::{clock, size};
use crate::deploy::context::Context;
use crate::deploy::error::{Exit, Result};
use crate::deploy::host::account::Account;
use crate::deploy::restoration::{self, Restored};
use crate::deploy::run::{StepSelection, run};
use crate::deploy::steps::all;

pub(super) fn restore(cx: &Context, named: &str, yes: bool, wait: bool) -> Result<Exit> {
    let _lock = run_lock::lock(cx, wait)?;
    run_lock::prepare(cx)?;
    let archive = restoration::find(cx, named)?;
    announce(cx, &archive);
    if !yes && !cx.host.wait(question::agreed(cx, "restore it?"))? {
        cx.reporter.line("nothing was changed");
        return Ok(Exit::Done);
    }
    if Account::find(&cx.host, &cx.settings.user)?.is_none() {
        create_user(cx)?;
    }
    let done = restoration::run(cx, archive);
    run_lock::warn_of_journal(cx);
    tell(cx, &done?);
    Ok(Exit::Done)
}

fn announce(cx: &Context, archive: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    if let Some(about) = cx.host.metadata(archive) {
        let made = u64::try_from(about.mtime()).unwrap_or(0);
        cx.reporter.note(format!(
            "{} of {}, {}, comes in the place of the state that is here",
            archive.display(),
            clock(made),
            size(about.len())
        ));
    }
}

/// On a bare host: the step that creates the deploy user, whose home the state lies in.
fn create_user(cx: &Context) -> Result<()> {
    let selection = StepSelection {
        only: vec!["user".to_owned()],
        ..StepSelection::default()
    };
    let steps: Vec<_> = all().into_iter().filter(|it| it.name == "user").collect();
    let ran = run(cx, &steps, &selection);
    match ran.iter().find_map(|it| it.outcome.failure()) {
        Some(failure) => Err(failure.clone()),
        None => Ok(()),
    }
}

fn tell(cx: &Context, done: &Restored) {
    let archive = done.archive.display().to_string();
    cx.reporter.result(&json!({
        "exit": 0, "archive": archive, "release": done.release, "kept": done.kept,
        "warnings": cx.reporter.warnings(), "error": null,
    }));
    cx.reporter.line(&match done.release {
        Some(release) => format!("{archive} is back, and the gateway answers (release {release})"),
        None => format!(
            "{archive} is back\n  to start it         oc-secrets exec -- openclaw-deploy bootstrap"
        ),
    });
    if let Some(kept) = &done.kept {
        cx.reporter.line(&format!(
            "the state as it was is kept as {kept}\n  to let it go        openclaw-deploy rollback --forget {kept}"
        ));
    }
}
