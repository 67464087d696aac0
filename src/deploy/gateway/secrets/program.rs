//! The static `oc-secrets` that the gateway starts: a copy that belongs to the gateway's user, since
//! OpenClaw starts no other, in a directory that root alone can enter. On the host nobody runs it. Its
//! bytes are compared before each start, since its owner could have changed it: here, and after a boot by
//! a unit (`units.rs`).

use std::path::{Path, PathBuf};

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Access;
use crate::deploy::settings::STATE_OWNER;

/// The copy, and where it is in the container.
pub(crate) const MOUNT: (&str, &str) = (
    "/var/lib/openclaw-deploy/provider/oc-secrets",
    "/usr/local/lib/oc-secrets/oc-secrets",
);

const ACCESS: Access = Access {
    mode: 0o555,
    owner: Some(STATE_OWNER),
};

/// Where the program is on this host.
///
/// # Errors
/// When it would not run in an image.
pub(super) fn find(cx: &Context) -> Result<PathBuf> {
    let path = cx.host.find("oc-secrets");
    let path = path.ok_or_else(|| Failure::new("oc-secrets is not installed"))?;
    let bytes = cx.host.bytes(&path)?;
    match is_static(&bytes) {
        true => Ok(path),
        false => Err(Failure::new(format!(
            "{} is not static, so it would not run in every image",
            path.display()
        ))
        .hint("install the one of the release, or write deliver = \"env\"")),
    }
}

/// Makes the copy what the program is.
pub(super) fn copy(cx: &Context) -> Result<()> {
    let bytes = cx.host.bytes(&find(cx)?)?;
    let copy = Path::new(MOUNT.0);
    let folder = copy.parent().unwrap_or(copy);
    cx.host.directory(folder, Access::root(0o700))?;
    cx.host.write(copy, &bytes, ACCESS).map(drop)
}

/// Whether a 64-bit ELF program names no interpreter.
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| {
        let bytes = elf.get(at..at.checked_add(bytes)?)?;
        let sum = bytes.iter().rev();
        Some(sum.fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)))
    };
    let headers = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let kinds = (0..count).map(|it| number(start.checked_add(it * size)?, 4));
        kinds.collect::<Option<Vec<_>>>()
    };
    const INTERPRETER: usize = 3;
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&INTERPRETER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_wants_a_loader_is_not_static() {
        let elf = |kind: u8| {
            let mut elf = vec![0_u8; 64];
            elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
            (elf[32], elf[54], elf[56]) = (64, 56, 2);
            elf.extend([1, 0, 0, 0].into_iter().chain([0; 52]));
            elf.extend([kind, 0, 0, 0].into_iter().chain([0; 52]));
            elf
        };
        assert!(is_static(&elf(2)));
        assert!(!is_static(&elf(3)));
        assert!(!is_static(&elf(2)[..100]), "cut off");
        assert!(!is_static(b"#!/bin/sh\n"));
    }
}
