//! What every command that changes something does around its work: the lock, the directory of the
//! journal, and a warning if the journal could not be written.

use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::Access;
use crate::deploy::host::lock::Lock;

/// One run at a time.
pub(super) fn lock(cx: &Context, wait: bool) -> Result<Lock> {
    Lock::take(
        &cx.host,
        wait.then_some(&|| cx.reporter.note("waiting for another run")),
    )
}

pub(super) fn warn_of_journal(cx: &Context) {
    if let Some(warning) = cx.journal.take_warning() {
        cx.reporter.warn(warning);
    }
}

/// Where the journal lies has to be there before the first step.
pub(super) fn prepare(cx: &Context) -> Result<()> {
    let access = Access {
        mode: 0o700,
        owner: None,
    };
    cx.host.directory(cx.settings.records(), access).map(drop)
}
