//! Disk space: free, and used by a tree.

use std::fs;
use std::path::Path;

use crate::deploy::error::{Failure, Result};

/// Bytes that are free for us where `path` lies.
pub(crate) fn free(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|why| Failure::file("ask how much is free at", path, why.into()))?;
    let bytes = u128::from(stat.blocks_available()) * u128::from(stat.fragment_size());
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Bytes below `path`, as the disk counts them. Links are not followed.
pub(crate) fn weigh(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = path.symlink_metadata() else {
        return 0;
    };
    let below: u64 = if meta.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| weigh(&entry.path())).sum()
    } else {
        0
    };
    meta.blocks() * 512 + below
}
