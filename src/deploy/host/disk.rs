//! Disks: what is free, what a tree uses, and which of them is mounted where.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Whether both lie on the same file system.
pub(crate) fn is_one_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).ok().map(|meta| meta.dev());
    device(one) == device(other)
}

/// A directory below `path` that lies on another disk than `path` itself, where there is one: what
/// `tar --one-file-system` leaves out. Links are not followed, and what is bound there from the same disk is no other.
pub(crate) fn other_disk_within(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let disk = path.symlink_metadata().ok()?.dev();
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() && meta.dev() != disk => return Some(entry.path()),
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                _ => {}
            }
        }
    }
    None
}

/// The first mount at `path` or below it.
pub(crate) fn mount_within(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mount_of(&mounts, path)
}

fn mount_of(mountinfo: &str, path: &Path) -> Option<String> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let plain = points.map(|point| point.replace("\\040", " "));
    plain
        .into_iter()
        .find(|point| Path::new(point).starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_at_the_state_or_below_is_found_and_no_other() {
        let info = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    23 22 8:2 / /home rw - ext4 /dev/sda2 rw\n\
                    24 23 8:3 / /home/deploy/.openclaw/work\\040space rw - ext4 /dev/sdb rw\n";
        let within = |path: &str| mount_of(info, Path::new(path));
        assert_eq!(
            within("/home/deploy/.openclaw").as_deref(),
            Some("/home/deploy/.openclaw/work space")
        );
        assert_eq!(within("/home/deploy/.openclaw-auth"), None);
        assert_eq!(within("/home").as_deref(), Some("/home"));
    }

    #[test]
    fn a_disk_below_is_found_and_none_behind_a_link() {
        let found = other_disk_within(Path::new("/dev"));
        assert!(found.is_some_and(|it| it.starts_with("/dev")), "/dev/pts");
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(place.path().join("a/b")).expect("made");
        std::os::unix::fs::symlink("/proc", place.path().join("a/link")).expect("linked");
        assert_eq!(other_disk_within(place.path()), None);
        assert_eq!(other_disk_within(&place.path().join("none")), None);
    }

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
