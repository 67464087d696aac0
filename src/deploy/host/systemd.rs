//! systemd's units, through `systemctl`.

use std::path::Path;
use std::time::Duration;

use crate::deploy::error::Result;
use crate::deploy::host::{Host, Program};

/// Why a step is skipped where systemd does not run.
pub(crate) const NOT_RUNNING: &str = "systemd does not run here";

/// Whether systemd is what runs this host (not so in a chroot or below `--root`).
pub(crate) fn is_running(host: &Host) -> bool {
    host.is_real_root() && host.exists("/run/systemd/system") && host.find("systemctl").is_some()
}

/// Whether a unit is running now.
pub(crate) fn is_active(host: &Host, unit: &str) -> bool {
    answers_yes(host, "is-active", unit)
}

/// Whether a unit will be started with the machine.
pub(crate) fn is_enabled(host: &Host, unit: &str) -> bool {
    answers_yes(host, "is-enabled", unit)
}

/// Quoted for `ExecStart=`.
pub(crate) fn quoted(path: &Path) -> String {
    let mut word = path.display().to_string();
    for (plain, meant) in [("\\", "\\\\"), ("\"", "\\\""), ("%", "%%"), ("$", "$$")] {
        word = word.replace(plain, meant);
    }
    format!("\"{word}\"")
}

fn answers_yes(host: &Host, question: &str, unit: &str) -> bool {
    host.run(&program().args([question, "--quiet", unit]))
        .is_ok_and(|answer| answer.ok())
}

/// `systemctl` with these words.
pub(crate) fn systemctl(host: &Host, words: &[&str]) -> Result<()> {
    host.must(&program().args(words)).map(drop)
}

/// `systemctl`, which may have to wait for a service.
fn program() -> Program {
    Program::new("systemctl").deadline(Duration::from_secs(120))
}
