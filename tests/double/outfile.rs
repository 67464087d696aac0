//! `--out-file`: writes there instead of stdout and prints the absolute path.

use crate::call::Call;
use crate::delivery::Reply;
use crate::failure::Failure;
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, absolute};

/// Refuses to overwrite without `--force`: nobody can be asked.
/// ASSUMPTION: on a terminal as well, since the stand-in asks no questions.
pub fn check(call: &Call) -> Result<(), Failure> {
    match call.line.flag("out-file") {
        Some(path) if Path::new(path).exists() && !call.line.on("force") => Err(Failure::new(
            "cannot prompt for confirmation. Use the '-f' or '--force' flag to skip confirmation.",
        )),
        _ => Ok(()),
    }
}

/// Writes to the file asked for; `None` when stdout is meant.
pub fn write(call: &Call, bytes: &[u8]) -> Result<Option<Reply>, Failure> {
    let Some(path) = call.line.flag("out-file") else {
        return Ok(None);
    };
    let asked = call.line.flag("file-mode");
    let mode = asked
        .and_then(|mode| u32::from_str_radix(mode, 8).ok())
        .unwrap_or(0o600);
    // ASSUMPTION: the words of the Go runtime when the file cannot be written.
    let failed = |error: std::io::Error| Failure::new(format!("open {path}: {error}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    let full = absolute(path).map_err(failed)?;
    Ok(Some(Reply::bytes(format!("{}\n", full.display()))))
}
