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

/// How many files below `path` were written since this moment (seconds since 1970), and their bytes.
pub(crate) fn written_since(path: &Path, moment: u64) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = path.symlink_metadata() else {
        return (0, 0);
    };
    if !meta.is_dir() {
        let is_newer = u64::try_from(meta.mtime()).is_ok_and(|time| time >= moment);
        return if is_newer { (1, meta.len()) } else { (0, 0) };
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let below = entries.map(|entry| written_since(&entry.path(), moment));
    below.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_since_is_counted_with_its_size() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str, seconds| {
            let path = place.path().join(name);
            fs::write(&path, "12345").expect("written");
            let file = fs::File::options().write(true).open(&path).expect("open");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.set_modified(time).expect("set");
        };
        fs::create_dir(place.path().join("below")).expect("made");
        at("old", 999);
        at("new", 1000);
        at("below/newer", 1001);
        assert_eq!(written_since(place.path(), 1000), (2, 10));
        assert_eq!(written_since(&place.path().join("none"), 0), (0, 0));
    }
}
