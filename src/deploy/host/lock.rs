//! One run at a time: `flock` on `/run/openclaw-deploy.lock`, which dies with its process.
//!
//! The file names the holder, for people; the lock itself is the kernel's.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::base::units::clock;
use crate::base::units::now;
use crate::deploy::error::{Cause, Exit, Failure, Result};
use crate::deploy::host::{Host, interrupted, system};

const PATH: &str = "/run/openclaw-deploy.lock";

/// The held lock.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock. If another run holds it, waits for it and calls `wait` once, or fails with exit
    /// code 7 if there is no `wait`.
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

/// Whether a run holds the lock now.
#[must_use]
pub(crate) fn is_held(host: &Host) -> bool {
    system::is_locked(&host.path(PATH))
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
}
