//! One run at a time: `flock` on `/run/openclaw-deploy.lock`, which dies with its process.
//!
//! The file names the holder, for people; the lock itself is the kernel's.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{Host, interrupted};
use crate::deploy::journal::now;

const PATH: &str = "/run/openclaw-deploy.lock";

/// The held lock.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock, waiting for it if there is somebody to tell so.
    ///
    /// # Errors
    /// Exit 7 when another run holds it.
    pub(crate) fn take(host: &Host, wait: Option<&dyn Fn()>) -> Result<Self> {
        let path = host.path(PATH);
        let fail = |why: std::io::Error| Failure::file("open", Path::new(PATH), why);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(fail)?;
        let mut telling = wait;
        let mut file = loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => break locked,
                Err(_) if wait.is_some() && host.is_interrupted() => return Err(interrupted()),
                Err((back, _)) if wait.is_some() => {
                    file = back;
                    if let Some(tell) = telling.take() {
                        tell();
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                Err((mut back, _)) => return Err(held(&mut back)),
            }
        };
        let text = format!("{} {}\n", std::process::id(), now());
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = file.write_all(text.as_bytes());
        Ok(Self { _file: file })
    }
}

/// Whether a run holds the lock now. The kernel's list is asked: to try the lock would be in the
/// way of a run that begins at that moment.
pub(crate) fn is_held(host: &Host) -> bool {
    use nix::sys::stat::{major, minor};
    let Ok(file) = std::fs::metadata(host.path(PATH)) else {
        return false;
    };
    let (device, inode) = (file.dev(), file.ino());
    let place = format!(" {:02x}:{:02x}:{inode} ", major(device), minor(device));
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks
        .lines()
        .any(|line| line.contains(" FLOCK ") && line.contains(&place))
}

fn held(file: &mut File) -> Failure {
    let mut text = String::new();
    let _ = file.take(100).read_to_string(&mut text);
    let mut words = text.split_whitespace();
    let pid = words.next().unwrap_or("?");
    let since =
        words
            .next()
            .and_then(|word| word.parse().ok())
            .map_or_else(String::new, |start: u64| {
                format!(
                    ", started {} ({} s ago)",
                    clock(start),
                    now().saturating_sub(start)
                )
            });
    Failure::new(format!("another run holds the lock: pid {pid}{since}"))
        .hint("wait for it with --wait")
        .exit(Exit::Locked)
        .cause(Cause::Locked)
}

/// Seconds since 1970 as `2026-11-24 03:05:09 UTC`.
pub(crate) fn clock(seconds: u64) -> String {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Howard Hinnant's civil-from-days, for dates after 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_by_whom() {
        let root = tempfile::tempdir().expect("a directory");
        let host = Host::new(root.path()).expect("a host");
        let first = Lock::take(&host, None).expect("free");
        let failure = Lock::take(&host, None).expect_err("held");
        assert_eq!(failure.exit, Exit::Locked);
        let pid = format!("pid {}", std::process::id());
        assert!(
            failure.what.contains(&pid) && failure.what.contains("started 20"),
            "{failure}"
        );
        assert!(is_held(&host));
        drop(first);
        assert!(!is_held(&host));
        assert!(Lock::take(&host, None).is_ok());
    }

    #[test]
    fn a_time_is_written_for_people() {
        assert_eq!(clock(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(clock(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(clock(1_795_489_509), "2026-11-24 03:05:09 UTC");
    }
}
