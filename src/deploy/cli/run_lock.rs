//! What every command that changes something does around its work: the lock, the directory of the
//! journal, and a warning if the journal could not be written.

use std::time::Instant;

use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::Access;
use crate::deploy::host::lock::Lock;

/// One run at a time.
pub(super) fn lock(cx: &Context, wait: bool) -> Result<Lock> {
    let lock = Lock::take(
        &cx.host,
        wait.then_some(&|| cx.reporter.note("waiting for another run")),
    )?;
    cx.began.set(Instant::now());
    Ok(lock)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_wait_for_another_run_is_none_of_ours() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let other = lock(&cx, false).expect("free");
        assert!(lock(&cx, false).is_err(), "control: it is held");
        let since = Instant::now();
        let ends = std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_secs(1));
                drop(other);
            });
            lock(&cx, true).map(drop)
        });
        ends.expect("it ends");
        assert!(since.elapsed() >= Duration::from_secs(1));
        assert!(cx.began.get().duration_since(since) >= Duration::from_secs(1));
    }
}
